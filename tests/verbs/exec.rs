//! exec: refused by default; with the exception a second process that is held to no less than the first.

use crate::need;
use crate::support::{Ran, Rig, older_than, text, unique, wait_fd};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A rig whose containers may be joined, without a terminal.
pub fn open_rig() -> Rig {
    let rig = Rig::new();
    rig.except("8.4.1", "exec = \"no-terminal\"");
    rig
}

/// A container that runs `/payload wait`.
pub fn running(rig: &Rig, change: impl Fn(&mut Value)) -> String {
    let id = unique("x");
    let mut spec = rig.spec(&["wait"]);
    change(&mut spec);
    rig.create(&spec, &id).ok();
    rig.call(&["start", &id]).ok();
    id
}

fn as_is(_: &mut Value) {}

/// What an engine hands over.
pub fn process_file(rig: &Rig, process: &Value) -> PathBuf {
    let path = rig.path(&unique("process.json"));
    std::fs::write(&path, process.to_string()).unwrap();
    path
}

pub fn journal(rig: &Rig, id: &str) -> Vec<Value> {
    let path = rig.state().join(id).join("exec.jsonl");
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str(l).unwrap());
    lines.collect()
}

fn field(status: &str, name: &str) -> String {
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(&format!("{name}:")));
    line.unwrap_or("(none)").trim().to_string()
}

#[test]
fn refused_without_an_exception_and_recorded() {
    need!(Root);
    let rig = Rig::new();
    let id = running(&rig, as_is);
    let refused = [
        "SS-011/8.4.1",
        "SS-011 8.4.1",
        "exec = \"no-terminal\"",
        ": permission denied\n",
    ];
    rig.call(&["exec", &id, "/payload", "exit", "0"])
        .refused(255, &refused);
    let file = process_file(&rig, &json!({"args": ["/payload"], "cwd": "/", "user": {}}));
    let pid_file = rig.path("exec.pid");
    let words = [
        "exec",
        "--process",
        text(&file),
        "--detach",
        "--pid-file",
        text(&pid_file),
        &id,
    ];
    rig.call(&words).refused(255, &refused);
    assert!(!pid_file.exists(), "an engine would take it for started");
    let lines = journal(&rig, &id);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["result"], "refused");
    assert_eq!(lines[0]["what"][0], "/payload");
    rig.call(&["exec", "nobody", "/payload"])
        .refused(255, &["container does not exist"]);
    let end = cofferdam::sys::process::pidfd_open(rig.pid(&id)).unwrap();
    rig.call(&["kill", &id, "9"]).ok();
    assert!(wait_fd(end.as_fd()));
    rig.call(&["exec", &id, "/payload"])
        .refused(255, &["cannot exec in a stopped container"]);
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn the_exit_status_is_the_process_s() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    let said = rig.call(&["exec", &id, "/payload", "echo", "--hello", "there"]);
    assert_eq!(
        (said.ok(), said.err.as_str()),
        ("--hello there\n", ""),
        "{said:?}"
    );
    assert_eq!(rig.call(&["exec", &id, "/payload", "exit", "7"]).code, 7);
    assert_eq!(rig.call(&["exec", &id, "/payload", "abort"]).code, 134);
    rig.call(&["exec", &id, "/nonexist"]).refused(
        255,
        &["exec failed: unable to start container process: exec: \"/nonexist\": stat /nonexist: no such file or directory"],
    );
    rig.call(&["exec", &id, "nowhere"])
        .refused(255, &["executable file not found in $PATH"]);
    rig.call(&["exec", &id]).refused(255, &["no program"]);
    // The container's own environment and folder are where it begins; flags go over them.
    let env = rig.call(&["exec", "-e", "A=b", "--env=C=d", &id, "/payload", "env"]);
    assert!(
        env.ok().contains("A=b\n") && env.out.contains("C=d\n"),
        "{env:?}"
    );
    assert!(env.out.contains("PATH="), "{env:?}");
    let cwd = rig.call(&["exec", "--cwd", "/data", &id, "/payload", "cwd"]);
    assert_eq!(cwd.ok(), "/data");
    let ids = rig.call(&[
        "exec",
        "-u",
        "1234:77",
        "-g",
        "5",
        &id,
        "/payload",
        "cat",
        "/proc/self/status",
    ]);
    assert_eq!(field(ids.ok(), "Uid"), "1234\t1234\t1234\t1234");
    assert_eq!(field(&ids.out, "Groups"), "5");
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn a_second_process_has_the_first_one_s_lockdown() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    let first = rig.pid(&id);
    let of_first = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    let all = [
        "CAP_CHOWN",
        "CAP_SYS_ADMIN",
        "CAP_SYS_PTRACE",
        "CAP_NET_RAW",
        "CAP_NET_BIND_SERVICE",
    ];
    // docker exec --privileged.
    let file = process_file(
        &rig,
        &json!({"args": ["/payload", "cat", "/proc/self/status", "/proc/self/limits"], "cwd": "/",
            "user": {"uid": 65532, "gid": 65532}, "env": ["PATH=/"], "noNewPrivileges": false,
            "capabilities": {"bounding": all, "effective": all, "permitted": all, "inheritable": all, "ambient": all},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 9_999_999, "hard": 9_999_999}]}),
    );
    let ran = rig.call(&["exec", "--process", text(&file), &id]);
    let second = ran.ok();
    for name in [
        "Uid",
        "Gid",
        "Groups",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "Speculation_Store_Bypass",
        "NSpid",
    ] {
        if name == "NSpid" {
            let depth = |s: &str| field(s, name).split_whitespace().count();
            assert_eq!(depth(second), depth(&of_first) - 1, "seen from inside");
            continue;
        }
        assert_eq!(field(second, name), field(&of_first, name), "{name}");
    }
    let line = &journal(&rig, &id)[0];
    assert_eq!(line["result"], "verified");
    assert!(line["verification"]["checked"].as_u64().unwrap() > 20);
    assert!(line["pid"].as_i64().unwrap() > 1);
    assert!(!line["exceptions"].as_array().unwrap().is_empty(), "{line}");
    let clamps = line["clamps"].to_string();
    assert!(
        clamps.contains("CAP_SYS_ADMIN") || clamps.contains("SYS_ADMIN"),
        "{clamps}"
    );
    // One exec, no fork, no descriptor of the host, the same landlock, as the first.
    let memory = if older_than(6, 3) { "OK" } else { "EACCES" };
    let tried = rig.call(&["exec", &id, "/payload", "try"]);
    assert_eq!(
        tried.ok(),
        format!("exec EACCES\nfork EPERM\nwrite EROFS\nmemory {memory}\nfds 0 1 2\n"),
        "{tried:?}"
    );
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

