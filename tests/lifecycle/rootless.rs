//! The same as an ordinary user, with what the kernel lets one.

use crate::need;
use crate::support::{Rig, finish, skip, unique};
use std::os::unix::process::CommandExt;

/// An ordinary user: ourselves, or for root uid 65534.
fn command(rig: &Rig, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(binary());
    command
        .env_clear()
        .arg("--root")
        .arg(rig.path("state-of-user"))
        .args(args);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command.stdin(std::process::Stdio::null());
    command
}

/// The binary where an ordinary user can reach it.
fn binary() -> std::path::PathBuf {
    static COPY: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let dir = COPY.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(
            env!("CARGO_BIN_EXE_cofferdam"),
            dir.path().join("cofferdam"),
        )
        .unwrap();
        dir
    });
    dir.path().join("cofferdam")
}

fn userns_missing() -> Option<String> {
    let off = |file: &str| std::fs::read_to_string(file).is_ok_and(|t| t.trim() == "0");
    (off("/proc/sys/user/max_user_namespaces") || off("/proc/sys/kernel/unprivileged_userns_clone"))
        .then(|| "user namespaces are off; sysctl user.max_user_namespaces=10000".into())
}

fn rig() -> Rig {
    let rig = Rig::new();
    let state = rig.path("state-of-user");
    std::fs::create_dir(&state).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&state, Some(65534), Some(65534)).unwrap();
    }
    rig
}

#[test]
fn an_ordinary_user_runs_the_sample_and_the_hosts_root() {
    if let Some(why) = userns_missing() {
        return skip("an_ordinary_user_runs", "userns", &why);
    }
    let rig = rig();
    let ran = finish(command(&rig, &["run", &unique("u"), "--once"]));
    assert!(
        ran.ok().contains("process 1 with ids 65532 65532"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("no_new_privs 1, seccomp filters 1"),
        "{ran:?}"
    );
    let ran = finish(command(
        &rig,
        &[
            "run",
            "--rootfs",
            "/",
            &unique("u"),
            "--",
            "/bin/ls",
            "/home",
            "/root",
        ],
    ));
    assert_eq!(ran.ok(), "/home:\n\n/root:\n", "{ran:?}");
}

#[test]
fn the_plan_of_an_ordinary_user_says_what_is_weaker() {
    let rig = rig();
    let ran = finish(command(&rig, &["plan", &unique("u")]));
    assert!(
        ran.ok()
            .contains("not here     an ordinary user can map only the own id"),
        "{ran:?}"
    );
    assert!(ran.out.contains("vm.memfd_noexec"), "{ran:?}");
}

/// What an ordinary user can't have is not applicable, with the reason: it is no failure, and no pass either.
#[test]
fn an_ordinary_users_audit_blames_nobody_for_missing_rights() {
    if let Some(why) = userns_missing() {
        return skip("an_ordinary_users_audit", "userns", &why);
    }
    need!(Template);
    let rig = rig();
    let audit = finish(command(&rig, &["audit", "--json"]));
    let report: serde_json::Value = serde_json::from_str(audit.ok()).unwrap();
    let findings = report["subjects"][0]["findings"].as_array().unwrap();
    let of = |verdict: &'static str| findings.iter().filter(move |f| f["verdict"] == verdict);
    let passed = of("pass").count();
    assert!(passed >= 100, "{passed} of {}", findings.len());
    let failed: Vec<_> = of("fail").map(|f| f["id"].as_str().unwrap()).collect();
    assert!(failed.is_empty(), "{failed:?} {findings:#?}");
    for finding in of("not-applicable") {
        let why = finding["why"].as_str().unwrap_or_default();
        assert!(!why.is_empty(), "{finding}");
    }
}

#[test]
fn an_ordinary_users_containers_are_its_own() {
    if !nix::unistd::geteuid().is_root() {
        return skip(
            "an_ordinary_users_containers_are_its_own",
            "root",
            "needs a second user; run the tests with sudo",
        );
    }
    let rig = rig();
    // Root's state folder is closed to it, which is not to say that nothing is in there.
    let mut peek = command(&rig, &["list", "--json"]);
    peek.arg("--root").arg(rig.state());
    let ran = finish(peek);
    ran.refused(1, &["uid 0 with mode 700"]);
    assert_eq!(ran.out, "");
}
