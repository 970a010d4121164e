//! Anonymous memory of the forwarder, idle and after ten thousand connections.
//!
//! `Anonymous` of smaps_rollup counts what it still shares with the launcher that it was forked from, too; `Private_Dirty`
//! is what is its own.

use cofferdam::sys::net::reset_on_close;
use std::fs::read_to_string;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

/// KiB: (Anonymous, Private_Dirty).
pub type Memory = (u64, u64);

/// The forwarder below a launcher: the process of that name which has a filter.
pub fn forwarder(launcher: u32) -> Option<u32> {
    let children = read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).ok()?;
    let children = children.split_whitespace().filter_map(|c| c.parse().ok());
    let jailed = |pid: u32| {
        let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with("Name:\tcofferdam-ports\n") && status.contains("Seccomp:\t2")
    };
    children
        .map(|child| {
            if jailed(child) {
                Some(child)
            } else {
                forwarder(child)
            }
        })
        .find_map(|found| found)
}

/// What it has now.
pub fn of(pid: u32) -> Option<Memory> {
    let text = read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some((field("Anonymous:")?, field("Private_Dirty:")?))
}

/// Ten thousand connections to a port, a request and its answer in each, a hundred of them open at a time.
pub fn ten_thousand(port: u16) {
    for _ in 0..100 {
        let all: Vec<TcpStream> = (0..100)
            .filter_map(|_| {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
                stream
                    .set_read_timeout(Some(Duration::from_secs(20)))
                    .ok()?;
                stream.write_all(b"GET / HTTP/1.1\r\n\r\n").ok()?;
                stream.read(&mut [0; 256]).ok().filter(|n| *n > 0)?;
                Some(stream)
            })
            .collect();
        assert_eq!(all.len(), 100, "connections that were answered");
        for stream in &all {
            // No TIME_WAIT: ports of this host are not what is measured.
            let _ = reset_on_close(stream.as_fd());
        }
    }
    std::thread::sleep(Duration::from_millis(500));
}
