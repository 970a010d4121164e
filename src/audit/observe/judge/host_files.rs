//! What of the host and its kernel shows inside: files of /proc and /sys, sockets of engines, folders. From mountinfo.

use super::super::allowed::Judge;
use super::super::facts::Facts;
use super::super::mounts::Mount;
use super::mounts::list;
use crate::controls::ControlId::*;

/// Files of /proc that show or change the whole machine.
const PROC_HIDDEN: [&str; 3] = ["kcore", "keys", "timer_list"];
const PROC_READONLY: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
/// Sockets by which engines are controlled.
const ENGINE_SOCKETS: [&str; 6] = [
    "docker.sock",
    "containerd.sock",
    "podman.sock",
    "crio.sock",
    "buildkitd.sock",
    "cri-dockerd.sock",
];
/// Folders of the host that a service has no business in.
const OF_HOST: [&str; 12] = [
    "/",
    "/etc",
    "/root",
    "/home",
    "/boot",
    "/usr",
    "/var",
    "/run",
    "/dev",
    "/proc",
    "/sys",
    "/var/lib/docker",
];

pub(super) fn judge(facts: &Facts, seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    kernel_files(facts, seen, source, judge);
    sockets(seen, source, judge);
    folders(seen, facts.host_device.as_ref(), source, judge);
}

fn kernel_files(facts: &Facts, seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let mut open = Vec::new();
    let at = |point: &str| seen.iter().find(|m| m.point == point);
    for proc in seen.iter().filter(|m| m.kind == "proc" && m.root == "/") {
        if proc.system.iter().any(|o| o == "subset=pid") {
            continue;
        }
        let below =
            |file: &&&str| at(&format!("{}/{file}", proc.point)).is_none_or(|m| m.kind == "proc");
        let hidden = PROC_HIDDEN
            .iter()
            .filter(|f| facts.has_proc(f))
            .filter(below);
        open.extend(hidden.map(|f| format!("{}/{f}", proc.point)));
        if !proc.is_readonly() {
            let closed = |file: &&&str| {
                !at(&format!("{}/{file}", proc.point)).is_some_and(|m| m.is_readonly())
            };
            let written = PROC_READONLY
                .iter()
                .filter(|f| facts.has_proc(f))
                .filter(closed);
            open.extend(written.map(|f| format!("{}/{f} (writable)", proc.point)));
        }
    }
    let kernel = seen
        .iter()
        .filter(|m| m.kind == "sysfs" || m.kind.starts_with("cgroup"));
    open.extend(
        kernel
            .filter(|m| !m.is_readonly())
            .map(|m| format!("{} (writable)", m.point)),
    );
    let answer = match open.is_empty() {
        true => "none".into(),
        false => open.join(" "),
    };
    let verdict = judge.allowed.strict(open.is_empty());
    judge
        .add(
            "kernel-files",
            &[S8_5_1, S8_4_4],
            "files of the kernel that show or change the whole machine",
            ("none: hidden or read-only", answer),
            verdict,
        )
        .seen(
            source,
            list(
                &seen
                    .iter()
                    .filter(|m| m.kind == "proc" || m.kind == "sysfs")
                    .copied()
                    .collect::<Vec<_>>(),
            ),
        )
        .mend("do not run it privileged; keep the masked and read-only paths");
}

fn sockets(seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let is_socket = |m: &&&Mount| {
        let ends = |path: &str| {
            ENGINE_SOCKETS
                .iter()
                .any(|s| path.ends_with(&format!("/{s}")))
        };
        ends(&m.root) || ends(&m.point)
    };
    let sockets: Vec<&Mount> = seen.iter().filter(is_socket).copied().collect();
    let verdict = judge.allowed.judge(sockets.is_empty(), |g| {
        let granted = |m: &&Mount| g.sources.iter().any(|s| m.root.ends_with(s.as_str()));
        !g.sources.is_empty() && sockets.iter().all(granted)
    });
    let mut entry = judge.add(
        "engine-socket",
        &[S8_2_3, S8_2_1],
        "sockets that control an engine, mounted into it",
        ("none", list(&sockets)),
        verdict,
    );
    for mount in &sockets {
        entry = entry.seen(source, mount.line());
    }
    entry.mend("do not mount it: whoever reaches it is root on the host");
}

fn folders(seen: &[&Mount], host: Option<&String>, source: &str, judge: &mut Judge<'_>) {
    let is_host = |m: &&&Mount| {
        m.point != "/" && Some(&m.device) == host && OF_HOST.contains(&m.root.as_str())
    };
    let folders: Vec<&Mount> = seen.iter().filter(is_host).copied().collect();
    let verdict = judge.allowed.judge(folders.is_empty(), |g| {
        folders.iter().all(|m| g.sources.contains(&m.root))
    });
    let mut entry = judge.add(
        "host-folders",
        &[S8_5_1],
        "folders of the host that no service needs",
        ("none", list(&folders)),
        verdict,
    );
    for mount in &folders {
        entry = entry.seen(
            source,
            format!("{} is {} of the host", mount.point, mount.root),
        );
    }
    entry.mend("mount the one folder that it needs");
}
