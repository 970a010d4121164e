//! What real launches tell: into a file, into the spool; and that being watched changes nothing for the program.

use crate::need;
use crate::support::events::{in_file, spooled};
use crate::support::payload::errno_name;
use crate::support::{Alive, Rig, finish, text, unique};
use cofferdam::events::{Event, ExecResult, What};
use nix::errno::Errno;
use nix::sched::CloneFlags;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The payload: some calls that are refused, some that are not, and what was answered.
pub fn try_all() -> i32 {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let say = |what: &str, errno: Option<Errno>| {
        println!("{what} {}", errno_name(errno.map_or(0, |e| e as i32)));
    };
    for _ in 0..100 {
        let _ = nix::sched::unshare(CloneFlags::CLONE_NEWUSER);
    }
    let userns = nix::sched::unshare(CloneFlags::CLONE_NEWUSER);
    say("unshare", userns.err());
    let none = None::<&str>;
    let mounted = nix::mount::mount(
        none,
        "/tmp",
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        none,
    );
    say("mount", mounted.err());
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), None);
    say("raw", raw.err());
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::empty(),
        None,
    );
    say("netlink", netlink.err());
    say("setsid", nix::unistd::setsid().err());
    say(
        "setuid",
        nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).err(),
    );
    let ran = Command::new("/payload").status();
    say(
        "exec",
        ran.err()
            .and_then(|e| e.raw_os_error())
            .map(Errno::from_raw),
    );
    say(
        "thread",
        std::thread::spawn(|| 0).join().err().map(|_| Errno::EPERM),
    );
    say("getpid", (std::process::id() == 0).then_some(Errno::EPERM));
    0
}

/// Refused calls for as long as there is input, a line each.
pub fn try_again() -> i32 {
    println!("ready");
    let mut line = String::new();
    while matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {
        let errno = nix::sched::unshare(CloneFlags::CLONE_NEWNS).err();
        println!("{}", errno_name(errno.map_or(0, |e| e as i32)));
        line.clear();
    }
    0
}

pub fn events_of(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).unwrap();
    crate::support::schema::assert_lines("events", text.lines());
    in_file(path)
}

fn kinds(events: &[Event]) -> Vec<String> {
    events.iter().map(|e| e.what.kind()).collect()
}

/// The denials by call.
fn denied(events: &[Event]) -> Vec<(String, u64, String)> {
    let mut all: Vec<(String, u64, String)> = Vec::new();
    for event in events {
        if let What::DeniedCall { call, count, .. } = &event.what {
            let control = event.controls[0].to_string();
            match all.iter_mut().find(|(c, ..)| c == call) {
                Some(row) => row.1 += count,
                None => all.push((call.clone(), *count, control)),
            }
        }
    }
    all.sort();
    all
}

fn expected() -> Vec<(String, u64, String)> {
    // The C library's spawn tries clone3, which is quiet, and then clone or vfork: one of them.
    let rows = [
        ("mount", 1, "SS-011/8.4.5"),
        ("setsid", 1, "SS-011/8.5.2"),
        ("setuid", 1, "SS-011/8.1.5"),
        ("unshare", 101, "SS-011/8.4.5"),
    ];
    rows.map(|(call, n, control)| (call.to_string(), n, control.to_string()))
        .to_vec()
}

#[track_caller]
fn assert_denied(events: &[Event]) {
    let found = denied(events);
    for row in expected() {
        assert!(found.contains(&row), "no {row:?} in {found:#?}");
    }
    let sockets: Vec<_> = events
        .iter()
        .filter_map(|e| match &e.what {
            What::DeniedCall {
                call,
                arguments,
                answer,
                ..
            } if call == "socket" => Some((
                arguments[0].as_str(),
                answer.as_str(),
                e.controls[0].as_str(),
            )),
            _ => None,
        })
        .collect();
    for row in [
        ("domain=AF_INET", "EPERM", "SS-011/8.4.6"),
        ("domain=AF_NETLINK", "EAFNOSUPPORT", "SS-011/8.4.4"),
    ] {
        assert!(sockets.contains(&row), "no {row:?} in {sockets:#?}");
    }
}

