//! Who carries calls out for the program: it tells what it refuses, and its death at any moment hangs no call.

use crate::host::{Running, alone, ask, until};
use crate::need;
use crate::support::events::in_file;
use crate::support::payload::errno_name;
use crate::support::{Rig, text, unique};
use cofferdam::events::{Event, What};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::process::Stdio;

/// Calls that are refused, by the filter and by the binder.
pub fn try_refused() {
    let errno = |done: std::io::Error| errno_name(done.raw_os_error().unwrap_or(0));
    for _ in 0..20 {
        let done = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
        println!("unshare {}", errno_name(done.unwrap_err() as i32));
    }
    let undeclared = TcpListener::bind("127.0.0.1:81").unwrap_err();
    println!("undeclared {}", errno(undeclared));
}

/// For each line of input the port is bound and given up again; the last one is for good.
pub fn bind_often(at: &str) -> i32 {
    println!("ready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let bound = TcpListener::bind(at);
        let errno = bound.as_ref().err().and_then(std::io::Error::raw_os_error);
        println!("bound {}", errno_name(errno.unwrap_or(0)));
        if line == "serve"
            && let Ok(listener) = bound
        {
            let (mut client, _) = listener.accept().unwrap();
            let _ = std::io::Write::write_all(&mut client, b"here");
        }
    }
    0
}

/// How often a call was refused with this answer.
fn denied(events: &[Event], name: &str, errno: &str) -> u64 {
    let count = |e: &Event| match &e.what {
        What::DeniedCall {
            call,
            answer,
            count,
            ..
        } if call == name && answer == errno => *count,
        _ => 0,
    };
    events.iter().map(count).sum()
}

/// One listener serves both: the declared port is the service's own socket, and what is refused is told.
#[test]
fn refused_calls_are_told_where_ports_are_the_service_s_own() {
    need!(Root, Landlock);
    for listens in [false, true] {
        alone();
        let rig = Rig::new();
        rig.except("8.5.5", "max_ports = 2");
        let file = rig.path("events");
        let flags: &[&str] = match listens {
            false => &["-p", "8080:80"],
            true => &["--listen", "tcp://127.0.0.1:8081", "-p", "8080:80"],
        };
        let flags = [&["--events", text(&file)], flags].concat();
        let running = Running::start(&rig, &flags, &["try-and-serve", "0.0.0.0:80"]);
        let said = running.said.join("\n");
        assert!(said.contains("by the service's own socket"), "{said}");
        assert_eq!(said.matches("unshare EPERM").count(), 20, "{said}");
        assert!(said.contains("undeclared EACCES"), "{said}");
        assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
        kill(Pid::from_raw(running.child.id() as i32), Signal::SIGTERM).unwrap();
        running.finish();
        let events = in_file(&file);
        assert_eq!(denied(&events, "unshare", "EPERM"), 20, "{events:#?}");
        assert_eq!(denied(&events, "bind", "EACCES"), 1, "{events:#?}");
        assert_eq!(denied(&events, "bind", "EPERM"), 0, "{events:#?}");
    }
}

fn ptrace(request: u32, pid: i32, data: usize) -> bool {
    let nowhere = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: requests that take a number and no address.
    unsafe { libc::ptrace(request, pid, nowhere, data) == 0 }
}

/// Stops at each system call of a process, entries and returns, until it has come past this many or the program inside
/// has its answer; then it is killed. How many there were, and whether it was killed.
fn killed_at(binder: i32, stops: usize, running: &mut Running) -> (usize, Option<String>) {
    assert!(ptrace(
        libc::PTRACE_SEIZE,
        binder,
        libc::PTRACE_O_TRACESYSGOOD as usize
    ));
    assert!(ptrace(libc::PTRACE_INTERRUPT, binder, 0));
    let pid = Pid::from_raw(binder);
    let flags = Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG);
    let wait = || {
        until("a stop", || match waitpid(pid, flags) {
            Ok(WaitStatus::StillAlive) => None,
            other => Some(other.unwrap()),
        })
    };
    wait();
    running.tell("again");
    let mut seen = 0;
    loop {
        if seen == stops {
            kill(pid, Signal::SIGKILL).unwrap();
            while !matches!(wait(), WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {}
            return (seen, None);
        }
        assert!(ptrace(libc::PTRACE_SYSCALL, binder, 0));
        let answer = until("a stop or an answer", || match waitpid(pid, flags) {
            Ok(WaitStatus::StillAlive) => running.heard("bound").map(Some),
            Ok(_) => Some(None),
            Err(errno) => panic!("{errno}"),
        });
        seen += 1;
        if answer.is_some() {
            assert!(ptrace(libc::PTRACE_INTERRUPT, binder, 0));
            wait();
            assert!(ptrace(libc::PTRACE_DETACH, binder, 0));
            return (seen, answer);
        }
    }
}

