//! What the benches share: contestants in turn, whole processes timed from fork to exit, ratios of medians.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Contestant {
    /// As the table calls it.
    pub name: &'static str,
    /// argv.
    pub command: Vec<String>,
    /// Of each round.
    pub times: Vec<Duration>,
    /// Greatest of all rounds.
    pub peak_kib: i64,
}

impl Contestant {
    pub fn new(name: &'static str, command: Vec<String>) -> Self {
        Self {
            name,
            command,
            times: Vec::new(),
            peak_kib: 0,
        }
    }

    /// Counts one round.
    pub fn took(&mut self, time: Duration, peak_kib: i64) {
        self.times.push(time);
        self.peak_kib = self.peak_kib.max(peak_kib);
    }

    /// Milliseconds; of sorted times.
    fn median(&self) -> f64 {
        self.times
            .get(self.times.len() / 2)
            .map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
    }
}

/// A root with one static program, and the floor beside it.
pub fn fixture(work: &Path) -> Option<PathBuf> {
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

/// A launcher as an installation leaves it. A linker writes its output page by page, through a mapping, and so it lies in
/// the page cache until it is read from a disk again; to map and unmap it takes a tenth of a launch longer than a copy.
/// The peers come out of packages: copies.
pub fn installed(work: &Path, program: &str) -> String {
    let place = work.join("cofferdam");
    std::fs::copy(program, &place).expect("room for a copy of the launcher");
    place.display().to_string()
}

/// Where the contestants keep their state: in memory, as /run is on every machine with an init; a folder below `work`
/// where there is no such place.
pub fn state_folder(work: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir_in(work))
        .expect("a folder for the state")
}

pub fn compile(source: &Path, to: &Path) -> Option<()> {
    let done = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .arg(to)
        .arg(source)
        .status()
        .ok()?;
    done.success().then_some(())
}

/// What an engine would ask of a peer: Docker's kind of limits, a seccomp filter of the same size as ours.
pub fn oci_bundle(bundle: &Path, root: &Path) -> bool {
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

pub fn there(program: &str) -> bool {
    std::env::var("PATH")
        .unwrap_or_default()
        .split(':')
        .any(|dir| Path::new(dir).join(program).exists())
}

pub fn one_status(command: &[String]) -> bool {
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
pub fn one(command: &[String]) -> (Duration, i64) {
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

/// Runs all contestants in turn; the first rounds warm caches and do not count.
pub fn rounds(field: &mut [Contestant], rounds: usize) {
    for round in 0..rounds + 5 {
        for contestant in field.iter_mut() {
            let (time, peak) = one(&contestant.command);
            if round >= 5 {
                contestant.took(time, peak);
            }
        }
    }
}

/// The table, and a line `BENCH/NAME_to_FIRST RATIO` each.
pub fn report(bench: &str, field: &mut [Contestant]) {
    for contestant in field.iter_mut() {
        contestant.times.sort();
    }
    let Some(base) = field.first() else { return };
    let (base, by) = (base.median(), base.name);
    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>12}{:>10}",
        bench,
        "median ms",
        "min ms",
        "max ms",
        format!("x {by}"),
        "peak KiB"
    );
    let ms = |d: Option<&Duration>| d.map_or(0.0, |d| d.as_secs_f64() * 1e3);
    for c in field.iter() {
        println!(
            "{:<20}{:>10.2}{:>10.2}{:>10.2}{:>12.2}{:>10}",
            c.name,
            c.median(),
            ms(c.times.first()),
            ms(c.times.last()),
            c.median() / base,
            c.peak_kib
        );
    }
    for c in field.iter().skip(1) {
        println!("{bench}/{}_to_{by} {:.3}", c.name, c.median() / base);
    }
}

/// The rounds that argv asks for (`cargo bench --bench NAME -- ROUNDS`).
pub fn asked_rounds(default: usize) -> usize {
    std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(default)
}

/// crun refuses a hybrid layout, so a unified mount beside v1 is hidden from all contestants alike, in a mount
/// namespace of the bench's own: nothing outside changes.
pub fn hide_hybrid() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let unified = "/sys/fs/cgroup/unified";
    if !Path::new(unified).exists() {
        return;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
    umount2(unified, MntFlags::MNT_DETACH).expect("umount");
}
