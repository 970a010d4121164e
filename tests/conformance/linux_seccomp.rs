//! config-linux.md § Seccomp and § The Container Process State.

use crate::support::{text, unique};
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;

fn filter(syscalls: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": syscalls })
}

/// [config-linux.md § Seccomp] an errno with an action that has none is an error
#[test]
fn an_errno_needs_an_action_that_has_one() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let rule = json!([{ "names": ["mount"], "action": "SCMP_ACT_KILL", "errnoRet": 5 }]);
    spec["linux"]["seccomp"] = filter(rule);
    suite.refuses(&spec);
}

/// [config-linux.md § Seccomp] a default errno with a default action that has none is an error
#[test]
fn a_default_errno_needs_an_action_that_has_one() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 5 });
    suite.refuses(&spec);
}

/// [config-linux.md § Seccomp] names has at least one entry
#[test]
fn a_rule_names_a_call() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = filter(json!([{ "names": [], "action": "SCMP_ACT_ERRNO" }]));
    suite.refuses(&spec);
}

/// [config-linux.md § Seccomp] listenerMetadata needs listenerPath
#[test]
fn metadata_needs_a_listener() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = filter(json!([{ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" }]));
    spec["linux"]["seccomp"]["listenerMetadata"] = json!("something");
    suite.refuses(&spec);
}

/// [config-linux.md § Seccomp] a socket that can't be sent to is an error
#[test]
fn a_listener_that_is_absent_is_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] =
        filter(json!([{ "names": ["getcwd"], "action": "SCMP_ACT_NOTIFY" }]));
    spec["linux"]["seccomp"]["listenerPath"] = json!(suite.rig.path("absent"));
    suite.refuses(&spec);
}

/// [config-linux.md § Seccomp] without a notify action the listener is ignored
#[test]
fn a_listener_without_notify_is_ignored() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] = filter(json!([{ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" }]));
    spec["linux"]["seccomp"]["listenerPath"] = json!(suite.rig.path("absent"));
    suite.created(&spec);
}

/// [config-linux.md § Seccomp] actions, operators and arguments do what they say
#[test]
fn rules_match_calls_and_arguments() {
    let suite = suite!();
    let mut spec = suite.spec(&["look", "cwd", "create:/tmp"]);
    spec["linux"]["seccomp"] = filter(json!([
        { "names": ["getcwd"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5 },
        { "names": ["no_such_call"], "action": "SCMP_ACT_ERRNO" },
    ]));
    let seen = suite.inside(&spec, &["cwd", "create:/tmp"]);
    assert_eq!(
        (&seen["cwd"], &seen["create:/tmp"]),
        (&json!("EIO"), &json!("ok"))
    );
}

/// [config-linux.md § The Container Process State] the state goes over the socket once, with the descriptor in the first message
#[test]
fn the_process_state_is_sent() {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    let suite = suite!();
    let at = suite.rig.path("agent");
    let listener = UnixListener::bind(&at).unwrap();
    let mut spec = suite.spec(&["wait"]);
    spec["linux"]["seccomp"] =
        filter(json!([{ "names": ["getcwd"], "action": "SCMP_ACT_NOTIFY" }]));
    spec["linux"]["seccomp"]["listenerPath"] = json!(at);
    spec["linux"]["seccomp"]["listenerMetadata"] = json!("something");
    let agent = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (mut bytes, mut fds) = (vec![0u8; 65536], [-1; cofferdam::sys::socket::MOST]);
        let (n, count) =
            cofferdam::sys::socket::receive_fds(socket.as_raw_fd(), &mut bytes, &mut fds)
                .unwrap()
                .unwrap();
        bytes.truncate(n);
        socket.read_to_end(&mut bytes).unwrap();
        let fd = cofferdam::sys::process::own(fds[0]);
        (serde_json::from_slice::<Value>(&bytes).unwrap(), count, fd)
    });
    let id = unique("notify");
    suite
        .call(&["create", "--bundle", text(&suite.bundle(&spec)), &id])
        .ok();
    let (state, count, _fd) = agent.join().unwrap();
    assert_eq!((count, &state["fds"]), (1, &json!(["seccompFd"])));
    assert_eq!(
        (&state["metadata"], &state["state"]["id"]),
        (&json!("something"), &json!(id))
    );
    assert!(
        state["ociVersion"].is_string() && state["pid"].is_i64(),
        "{state}"
    );
    suite.call(&["delete", "--force", &id]).ok();
}