fn binder(running: &Running, old: i32) -> i32 {
    until("a binder", || {
        let all = running.forwarders();
        all.into_iter().find(|pid| *pid != old)
    })
}

/// Wherever it is killed between receiving a call and answering it, or between two: the program's bind and listen work.
#[test]
fn a_binder_that_is_killed_at_any_moment_hangs_no_call() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let start = || {
        let flags = ["-p", "127.0.0.1:8080:80", "--publish-mode", "native"];
        let name = unique("p");
        let mut command = rig.run_command(&name, &flags, &["bind-often", "0.0.0.0:80"]);
        command.stdin(Stdio::piped());
        Running::named(name, command).ready("ready")
    };
    let mut running = start();
    let mut now = binder(&running, 0);
    let (all, answer) = killed_at(now, usize::MAX, &mut running);
    assert_eq!(answer.as_deref(), Some("bound 0"));
    assert!(all > 40, "{all} stops");
    // Around the receipt, in the middle, and around the two answers.
    let first = 0..12;
    let middle = (12..all - 40).step_by((all / 6).max(1));
    let last = (all - 40..all).step_by(4);
    for at in first.chain(middle).chain(last) {
        let (seen, answer) = killed_at(now, at, &mut running);
        let answer = answer.unwrap_or_else(|| {
            let next = binder(&running, now);
            now = next;
            running.wait_for("bound")
        });
        assert_eq!(answer, "bound 0", "killed at stop {seen} of {all}");
    }
    running.tell("serve");
    until("the service", || {
        use std::io::Read;
        let mut said = String::new();
        let mut stream = std::net::TcpStream::connect("127.0.0.1:8080").ok()?;
        stream.read_to_string(&mut said).ok()?;
        (said == "here").then_some(())
    });
}

/// The monitor of a container: a child of its launcher.
fn monitor(running: &Running) -> Option<i32> {
    let parent = format!("PPid:\t{}\n", running.child.id());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.into_iter().find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with("Name:\tcofferdam-mon\n") && status.contains(&parent)
    })
}

/// With the monitor and all that carries calls out gone, native connections go on, and new ones come.
#[test]
fn a_monitor_that_is_killed_under_load_breaks_no_native_connection() {
    need!(Root, Landlock);
    alone();
    let rig = Rig::new();
    let file = rig.path("events");
    let flags = ["--events", text(&file), "-p", "127.0.0.1:8080:80"];
    let running = Running::start(&rig, &flags, &["serve", "0.0.0.0:80"]);
    let said = running.said.join("\n");
    assert!(said.contains("by the service's own socket"), "{said}");
    let (to_all, turns) = (std::sync::Barrier::new(9), 2000);
    let streams: Vec<_> = (0..8)
        .map(|_| crate::host::connect("127.0.0.1:8080"))
        .collect();
    std::thread::scope(|scope| {
        for mut stream in streams {
            let to_all = &to_all;
            scope.spawn(move || {
                use std::io::{Read, Write};
                stream.write_all(b"echo\n").unwrap();
                for turn in 0..turns {
                    if turn == turns / 4 {
                        to_all.wait();
                    }
                    stream.write_all(b"word").unwrap();
                    let mut back = [0; 4];
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(&back, b"word");
                }
            });
        }
        to_all.wait();
        let monitor = monitor(&running).expect("a monitor");
        for pid in running
            .processes("cofferdam-ports")
            .into_iter()
            .chain([monitor])
        {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    });
    assert_eq!(ask("127.0.0.1:8080", "echo\nx"), "x");
}