/// What a second process may try; see the test above.
pub fn try_it() {
    use crate::support::payload::errno_name;
    let name = |e: std::io::Error| errno_name(e.raw_os_error().unwrap_or(0));
    let path = std::ffi::CString::new("/payload").unwrap();
    let argv = [path.as_ptr(), std::ptr::null()];
    // SAFETY: valid strings, NULL-terminated arrays.
    unsafe { libc::execv(path.as_ptr(), argv.as_ptr()) };
    let said = name(std::io::Error::last_os_error());
    println!(
        "exec {}",
        if said == "EPERM" {
            "EACCES".into()
        } else {
            said
        }
    );
    // SAFETY: the child, if there is one, ends at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        std::process::exit(0);
    }
    println!(
        "fork {}",
        if pid < 0 {
            name(std::io::Error::last_os_error())
        } else {
            "OK".into()
        }
    );
    let wrote = std::fs::write("/etc/x", "x").map_or_else(name, |()| "OK".into());
    println!(
        "write {}",
        if wrote == "EACCES" {
            "EROFS".into()
        } else {
            wrote
        }
    );
    let prot = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a mapping of its own, used by nobody.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
    let said = name(std::io::Error::last_os_error());
    println!(
        "memory {}",
        if map == libc::MAP_FAILED {
            said.replace("EPERM", "EACCES")
        } else {
            "OK".into()
        }
    );
    let open = (0..1024).filter(|fd| {
        // SAFETY: F_GETFD only asks.
        unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 }
    });
    let open: Vec<String> = open.map(|fd| fd.to_string()).collect();
    println!("fds {}", open.join(" "));
}

