//! `audit --pid` on a running container, and `audit --all`: whole processes, timed from fork to exit, beside `--version`
//! (what starting the program costs).
//!
//! `cargo bench --bench audit -- ROUNDS`; needs root.

#[path = "../harness/mod.rs"]
#[allow(dead_code)]
mod harness;

use harness::{Contestant, asked_rounds, report};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cofferdam");

fn main() {
    let rounds = asked_rounds(100);
    let state = std::env::temp_dir().join(format!("cofferdam-bench-{}", std::process::id()));
    let root = state.display().to_string();
    let name = format!("bench-{}", std::process::id());
    let mut child = Command::new(PROGRAM)
        .args(["--root", &root, "run", &name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the launcher starts");
    let out = child.stdout.take().expect("a pipe");
    // The sample says who it is, then serves.
    let said = BufReader::new(out).lines().next();
    if said.is_none() {
        println!("left out: the sample does not start here (it needs root or user namespaces)");
    } else {
        time(&root, &name, rounds);
    }
    let _ = Command::new(PROGRAM)
        .args(["--root", &root, "delete", "--force", &name])
        .status();
    let _ = child.wait();
    let _ = std::fs::remove_dir_all(&state);
}

fn time(root: &str, name: &str, rounds: usize) {
    let command = |words: &[&str]| {
        let all = [&[PROGRAM, "--root", root], words].concat();
        all.iter().map(|w| w.to_string()).collect::<Vec<_>>()
    };
    let mut table = [
        Contestant::new("--version", command(&["--version"])),
        Contestant::new(
            "audit --container",
            command(&["audit", "--container", name, "--json"]),
        ),
        Contestant::new("audit --all", command(&["audit", "--all", "--json"])),
    ];
    for round in 0..rounds + 5 {
        for contestant in &mut table {
            let (time, peak) = whole(&contestant.command);
            if round >= 5 {
                contestant.took(time, peak);
            }
        }
    }
    report("audit from outside", &mut table);
}

/// One whole process, whatever it finds: other containers of this host may have faults.
fn whole(command: &[String]) -> (Duration, i64) {
    let begin = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the launcher starts");
    let waited = cofferdam::sys::process::wait_with_usage(child.id() as i32);
    let (_, peak) = waited.expect("wait4");
    let time = begin.elapsed();
    let _ = child.try_wait();
    (time, peak)
}
