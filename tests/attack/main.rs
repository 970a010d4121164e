//! Attacks: each sets a trap that has caught a launcher before, and shows that it fails here, and why.
//!
//! `cve`: launcher vulnerabilities by their number; `race`: those that are races. `inside`: what a hostile program
//! tries (`audit::probes`: the product's own table; `verbs`: other deeds). `devices`: nodes outside /dev. `exhaustion`:
//! bombs. `joining`: traps for `exec`.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod cve;
mod devices;
mod exhaustion;
mod inside;
mod joining;
mod race;
mod verbs;

payload!(verbs::run);

use support::*;

#[test]
fn smoke() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let ran = rig.run(&[], &["cat", "/proc/self/status"]);
    assert!(ran.ok().contains("Uid:\t65532\t65532"), "{ran:#?}");
    let id = unique("s");
    let alive = Alive::spawn(rig.run_command(&id, &[], &["wait"]));
    assert!(rig.pid(&id) > 1);
    assert!(!rig.leftovers(&id).is_empty());
    drop(alive);
    rig.assert_clean(&id);
    rig.create(&rig.spec(&["exit", "3"]), &id).ok();
    rig.call(&["start", &id]).ok();
    rig.call(&["delete", "--force", &id]).ok();
    rig.assert_clean(&id);
    let ran = rig.through(&rig.spec(&["cat", "/proc/self/status"]));
    assert!(ran.ok().contains("NoNewPrivs:\t1"), "{ran:#?}");
}
