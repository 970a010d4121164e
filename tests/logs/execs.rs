//! What a program that `exec` starts says is kept before its caller sees it, whoever is killed.

use crate::beside::{child_named, events, kept, kept_of, kill, rig, until};
use crate::need;
use crate::support::{Alive, Rig, finish, text, unique};
use cofferdam::logs::Stream;
use std::fs;
use std::path::PathBuf;

/// A container that waits, and its spool.
struct Joined {
    rig: Rig,
    name: String,
    alive: Alive,
    spool: PathBuf,
}

fn joined(more: &str) -> Joined {
    let rig = rig(more);
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let name = unique("joined");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let spool = rig.path("spool").join(&name);
    Joined {
        rig,
        name,
        alive,
        spool,
    }
}

impl Joined {
    fn end(self) {
        self.rig.call(&["kill", &self.name, "KILL"]).ok();
        assert_eq!(self.alive.end(), 137);
        self.rig.assert_clean(&self.name);
    }

    fn kept(&self, stream: Stream) -> Vec<u8> {
        kept_of(&self.spool, |r| r.stream == stream && r.pid > 0)
    }
}

#[test]
fn it_is_kept_under_its_own_id_and_shown() {
    need!(Root);
    let all = joined("");
    let pid_file = all.rig.path("exec.pid");
    let ran = all.rig.call(&[
        "exec",
        "--pid-file",
        text(&pid_file),
        &all.name,
        "/payload",
        "echo",
        "from",
        "beside",
    ]);
    assert_eq!((ran.ok(), ran.err.as_str()), ("from beside\n", ""));
    let pid: u32 = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    until("what it said", || {
        let own = kept_of(&all.spool, |r| r.stream == Stream::Stdout && r.pid == pid);
        (own == b"from beside\n").then_some(())
    });
    // It is not the container's.
    assert_eq!(kept(&all.spool, Stream::Stdout).0, b"ready\n");
    assert_eq!(all.rig.call(&["logs", &all.name]).ok(), "ready\n");
    let shown = all.rig.call(&["logs", "--stream", "exec", &all.name]);
    assert_eq!(shown.ok(), "from beside\n");
    let shown = all
        .rig
        .call(&["logs", "--stream", "exec", "--json", &all.name]);
    assert!(shown.ok().contains(&format!("\"pid\":{pid},")), "{shown:?}");
    // Both streams, and a caller who has no standard output: kept all the same.
    let mut command = all.rig.command();
    command.args(["exec", &all.name, "/payload", "steal"]);
    let ran = finish(command);
    assert!(
        ran.err.contains("mode 10222") && !ran.err.contains("OPEN"),
        "{ran:?}"
    );
    // Capture has it in hand before its caller does; in the spool it is a moment later.
    until("what it said", || {
        (all.kept(Stream::Stderr) == ran.err.as_bytes()).then_some(())
    });
    all.rig.call(&["logs", "verify", &all.name]).ok();
    all.end();
}

#[test]
fn its_relay_and_capture_are_killed_and_nothing_is_lost() {
    need!(Root);
    let all = joined("quota = \"1GiB\"");
    let mut command = all.rig.command();
    command.args(["exec", &all.name, "/payload", "flood"]);
    let (from, into) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    command.stdout(into);
    let mut exec = command.spawn().unwrap();
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        std::io::Read::read_to_end(&mut fs::File::from(from), &mut seen).unwrap();
        seen
    });
    let monitor = child_named(exec.id() as i32, "cofferdam-mon", 0);
    let run = all.alive.child.id() as i32;
    let container = child_named(run, "cofferdam-mon", 0);
    let (mut relay, mut capture) = (0, 0);
    for _ in 0..5 {
        relay = child_named(monitor, "cofferdam-relay", relay);
        kill(relay, libc::SIGKILL);
        capture = child_named(container, "cofferdam-captu", capture);
        kill(capture, libc::SIGKILL);
    }
    child_named(monitor, "cofferdam-relay", relay);
    kill(exec.id() as i32, libc::SIGTERM);
    assert_eq!(exec.wait().unwrap().code(), Some(0));
    // Its caller may see a piece twice, over which somebody was killed; the spool holds each once.
    let seen = reader.join().unwrap();
    let kept = all.kept(Stream::Stdout);
    crate::faults::assert_whole(&kept);
    assert!(seen.len() >= kept.len(), "{} of {}", seen.len(), kept.len());
    assert!(seen.ends_with(&kept[kept.len() - 100..]));
    let restarts = events(&all.spool);
    let of_relay = restarts
        .iter()
        .filter(|e| e["kind"] == "worker-restarted" && e["worker"] == "relay");
    assert_eq!(of_relay.count(), 5);
    all.end();
}

