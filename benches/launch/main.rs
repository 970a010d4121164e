//! `run` of a static program that returns at once, under the full default profile, beside its peers and the floor.
//!
//! Every figure is a whole process from fork to exit, all contestants in turn (A B C A B C …) in one run. Read the
//! ratios, not the times: machines differ. `cargo bench --bench launch -- [ROUNDS]`; needs root and a C compiler.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Contestant {
    name: &'static str,
    command: Vec<String>,
    times: Vec<Duration>,
    peak_kib: i64,
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(200);
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
    let mut field = contestants(work.path(), &root);
    for round in 0..rounds + 5 {
        for contestant in &mut field {
            let (time, peak) = one(&contestant.command);
            // The first rounds warm caches.
            if round >= 5 {
                contestant.times.push(time);
                contestant.peak_kib = contestant.peak_kib.max(peak);
            }
        }
    }
    report(&mut field);
}

/// A root with one static program, and the floor beside it.
fn fixture(work: &Path) -> Option<PathBuf> {
    let root = work.join("rootfs");
    for dir in ["proc", "dev", "bin", "sys"] {
        std::fs::create_dir_all(root.join(dir)).ok()?;
    }
    let source = work.join("true.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").ok()?;
    compile(&source, &root.join("bin/true"))?;
    let floor = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/launch/floor.c");
    compile(&floor, &work.join("floor"))?;
    Some(root)
}

fn compile(source: &Path, to: &Path) -> Option<()> {
    let done = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .arg(to)
        .arg(source)
        .status()
        .ok()?;
    done.success().then_some(())
}

fn contestants(work: &Path, root: &Path) -> Vec<Contestant> {
    let text = |p: &Path| p.display().to_string();
    let words = |list: &[&str]| list.iter().map(|w| w.to_string()).collect::<Vec<_>>();
    let state = text(&work.join("state"));
    let mut field = vec![
        Contestant::new(
            "floor",
            vec![text(&work.join("floor")), text(root), "/bin/true".into()],
        ),
        Contestant::new(
            "cofferdam",
            words(&[
                env!("CARGO_BIN_EXE_cofferdam"),
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
            let state = text(&work.join(name));
            let run = format!(
                "{name} --root {state} run -b {} bench-{name}",
                text(&bundle)
            );
            // crun refuses a hybrid layout: the unified mount is hidden in a mount namespace of its own.
            let script = format!("umount /sys/fs/cgroup/unified 2>/dev/null; exec {run}");
            let command = match name {
                "crun" => words(&["unshare", "-m", "sh", "-c", &script]),
                _ => run.split(' ').map(String::from).collect(),
            };
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

/// What an engine would ask of a peer: Docker's kind of limits, a seccomp filter of the same size as ours.
fn oci_bundle(bundle: &Path, root: &Path) -> bool {
    let filter = cofferdam::seccomp::Template::Default
        .profile()
        .and_then(|p| {
            let parameters = cofferdam::seccomp::Parameters {
                exec_fd: Some(1024),
                ..Default::default()
            };
            p.to_oci_json(cofferdam::seccomp::Arch::NATIVE, &parameters)
        });
    let Ok(mut filter) = filter else { return false };
    // The peers execute by path.
    if let Some(calls) = filter["syscalls"].as_array_mut() {
        calls.insert(
            0,
            serde_json::json!({ "names": ["execve"], "action": "SCMP_ACT_ALLOW" }),
        );
        for call in calls.iter_mut().skip(1) {
            if let Some(names) = call["names"].as_array_mut() {
                names.retain(|n| n != "execve");
            }
        }
        calls.retain(|c| c["names"].as_array().is_some_and(|n| !n.is_empty()));
    }
    let mut spec = cofferdam::bundle::hardened_spec();
    // Debian's crun knows no newer one.
    spec["ociVersion"] = "1.0.2".into();
    spec["root"]["path"] = root.display().to_string().into();
    spec["process"]["args"] = serde_json::json!(["/bin/true"]);
    spec["linux"]["seccomp"] = filter;
    spec["linux"]["resources"] = serde_json::json!({
        "memory": { "limit": 536_870_912 }, "pids": { "limit": 256 }, "cpu": { "quota": 100_000, "period": 100_000 }
    });
    std::fs::create_dir_all(bundle)
        .and_then(|()| std::fs::write(bundle.join("config.json"), spec.to_string()))
        .is_ok()
}

fn there(program: &str) -> bool {
    std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .any(|dir| Path::new(dir).join(program).exists())
}

fn one_status(command: &[String]) -> bool {
    let done = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .output();
    match done {
        Ok(out) if out.status.success() => true,
        Ok(out) => {
            println!(
                "{}: {}",
                command[0],
                String::from_utf8_lossy(&out.stderr).trim()
            );
            false
        }
        Err(_) => false,
    }
}

/// One whole process: wall time and peak resident set (of the launcher and what it waited for, KiB).
fn one(command: &[String]) -> (Duration, i64) {
    let begin = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .arg0(&command[0])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a contestant starts");
    let (status, peak) =
        cofferdam::sys::process::wait_with_usage(child.id() as i32).expect("wait4");
    let time = begin.elapsed();
    assert_eq!(status, 0, "{} failed", command.join(" "));
    let _ = child.try_wait();
    (time, peak)
}

impl Contestant {
    fn new(name: &'static str, command: Vec<String>) -> Self {
        Self {
            name,
            command,
            times: Vec::new(),
            peak_kib: 0,
        }
    }
}

fn report(field: &mut [Contestant]) {
    for contestant in field.iter_mut() {
        contestant.times.sort();
    }
    let median = |c: &Contestant| c.times[c.times.len() / 2].as_secs_f64() * 1e3;
    let floor = median(&field[0]);
    println!(
        "{:<12}{:>10}{:>10}{:>10}{:>10}{:>12}",
        "what", "median ms", "min ms", "max ms", "x floor", "peak KiB"
    );
    for c in field.iter() {
        let ms = |d: &Duration| d.as_secs_f64() * 1e3;
        println!(
            "{:<12}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>12}",
            c.name,
            median(c),
            ms(&c.times[0]),
            ms(&c.times[c.times.len() - 1]),
            median(c) / floor,
            c.peak_kib
        );
    }
    for c in field.iter().skip(1) {
        println!("launch/{}_to_floor {:.3}", c.name, median(c) / floor);
    }
}
