//! Records of every launch in one file, and what `policy report` makes of them.

use crate::need;
use crate::support::{Rig, text, unique};
use serde_json::json;
use std::fs;
use std::io::Write;

/// What transition lets pass stands on record, and the report makes of it the exceptions that strict would need.
#[test]
fn the_report_of_a_transition_names_what_strict_would_take() {
    need!(Root);
    let rig = Rig::new();
    let records = rig.path("log/launches.jsonl");
    let policy = |shipped: &str| {
        let kept = "/var/log/cofferdam/launches.jsonl";
        let with = shipped.replacen(kept, text(&records), 1);
        fs::write(rig.path("policy.toml"), with).unwrap();
    };
    policy(include_str!("../../profiles/engines/transition.toml"));
    let mut spec = rig.spec(&["exit", "0"]);
    spec["annotations"] = json!({ "io.kubernetes.cri.image-name": "registry/web:1" });
    spec["root"]["readonly"] = json!(false);
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = json!(["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    }
    assert_eq!(rig.through(&spec).code, 0);
    assert_eq!(rig.through(&spec).code, 0);
    let report = rig.call(&["policy", "report"]);
    let shown = report.ok();
    assert!(shown.contains("registry/web:1: 2 launches"), "{shown}");
    assert!(
        shown.contains("needs    SS-011/8.1.5  CHOWN (2x)"),
        "{shown}"
    );
    assert!(
        shown.contains("needs    SS-011/8.4.7  a writable root (2x)"),
        "{shown}"
    );
    assert!(
        shown.contains("cut      SS-011/8.1.5 /process/capabilities"),
        "{shown}"
    );

    // The exceptions it writes are enough, and no more than enough.
    let exceptions = rig.call(&["policy", "report", "--exceptions"]);
    let entries = exceptions.ok().replace("\"\" # fill in", "\"test\"");
    assert!(
        entries.contains("grant = { capabilities = [\"CHOWN\"] }"),
        "{entries}"
    );
    assert!(
        entries.contains("scope = { image = \"registry/web:1\" }"),
        "{entries}"
    );
    policy(include_str!("../../profiles/engines/strict.toml"));
    fs::create_dir_all(rig.path("exceptions.d")).unwrap();
    fs::write(rig.path("exceptions.d/web.toml"), &entries).unwrap();
    rig.call(&["policy", "check"]).ok();
    fs::write(&records, "").unwrap();
    assert_eq!(rig.through(&spec).code, 0);
    let again = rig.call(&["policy", "report", "--exceptions"]);
    assert_eq!(again.ok().replace("\"\" # fill in", "\"test\""), entries);

    // What is refused is on record too, and what is no record is said.
    fs::write(&records, "not a record\n").unwrap();
    let mut refused = rig.spec(&["exit", "0"]);
    refused["process"]["terminal"] = json!(true);
    let id = unique("refused");
    assert_eq!(rig.create(&refused, &id).code, 1);
    let shown = rig.call(&["policy", "report"]);
    assert!(
        shown
            .ok()
            .contains("/payload (program; the engine names no image): 1 launches, 1 refused"),
        "{shown:?}"
    );
    assert!(
        shown
            .out
            .contains("refused  SS-011/8.4.1 /process/terminal"),
        "{shown:?}"
    );
    assert!(
        shown.out.contains("warning: line 1 is no launch record"),
        "{shown:?}"
    );
}

#[test]
fn a_record_that_cannot_be_written_stops_the_launch() {
    need!(Root);
    let rig = Rig::new();
    let policy = "version = 1\nrecords = \"/proc/nowhere/launches.jsonl\"\n";
    fs::write(rig.path("policy.toml"), policy).unwrap();
    let id = unique("norecord");
    let refused = rig.create(&rig.spec(&["exit", "0"]), &id);
    refused.refused(
        1,
        &[
            "can't make the folder of the launch records",
            "/proc/nowhere",
        ],
    );
    rig.assert_clean(&id);
}

/// A site has millions of launches: the report reads them one by one, and no line makes it hold more.
#[test]
fn records_are_added_up_in_little_memory() {
    let rig = Rig::new();
    let records = rig.path("launches.jsonl");
    let mut file = std::io::BufWriter::new(fs::File::create(&records).unwrap());
    let padding = "x".repeat(1500);
    for n in 0..40_000 {
        writeln!(
            file,
            r#"{{"result":"verified","image":"web:{}","program":"/x","requested":"t","padding":"{padding}"}}"#,
            n % 3
        )
        .unwrap();
    }
    // More than a line may have, then a record again, the last without its line feed.
    writeln!(file, "{}", "y".repeat(20 << 20)).unwrap();
    write!(
        file,
        r#"{{"result":"verified","image":"last:1","program":"/x","requested":"t"}}"#
    )
    .unwrap();
    drop(file);
    let mut command = std::process::Command::new("sh");
    // A quarter of what the file has, for heap and all private memory.
    command.args(["-c", "ulimit -d 20000; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_cofferdam"));
    command.args(["policy", "report", "--records", text(&records)]);
    let shown = crate::support::finish(command);
    let shown = shown.ok();
    assert!(shown.contains("web:0: 13334 launches, last t"), "{shown}");
    assert!(shown.contains("last:1: 1 launches, last t"), "{shown}");
    let skipped = "warning: line 40001 is no launch record: it has more than 4194304 bytes";
    assert!(shown.contains(skipped), "{shown}");
}