#[test]
fn detached_it_goes_on_and_the_pid_file_names_it() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    let pid_file = rig.path("exec.pid");
    let file = process_file(
        &rig,
        &json!({"args": ["/payload", "wait"], "cwd": "/", "user": {"uid": 65532, "gid": 65532}}),
    );
    let words = [
        "exec",
        "--process",
        text(&file),
        "--detach",
        "--pid-file",
        text(&pid_file),
        &id,
    ];
    let ran = rig.call(&words);
    assert_eq!(ran.code, 0, "{ran:?}");
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert!(exe.ends_with("payload"), "{exe:?}");
    let first = rig.pid(&id);
    for kind in ["mnt", "pid", "net", "ipc", "uts"] {
        let of = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(of(pid), of(first), "{kind}");
    }
    let cgroup = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(cgroup(pid), cgroup(first));
    let mut both = [pid, first];
    both.sort();
    let listed = rig.call(&["ps", "--format", "json", &id]);
    assert_eq!(listed.ok(), format!("[{},{}]\n", both[0], both[1]));
    // A pid file that can't be written: no process is left behind its back.
    let bad = rig.path("missing/exec.pid");
    let words = [
        "exec",
        "-d",
        "--pid-file",
        text(&bad),
        &id,
        "/payload",
        "wait",
    ];
    rig.call(&words).refused(255, &["write the pid file"]);
    for _ in 0..200 {
        if rig.call(&["ps", "-f", "json", &id]).out == listed.out {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(rig.call(&["ps", "-f", "json", &id]).out, listed.out);
    rig.call(&["kill", &id, "9"]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn what_stays_refused_with_the_exception() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    let denied = |ran: Ran, part: &str| ran.refused(255, &[part, "permission denied"]);
    denied(rig.call(&["exec", "-t", &id, "/payload"]), "SS-011/8.4.1");
    denied(
        rig.call(&["exec", "--preserve-fds", "2", &id, "/payload"]),
        "--preserve-fds",
    );
    denied(
        rig.call(&["exec", "--cgroup", "sub", &id, "/payload"]),
        "--cgroup",
    );
    denied(rig.call(&["exec", &id, "/usr/sbin/sshd"]), "SS-011/8.4.1");
    denied(
        rig.call(&["exec", &id, "/proc/self/exe", "--version"]),
        "SS-011/8.4.7",
    );
    denied(
        rig.call(&["exec", "--cwd", "/proc/self/fd/7", &id, "/payload"]),
        "SS-011/8.4.7",
    );
    rig.call(&["exec", "--console-socket", "/x", &id, "/payload"])
        .refused(255, &["--console-socket"]);
    rig.call(&["exec", "--cap", "CAP_NONSENSE", &id, "/payload"])
        .refused(255, &["CAP_NONSENSE"]);
    let giant = rig.path("giant.json");
    std::fs::write(&giant, vec![b' '; 2 << 20]).unwrap();
    rig.call(&["exec", "--process", text(&giant), &id])
        .refused(255, &["at most"]);
    std::fs::write(&giant, "{").unwrap();
    rig.call(&["exec", "--process", text(&giant), &id])
        .refused(255, &["can't read the process"]);
    rig.call(&["delete", "--force", &id]).ok();
}

#[test]
fn a_container_of_run_is_joined_in_its_own_ids() {
    need!(Root);
    let rig = open_rig();
    let name = unique("r");
    let alive = crate::support::Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    let ran = rig.call(&[
        "exec",
        &name,
        "/payload",
        "cat",
        "/proc/self/uid_map",
        "/proc/self/status",
    ]);
    assert_eq!(field(ran.ok(), "Uid"), "65532\t65532\t65532\t65532");
    assert!(ran.out.trim_start().starts_with("0 "), "{ran:?}");
    drop(alive);
    rig.assert_clean(&name);
}

#[test]
fn a_paused_container_is_joined_only_where_that_is_meant() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    rig.call(&["pause", &id]).ok();
    rig.call(&["exec", &id, "/payload", "exit", "3"])
        .refused(255, &["use --ignore-paused to override"]);
    std::thread::scope(|scope| {
        let joined =
            scope.spawn(|| rig.call(&["exec", "--ignore-paused", &id, "/payload", "exit", "3"]));
        std::thread::sleep(std::time::Duration::from_millis(200));
        // Neither verb waits for the other.
        rig.call(&["resume", &id]).ok();
        assert_eq!(joined.join().unwrap().code, 3);
    });
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn an_exec_killed_in_the_middle_leaves_no_process() {
    need!(Root);
    let rig = open_rig();
    let id = running(&rig, as_is);
    let alone = format!("[{}]\n", rig.pid(&id));
    let mut killed = 0;
    for step in 0..50 {
        let mut command = rig.command();
        command.args(["exec", &id, "/payload", "wait"]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(900 * step));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        for _ in 0..500 {
            if rig.call(&["ps", "-f", "json", &id]).out == alone {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(rig.call(&["ps", "-f", "json", &id]).out, alone, "{step}");
    }
    assert_eq!(killed, 50);
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
}
