//! Races: two names change places thousands of times while containers start.
//!
//! Each start may succeed or be refused; what may never happen is that the canary is seen, written or covered.

use crate::support::*;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one race goes on: a bound on the test, nothing that is asserted.
const TIME: Duration = Duration::from_secs(8);

/// Exchanges two names until it is dropped.
struct Racer {
    stop: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Racer {
    fn start(a: &Path, b: &Path) -> Self {
        let (stop, turns) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let names = [a, b].map(|p| CString::new(text(p)).unwrap());
        let (stopped, counted) = (stop.clone(), turns.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let at = libc::AT_FDCWD;
                // SAFETY: two valid strings.
                let done = unsafe {
                    libc::renameat2(
                        at,
                        names[0].as_ptr(),
                        at,
                        names[1].as_ptr(),
                        libc::RENAME_EXCHANGE,
                    )
                };
                if done != 0 {
                    break; // the test has failed and its folder is gone
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            turns,
            thread: Some(thread),
        }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.turns.load(Ordering::Relaxed)
    }
}

/// Runs `start` again and again beside a racer; (starts, successes).
pub fn during(
    rig: &Rig,
    canary: &Canary,
    a: &Path,
    b: &Path,
    start: impl Fn() -> Ran,
) -> (u32, u32) {
    let before = host_mounts();
    let racer = Racer::start(a, b);
    let (begin, mut starts, mut good) = (Instant::now(), 0, 0);
    while begin.elapsed() < TIME && starts < 200 {
        let ran = start();
        starts += 1;
        good += u32::from(ran.code == 0);
        assert!(
            !ran.out.contains(SECRET) && !ran.out.contains("ptmx"),
            "{ran:#?}"
        );
        assert!([0, 1, 125].contains(&ran.code), "{ran:#?}");
        assert!(!ran.err.contains("panicked"), "{ran:#?}");
    }
    let turns = racer.end();
    assert!(turns > 1000, "only {turns} exchanges: nothing was tried");
    canary.assert_alive();
    let after = host_mounts();
    assert!(
        !after
            .iter()
            .any(|m| m.contains(text(rig.dir())) && !before.contains(m)),
        "{after:#?}"
    );
    (starts, good)
}

fn host_mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().map(String::from).collect()
}

/// A volume with a folder and a link to the canary, to be exchanged.
fn volume(rig: &Rig, canary: &Canary) -> std::path::PathBuf {
    let volume = rig.path("volume");
    fs::create_dir_all(volume.join("target")).unwrap();
    symlink(&canary.dir, volume.join("link")).unwrap();
    volume
}

/// runc, kubelet: the target of a mount inside a shared volume.
#[test]
fn cve_2021_30465_a_target_that_changes() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let volume = volume(&rig, &canary);
    let bind = format!("{}:/data", text(&volume));
    during(
        &rig,
        &canary,
        &volume.join("target"),
        &volume.join("link"),
        || {
            rig.run(
                &["--volume", &bind, "--tmpfs", "/data/target:1m"],
                &["race", "/data/target"],
            )
        },
    );
}

/// kubelet's subPath: the source of a bind mount changes into a link to what policy keeps closed. The place that was
/// judged must be the place that is shown.
#[test]
fn cve_2017_1002101_a_source_that_changes() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let volume = rig.path("volume");
    fs::create_dir_all(volume.join("target")).unwrap();
    symlink("/proc", volume.join("link")).unwrap();
    let bind = format!("{}:/data", text(&volume.join("target")));
    let closed = format!("{}:/data", text(&volume.join("link")));
    rig.run(&["--volume", &closed], &["race", "/data"])
        .refused(125, &["SS-011/8.5.1"]);
    let (_, good) = during(
        &rig,
        &canary,
        &volume.join("target"),
        &volume.join("link"),
        || {
            let ran = rig.run(&["--volume", &bind], &["race", "/data"]);
            assert!(
                !ran.out.contains("meminfo"),
                "the host's /proc is inside: {ran:?}"
            );
            ran
        },
    );
    assert!(good > 0, "no start ever won: nothing was raced");
}

/// runc, crun: /dev and /proc of the image change into links while the container is built.
#[test]
fn cve_2026_41579_2025_52881_kernel_places_that_change() {
    need!(Root, Landlock);
    for place in ["dev", "proc"] {
        let rig = Rig::new();
        let canary = Canary::plant(&rig);
        let link = rig.rootfs().join("link");
        symlink(&canary.dir, &link).unwrap();
        during(&rig, &canary, &rig.rootfs().join(place), &link, || {
            rig.run(&[], &["race", "/dev"])
        });
    }
}

/// runc: directories are made along a path that changes.
#[test]
fn cve_2024_45310_missing_targets_that_change() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let (a, b) = (rig.rootfs().join("data"), rig.rootfs().join("link"));
    symlink(&canary.dir, &b).unwrap();
    during(&rig, &canary, &a, &b, || {
        rig.run(
            &["--tmpfs", "/data/new/deep:1m"],
            &["race", "/data/new/deep"],
        )
    });
}

/// runc: a mask's target changes.
#[test]
fn cve_2025_31133_a_masked_path_that_changes() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let (a, b) = (rig.rootfs().join("data"), rig.rootfs().join("link"));
    symlink(&canary.dir, &b).unwrap();
    let mut spec = rig.spec(&["race", "/data"]);
    spec["linux"]["maskedPaths"] = serde_json::json!(["/data"]);
    during(&rig, &canary, &a, &b, || rig.through(&spec));
}

/// The program itself changes between the look and the exec.
#[test]
fn a_program_that_changes_into_a_link_out_of_the_root() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let canary = Canary::plant(&rig);
    let link = rig.rootfs().join("link");
    symlink("/proc/self/exe", &link).unwrap();
    let root = rig.rootfs();
    let before = Instant::now();
    let racer = Racer::start(&root.join("payload"), &link);
    while before.elapsed() < TIME {
        let ran = rig.run(&[], &["echo", "hello"]);
        assert!(
            ran.out == "hello\n" || ran.out.is_empty(),
            "the launcher itself ran inside: {ran:#?}"
        );
        assert!([0, 125, 126, 127].contains(&ran.code), "{ran:#?}");
    }
    racer.end();
    canary.assert_alive();
}
