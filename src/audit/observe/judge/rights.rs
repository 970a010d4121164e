//! What the threads may do: ids, capabilities, no_new_privs, seccomp, who traces them. From /proc/PID/task/*/status.

use super::super::allowed::Judge;
use super::super::facts::Facts;
use super::super::status::{SETS, Status};
use crate::controls::ControlId::{self, *};
use crate::policy::CAPABILITY_NAMES;

/// Capabilities that undo one control each, whatever else is allowed.
const UNDOING: [(&str, ControlId, &[&str]); 6] = [
    ("capability-network", S8_4_4, &["NET_ADMIN"]),
    ("capability-mount", S8_4_5, &["SYS_ADMIN"]),
    ("capability-raw-sockets", S8_4_6, &["NET_RAW"]),
    ("capability-modules", S8_4_8, &["SYS_MODULE"]),
    (
        "capability-trace",
        S8_4_13,
        &["SYS_PTRACE", "PERFMON", "BPF"],
    ),
    ("capability-ids", S8_3_7, &["SETUID", "SETGID", "SETFCAP"]),
];

pub(super) fn judge(facts: &Facts, judge: &mut Judge<'_>) {
    user(facts, judge);
    capabilities(facts, judge);
    undoing(facts, judge);
    privileges(facts, judge);
    seccomp(facts, judge);
    tracers(facts, judge);
}

fn status_of(pid: i32, task: i32) -> String {
    match pid == task {
        true => format!("/proc/{pid}/status"),
        false => format!("/proc/{pid}/task/{task}/status"),
    }
}

/// The first thread for which something holds.
fn first(facts: &Facts, bad: impl Fn(&Status) -> bool) -> Option<&(i32, i32, Status)> {
    facts.threads.iter().find(|(_, _, status)| bad(status))
}

fn user(facts: &Facts, judge: &mut Judge<'_>) {
    let root = first(facts, |s| s.uids.contains(&0));
    let uids = match root {
        Some((pid, _, s)) => format!("process {pid} has user ids {:?}", s.uids),
        None => format!("user ids {:?}", facts.status.uids),
    };
    let verdict = judge
        .allowed
        .judge(root.is_none(), |g| g.root_user || g.no_user_namespace);
    let map = facts.uid_map.as_deref().unwrap_or_default().trim();
    let map = map.split_whitespace().collect::<Vec<_>>().join(" ");
    judge
        .add(
            "user",
            &[S8_5_1],
            "user ids on the host, of every thread",
            ("not root's (0)", uids),
            verdict,
        )
        .seen(format!("/proc/{}/uid_map", facts.pid), map)
        .mend("run it as another user, or in a user namespace with a range of its own");
}

/// Names of the capabilities in a mask; numbers that have none yet are shown as such.
pub(in super::super) fn names(mask: u64) -> Vec<&'static str> {
    let known = CAPABILITY_NAMES.iter().enumerate();
    known
        .filter(|(at, _)| mask & (1 << at) != 0)
        .map(|(_, n)| *n)
        .collect()
}

/// Everything that any thread has in any set.
pub(in super::super) fn held(facts: &Facts) -> Option<u64> {
    let sets = facts.threads.iter().map(|(_, _, s)| s.capabilities);
    sets.map(|s| s.map(|s| s.iter().fold(0, |all, set| all | set)))
        .try_fold(0, |all, held| held.map(|held| all | held))
}

fn capabilities(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "the five capability sets of every thread";
    let Some(mask) = held(facts).filter(|_| !facts.threads.is_empty()) else {
        judge.unread(
            "capabilities",
            &[S8_1_5],
            tried,
            "no thread's sets could be read",
        );
        return;
    };
    let names = names(mask);
    let answer = match names.is_empty() {
        true => "all empty".into(),
        false => format!("{} of them: {}", names.len(), names.join(" ")),
    };
    let verdict = judge.allowed.capabilities(&names);
    let listed = &judge.allowed.ceilings.capabilities;
    let expected = match listed.is_empty() {
        true => "none: the whitelist is empty".to_string(),
        false => {
            let listed: Vec<&str> = listed.iter().map(|c| c.name.as_str()).collect();
            format!("nothing beyond the whitelist: {}", listed.join(" "))
        }
    };
    let worst = facts.threads.iter().max_by_key(|(_, _, s)| {
        let sets = s.capabilities.unwrap_or_default();
        sets.iter().map(|set| set.count_ones()).sum::<u32>()
    });
    let mut entry = judge.add(
        "capabilities",
        &[S8_1_5],
        tried,
        (&expected, answer),
        verdict,
    );
    if let Some((pid, task, status)) = worst {
        let sets = status.capabilities.unwrap_or_default();
        let text = SETS
            .iter()
            .zip(sets)
            .map(|(name, set)| format!("{name} {set:016x}"));
        entry = entry.seen(status_of(*pid, *task), text.collect::<Vec<_>>().join(", "));
    }
    entry.mend("drop all capabilities and add those that the service needs, each by an exception");
}

