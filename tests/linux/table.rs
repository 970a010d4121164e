//! Every row of the table of fields, planned by the real binary on this host, by default and under compat: what is
//! neither kept, nor cut with a note, nor refused by name was ignored.

use crate::need;
use crate::rows::{Fate, Row, rows};
use crate::support::{Rig, text};
use serde_json::{Value, json};

/// The plan of a spec as JSON, or what was said against it.
fn plan(rig: &Rig, spec: &Value) -> Result<Value, String> {
    let bundle = rig.bundle(spec);
    let ran = rig.call(&[
        "plan",
        "--json",
        "--engine",
        "--bundle",
        text(&bundle),
        "row",
    ]);
    match ran.code {
        0 => Ok(serde_json::from_str(&ran.out).unwrap()),
        _ => Err(ran.err),
    }
}

fn set(spec: &mut Value, pointer: &str, value: &Value) {
    let mut here = spec;
    for step in pointer.split('/').skip(1) {
        here = &mut here[step];
    }
    *here = value.clone();
}

/// Paths of the table that must be there for a plan.
fn local(rig: &Rig, value: &Value) -> Value {
    let text = value.to_string();
    let text = text.replace("/srv/d", rig.path("shown").to_str().unwrap());
    serde_json::from_str(&text).unwrap()
}

fn fate(rig: &Rig, row: &Row) -> (Fate, String) {
    let mut spec = rig.spec(&["exit", "0"]);
    if let Some((pointer, value)) = &row.with {
        set(&mut spec, pointer, value);
    }
    let without = plan(rig, &spec).unwrap();
    set(&mut spec, row.pointer, &local(rig, &row.value));
    let with = match plan(rig, &spec) {
        Err(why) => return (Fate::Refused, why),
        Ok(with) => with,
    };
    let clamps = |plan: &Value| plan["clamps"].as_array().unwrap().len();
    let bare = |plan: &Value| {
        let mut plan = plan.clone();
        for key in ["clamps", "waivers", "lacks"] {
            plan[key] = json!(null);
        }
        plan
    };
    let fate = if clamps(&with) > clamps(&without) {
        Fate::Cut
    } else if bare(&with) != bare(&without) {
        Fate::Kept
    } else {
        Fate::Idle
    };
    (fate, String::new())
}

fn wrong(rig: &Rig, row: &Row, wanted: Fate) -> Option<String> {
    let (found, said) = fate(rig, row);
    // A limit whose controller this host has not, is refused in a sentence that says so.
    let host = said.contains("this host can't give")
        || said.contains("no cgroup hierarchy that the caller may write has")
        || said.contains("controller is on cgroup v2");
    let named = host || said.contains(row.pointer) || said.contains("/ociVersion");
    let right = match wanted {
        Fate::Told => found != Fate::Idle,
        Fate::Kept | Fate::Cut => found == wanted || host,
        wanted => found == wanted,
    };
    let named = found != Fate::Refused || named || wanted == Fate::Told;
    (!right || !named).then(|| {
        let (pointer, value) = (row.pointer, &row.value);
        format!("{pointer} = {value}: {found:?}, not {wanted:?} {said}")
    })
}

/// The table, but for the place of the root, which the rig chooses, and labels, which `state` shows and no plan.
fn planned() -> Vec<Row> {
    let mut all = rows();
    all.retain(|row| {
        let refused = row.strict == Fate::Refused;
        row.pointer != "/root/path" && (row.pointer != "/annotations" || refused)
    });
    all
}

fn rig() -> Rig {
    let rig = Rig::new();
    std::fs::create_dir(rig.path("shown")).unwrap();
    std::fs::create_dir(rig.rootfs().join("bin")).unwrap();
    std::fs::hard_link(rig.rootfs().join("payload"), rig.rootfs().join("bin/other")).unwrap();
    rig
}

#[test]
fn every_field_is_told_by_default() {
    need!(Root);
    let rig = rig();
    let all: Vec<String> = planned()
        .iter()
        .filter_map(|row| wrong(&rig, row, row.strict))
        .collect();
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn every_field_is_told_under_compat() {
    need!(Root);
    let rig = rig();
    rig.except("8.4.14", "template = \"compat\"");
    let all: Vec<String> = planned()
        .iter()
        .filter_map(|row| wrong(&rig, row, row.compat))
        .collect();
    assert!(all.is_empty(), "{all:#?}");
}

/// What comes from a config.json is named by its place there; what a flag has set, by the flag.
#[test]
fn refusals_of_a_bundle_name_its_pointers() {
    need!(Root);
    let rig = rig();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["linux"]["resources"] = json!({"memory": {"limit": 1u64 << 50}});
    spec["process"]["cwd"] = json!("/proc/self");
    let bundle = rig.bundle(&spec);
    let run = |flags: &[&str]| {
        let mut args = vec!["run", "--bundle", text(&bundle)];
        args.extend(flags);
        args.push("refused");
        rig.call(&args)
    };
    let both = "/linux/resources/memory/limit";
    run(&[]).refused(125, &[both, "/process/cwd"]);
    let ran = run(&["--memory", "1024t"]);
    ran.refused(125, &["--memory", "/process/cwd"]);
    assert!(!ran.err.contains(both), "{ran:?}");
}