#[test]
fn one_that_is_left_alone_is_kept_too_and_ends_with_its_container() {
    need!(Root);
    let all = joined("");
    let pid_file = all.rig.path("exec.pid");
    let out = fs::File::create(all.rig.path("out")).unwrap();
    let mut command = all.rig.command();
    command.args(["exec", "--detach", "--pid-file", text(&pid_file)]);
    command.args([&all.name, "/payload", "flood"]).stdout(out);
    assert!(command.status().unwrap().success());
    let enough = || (all.kept(Stream::Stdout).len() > 100_000).then_some(());
    until("its output", enough);
    // What it says last is kept before the container's log is closed.
    let pid: i32 = fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill(pid, libc::SIGTERM);
    let whole = || {
        all.kept(Stream::Stdout)
            .windows(5)
            .any(|w| w == b"\nend ")
            .then_some(())
    };
    until("its end", whole);
    crate::faults::assert_whole(&all.kept(Stream::Stdout));
    let shown = fs::read(all.rig.path("out")).unwrap();
    assert_eq!(shown, all.kept(Stream::Stdout));
    all.end();
}

#[test]
fn where_output_must_be_kept_none_is_run_without_a_monitor() {
    need!(Root);
    let all = joined("on_monitor_death = \"go_on\"");
    let monitor = child_named(all.alive.child.id() as i32, "cofferdam-mon", 0);
    // With its worker for verbs: killed, nobody starts it again.
    let verbs = child_named(monitor, "cofferdam-verbs", 0);
    kill(monitor, libc::SIGKILL);
    kill(verbs, libc::SIGKILL);
    until("their end", || {
        (!std::path::Path::new(&format!("/proc/{verbs}/fd/0")).exists()).then_some(())
    });
    all.rig
        .call(&["exec", &all.name, "/payload", "echo", "unheard"])
        .refused(
            255,
            &["SS-011/8.4.2", "does not answer", "permission denied"],
        );
    all.end();
}

/// Nobody is left who would keep it: then nothing can be said.
#[test]
fn it_can_say_nothing_when_its_own_monitor_is_killed() {
    need!(Root);
    let all = joined("");
    let mut command = all.rig.command();
    command.args(["exec", &all.name, "/payload", "flood"]);
    let mut exec = command
        .stdout(fs::File::create(all.rig.path("out")).unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let monitor = child_named(exec.id() as i32, "cofferdam-mon", 0);
    let relay = child_named(monitor, "cofferdam-relay", 0);
    kill(monitor, libc::SIGSTOP);
    kill(relay, libc::SIGKILL);
    kill(monitor, libc::SIGKILL);
    // SIGPIPE.
    assert_eq!(exec.wait().unwrap().code(), Some(141));
    all.end();
}

#[test]
fn a_full_spool_holds_it_up_and_nobody_else() {
    need!(Root);
    let all = joined("quota = \"1MiB\"\nwhen_full = \"block\"");
    let mut command = all.rig.command();
    command.args(["exec", &all.name, "/payload", "lines", "40000", "100"]);
    let mut exec = command
        .stdout(fs::File::create(all.rig.path("out")).unwrap())
        .spawn()
        .unwrap();
    until("a full spool", || {
        events(&all.spool)
            .iter()
            .any(|e| e["kind"] == "spool" && e["percent"] == 100)
            .then_some(())
    });
    assert!(exec.try_wait().unwrap().is_none());
    // Refusals are still told, and verbs still heard.
    all.rig.call(&["pause", &all.name]).ok();
    all.rig.call(&["resume", &all.name]).ok();
    exec.kill().unwrap();
    exec.wait().unwrap();
    all.end();
}
