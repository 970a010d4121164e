//! config.md § Process: what the program is started with.

use crate::suite::CAPABILITIES;
use serde_json::{Value, json};

/// A field of /proc/self/status.
pub fn field(status: &Value, name: &str) -> String {
    let line = status
        .as_str()
        .unwrap()
        .lines()
        .find(|l| l.starts_with(name))
        .unwrap_or_else(|| panic!("{name}"));
    line[name.len()..]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

const STATUS: &str = "cat:/proc/self/status";

/// [config.md § Process] consoleSize is ignored without a terminal
#[test]
fn a_console_size_without_a_terminal_is_ignored() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["consoleSize"] = json!({ "height": 10, "width": 20 });
    spec["process"]["terminal"] = json!(false);
    suite.created(&spec);
}

/// [config.md § Process] cwd is absolute, and where the program begins
#[test]
fn cwd_is_absolute() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["cwd"] = json!("/tmp");
    assert_eq!(suite.inside(&spec, &["cwd"])["cwd"], "/tmp");
    spec["process"]["cwd"] = json!("tmp");
    suite.refuses(&spec);
}

/// [config.md § Process] env is the program's environment
#[test]
fn the_environment_is_the_configs() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["env"] = json!(["A=1", "B=two words", "EMPTY="]);
    let seen = suite.inside(&spec, &["env"]);
    for pair in [["A", "1"], ["B", "two words"], ["EMPTY", ""]] {
        assert!(
            seen["env"].as_array().unwrap().contains(&json!(pair)),
            "{seen}"
        );
    }
}

/// [config.md § Process] args has at least one entry, looked up like execvp does
#[test]
fn args_are_execvps() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["args"] = json!([]);
    suite.refuses(&spec);
    spec["process"]["env"] = json!(["PATH=/nowhere:/"]);
    spec["process"]["args"] = json!(["payload", "echo", "found in PATH"]);
    assert_eq!(suite.output(&spec), "found in PATH\n");
}

/// [config.md § POSIX process] a limit's soft and hard value are what getrlimit gives
#[test]
fn rlimits_are_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["rlimits"] = json!([
        { "type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024 },
        { "type": "RLIMIT_CORE", "soft": 1024, "hard": 4096 },
        { "type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 8_388_608 },
    ]);
    let seen = suite.inside(&spec, &["cat:/proc/self/limits"]);
    let limits = &seen["cat:/proc/self/limits"];
    assert!(
        field(limits, "Max open files").starts_with("512 1024"),
        "{seen}"
    );
    assert!(
        field(limits, "Max core file size").starts_with("1024 4096"),
        "{seen}"
    );
    assert!(
        field(limits, "Max stack size").starts_with("1048576 8388608"),
        "{seen}"
    );
}

/// [config.md § POSIX process] a limit that the kernel does not have is an error
#[test]
fn an_unknown_rlimit_is_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_TEST", "soft": 1, "hard": 1 }]);
    suite.refuses(&spec);
}

/// [config.md § POSIX process] the same limit twice is an error
#[test]
fn an_rlimit_twice_is_an_error() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 1, "hard": 1 });
    spec["process"]["rlimits"] = json!([limit, limit]);
    suite.refuses(&spec);
}

/// [config.md § Linux Process] the five capability sets are the configured ones
#[test]
fn the_five_sets() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    let some = ["CAP_KILL", "CAP_CHOWN"];
    spec["process"]["capabilities"] = json!({
        "bounding": CAPABILITIES, "permitted": some, "effective": some, "inheritable": some, "ambient": some,
    });
    spec["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    let seen = suite.inside(&spec, &[STATUS]);
    for (set, wanted) in [
        ("CapPrm:", "0000000000000021"),
        ("CapEff:", "0000000000000021"),
        ("CapInh:", "0000000000000021"),
        ("CapAmb:", "0000000000000021"),
        ("CapBnd:", "00000000a80425fb"),
    ] {
        assert_eq!(field(&seen[STATUS], set), wanted, "{set}");
    }
}

