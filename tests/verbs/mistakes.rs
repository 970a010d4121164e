//! What is asked wrongly, or can't be looked at: a sentence, the right code, in the place where errors go.

use crate::need;
use crate::support::{Rig, finish, text, unique};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A command line that can't be read is told like every other failure: as JSON, and into the log.
#[test]
fn a_mistake_in_the_words_goes_where_the_log_is_said_to_be() {
    let rig = Rig::new();
    let log = rig.path("l.json");
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["run", "--rootfs", "/", "--user", "q", "x", "--", "a"],
            125,
            "--user",
        ),
        (&["state"], 1, "<ID>"),
        (&["policy", "bogus"], 125, "'bogus'"),
        (&["logs", "--bogus"], 125, "'--bogus'"),
        (&["lst"], 3, "'lst'; a similar subcommand exists: 'list'"),
    ];
    for (args, code, part) in cases {
        let _ = fs::remove_file(&log);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.args(["--log", text(&log), "--log-format", "json"]);
        command.args(*args);
        let ran = finish(command);
        ran.refused(*code, &[part, "see --help"]);
        let logged = fs::read_to_string(&log).unwrap();
        for line in [&ran.err, &logged] {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["level"], "error", "{args:?}");
            assert!(line["msg"].as_str().unwrap().contains(part), "{line}");
            assert!(line["time"].is_string(), "{line}");
        }
    }
    // As text where nothing else is asked for; what stands behind -- is the program's.
    let words = [
        "run",
        "--user",
        "q",
        "x",
        "--",
        "--log",
        "/nope/x",
        "--log-format",
        "json",
    ];
    let ran = rig.call(&words);
    ran.refused(125, &["cofferdam: ", "--user"]);
    let equals = format!("--log={}", text(&log));
    let _ = fs::remove_file(&log);
    rig.call(&["--log-format=json", &equals, "run"])
        .refused(125, &["{\""]);
    assert!(fs::read_to_string(&log).unwrap().contains("<NAME>"));
}

#[test]
fn a_number_that_is_none_is_said_with_what_is_wanted() {
    let rig = Rig::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["run", "--stop-timeout", "18446744073709551615", "x"],
            125,
            "a number of seconds from 0 to 4294967295, or never",
        ),
        (
            &["run", "--pids", "-1", "x"],
            125,
            "expected a whole number, 1 or more",
        ),
        (
            &["run", "--pids", "0", "x"],
            125,
            "expected a whole number, 1 or more",
        ),
        (
            &["run", "--nofile=x", "x"],
            125,
            "expected a whole number, 16 or more",
        ),
        (
            &["create", "--preserve-fds", "x", "x"],
            1,
            "expected a whole number",
        ),
    ];
    for (args, code, part) in cases {
        rig.call(args).refused(*code, &[part]);
    }
}

#[test]
fn a_policy_that_is_no_text_is_said_with_its_place() {
    let rig = Rig::new();
    let policy = rig.path("policy.toml");
    let check = || rig.call(&["policy", "check"]);
    fs::write(&policy, b"version = 1\n# \xc3\xa9 \xff\n").unwrap();
    let place = format!("{}:2:5: not UTF-8", text(&policy));
    let checked = check();
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.out.starts_with(&place), "{checked:?}");
    let json = rig.call(&["policy", "check", "--json"]);
    let value: Value = serde_json::from_str(&json.out).unwrap();
    let problem = &value["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&2.into(), &5.into())
    );
    assert_eq!(json.code, 1);
    rig.run(&[], &["exit", "0"]).refused(125, &[&place]);
    // An exception too.
    fs::write(&policy, "version = 1\n").unwrap();
    rig.except("8.4.14", "template = \"compat\"");
    check().ok();
    fs::write(rig.path("exceptions.d/b.toml"), b"\xff").unwrap();
    let checked = check();
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.out.contains("b.toml:1:1: not UTF-8"), "{checked:?}");
}

/// What another user has closed is not empty: it can't be seen.
#[test]
fn a_state_folder_of_somebody_else_s_is_said_to_be_closed() {
    need!(Root);
    let rig = Rig::new();
    let id = unique("theirs");
    let bundle = rig.bundle(&rig.spec(&["exit", "0"]));
    rig.call(&["create", "--bundle", text(&bundle), &id]).ok();
    // Where a stranger can reach it.
    let program = rig.path("cofferdam");
    fs::copy(env!("CARGO_BIN_EXE_cofferdam"), &program).unwrap();
    let at = |root: &Path, args: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(root).args(args);
        command.uid(65534).gid(65534);
        finish(command)
    };
    let stranger = |args: &[&str]| at(&rig.state(), args);
    let verbs: [&[&str]; 6] = [
        &["list"],
        &["list", "-q"],
        &["state", &id],
        &["ps", &id],
        &["kill", &id],
        &["delete", "--force", &id],
    ];
    for args in verbs {
        let parts = [text(&rig.state()).to_string(), "uid 0 with mode 700".into()];
        let ran = stranger(args);
        ran.refused(1, &[&parts[0], &parts[1]]);
        assert_eq!(ran.out, "", "{args:?}");
    }
    // Its own, where nothing is yet.
    at(&rig.path("nothing"), &["list", "-q"]).ok();
    // One that can be looked into, with containers that can't.
    fs::set_permissions(rig.state(), fs::Permissions::from_mode(0o755)).unwrap();
    stranger(&["list", "-q"]).refused(1, &[&id, "Permission denied"]);
    stranger(&["state", "nobody"]).refused(1, &["does not exist"]);
    fs::set_permissions(rig.state(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(rig.call(&["list", "-q"]).ok().contains(&id));
    rig.call(&["delete", "--force", &id]).ok();
}
