//! What keeping and shipping a service's lines costs beside `cat` into a file and conmon, and what restarts lose.
//!
//! `cargo bench --bench logs -- [ROUNDS [LINES]] [NAME…]`: lines of 120 bytes, one write each, and blocks of 64 KiB, every
//! contestant in turn, or those that are named (`block conmon spool`); CPU is that of the logger's processes alone, for Docker's drivers (`dnone` is the cost of a
//! container without a log) that of its daemons. `-- restarts N`: collectors ended and killed N times
//! each in the middle of 25,000 lines a second. Needs root, rsyslog with openssl and relp; conmon, dockerd and
//! Python's OTLP where they are.

#![allow(dead_code, unsafe_code)] // of the tests' parts, what is used here

#[path = "../../tests/collectors/count.rs"]
mod count;
mod docker;
mod field;
#[path = "../../tests/engines/host.rs"]
mod host;
#[path = "../../tests/collectors/lab.rs"]
mod lab;
mod meter;
#[path = "../../tests/collectors/pki.rs"]
mod pki;
#[path = "../../tests/collectors/producer.rs"]
mod producer;
#[path = "../../tests/collectors/python.rs"]
mod python;
#[path = "../../tests/collectors/receivers.rs"]
mod receivers;
mod restarts;
mod speaker;
#[path = "../../tests/support/mod.rs"]
#[macro_use]
mod support;

use field::{Bench, Run};

const CONTESTANTS: [&str; 9] = [
    "cat", "conmon", "spool", "tls", "relp", "otlp", "dnone", "djson", "dsyslog",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize| args.get(n).map_or("", String::as_str);
    if word(0) == "speak" {
        return speaker::speak(word(1), word(2).parse().unwrap_or(0));
    }
    if let Some(code) = host::reap(word(0), &[]) {
        std::process::exit(code);
    }
    if !nix::unistd::geteuid().is_root() || !field::there("rsyslogd") {
        println!(
            "SKIP logs: needs root and rsyslog (apt-get install rsyslog rsyslog-openssl rsyslog-relp)"
        );
        return;
    }
    let numbers: Vec<u64> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let number = |n: usize, default| numbers.get(n).copied().unwrap_or(default);
    if word(0) == "restarts" {
        return restarts::restarts(number(0, 5));
    }
    let bench = Bench::new();
    for mode in named(&args, &["line", "block"]) {
        let mut all: Vec<(&str, Vec<Run>)> = Vec::new();
        for _ in 0..number(0, 3) {
            for name in named(&args, &CONTESTANTS) {
                match bench.one(name, mode, number(1, 500_000)) {
                    Ok(run) => match all.iter_mut().find(|(n, _)| *n == name) {
                        Some((_, runs)) => runs.push(run),
                        None => all.push((name, vec![run])),
                    },
                    Err(why) => println!("left out: {name}: {why}"),
                }
            }
        }
        field::report(mode, &mut all);
    }
}

/// Those that the command line names, or all.
fn named(args: &[String], all: &[&'static str]) -> Vec<&'static str> {
    let named = |name: &&&str| args.iter().any(|arg| arg == **name);
    match all.iter().any(|name| named(&name)) {
        true => all.iter().filter(named).copied().collect(),
        false => all.to_vec(),
    }
}
