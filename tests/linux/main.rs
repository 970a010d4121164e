//! What runtime-spec's Linux section asks for, launched and looked at from inside and outside: joined namespaces,
//! clocks, scheduling, memory policy, personality, id maps of root and of ordinary users, network devices.

#![allow(unsafe_code)] // the rig's payload

#[path = "../support/mod.rs"]
mod support;

mod copy_up;
mod execution;
mod features;
mod interfaces;
mod mounts;
mod namespaces;
mod resources;
mod rootless;
#[path = "../policy/rows.rs"]
mod rows;
mod table;

payload!(verb);

/// What this crate's payload can do beside the rig's verbs.
fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        // ns KINDS: the namespaces, then the pid
        "ns" => {
            for kind in args {
                println!("{}", link(&format!("/proc/self/ns/{kind}")));
            }
            println!("pid {}", std::process::id());
        }
        // machine: what uname says
        "machine" => println!(
            "{}",
            nix::sys::utsname::uname()
                .unwrap()
                .machine()
                .to_string_lossy()
        ),
        // clocks: seconds of both
        "clocks" => {
            for clock in [libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME] {
                println!("{}", seconds(clock));
            }
        }
        // ids: of the process, and its groups
        "ids" => {
            let groups: Vec<String> = nix::unistd::getgroups()
                .unwrap()
                .iter()
                .map(|g| g.to_string())
                .collect();
            println!(
                "{} {} [{}]",
                nix::unistd::getuid(),
                nix::unistd::getgid(),
                groups.join(" ")
            );
        }
        // owner FILE: as it is seen here
        "owner" => {
            use std::os::unix::fs::MetadataExt;
            let meta = std::fs::metadata(&args[0]).unwrap();
            println!("{} {}", meta.uid(), meta.gid());
        }
        _ => return None,
    }
    Some(0)
}

fn link(path: &str) -> String {
    std::fs::read_link(path).map_or_else(|e| e.to_string(), |l| l.to_string_lossy().into_owned())
}

/// What a clock shows here.
fn seconds(clock: i32) -> i64 {
    // SAFETY: an all-zero timespec is a valid value, and writable.
    unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(clock, &mut now);
        now.tv_sec
    }
}
