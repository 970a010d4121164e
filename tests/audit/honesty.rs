//! Each weakening is found by the attacks that it lets through, and by no other.

use crate::support::{Rig, skip, text};
use crate::weakenings::{Weakening, all};
use cofferdam::audit::probes;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// By id: the verdict's word, and the rest of the line.
type Findings = BTreeMap<String, (String, String)>;

fn audited(rig: &Rig, name: &str) -> Result<Findings, String> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("payload")
        .args(["weakened", name, text(&rig.state())]);
    let out = command.env_clear().output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        return Err(format!("{said}{}", String::from_utf8_lossy(&out.stderr)));
    }
    let line = |l: &str| {
        let mut words = l.splitn(3, ' ');
        let (verdict, id) = (words.next()?, words.next()?);
        let rest = words.next().unwrap_or_default();
        Some((id.to_string(), (verdict.to_string(), rest.to_string())))
    };
    Ok(said.lines().filter_map(line).collect())
}

fn with(findings: &Findings, verdict: &str) -> BTreeSet<String> {
    let of = findings.iter().filter(|(_, (v, _))| v == verdict);
    of.map(|(id, _)| id.clone()).collect()
}

/// What is wrong with the audit of this weakening.
fn wrong(rig: &Rig, weakening: &Weakening, sound: &BTreeSet<String>) -> Option<String> {
    let name = weakening.name;
    let findings = match audited(rig, name) {
        Ok(findings) => findings,
        Err(said) => return Some(format!("{name}: {said}")),
    };
    let found = with(&findings, "FAIL");
    let hoped = probes::all().filter(|p| (weakening.found)(p));
    let hoped: BTreeSet<String> = hoped
        .map(|p| format!("probe/{}", p.id))
        .filter(|id| sound.contains(id))
        .chain(weakening.seen.iter().map(|id| format!("observe/{id}")))
        .collect();
    if found == hoped && !found.is_empty() {
        return None;
    }
    let told = |id: &String| format!("{id} {:?}", findings.get(id));
    let missed: Vec<String> = hoped.difference(&found).map(told).collect();
    let besides: Vec<String> = found.difference(&hoped).map(told).collect();
    Some(format!(
        "{name}: missed {missed:#?}, found besides {besides:#?}"
    ))
}

#[test]
fn each_weakening_is_found_and_only_that() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let findings = audited(&rig, "nothing").unwrap();
    assert_eq!(with(&findings, "FAIL"), BTreeSet::new(), "{findings:#?}");
    let sound = with(&findings, "pass");
    // What this machine has none of can't be shown to be kept away.
    let shown = |w: &Weakening| {
        let sound = |id: &str| sound.contains(&format!("probe/{id}"));
        !w.seen.is_empty() || probes::all().any(|p| (w.found)(p) && sound(p.id))
    };
    let unseen: Vec<&Weakening> = all().filter(|w| !shown(w)).collect();
    for weakening in &unseen {
        skip(
            weakening.name,
            "audit-controls",
            "this machine shows nothing of it",
        );
    }
    let only = std::env::var("WEAKENING").ok();
    let wanted: Vec<&Weakening> = all()
        .filter(|w| !unseen.iter().any(|u| u.name == w.name))
        .filter(|w| only.as_ref().is_none_or(|o| o == w.name))
        .collect();
    let next = std::sync::Mutex::new(wanted.iter());
    let amiss = std::sync::Mutex::new(Vec::new());
    // Mostly they wait for the kernel to take namespaces down.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(weakening) = next.lock().unwrap().next() else {
                        return;
                    };
                    if let Some(why) = wrong(&rig, weakening, &sound) {
                        amiss.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let amiss = amiss.into_inner().unwrap();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

#[test]
fn the_table_has_thirty_and_more() {
    let names: BTreeSet<&str> = all().map(|w| w.name).collect();
    assert_eq!(names.len(), all().count());
    assert!(names.len() >= 30);
}
