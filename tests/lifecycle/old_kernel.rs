//! Kernels that lack a system call, made up on this one: a filter in front of the launcher answers ENOSYS.
//!
//! Each call is taken away by itself. Either the launch goes on as the plan says, or it is refused in front of
//! everything with a sentence that names the call and the control that rests on it.

use crate::need;
use crate::support::{Ran, Rig, finish, text, unique};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// `without NUMBER PROGRAM ARGS`: executes the program behind a filter that answers ENOSYS to this call.
pub fn without(args: &[String]) -> i32 {
    let word = |code: u32, jf, k| seccompiler::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let answer = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let filter = [
        word(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        word(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            1,
            args[0].parse().unwrap(),
        ),
        word(libc::BPF_RET | libc::BPF_K, 0, answer),
        word(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    cofferdam::sys::process::seccomp_load(&filter, 0).unwrap();
    panic!("{}", Command::new(&args[1]).args(&args[2..]).exec())
}

/// The binary under test without this call.
fn call(rig: &Rig, number: libc::c_long, words: &[&str]) -> Ran {
    let inner = rig.command();
    let mut command = Command::new(rig.rootfs().join("payload"));
    command.env_clear().stdin(Stdio::null());
    command.args(["without", &number.to_string()]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.args(words);
    finish(command)
}

fn run(rig: &Rig, number: libc::c_long) -> Ran {
    let rootfs = rig.rootfs();
    let name = unique("old");
    let words = ["run", "--rootfs", text(&rootfs), &name];
    let program = ["--", "/payload", "exit", "7"];
    let ran = call(rig, number, &[words.as_slice(), &program].concat());
    rig.assert_clean(&name);
    ran
}

/// Calls without which a control can't be enforced, and which.
const NEEDED: [(&str, libc::c_long, &str); 16] = [
    ("clone3", libc::SYS_clone3, "SS-011/8.1.3"),
    ("pidfd_open", libc::SYS_pidfd_open, "SS-011/8.1.3"),
    (
        "pidfd_send_signal",
        libc::SYS_pidfd_send_signal,
        "SS-011/8.1.3",
    ),
    ("close_range", libc::SYS_close_range, "SS-011/8.1.3"),
    ("openat2", libc::SYS_openat2, "SS-011/8.4.7"),
    ("open_tree", libc::SYS_open_tree, "SS-011/8.4.5"),
    ("move_mount", libc::SYS_move_mount, "SS-011/8.4.5"),
    ("fsopen", libc::SYS_fsopen, "SS-011/8.4.5"),
    ("fsconfig", libc::SYS_fsconfig, "SS-011/8.4.5"),
    ("fsmount", libc::SYS_fsmount, "SS-011/8.4.5"),
    ("mount_setattr", libc::SYS_mount_setattr, "SS-011/8.4.7"),
    ("statx", libc::SYS_statx, "SS-011/8.4.5"),
    ("execveat", libc::SYS_execveat, "SS-011/8.4.3"),
    ("seccomp", libc::SYS_seccomp, "SS-011/8.1.4"),
    (
        "landlock_add_rule",
        libc::SYS_landlock_add_rule,
        "SS-011/8.4.3",
    ),
    (
        "landlock_restrict_self",
        libc::SYS_landlock_restrict_self,
        "SS-011/8.4.3",
    ),
];

#[test]
fn without_a_call_that_a_control_rests_on_nothing_is_launched() {
    need!(Root, Landlock);
    let (rig, other) = (Rig::new(), Rig::new());
    other.except("8.4.1", "exec = \"no-terminal\"");
    let there = unique("there");
    other.create(&other.spec(&["wait"]), &there).ok();
    other.call(&["start", &there]).ok();
    let bundle = rig.bundle(&rig.spec(&["wait"]));
    for (name, number, control) in NEEDED {
        let parts = [name, control, "ENOSYS", "SystemCallFilter="];
        run(&rig, number).refused(125, &parts);
        let id = unique("old");
        call(&rig, number, &["create", "--bundle", text(&bundle), &id]).refused(1, &parts);
        // The plan says the same, and a second process is no way around it.
        let plan = ["plan", "--engine", "--bundle", text(&bundle), &id];
        call(&rig, number, &plan).refused(125, &parts);
        let exec = call(&other, number, &["exec", &there, "/payload", "exit", "0"]);
        assert_eq!(exec.code, 255, "{name}: {exec:?}");
        assert!(exec.err.contains(name), "{name}: {exec:?}");
    }
    let listed = other.call(&["ps", "-f", "json", &there]);
    assert_eq!(listed.ok(), format!("[{}]\n", other.pid(&there)));
    other.call(&["delete", "--force", &there]).ok();
    other.assert_clean(&there);
}

/// What older kernels lack and nothing rests on alone: the launch goes on, and what is lost is on record.
#[test]
fn what_has_a_fall_back_goes_on_with_it() {
    need!(Root, Landlock);
    for (name, number, lost) in [
        ("no call at all", 10_000, None),
        (
            "landlock_create_ruleset",
            libc::SYS_landlock_create_ruleset,
            Some("the kernel has no landlock"),
        ),
        ("keyctl", libc::SYS_keyctl, None), // CONFIG_KEYS off: no keyring that could be shared
        ("statmount", 457, None),
        ("listmount", 458, None),
        ("faccessat2", libc::SYS_faccessat2, None),
        ("memfd_create", libc::SYS_memfd_create, None),
        ("sched_setattr", libc::SYS_sched_setattr, None), // only where a class is asked for
    ] {
        let rig = Rig::new();
        assert_eq!(run(&rig, number).code, 7, "{name}");
        let id = unique("old");
        let bundle = rig.bundle(&rig.spec(&["wait"]));
        call(&rig, number, &["create", "--bundle", text(&bundle), &id]).ok();
        let record = std::fs::read_to_string(rig.state().join(&id).join("record.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["result"], "verified", "{name}");
        let lacks = record["lacks"].to_string();
        if let Some(lost) = lost {
            assert!(lacks.contains(lost), "{name}: {lacks}");
        }
        for words in [
            ["start", &id].as_slice(),
            &["state", &id],
            &["pause", &id],
            &["resume", &id],
            &["kill", &id, "KILL"],
            &["delete", "--force", &id],
        ] {
            let ran = call(&rig, number, words);
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}: {words:?}");
        }
        rig.assert_clean(&id);
    }
}