fn undoing(facts: &Facts, judge: &mut Judge<'_>) {
    let Some(mask) = held(facts).filter(|_| !facts.threads.is_empty()) else {
        return;
    };
    let held = names(mask);
    for (id, control, bad) in UNDOING {
        let found: Vec<&str> = held.iter().copied().filter(|n| bad.contains(n)).collect();
        let answer = match found.is_empty() {
            true => "in no set".into(),
            false => format!("has {}", found.join(" ")),
        };
        let verdict = judge.allowed.capabilities(&found);
        let tried = format!("{} in any capability set", bad.join(", "));
        judge
            .add(id, &[control], &tried, ("in no set", answer), verdict)
            .mend("drop it (--cap-drop)");
    }
}

fn privileges(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "no_new_privs of every thread";
    if facts
        .threads
        .iter()
        .any(|(_, _, s)| s.no_new_privs.is_none())
    {
        let why = "this kernel does not show NoNewPrivs (before Linux 4.10)";
        return judge.unread("no-new-privileges", &[S8_3_7], tried, why);
    }
    let without = first(facts, |s| s.no_new_privs == Some(false));
    let answer = match without {
        Some((pid, _, _)) => format!("not set for process {pid}"),
        None => "set for all".into(),
    };
    let verdict = judge.allowed.strict(without.is_none());
    let (pid, task) = without.map_or((facts.pid, facts.pid), |(p, t, _)| (*p, *t));
    judge
        .add(
            "no-new-privileges",
            &[S8_3_7],
            tried,
            ("set for all", answer),
            verdict,
        )
        .seen(
            status_of(pid, task),
            format!("NoNewPrivs: {}", u8::from(without.is_none())),
        )
        .mend("--security-opt no-new-privileges");
}

fn seccomp(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "a system-call filter on every thread";
    let without = first(facts, |s| s.seccomp != Some(2));
    let answer = match without {
        Some((pid, _, s)) => format!(
            "process {pid} is in seccomp mode {}",
            s.seccomp.unwrap_or(0)
        ),
        None => format!(
            "filters: {}",
            facts
                .status
                .filters
                .map_or("some".into(), |n| n.to_string())
        ),
    };
    let verdict = judge.allowed.strict(without.is_none());
    let (pid, task) = without.map_or((facts.pid, facts.pid), |(p, t, _)| (*p, *t));
    let mode = without.map_or(2, |(_, _, s)| s.seccomp.unwrap_or(0));
    judge
        .add(
            "seccomp",
            &[S8_1_4],
            tried,
            ("mode 2 (filter)", answer),
            verdict,
        )
        .seen(status_of(pid, task), format!("Seccomp: {mode}"))
        .mend("do not run it with seccomp=unconfined or as privileged");
}

fn tracers(facts: &Facts, judge: &mut Judge<'_>) {
    let traced = first(facts, |s| s.tracer != 0);
    let answer = match traced {
        Some((pid, _, s)) => format!("process {pid} is traced by process {}", s.tracer),
        None => "nobody".into(),
    };
    let verdict = judge.allowed.strict(traced.is_none());
    judge
        .add(
            "tracer",
            &[S8_4_13],
            "who traces its threads",
            ("nobody", answer),
            verdict,
        )
        .seen(
            status_of(facts.pid, facts.pid),
            format!("TracerPid: {}", traced.map_or(0, |(_, _, s)| s.tracer)),
        )
        .mend("detach the debugger: diagnostics go through log files");
}
