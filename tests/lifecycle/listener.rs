//! A seccomp agent: it is given the listener of a container's system calls, and decides.

use crate::need;
use crate::support::{Rig, payload, text, unique, wait_fd};
use cofferdam::sys::{process, socket};
use serde_json::{Value, json};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;

/// What mkdir answers.
pub fn make_dir() -> i32 {
    let errno = std::fs::create_dir("/made")
        .err()
        .and_then(|e| e.raw_os_error());
    println!("{}", payload::errno_name(errno.unwrap_or(0)));
    0
}

fn profile(agent: &std::path::Path) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "listenerPath": agent,
        "listenerMetadata": "some words",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]
    })
}

#[test]
fn an_agent_is_told_and_answers() {
    need!(Root);
    let rig = Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let (at, out, id) = (rig.path("agent"), rig.path("output"), unique("agent"));
    let listener = UnixListener::bind(&at).unwrap();
    let mut spec = rig.spec(&["make-dir"]);
    spec["linux"]["seccomp"] = profile(&at);
    let bundle = rig.bundle(&spec);
    let mut command = rig.command();
    command.args(["create", "--bundle", text(&bundle), &id]);
    command.stdout(std::fs::File::create(&out).unwrap());
    assert!(command.status().unwrap().success());
    let (stream, _) = listener.accept().unwrap();
    let (mut bytes, mut fds) = (vec![0u8; 65536], [-1; socket::MOST]);
    let received = socket::receive_fds(stream.as_raw_fd(), &mut bytes, &mut fds).unwrap();
    let (n, count) = received.unwrap();
    assert_eq!(count, 1);
    let notify = process::own(fds[0]);
    let told: Value = serde_json::from_slice(&bytes[..n]).unwrap();
    let pid = rig.pid(&id);
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(
        (&told["pid"], &told["metadata"]),
        (&pid.into(), &"some words".into())
    );
    assert_eq!(
        (&told["state"]["id"], &told["state"]["status"]),
        (&id.as_str().into(), &"creating".into())
    );
    let pidfd = process::pidfd_open(pid).unwrap();
    rig.call(&["start", &id]).ok();
    assert!(wait_fd(notify.as_fd()), "no call was notified");
    // SAFETY: both structures are all-zero at first, as the kernel asks, and live while it reads and writes them.
    unsafe {
        let mut request: libc::seccomp_notif = std::mem::zeroed();
        assert_eq!(
            libc::ioctl(notify.as_raw_fd(), 0xc050_2100, &mut request),
            0
        );
        let mut answer: libc::seccomp_notif_resp = std::mem::zeroed();
        (answer.id, answer.error) = (request.id, -libc::ENOMEDIUM);
        assert_eq!(libc::ioctl(notify.as_raw_fd(), 0xc018_2101, &mut answer), 0);
    }
    assert!(wait_fd(pidfd.as_fd()));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "ENOMEDIUM\n");
    rig.call(&["delete", &id]).ok();
    rig.assert_clean(&id);
}

#[test]
fn an_agent_that_is_not_there_or_not_allowed_is_an_error() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("agent");
    let mut spec = rig.spec(&["make-dir"]);
    spec["linux"]["seccomp"] = profile(&rig.path("absent"));
    rig.create(&spec, &id).refused(
        1,
        &[
            "/linux/seccomp/listenerPath",
            "/linux/seccomp/syscalls",
            "permission denied",
        ],
    );
    rig.except("8.4.14", "template = \"compat\"");
    rig.create(&spec, &id)
        .refused(1, &["the seccomp agent's socket", "No such file"]);
    rig.assert_clean(&id);
    let mut none = spec.clone();
    none["linux"]["seccomp"]
        .as_object_mut()
        .unwrap()
        .remove("listenerPath");
    rig.create(&none, &id)
        .refused(1, &["/linux/seccomp/listenerPath", "nobody to notify"]);
    // Its own calls can't be notified: nobody would answer yet.
    for call in ["sendmsg", "write", "read", "execveat"] {
        let mut own = spec.clone();
        own["linux"]["seccomp"]["syscalls"][0]["names"] = json!([call]);
        rig.create(&own, &id)
            .refused(1, &[call, "the launch itself needs it"]);
    }
}
