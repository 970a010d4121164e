//! `run`: exit codes, signals, streams, nothing left.

use crate::need;
use crate::support::{Alive, Rig, finish, unique};
use cofferdam::sys::process;
use std::os::fd::AsFd;

/// Touches so many MiB.
pub fn eat(mib: &str) -> i32 {
    let mut held = Vec::new();
    for _ in 0..mib.parse().unwrap_or(1) {
        held.push(vec![1u8; 1 << 20]);
    }
    println!("{}", held.len());
    0
}

/// Ends with 7 when TERM comes.
pub fn wait_term() -> i32 {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    // A blocked signal is kept for sigwait, but only a handler makes the kernel deliver it to a pid 1.
    extern "C" fn nothing(_: i32) {}
    let handler = nix::sys::signal::SigHandler::Handler(nothing);
    // SAFETY: the handler does nothing.
    unsafe { nix::sys::signal::signal(Signal::SIGTERM, handler).unwrap() };
    set.thread_block().unwrap();
    println!("ready");
    set.wait().unwrap();
    7
}

/// Says so when TERM or INT comes, and goes on; ends with 5 on USR1.
pub fn ignore_term() -> i32 {
    use nix::sys::signal::{SigHandler, SigSet, Signal};
    extern "C" fn nothing(_: i32) {}
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        set.add(signal);
        // SAFETY: the handler does nothing.
        unsafe { nix::sys::signal::signal(signal, SigHandler::Handler(nothing)).unwrap() };
    }
    set.thread_block().unwrap();
    println!("ready");
    while set.wait().unwrap() != Signal::SIGUSR1 {
        println!("not yet");
    }
    5
}

#[test]
fn the_exit_code_is_the_programs() {
    need!(Root);
    let rig = Rig::new();
    for code in [0, 1, 42, 255] {
        let ran = rig.run(&[], &["exit", &code.to_string()]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
}

#[test]
fn a_program_that_is_missing_or_not_executable_has_its_own_code() {
    need!(Root);
    let rig = Rig::new();
    let run = |program: &str| {
        let rootfs = rig.rootfs();
        rig.call(&[
            "run",
            "--rootfs",
            rootfs.to_str().unwrap(),
            &unique("x"),
            "--",
            program,
        ])
    };
    run("/nothing").refused(127, &["/nothing", "no such file or directory"]);
    run("nothing").refused(127, &["executable file not found in $PATH"]);
    run("/etc/passwd").refused(126, &["permission denied"]);
    run("/etc").refused(126, &["is a directory"]);
}

#[test]
fn term_reaches_a_handler_and_ends_a_program_without_one() {
    need!(Root);
    let rig = Rig::new();
    for (verb, code) in [("wait", 128 + libc::SIGTERM), ("wait-term", 7)] {
        let name = unique("term");
        let alive = Alive::spawn(rig.run_command(&name, &[], &[verb]));
        let fd = process::pidfd_open(alive.child.id() as i32).unwrap();
        process::pidfd_signal(fd.as_fd(), libc::SIGTERM).unwrap();
        assert_eq!(alive.end(), code, "{verb}");
        rig.assert_clean(&name);
    }
}

#[test]
fn output_goes_where_it_went_without_us() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.run(&[], &["echo", "one", "two"]);
    assert_eq!((ran.ok(), ran.err.as_str()), ("one two\n", ""));
}

#[test]
fn a_name_is_taken_while_it_runs_and_free_afterwards() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("one");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let second = finish(rig.run_command(&name, &[], &["exit", "0"]));
    second.refused(125, &["already exists"]);
    // The refusal has not touched the first.
    assert!(rig.call(&["state", &name]).ok().contains("running"));
    drop(alive);
    rig.assert_clean(&name);
    finish(rig.run_command(&name, &[], &["exit", "0"])).ok();
}

#[test]
fn the_environment_is_what_was_asked_and_nothing_of_the_callers() {
    need!(Root);
    let rig = Rig::new();
    let mut command = rig.run_command(&unique("env"), &["--env", "A=b"], &["env"]);
    command.env("LEAK", "yes");
    let ran = finish(command);
    assert!(ran.ok().contains("A=b\n"), "{ran:?}");
    assert!(!ran.out.contains("LEAK"), "{ran:?}");
}

#[test]
fn memory_over_the_limit_ends_the_program_and_is_said() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.run(&["--memory", "32m"], &["eat", "200"]);
    assert_eq!(ran.code, 137, "{ran:?}");
    assert!(ran.err.contains("memory limit (SS-011/8.1.4)"), "{ran:?}");
}

#[test]
fn what_was_planned_is_what_is_done() {
    need!(Root);
    let rig = Rig::new();
    let (name, rootfs) = (unique("same"), rig.rootfs());
    let rootfs = rootfs.to_str().unwrap();
    let plan = rig.call(&[
        "plan", "--json", "--rootfs", rootfs, &name, "--", "/payload", "exit", "0",
    ]);
    let plan: serde_json::Value = serde_json::from_str(plan.ok()).unwrap();
    let record = rig.path("record");
    let flags = ["--record", record.to_str().unwrap()];
    finish(rig.run_command(&name, &flags, &["exit", "0"])).ok();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(plan["digest"], record["planDigest"]);
    assert_eq!(record["result"], "verified");
}

#[test]
fn a_program_that_does_not_heed_term_is_killed_in_time() {
    need!(Root);
    let rig = Rig::new();
    let name = unique("stop");
    for (timeout, signal, code) in [
        ("0", libc::SIGTERM, 137),
        ("1", libc::SIGINT, 137),
        ("never", libc::SIGTERM, 5),
    ] {
        let mut alive =
            Alive::spawn(rig.run_command(&name, &["--stop-timeout", timeout], &["ignore-term"]));
        let fd = process::pidfd_open(alive.child.id() as i32).unwrap();
        process::pidfd_signal(fd.as_fd(), signal).unwrap();
        if timeout == "never" {
            assert_eq!(alive.line(), "not yet\n");
            process::pidfd_signal(fd.as_fd(), libc::SIGUSR1).unwrap();
        }
        assert_eq!(alive.end(), code, "{timeout}");
        rig.assert_clean(&name);
    }
    rig.run(&["--stop-timeout", "soon"], &["exit", "0"])
        .refused_as_usage(&["a number of seconds from 0 to 4294967295, or never"]);
}
