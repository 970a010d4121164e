//! The service: so many numbered lines as fast as they are taken, then how long that took.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes of a line.
pub const LINE: usize = 120;

/// One write for each line, or for 64 KiB of them. The last line tells how long all of it took and how long the writes.
pub fn speak(mode: &str, lines: u64) {
    let own = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .expect("a copy");
    let mut out = std::fs::File::from(own);
    let most = if mode == "block" { 64 * 1024 / LINE } else { 1 };
    let (began, mut writing) = (Instant::now(), Duration::ZERO);
    let mut block = Vec::new();
    for n in 1..=lines {
        let start = block.len();
        write!(block, "#{n:010} ").expect("memory");
        block.resize(start + LINE - 1, b'x');
        block.push(b'\n');
        if block.len() >= most * LINE || n == lines {
            let before = Instant::now();
            out.write_all(&block).expect("the logger reads");
            writing += before.elapsed();
            block.clear();
        }
    }
    let took = began.elapsed().as_micros();
    writeln!(out, "took {took} writing {} us", writing.as_micros()).expect("the logger reads");
}