#[test]
fn a_launch_tells_what_happens_and_the_program_sees_no_difference() {
    need!(Root);
    let rig = Rig::new();
    let file = rig.path("events");
    let unwatched = rig.run(&[], &["try"]);
    let name = unique("told");
    let watched = finish(rig.run_command(&name, &["--events", text(&file)], &["try"]));
    assert_eq!(watched.ok(), unwatched.ok());
    assert!(
        watched
            .out
            .contains("unshare EPERM\nmount EPERM\nraw EPERM\nnetlink EAFNOSUPPORT"),
        "{watched:#?}"
    );
    let events = events_of(&file);
    let kinds = kinds(&events);
    let order = [
        "launch-requested",
        "identity",
        "granted",
        "verified",
        "started",
        "exited",
    ];
    let found: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|k| order.contains(k))
        .collect();
    assert_eq!(found, order, "{kinds:?}");
    assert!(
        events
            .iter()
            .all(|e| e.id == name && e.unsent == 0 && e.launch == events[0].launch)
    );
    assert_denied(&events);
    assert_eq!(mode(&file), 0o600);
    rig.assert_clean(&name);
    let told = rig.call(&["explain", "--events", text(&file), &name]);
    for part in [
        "unshare(flags=CLONE_NEWUSER)",
        "101 times",
        "SS-011/8.4.5",
        "no exception allows it",
        "ended with 0",
    ] {
        assert!(told.ok().contains(part), "no {part:?} in {told:#?}");
    }
    let json = rig.call(&[
        "explain",
        "--json",
        "--since",
        "1h",
        "--events",
        text(&file),
        &name,
    ]);
    let json: Value = serde_json::from_str(json.ok()).unwrap();
    let setsid = json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["tried"] == "setsid()");
    let remedy = setsid.unwrap()["remedy"].as_str().unwrap();
    assert!(remedy.contains("seccomp_groups = [\"setsid\"]"), "{remedy}");
    let later = rig.call(&[
        "explain",
        "--since",
        "2999-01-01T00:00:00Z",
        "--events",
        text(&file),
        &name,
    ]);
    assert!(later.ok().contains("no events"), "{later:#?}");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_refused_launch_tells_every_reason() {
    need!(Root);
    let rig = Rig::new();
    let (file, records) = (rig.path("events"), rig.path("records/launches.jsonl"));
    let policy = format!("version = 1\nrecords = \"{}\"\n", text(&records));
    std::fs::write(rig.path("policy.toml"), policy).unwrap();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["process"]["terminal"] = true.into();
    spec["linux"]["namespaces"] = serde_json::json!([{ "type": "mount" }]);
    let (bundle, name) = (rig.bundle(&spec), unique("refused"));
    let ran = rig.call(&[
        "run",
        "--bundle",
        text(&bundle),
        "--events",
        text(&file),
        &name,
    ]);
    assert_eq!(ran.code, 125, "{ran:#?}");
    let events = events_of(&file);
    assert_eq!(kinds(&events), ["refused"]);
    let What::Refused { reasons, .. } = &events[0].what else {
        panic!("{events:#?}")
    };
    assert!(
        !reasons.is_empty() && reasons.iter().all(|r| r.control.is_some()),
        "{reasons:#?}"
    );
    for args in [
        &["explain", "--events", text(&file), &name][..],
        &["explain", &name],
    ] {
        let told = rig.call(args);
        for reason in reasons {
            let words: Vec<&str> = reason.at.split_whitespace().collect();
            assert!(told.ok().contains(words[0]), "no {words:?} in {told:#?}");
        }
        assert!(told.out.contains("SS-011/8.4.1"), "{told:#?}");
    }
    rig.assert_clean(&name);
}

#[test]
fn a_target_that_can_t_be_written_is_an_error_and_nothing_runs() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.run(
        &["--events", text(&rig.path("no/folder"))],
        &["echo", "ran"],
    );
    assert_eq!(ran.code, 125, "{ran:#?}");
    assert!(
        ran.err.contains("open for the events") && ran.out.is_empty(),
        "{ran:#?}"
    );
    std::os::unix::fs::symlink("/dev/null", rig.path("link")).unwrap();
    let ran = rig.run(&["--events", text(&rig.path("link"))], &["echo", "ran"]);
    assert!(ran.code == 125 && ran.out.is_empty(), "{ran:#?}");
}

