//! The child must not allocate between clone3 and execve: another thread of the launcher could have held the
//! allocator's lock (and a panic would unwind into the launcher's code).

use crate::need;
use cofferdam::bundle::{Bundle, Extras};
use cofferdam::cgroup::Cgroup;
use cofferdam::host::Host;
use cofferdam::paths::HostPath;
use cofferdam::policy::{Caller, Decision};
use cofferdam::sandbox::{Started, launch, prepare};
use cofferdam::site::{self, Owner};
use cofferdam::survey::Survey;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// The launcher's pid once allocations count; 0 before.
static LAUNCHER: AtomicI32 = AtomicI32::new(0);

struct Guard;

/// What the child ends with if it allocates.
const ALLOCATED: i32 = 91;

// SAFETY: every call is handed to the system's allocator; only a process that is not the launcher ends instead.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let launcher = LAUNCHER.load(Ordering::Relaxed);
        if launcher != 0 && nix::unistd::getpid().as_raw() != launcher {
            cofferdam::sys::process::exit_now(ALLOCATED);
        }
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GUARD: Guard = Guard;

/// Runs in the test binary as a program of its own, so with one thread: launches BUNDLE in this process.
pub fn verb(verb: &str, args: &[String]) -> Option<i32> {
    (verb == "launch-without-allocation").then(|| match launch_here(&args[0], &args[1]) {
        Ok(()) => 0,
        Err(why) => {
            println!("{why}");
            1
        }
    })
}

fn launch_here(dir: &str, policy: &str) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let name = format!("alloc-{}", std::process::id());
    let bundle = Bundle::load(
        &HostPath::trusted(dir),
        &name,
        Caller::Engine,
        Extras::default(),
    );
    let bundle = bundle.map_err(|e| text(&e))?;
    let host = Host::probe().map_err(|e| text(&e))?;
    let policy = site::load(Some(Path::new(policy)), Owner::Root).map_err(|e| text(&e))?;
    let Decision::Granted(grant) = cofferdam::policy::decide(&bundle, &policy, &host) else {
        return Err("refused".into());
    };
    let survey = Survey::take(&grant).map_err(|(path, e)| format!("{path}: {e}"))?;
    let plan = cofferdam::plan::plan(&grant, &host, &survey).map_err(|e| text(&e))?;
    let prepared = prepare(&plan, [None, None, None], None).map_err(|e| text(&e))?;
    let mut cgroup = Cgroup::create(&plan.limits).map_err(|e| text(&e))?;
    LAUNCHER.store(std::process::id() as i32, Ordering::Relaxed);
    let created = launch(prepared, &mut cgroup, |_| true).and_then(|launched| {
        if plan.hooks.stops_before_pivot() {
            launched.leave_state(b"{}")?;
            launched.built()?;
            launched.pivot()?;
        }
        launched.ready()
    });
    let ended = match created.map(|c| c.start()) {
        Ok(Started::Running(running)) => {
            let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(running.pid), None);
            format!("{status:?}")
        }
        Ok(Started::Failed(error)) => text(&error),
        Err(error) => text(&error),
    };
    let _ = cgroup.kill();
    cgroup.remove().map_err(|e| text(&e))?;
    if ended.contains("Exited(") && ended.contains(", 0)") {
        Ok(())
    } else {
        Err(ended)
    }
}

#[test]
fn the_child_does_not_allocate() {
    need!(Root);
    let rig = crate::support::Rig::new();
    // Much of what can be asked: every one of these is carried out by the child.
    std::fs::create_dir(rig.rootfs().join("data/folder")).unwrap();
    std::fs::write(rig.rootfs().join("data/folder/file"), "copied").unwrap();
    std::os::unix::fs::symlink("file", rig.rootfs().join("data/folder/link")).unwrap();
    let mut spec = rig.spec(&["exit", "0"]);
    spec["hostname"] = "alloc".into();
    spec["process"]["env"] = serde_json::json!(["A=b"]);
    spec["process"]["cwd"] = "/tmp".into();
    spec["mounts"].as_array_mut().unwrap().extend([
        serde_json::json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"] }),
        serde_json::json!({ "destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] }),
        serde_json::json!({ "destination": "/new/place", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"] }),
        serde_json::json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue" }),
    ]);
    spec["linux"]["maskedPaths"] = serde_json::json!(["/etc/passwd", "/nothing"]);
    spec["linux"]["readonlyPaths"] = serde_json::json!(["/etc"]);
    spec["linux"]["memoryPolicy"] = serde_json::json!({ "mode": "MPOL_BIND", "nodes": "0" });
    spec["linux"]["personality"] = serde_json::json!({ "domain": "LINUX32" });
    // By a process aside, which must not allocate either.
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    all.push(serde_json::json!({ "type": "time" }));
    spec["linux"]["timeOffsets"] = serde_json::json!({ "boottime": { "secs": 9 } });
    let bundle = rig.bundle(&spec);
    launched(&rig, &bundle);
}

#[track_caller]
fn launched(rig: &crate::support::Rig, bundle: &Path) {
    let mut command = std::process::Command::new(rig.rootfs().join("payload"));
    command.arg("launch-without-allocation").arg(bundle);
    command.arg(rig.path("policy.toml"));
    let ran = crate::support::finish(command);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
}

/// A terminal, the stop in front of the pivot, a hook of the child's own, a listener.
#[test]
fn nor_does_it_with_all_that_compat_allows() {
    need!(Root);
    let rig = crate::support::Rig::new();
    rig.except("8.4.14", "template = \"compat\"");
    let mut spec = rig.spec(&["exit", "0"]);
    spec["process"]["terminal"] = true.into();
    spec["mounts"].as_array_mut().unwrap().push(
        serde_json::json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"] }),
    );
    spec["hooks"] = serde_json::json!({
        "prestart": [{ "path": "/bin/true" }],
        "startContainer": [{ "path": "/payload", "args": ["payload", "exit", "0"], "timeout": 5 }],
    });
    let agent = rig.path("agent");
    spec["linux"]["seccomp"] = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent,
        "syscalls": [{ "names": ["swapon"], "action": "SCMP_ACT_NOTIFY" }]
    });
    launched(&rig, &rig.bundle(&spec));
}