/// [config.md § Linux Process] a capability that can't be granted is a warning
#[test]
fn what_cannot_be_granted_is_said() {
    let suite = suite!();
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = u64::from_str_radix(&field(&json!(own), "CapBnd:"), 16).unwrap();
    if bounding & (1 << 24) != 0 {
        return crate::support::skip(
            "what_cannot_be_granted_is_said",
            "small-bounding-set",
            "this host can grant it",
        );
    }
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN", "CAP_SYS_RESOURCE"]);
    let (log, id) = (suite.rig.path("log"), crate::support::unique("warned"));
    let bundle = suite.bundle(&spec);
    let text = crate::support::text;
    let ran = suite.call(&[
        "--log",
        text(&log),
        "create",
        "--bundle",
        text(&bundle),
        &id,
    ]);
    ran.ok();
    let said = ran.err + &std::fs::read_to_string(&log).unwrap_or_default() + &record(&suite, &id);
    assert!(said.contains("SYS_RESOURCE"), "{said}");
}

/// What our runtime keeps of a launch: an engine reads its output, so notes are not printed there.
fn record(suite: &crate::suite::Suite, id: &str) -> String {
    let dir = suite.rig.state().join(id);
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files
        .filter(|f| f.file_type().is_ok_and(|t| t.is_file())) // there is a FIFO, too
        .filter_map(|f| std::fs::read_to_string(f.path()).ok())
        .collect()
}

/// [config.md § Linux Process] with noNewPrivileges no privileges can be gained, without it the mark is not set
#[test]
fn no_new_privileges_is_what_is_asked() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["noNewPrivileges"] = json!(true);
    assert_eq!(
        field(&suite.inside(&spec, &[STATUS])[STATUS], "NoNewPrivs:"),
        "1"
    );
    spec["process"]["noNewPrivileges"] = json!(false);
    assert_eq!(
        field(&suite.inside(&spec, &[STATUS])[STATUS], "NoNewPrivs:"),
        "0"
    );
    spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" }],
    });
    assert_eq!(
        field(&suite.inside(&spec, &[STATUS])[STATUS], "NoNewPrivs:"),
        "0",
        "with a filter"
    );
    spec["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    spec["process"]["capabilities"] = json!({});
    let seen = suite.inside(&spec, &[STATUS, "cwd"]);
    assert_eq!(
        field(&seen[STATUS], "NoNewPrivs:"),
        "0",
        "as a user with a filter"
    );
    assert_eq!(field(&seen[STATUS], "CapPrm:"), "0000000000000000");
    assert_eq!(seen["cwd"], "EPERM");
}

/// [config.md § Linux Process] oomScoreAdj is set to the given value
#[test]
fn the_oom_score_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["oomScoreAdj"] = json!(500);
    let seen = suite.inside(&spec, &["cat:/proc/self/oom_score_adj"]);
    assert_eq!(seen["cat:/proc/self/oom_score_adj"], "500\n");
}

/// [config.md § Linux Process] without oomScoreAdj the value is not changed
#[test]
fn the_oom_score_is_left_alone() {
    let suite = suite!();
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let seen = suite.inside(&suite.spec(&["wait"]), &["cat:/proc/self/oom_score_adj"]);
    assert_eq!(seen["cat:/proc/self/oom_score_adj"], own);
}

/// [config.md § Linux Process] a scheduler's policy and nice value; what is not given is 0
#[test]
fn the_scheduler_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
    let seen = suite.inside(&spec, &["cat:/proc/self/stat"]);
    let stat = seen["cat:/proc/self/stat"].as_str().unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(
        (fields[16], fields[38]),
        ("5", "3"),
        "nice and policy of {stat}"
    );
}

/// [config.md § Linux Process] an I/O priority is set for the program
#[test]
fn the_io_priority_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 4 });
    let one = suite.created(&spec);
    let said = std::process::Command::new("ionice")
        .args(["-p", &one.pid().to_string()])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&said.stdout).contains("idle"),
        "{said:?}"
    );
}

/// [config.md § User] user, group and additional groups are the configured ones
#[test]
fn the_user_is_the_configs() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 6] });
    let seen = suite.inside(&spec, &[STATUS]);
    assert_eq!(field(&seen[STATUS], "Uid:"), "1000 1000 1000 1000");
    assert_eq!(field(&seen[STATUS], "Gid:"), "1001 1001 1001 1001");
    let groups = field(&seen[STATUS], "Groups:");
    assert!(groups.contains('5') && groups.contains('6'), "{groups}");
}

/// [config.md § User] umask is set
#[test]
fn the_umask_is_set() {
    let suite = suite!();
    let mut spec = suite.spec(&["wait"]);
    spec["process"]["user"]["umask"] = json!(0o027);
    assert_eq!(
        field(&suite.inside(&spec, &[STATUS])[STATUS], "Umask:"),
        "0027"
    );
}
