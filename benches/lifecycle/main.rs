//! `create`, `start` and `delete` of one bundle, each on its own, beside crun and runc; whole `podman run`s and
//! `docker run`s.
//!
//! Every figure is a whole process from fork to exit, the runtimes in turn in one run; read the ratios.
//! `cargo bench --bench lifecycle -- [ROUNDS]`; needs root and a C compiler; podman, docker and the peers where installed.

mod docker;
#[allow(dead_code)] // each bench uses its part
#[path = "../harness/mod.rs"]
mod harness;

use harness::{
    Contestant, asked_rounds, fixture, oci_bundle, one, one_status, report, rounds, there,
};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const OURS: &str = env!("CARGO_BIN_EXE_cofferdam");

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP lifecycle: needs root (the peers make cgroups); run it with sudo");
        return;
    }
    let work = tempfile::tempdir().expect("a temporary folder");
    let (Some(root), bundle) = (fixture(work.path()), work.path().join("bundle")) else {
        println!("SKIP lifecycle: no C compiler; apt-get install gcc libc6-dev");
        return;
    };
    assert!(oci_bundle(&bundle, &root), "the bundle");
    harness::hide_hybrid();
    verbs(work.path(), &bundle, asked_rounds(100));
    podman(work.path(), &root, asked_rounds(100) / 5);
    docker::docker(work.path(), &root, asked_rounds(100) / 5);
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

/// Our own binary last, so that the peer named first is what the ratios are taken to.
fn runtimes() -> Vec<(&'static str, &'static str)> {
    let mut found: Vec<_> = [("crun", "crun"), ("runc", "runc")]
        .into_iter()
        .filter(|(name, _)| there(name))
        .collect();
    found.push(("cofferdam", OURS));
    found
}

fn verbs(work: &Path, bundle: &Path, rounds: usize) {
    let steps = ["create", "start", "delete"];
    let runtimes = runtimes();
    let mut tables: Vec<Vec<Contestant>> = steps
        .iter()
        .map(|_| {
            let names = runtimes
                .iter()
                .map(|(name, _)| Contestant::new(name, Vec::new()));
            names.collect()
        })
        .collect();
    for round in 0..rounds + 5 {
        for (index, (name, program)) in runtimes.iter().enumerate() {
            let base = format!(
                "{program} --root {}",
                work.join(format!("state-{name}")).display()
            );
            let id = format!("bench-{name}");
            let took = [
                one(&words(&format!(
                    "{base} create --bundle {} {id}",
                    bundle.display()
                ))),
                one(&words(&format!("{base} start {id}"))),
                {
                    stopped(&base, &id);
                    one(&words(&format!("{base} delete {id}")))
                },
            ];
            for (table, (time, peak)) in tables.iter_mut().zip(took) {
                if round >= 5 {
                    table[index].took(time, peak);
                }
            }
        }
    }
    for (step, mut table) in steps.into_iter().zip(tables) {
        report(step, &mut table);
    }
}

/// Waits for the program's end, as an engine does before it deletes.
fn stopped(base: &str, id: &str) {
    let argv = words(&format!("{base} state {id}"));
    for _ in 0..500 {
        let out = Command::new(&argv[0])
            .args(&argv[1..])
            .output()
            .expect("state");
        if String::from_utf8_lossy(&out.stdout).contains("\"stopped\"") {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{id} does not stop");
}

/// `podman run --rm` with each runtime, on storage of its own.
fn podman(work: &Path, root: &Path, count: usize) {
    if !there("podman") {
        println!("left out: podman is not installed (apt-get install podman)");
        return;
    }
    let place = |name: &str| work.join(name).display().to_string();
    // podman asks for limits above the caller's own, which only cofferdam cuts down.
    let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
    std::fs::write(place("containers.conf"), limits).expect("a file");
    let base = format!(
        "env CONTAINERS_CONF={} podman --root {} --runroot {} --tmpdir {} --storage-driver vfs --cgroup-manager cgroupfs --events-backend none",
        place("containers.conf"),
        place("storage"),
        place("runroot"),
        place("tmp")
    );
    let tar = place("image.tar");
    let packed = words(&format!("tar -C {} -cf {tar} .", root.display()));
    if !one_status(&packed)
        || !one_status(&words(&format!("{base} import -q {tar} localhost/bench")))
    {
        println!("left out: podman can't import an image here");
        return;
    }
    let mut field = Vec::new();
    for (name, program) in runtimes() {
        let command = words(&format!(
            "{base} --runtime {} run --rm --network none --pull never localhost/bench /bin/true",
            if name == "cofferdam" {
                program.to_string()
            } else {
                name.to_string()
            }
        ));
        if one_status(&command) {
            field.push(Contestant::new(name, command));
        } else {
            println!("left out: {name} does not run under podman here");
        }
    }
    rounds(&mut field, count);
    report("podman-run", &mut field);
}
