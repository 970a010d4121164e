//! What a verb answers, and what it says when the answer, the log or the events can't be written.

use crate::need;
use crate::support::{Alive, Ran, Rig, finish, text, unique};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const FULL: &str = "No space left on device";

/// The command under `sh -c 'exec "$@" REDIRECTION'`.
fn redirected(rig: &Rig, redirection: &str, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    let script = format!("exec \"$@\" {redirection}");
    command.args(["-c", &script, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_cofferdam"));
    command.args(["--root", text(&rig.state())]);
    command.args(["--policy", text(&rig.path("policy.toml"))]);
    command.args(args);
    finish(command)
}

/// A plan, a list, a help: each verb's answer, and the code that it fails with.
const ANSWERS: &[(&[&str], i32)] = &[
    (&["plan", "--rootfs", "/", "x", "--", "/bin/true"], 125),
    (
        &["plan", "--json", "--rootfs", "/", "x", "--", "/bin/true"],
        125,
    ),
    (&["policy", "check"], 125),
    (&["policy", "check", "--json"], 125),
    (&["controls"], 125),
    (&["run", "--help"], 125),
    (&["list"], 1),
    (&["list", "--json"], 1),
    (&["spec", "--stdout"], 1),
    (&["features"], 1),
    (&["--help"], 1),
    (&["--version"], 1),
];

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let rig = Rig::new();
    for (args, code) in ANSWERS {
        let written = redirected(&rig, "", args);
        assert_ne!(written.ok(), "", "{args:?}");
        redirected(&rig, ">/dev/full", args).refused(*code, &["standard output", FULL]);
        // Also where there is none, or none that can be written to.
        redirected(&rig, ">&-", args).refused(*code, &["standard output", "Bad file"]);
        redirected(&rig, "1</dev/null", args).refused(*code, &["standard output", "Bad file"]);
    }
    // Nothing to say, and nowhere to say it: that is no failure.
    redirected(&rig, ">&-", &["spec", "--bundle", text(rig.dir())]).ok();
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let rig = Rig::new();
    for (args, _) in ANSWERS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = rig.command();
        command.args(*args).stdout(writer).stderr(Stdio::piped());
        let ended = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(
            (ended.status.code(), said.as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

/// One that follows would otherwise wait for the container's end, and say nothing.
#[test]
fn a_log_that_is_followed_into_a_full_disk_ends() {
    need!(Root);
    let rig = Rig::new();
    let policy = format!(
        "version = 1\n[logs]\nspool = {:?}\n",
        text(&rig.path("spool"))
    );
    fs::write(rig.path("policy.toml"), policy).unwrap();
    let name = unique("followed");
    let _alive = Alive::spawn(rig.run_command(&name, &[], &["wait"]));
    for follow in [&[][..], &["-f"]] {
        let args = [&["logs", "--stream", "event"], follow, &[&name]].concat();
        redirected(&rig, ">/dev/full", &args).refused(125, &["standard output", FULL]);
    }
}

#[test]
fn a_verb_that_fails_keeps_its_own_code() {
    let rig = Rig::new();
    fs::write(rig.path("policy.toml"), "version = 1\nx = 1\n").unwrap();
    let ran = redirected(&rig, ">/dev/full", &["policy", "check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(FULL), "{ran:?}");
}

/// A lost log is lost evidence: nothing is launched without the one that was asked for.
#[test]
fn a_log_that_cannot_be_opened_stops_everything_before_it_begins() {
    need!(Root);
    let rig = Rig::new();
    let log = rig.path("nowhere/log.json");
    let id = unique("unlogged");
    let run = rig.run_command(&id, &["--log", text(&log)], &["echo", "begun"]);
    let parts = ["can't open the log", text(&log), "No such file"];
    let ran = finish(run);
    ran.refused(125, &parts);
    assert_eq!(ran.out, "");
    rig.assert_clean(&id);
    let bundle = rig.bundle(&rig.spec(&["exit", "0"]));
    let create = [
        "create",
        "--log",
        text(&log),
        "--bundle",
        text(&bundle),
        &id,
    ];
    rig.call(&create).refused(1, &parts);
    rig.assert_clean(&id);
    // In the form that was asked for.
    let json = ["list", "--log", text(&log), "--log-format", "json"];
    let said = rig.call(&json);
    said.refused(1, &parts);
    assert!(said.err.starts_with('{'), "{said:?}");
}

#[test]
fn events_that_cannot_be_written_are_said_once() {
    need!(Root);
    let rig = Rig::new();
    let ran = rig.run(&["--events", "/dev/full"], &["exit", "3"]);
    // The program's own code: it has nothing to do with its launcher's events.
    ran.refused(3, &["warning", "--events", FULL]);
    let root = rig.rootfs();
    let refused = [
        "run",
        "--events",
        "/dev/full",
        "--rootfs",
        text(&root),
        "--memory",
        "17g",
        "x",
        "--",
        "/payload",
    ];
    let ran = rig.call(&refused);
    assert_eq!(ran.code, 125, "{ran:?}");
    assert_eq!(ran.err.matches("--events").count(), 1, "{ran:?}");
    // As many as there is room for, and no word.
    let events = rig.path("events");
    let ran = rig.run(&["--events", text(&events)], &["exit", "0"]);
    assert_eq!((ran.ok(), ran.err.as_str()), ("", ""));
}

/// What `--record` names gets the line that the policy's own file gets, also where nothing was launched.
#[test]
fn a_refusal_is_on_record_wherever_records_were_asked_for() {
    need!(Root);
    let rig = Rig::new();
    let (site, root) = (rig.path("site.jsonl"), rig.rootfs());
    let refused = |record: &str, redirection: &str| {
        let program = ["rf", "--", "/payload"];
        let asked = ["--rootfs", text(&root), "--memory", "17g"];
        let words = [&["run", "--record", record], &asked[..], &program].concat();
        redirected(&rig, redirection, &words).refused(125, &["refused by policy", "17"]);
    };
    // Where policy keeps none, too.
    let (file, opened) = (rig.path("file.jsonl"), rig.path("opened.jsonl"));
    refused(text(&file), "");
    let policy = format!("version = 1\nrecords = {:?}\n", text(&site));
    fs::write(rig.path("policy.toml"), policy).unwrap();
    refused(text(&file), "");
    refused("9", &format!("9>>{}", text(&opened)));
    let lines = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(String::from).collect()
    };
    let kept = lines(&site);
    assert_eq!(kept.len(), 2);
    assert_eq!(lines(&file)[1..], kept[..1]);
    assert_eq!(lines(&opened), kept[1..]);
    let first: Value = serde_json::from_str(&lines(&file)[0]).unwrap();
    assert_eq!(
        (&first["result"], &first["name"]),
        (&"refused".into(), &"rf".into())
    );
    // An engine's request.
    let mut spec = rig.spec(&["exit", "0"]);
    spec["process"]["terminal"] = true.into();
    let (bundle, engine) = (rig.bundle(&spec), rig.path("engine.jsonl"));
    let create = [
        "create",
        "--record",
        text(&engine),
        "--bundle",
        text(&bundle),
        "rf",
    ];
    rig.call(&create).refused(1, &["refused by policy"]);
    assert_eq!(lines(&engine), lines(&site)[2..]);
    // The caller's mistake costs the site nothing.
    let nowhere = [
        "create",
        "--record",
        "/nope/x",
        "--bundle",
        text(&bundle),
        "rf",
    ];
    rig.call(&nowhere).refused(1, &["/nope/x"]);
    assert_eq!(lines(&site).len(), 4);
}

#[test]
fn the_sample_says_that_it_can_t_say_what_it_found() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let name = unique("hello");
    redirected(&rig, "", &["run", &name, "--once"]).ok();
    redirected(&rig, ">/dev/full", &["run", &name, "--once"])
        .refused(1, &["cofferdam-sample: ", "standard output", FULL]);
    // Nor does it need anybody to hear that.
    let ran = redirected(&rig, ">/dev/full 2>&1", &["run", &name, "--once"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    rig.assert_clean(&name);
}
