//! `run` of a static program that returns at once, under the full default profile, beside its peers and the floor.
//!
//! Every figure is a whole process from fork to exit, all contestants in turn (A B C A B C …) in one run. Read the
//! ratios, not the times: machines differ. `cargo bench --bench launch -- [ROUNDS]`; needs root and a C compiler.

#[path = "../harness/mod.rs"]
#[allow(dead_code)] // each bench uses its part
mod harness;

use harness::{
    Contestant, asked_rounds, fixture, installed, oci_bundle, one_status, report, rounds, there,
};
use std::path::Path;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP launch: needs root (the peers make cgroups); run it with sudo");
        return;
    }
    let work = tempfile::tempdir().expect("a temporary folder");
    let Some(root) = fixture(work.path()) else {
        println!(
            "SKIP launch: no C compiler for the floor and the static program; apt-get install gcc libc6-dev"
        );
        return;
    };
    harness::hide_hybrid();
    let state = harness::state_folder(work.path());
    let mut field = contestants(work.path(), &root, state.path());
    rounds(&mut field, asked_rounds(200));
    report("launch", &mut field);
}

fn contestants(work: &Path, root: &Path, states: &Path) -> Vec<Contestant> {
    let text = |p: &Path| p.display().to_string();
    let words = |list: &[&str]| list.iter().map(|w| w.to_string()).collect::<Vec<_>>();
    let state = text(&states.join("cofferdam"));
    let mut field = vec![
        Contestant::new(
            "floor",
            vec![text(&work.join("floor")), text(root), "/bin/true".into()],
        ),
        Contestant::new(
            "cofferdam",
            words(&[
                &installed(work, env!("CARGO_BIN_EXE_cofferdam")),
                "--root",
                &state,
                "run",
                "--rootfs",
                &text(root),
                "bench",
                "--",
                "/bin/true",
            ]),
        ),
    ];
    if there("bwrap") {
        let args = [
            "bwrap",
            "--unshare-all",
            "--ro-bind",
            &text(root),
            "/",
            "--proc",
            "/proc",
            "--tmpfs",
            "/dev",
            "/bin/true",
        ];
        field.push(Contestant::new("bubblewrap", words(&args)));
    }
    let bundle = work.join("bundle");
    for name in ["crun", "runc"] {
        if there(name) && oci_bundle(&bundle, root) {
            let state = text(&states.join(name));
            let run = format!(
                "{name} --root {state} run -b {} bench-{name}",
                text(&bundle)
            );
            let command = words(&run.split(' ').collect::<Vec<_>>());
            if one_status(&command) {
                field.push(Contestant::new(name, command));
            } else {
                println!("left out: {name} does not run here");
            }
        } else {
            println!("left out: {name} is not installed (apt-get install {name})");
        }
    }
    field
}
