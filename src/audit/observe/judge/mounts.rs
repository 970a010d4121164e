//! The file systems: read-only root, what can be written, set-uid, propagation, what of the host shows. From mountinfo.

use super::super::allowed::Judge;
use super::super::declared::Declared;
use super::super::facts::Facts;
use super::super::mounts::{Mount, visible};
use super::host_files;
use crate::audit::Verdict;
use crate::controls::ControlId::{self, *};

/// Interfaces of the kernel, judged by `kernel_files`.
const OF_KERNEL: [&str; 5] = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue"];
pub(super) fn judge(facts: &Facts, declared: &Declared, judge: &mut Judge<'_>) {
    let all = match &facts.mounts {
        Ok(all) => all,
        Err(why) => {
            let controls = [S8_4_7, S8_3_7, S8_4_5, S8_4_8];
            return judge.unread("mounts", &controls, "its mounts", why);
        }
    };
    let seen = visible(all);
    let source = format!("/proc/{}/mountinfo", facts.pid);
    root(&seen, &source, judge);
    let writable: Vec<&Mount> = seen
        .iter()
        .copied()
        .filter(|m| m.point != "/" && !m.is_readonly() && !OF_KERNEL.contains(&m.kind.as_str()))
        .filter(|m| !is_device(m))
        .collect();
    places(&writable, declared, &source, judge);
    code(&writable, &source, judge);
    set_uid(&seen, &source, judge);
    sizes(&writable, &source, judge);
    shared(&seen, &source, judge);
    host_files::judge(facts, &seen, &source, judge);
}

/// A device node by itself, which holds no files: /dev/null over a hidden one, a terminal over /dev/console.
fn is_device(mount: &Mount) -> bool {
    mount.root != "/" && matches!(mount.kind.as_str(), "devtmpfs" | "devpts")
        || matches!(
            mount.root.as_str(),
            "/null" | "/zero" | "/full" | "/random" | "/urandom"
        )
}

pub(super) fn list(mounts: &[&Mount]) -> String {
    let points: Vec<&str> = mounts.iter().take(12).map(|m| m.point.as_str()).collect();
    match mounts.len() {
        0 => "none".into(),
        n if n > points.len() => format!("{} and {} more", points.join(" "), n - points.len()),
        _ => points.join(" "),
    }
}

fn root(seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let tried = "whether its root can be written";
    let Some(root) = seen.iter().find(|m| m.point == "/") else {
        return judge.unread("root-read-only", &[S8_4_7], tried, "no mount at / is shown");
    };
    let answer = match root.is_readonly() {
        true => "read-only",
        false => "read-write",
    };
    let verdict = judge.allowed.judge(root.is_readonly(), |g| g.writable_root);
    judge
        .add(
            "root-read-only",
            &[S8_4_7],
            tried,
            ("read-only", answer.into()),
            verdict,
        )
        .seen(source, root.line())
        .mend("--read-only, with --tmpfs for what it must write");
}

/// Devices that everybody may have.
const HARMLESS: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Everything that can be written must have been asked for.
fn places(writable: &[&Mount], declared: &Declared, source: &str, judge: &mut Judge<'_>) {
    // An ordinary user can't make nodes: the five are bound one by one from the host's /dev.
    let node = |m: &Mount| m.kind == "devtmpfs" && HARMLESS.contains(&m.point.as_str());
    let known = |m: &&&Mount| {
        matches!(m.kind.as_str(), "devpts" | "tmpfs") || node(m) || declared.has_mount(&m.point)
    };
    let surprising: Vec<&Mount> = writable.iter().filter(|m| !known(m)).copied().collect();
    let verdict = match (surprising.is_empty(), declared.is_known()) {
        (true, _) => Verdict::Pass,
        (false, true) => judge.allowed.strict(false),
        (false, false) => Verdict::not_assessed(
            "what may be written is declared in a config.json that can't be found",
        ),
    };
    let mut entry = judge.add(
        "writable-places",
        &[S8_4_7],
        "what else can be written",
        ("memory, and volumes that are declared", list(writable)),
        verdict,
    );
    for mount in writable.iter().take(8) {
        entry = entry.seen(source, mount.line());
    }
    entry.mend("mount it read-only");
}

fn code(writable: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let bad = |m: &&&Mount| !m.has("noexec");
    let found: Vec<&Mount> = writable.iter().filter(bad).copied().collect();
    let verdict = judge.allowed.judge(found.is_empty(), |g| {
        found.iter().all(|m| g.exec_on.contains(&m.point))
    });
    flag(
        "writable-code",
        S8_4_8,
        "writable places from which code may run",
        &found,
        verdict,
        source,
        judge,
    );
    let device = |m: &&&Mount| {
        // Device nodes are what /dev is for; the device cgroup guards them.
        !m.has("nodev") && m.point != "/dev" && !m.point.starts_with("/dev/")
    };
    let found: Vec<&Mount> = writable.iter().filter(device).copied().collect();
    let verdict = judge.allowed.strict(found.is_empty());
    flag(
        "writable-devices",
        S8_5_1,
        "writable places where device nodes work",
        &found,
        verdict,
        source,
        judge,
    );
}

fn set_uid(seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let kernel =
        |m: &&&Mount| !OF_KERNEL.contains(&m.kind.as_str()) && m.kind != "devpts" && !is_device(m);
    let found = seen.iter().filter(kernel).filter(|m| !m.has("nosuid"));
    let found: Vec<&Mount> = found.copied().collect();
    let verdict = judge.allowed.strict(found.is_empty());
    flag(
        "set-uid",
        S8_3_7,
        "mounts on which set-uid programs work",
        &found,
        verdict,
        source,
        judge,
    );
}

fn sizes(writable: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let limited = |m: &&&Mount| m.system.iter().any(|o| o.starts_with("size="));
    let memory = writable.iter().filter(|m| m.kind == "tmpfs");
    let found: Vec<&Mount> = memory.filter(|m| !limited(m)).copied().collect();
    let verdict = judge.allowed.strict(found.is_empty());
    flag(
        "memory-files",
        S8_1_4,
        "writable memory without a size",
        &found,
        verdict,
        source,
        judge,
    );
}

fn shared(seen: &[&Mount], source: &str, judge: &mut Judge<'_>) {
    let found: Vec<&Mount> = seen.iter().filter(|m| m.is_shared()).copied().collect();
    let verdict = judge.allowed.strict(found.is_empty());
    flag(
        "propagation",
        S8_4_5,
        "mounts that others would see (shared)",
        &found,
        verdict,
        source,
        judge,
    );
}

fn flag(
    id: &str,
    control: ControlId,
    tried: &str,
    found: &[&Mount],
    verdict: Verdict,
    source: &str,
    judge: &mut Judge<'_>,
) {
    let mut entry = judge.add(id, &[control], tried, ("none", list(found)), verdict);
    for mount in found.iter().take(8) {
        entry = entry.seen(source, mount.line());
    }
    entry.mend("mount it nosuid,nodev,noexec, private, with a size");
}
