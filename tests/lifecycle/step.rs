//! The fault table: a verb is killed in front of its Nth system call and behind it, for N through its whole life.
//!
//! No clock decides where it dies: the launcher is stopped at each of its calls (ptrace) and killed at the chosen one.
//! What it has made by then is swept by its janitor, or is a whole container, and `delete --force` takes it away.

use crate::need;
use crate::support::{Rig, text, unique};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What became of it.
#[derive(Debug, PartialEq)]
enum End {
    /// Killed where it should be.
    Killed,
    /// It came to its own end before: its exit code, and how many stops it made.
    Own(i32, usize),
}

/// Runs a command until its `last` stop.
fn stepped(mut command: Command, last: usize) -> End {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: one system call, of integers alone, between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let none = std::ptr::null_mut::<libc::c_void>();
            match libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            }
        });
    }
    let pid = command.spawn().unwrap().id() as i32;
    let wait = || {
        let mut status = 0;
        // SAFETY: our own child, which nobody else waits for; the kernel writes one integer.
        let got = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
        assert_eq!(got, pid, "{}", std::io::Error::last_os_error());
        status
    };
    let ask = |what, data: libc::c_long| {
        // SAFETY: a stopped child of this thread; the requests take integers in the place of pointers.
        let done = unsafe { libc::ptrace(what, pid, 0 as libc::c_long, data) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    };
    assert!(libc::WIFSTOPPED(wait()), "it stops at exec");
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    ask(libc::PTRACE_SETOPTIONS, options.into());
    let (mut stops, mut signal) = (0, 0);
    loop {
        ask(libc::PTRACE_SYSCALL, signal.into());
        let status = wait();
        if libc::WIFEXITED(status) {
            return End::Own(libc::WEXITSTATUS(status), stops);
        }
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        match libc::WSTOPSIG(status) {
            stop if stop == libc::SIGTRAP | 0x80 => (stops, signal) = (stops + 1, 0),
            other => signal = other,
        }
        if stops == last {
            // SAFETY: plain integers; a child that has not been collected.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            while !libc::WIFSIGNALED(wait()) {}
            return End::Killed;
        }
    }
}

fn command(rig: &Rig, words: &[&str]) -> Command {
    let mut command = rig.command();
    command.args(words);
    command
}

/// Moments from the first call to the last: both sides of each of `samples` calls.
fn moments(stops: usize, samples: usize) -> impl Iterator<Item = usize> {
    // Odd: entries and exits take turns.
    let step = (stops / samples / 2 * 2 + 1).max(1);
    (1..stops).step_by(step)
}

#[test]
fn a_create_killed_at_any_call_leaves_nothing_or_a_whole_container() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let family = unique("step");
    let create = |id: &str| {
        let mut words = vec!["create", "--bundle", text(&bundle)];
        words.push(id);
        command(&rig, &words)
    };
    let first = format!("{family}-whole");
    let End::Own(0, stops) = stepped(create(&first), usize::MAX) else {
        panic!("it is not created")
    };
    rig.call(&["delete", "--force", &first]).ok();
    let mut killed = 0;
    for last in moments(stops, 70) {
        let id = format!("{family}-{last}");
        let end = stepped(create(&id), last);
        killed += usize::from(end == End::Killed);
        // Either the janitor is at work or nobody was told of a whole container: both are deleted.
        rig.call(&["delete", "--force", &id]).ok();
    }
    rig.assert_clean(&family);
    assert!(killed > 50, "{killed} of {stops}");
}

#[test]
fn a_later_verb_killed_at_any_call_leaves_what_can_be_deleted() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let family = unique("later");
    let verbs: [(&[&str], bool); 6] = [
        (&["start", "ID"], false),
        (&["exec", "--detach", "ID", "/payload", "wait"], true),
        (&["update", "--pids-limit", "30", "ID"], true),
        (&["pause", "ID"], true),
        (&["kill", "ID", "KILL"], true),
        (&["delete", "--force", "ID"], true),
    ];
    for (words, running) in verbs {
        let attempt = |last: usize| {
            let id = unique(&family);
            rig.call(&["create", "--bundle", text(&bundle), &id]).ok();
            if running {
                rig.call(&["start", &id]).ok();
            }
            let words = words.iter().map(|w| if *w == "ID" { &id } else { *w });
            let words: Vec<&str> = words.collect();
            let end = stepped(command(&rig, &words), last);
            rig.call(&["delete", "--force", &id]).ok();
            end
        };
        // Some wait in short naps, as many as it takes: the shortest of three lives is the measure.
        let whole = || match attempt(usize::MAX) {
            End::Own(0, stops) => stops,
            _ => panic!("{words:?} does not end well"),
        };
        let stops = whole().min(whole()).min(whole());
        let ends = moments(stops, 10).map(attempt);
        let killed = ends.filter(|end| *end == End::Killed).count();
        assert!(killed > 6, "{words:?}: {killed} of {stops}");
        rig.assert_clean(&family);
    }
}

#[test]
fn an_update_killed_at_any_call_stands_in_nobodys_way() {
    need!(Root);
    let rig = Rig::new();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    let family = unique("update");
    let attempt = |last: usize| {
        let id = unique(&family);
        rig.call(&["create", "--bundle", text(&bundle), &id]).ok();
        rig.call(&["start", &id]).ok();
        // On v1 a cpuset is made for it, which takes no process before it is filled.
        let words = ["update", "--cpuset-cpus", "0", &id];
        let end = stepped(command(&rig, &words), last);
        rig.call(&["update", "--pids-limit", "60", &id]).ok();
        rig.call(&["delete", "--force", &id]).ok();
        end
    };
    let End::Own(0, stops) = attempt(usize::MAX) else {
        panic!("it does not end well")
    };
    // It reads what is there, makes the cpuset, fills it, and reads back what it has written.
    let changes = moments(stops, 160).filter(|at| (stops / 4..stops * 2 / 3).contains(at));
    let ends = changes.map(attempt);
    let killed = ends.filter(|end| *end == End::Killed).count();
    assert!(killed > 40, "{killed} of {stops}");
    rig.assert_clean(&family);
}