#[test]
fn a_logged_launch_has_its_denials_in_the_spool() {
    need!(Root);
    let rig = Rig::new();
    rig.with_spool();
    let name = unique("logged");
    finish(rig.run_command(&name, &[], &["try"])).ok();
    let told = rig.call(&["explain", "--json", &name]);
    let told: Value = serde_json::from_str(told.ok()).unwrap();
    let rows = told["rows"].as_array().unwrap();
    for (tried, answer, control) in [
        ("unshare(flags=CLONE_NEWUSER)", "EPERM", "SS-011/8.4.5"),
        ("setuid(uid=0)", "EPERM", "SS-011/8.1.5"),
        (
            "socket(domain=AF_NETLINK, type=SOCK_DGRAM, protocol=0)",
            "EAFNOSUPPORT",
            "SS-011/8.4.4",
        ),
    ] {
        let row = rows
            .iter()
            .find(|r| r["tried"].as_str().unwrap().starts_with(tried));
        let row = row.unwrap_or_else(|| panic!("no {tried} in {told:#}"));
        assert_eq!(
            (&row["answer"], &row["control"]),
            (&answer.into(), &control.into())
        );
    }
    assert_eq!(told["ended"], "ended with 0");
}

/// Pids of the workers of one container's monitor, by the name that `ps` shows.
pub fn workers(name: &str, launcher: u32) -> Vec<i32> {
    let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = |pid: i32| {
        let all = stat(pid);
        let rest = all.rsplit(')').next().unwrap_or_default().to_string();
        rest.split_whitespace()
            .nth(1)
            .and_then(|p| p.parse::<i32>().ok())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| stat(*pid).contains(&format!("({name})")))
        .filter(|pid| parent(*pid).and_then(parent) == Some(launcher as i32))
        .collect()
}

#[test]
fn a_watcher_that_is_killed_is_started_again_and_every_call_is_refused() {
    need!(Root);
    let rig = Rig::new();
    let (file, name) = (rig.path("events"), unique("killed"));
    let mut command = rig.run_command(&name, &["--events", text(&file)], &["try-again"]);
    command.stdin(Stdio::piped());
    let mut alive = Alive::spawn(command);
    let mut input = alive.child.stdin.take().unwrap();
    let mut ask = |alive: &mut Alive| {
        input.write_all(b"\n").unwrap();
        alive.line()
    };
    for _ in 0..5 {
        assert_eq!(ask(&mut alive), "EPERM\n");
        let found = workers("cofferdam-watch", alive.child.id());
        assert_eq!(found.len(), 1, "{found:?}");
        cofferdam::sys::process::kill(found[0], libc::SIGKILL).unwrap();
    }
    assert_eq!(ask(&mut alive), "EPERM\n");
    drop(input);
    assert_eq!(alive.end(), 0);
    let events = events_of(&file);
    let restarts = events.iter().filter(|e| {
        matches!(&e.what, What::WorkerRestarted { worker, ended, .. } if worker == "watch" && ended == "signal 9")
    });
    assert_eq!(restarts.count(), 5, "{events:#?}");
    rig.assert_clean(&name);
}

#[test]
fn an_exec_by_exception_is_told_and_so_is_what_it_is_refused() {
    need!(Root);
    let rig = Rig::new();
    let (spool, id) = (rig.with_spool(), unique("joined"));
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let plan = rig.call(&["plan", "--rootfs", text(&rig.rootfs()), "--", "/payload"]);
    assert!(
        plan.ok().contains(
            "what a program that `exec` starts is refused is told and what it says is kept"
        ),
        "{plan:#?}"
    );
    let alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    let first = rig.pid(&id);
    let ran = rig.call(&["exec", &id, "/payload", "try"]);
    assert!(ran.ok().contains("unshare EPERM\nmount EPERM"), "{ran:#?}");
    // Another one, under a filter and with a listener of its own.
    let mut command = rig.command();
    command
        .args(["exec", &id, "/payload", "try-again"])
        .stdin(Stdio::piped());
    let mut again = Alive::spawn(command);
    let mut input = again.child.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    assert_eq!(again.line(), "EPERM\n");
    // Its watcher is killed, once it has told what it answered: another follows.
    let told = || {
        let all = denied(&spooled(&spool.join(&id)));
        let unshare = all.iter().find(|(call, ..)| call == "unshare");
        unshare.map_or(0, |(_, count, _)| *count)
    };
    let began = std::time::Instant::now();
    while told() < 102 {
        assert!(began.elapsed().as_secs() < 20, "{} are told", told());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let found = workers("cofferdam-watch", again.child.id());
    assert_eq!(found.len(), 1, "{found:?}");
    cofferdam::sys::process::kill(found[0], libc::SIGKILL).unwrap();
    input.write_all(b"\n").unwrap();
    assert_eq!(again.line(), "EPERM\n");
    drop(input);
    assert_eq!(again.end(), 0);
    rig.call(&["kill", &id, "KILL"]).ok();
    assert_eq!(alive.end(), 137);
    let events = spooled(&spool.join(&id));
    crate::support::schema::assert_events(&events);
    let told = events.iter().filter_map(|e| match &e.what {
        What::Exec {
            program,
            result,
            by,
            ..
        } => Some((program.as_str(), *result, by.uid)),
        _ => None,
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [("/payload", ExecResult::Allowed, 0); 2]
    );
    // 101 of the first, 2 of the second; none of the container's own program.
    let all = denied(&events);
    let unshare = all.iter().find(|(call, ..)| call == "unshare").unwrap();
    assert_eq!((unshare.1, unshare.2.as_str()), (103, "SS-011/8.4.5"));
    assert!(
        events
            .iter()
            .all(|e| e.launch == events[0].launch && e.id == id)
    );
    let by_first = events
        .iter()
        .any(|e| matches!(&e.what, What::DeniedCall { pid, .. } if *pid == first));
    assert!(!by_first);
    // One container has one end.
    let ends = events
        .iter()
        .filter(|e| matches!(e.what, What::Exited { .. }));
    assert_eq!(ends.count(), 1);
    let told = rig.call(&["explain", &id]);
    assert!(
        told.ok().contains("exec /payload")
            && told.out.contains("logs --stream exec")
            && told.out.contains("unshare"),
        "{told:#?}"
    );
    rig.assert_clean(&id);
}

#[test]
fn an_engines_container_tells_of_every_verb_and_of_its_end() {
    need!(Root);
    let rig = Rig::new();
    let (spool, id) = (rig.with_spool(), unique("verbs"));
    rig.create_unheard(&rig.spec(&["wait"]), &id);
    let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["start", &id]).ok();
    rig.call(&["pause", &id]).ok();
    rig.call(&["resume", &id]).ok();
    assert_eq!(rig.call(&["exec", &id, "/payload", "exit", "0"]).code, 255);
    rig.call(&["kill", &id, "KILL"]).ok();
    use std::os::fd::AsFd;
    assert!(crate::support::wait_fd(pidfd.as_fd()));
    rig.call(&["delete", "--force", &id]).ok();
    let mut events = Vec::new();
    for _ in 0..600 {
        events = spooled(&spool.join(&id));
        if events.iter().any(|e| matches!(e.what, What::Exited { .. })) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    crate::support::schema::assert_events(&events);
    let kinds = kinds(&events);
    for kind in [
        "launch-requested",
        "granted",
        "verified",
        "started",
        "exec",
        "exited",
    ] {
        assert!(kinds.iter().any(|k| k == kind), "no {kind} in {kinds:?}");
    }
    let changes: Vec<String> = events
        .iter()
        .filter_map(|e| match &e.what {
            What::Changed { change, detail, .. } => Some(format!("{change:?} {detail}")),
            _ => None,
        })
        .collect();
    // Its removal is told only while there is a monitor, which may have ended by now.
    assert_eq!(changes[..3], ["Paused ", "Resumed ", "Signal 9"]);
    assert!(
        events
            .iter()
            .all(|e| e.launch == events[0].launch && e.id == id)
    );
    let told = rig.call(&["explain", &id]);
    assert!(
        told.ok().contains("no exec") && told.out.contains("SS-011/8.4.1"),
        "{told:#?}"
    );
    rig.assert_clean(&id);
}
