//! Limits: memory, swap, threads, cpu, disk; descriptors and core files. From the cgroups' files and /proc/PID/limits.

use super::super::allowed::Judge;
use super::super::cgroups::Group;
use super::super::facts::Facts;
use super::super::mounts::Mount;
use crate::audit::Verdict;
use crate::controls::ControlId::*;

/// What a limit file of v1 says where there is no limit: the largest number of pages, in bytes.
const V1_UNLIMITED: u64 = 1 << 62;

/// A limit as the kernel has it.
struct Limit {
    /// "67108864"; `None`: there is none.
    value: Option<String>,
    /// The file, and what it says.
    file: String,
    text: String,
}

pub(super) fn judge(facts: &Facts, judge: &mut Judge<'_>) {
    let max = |limit: &str| (limit != "max").then(|| limit.to_string());
    let v1_bytes = |limit: &str| {
        let bytes = limit.parse::<u64>().ok().filter(|b| *b < V1_UNLIMITED);
        bytes.map(|b| b.to_string())
    };
    let memory = find(facts, "memory", "memory.max", &max)
        .or_else(|| find(facts, "memory", "memory.limit_in_bytes", &v1_bytes));
    add(
        judge,
        "memory",
        "a limit of its memory",
        memory.as_ref(),
        |g| g.memory.is_some(),
    );
    swap(facts, judge, memory.as_ref(), &max);
    let pids = find(facts, "pids", "pids.max", &max);
    add(
        judge,
        "threads",
        "a limit of threads and processes",
        pids.as_ref(),
        |g| g.pids.is_some(),
    );
    let quota = |limit: &str| {
        let first = limit.split_whitespace().next()?;
        (first != "max" && first != "-1").then(|| limit.to_string())
    };
    let cpu = find(facts, "cpu", "cpu.max", &quota)
        .or_else(|| find(facts, "cpu", "cpu.cfs_quota_us", &quota));
    add(
        judge,
        "cpu",
        "a limit of processor time",
        cpu.as_ref(),
        |g| g.cpus.is_some(),
    );
    disk(facts, judge);
    devices(facts, judge);
    descriptors(facts, judge);
    score(facts, judge);
}

/// A limit file, of v2 or of the v1 hierarchy with this controller.
fn find(
    facts: &Facts,
    controller: &str,
    file: &'static str,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Limit> {
    let of = |g: &&Group| g.files.contains_key(file);
    let group = facts.groups.iter().find(of)?;
    let _ = controller;
    let text = group.files[file].clone();
    Some(Limit {
        value: read(&text),
        file: group.place.as_ref()?.join(file).display().to_string(),
        text,
    })
}

fn add(
    judge: &mut Judge<'_>,
    id: &str,
    tried: &str,
    limit: Option<&Limit>,
    lifted: impl Fn(&crate::policy::Ceiling) -> bool,
) {
    let answer = match limit {
        Some(Limit {
            value: Some(value), ..
        }) => value.clone(),
        Some(_) => "none".into(),
        None => "none: no cgroup of it has such a file".into(),
    };
    let good = limit.is_some_and(|l| l.value.is_some());
    let verdict = judge.allowed.judge(good, |g| {
        g.degraded || g.limits.as_ref().is_some_and(&lifted)
    });
    let entry = judge.add(
        &format!("limit-{id}"),
        &[S8_1_4],
        tried,
        ("a limit", answer),
        verdict,
    );
    let entry = match limit {
        Some(limit) => entry.seen(&limit.file, &limit.text),
        None => entry,
    };
    entry.mend("set one: --memory, --pids-limit, --cpus, --device-write-bps");
}

fn swap(
    facts: &Facts,
    judge: &mut Judge<'_>,
    memory: Option<&Limit>,
    max: &dyn Fn(&str) -> Option<String>,
) {
    let tried = "swap on top of its memory";
    let number = |l: &Limit| l.value.as_ref().and_then(|v| v.parse::<u64>().ok());
    let v2 = find(facts, "memory", "memory.swap.max", max);
    let both = find(facts, "memory", "memory.memsw.limit_in_bytes", &|t| {
        Some(t.into())
    });
    let (more, seen) = match (v2, both, memory.and_then(number)) {
        (Some(limit), _, _) => (number(&limit), limit),
        (None, Some(limit), Some(memory)) => (
            number(&limit).map(|both| both.saturating_sub(memory)),
            limit,
        ),
        (None, Some(limit), None) => (None, limit),
        (None, None, _) => {
            let why = "this kernel counts no swap for cgroups, or the memory controller is not on";
            return judge.unread("limit-swap", &[S8_1_4], tried, why);
        }
    };
    let most = judge.allowed.ceilings.limits.swap.max.0;
    let answer = more.map_or("without limit".into(), |n| format!("{n} bytes"));
    let verdict = judge.allowed.judge(more.is_some_and(|n| n <= most), |g| {
        g.limits.as_ref().is_some_and(|l| l.swap.is_some())
    });
    judge
        .add(
            "limit-swap",
            &[S8_1_4],
            tried,
            (&format!("at most {most} bytes"), answer),
            verdict,
        )
        .seen(&seen.file, &seen.text)
        .mend("--memory-swap equal to --memory");
}

fn disk(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "a limit of what it reads from and writes to disks";
    let some = |t: &str| (!t.is_empty()).then(|| t.lines().collect::<Vec<_>>().join(", "));
    let files = [
        "io.max",
        "blkio.throttle.read_bps_device",
        "blkio.throttle.write_bps_device",
    ];
    let found: Vec<Limit> = files
        .iter()
        .filter_map(|f| find(facts, "blkio", f, &some))
        .collect();
    let set = found.iter().find(|l| l.value.is_some());
    let on_disk = facts.mounts.as_deref().unwrap_or_default();
    let counts = |m: &&Mount| !m.device.starts_with("0:") && (m.point == "/" || !m.is_readonly());
    let on_disk = on_disk.iter().find(counts);
    let verdict = match (set, on_disk) {
        (Some(_), _) => Verdict::Pass,
        (None, None) => {
            Verdict::not_applicable("none of its mounts that count says which disk it lies on")
        }
        (None, Some(_)) => judge.allowed.judge(false, |g| {
            g.degraded
                || g.limits
                    .as_ref()
                    .is_some_and(|l| l.io_bps.is_some() || l.io_iops.is_some())
        }),
    };
    let answer = set.and_then(|l| l.value.clone()).unwrap_or("none".into());
    let mut entry = judge.add("limit-disk", &[S8_1_4], tried, ("a limit", answer), verdict);
    for limit in found.iter().take(2) {
        entry = entry.seen(&limit.file, &limit.text);
    }
    entry.mend("--device-read-bps and --device-write-bps");
}

fn devices(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "which devices it may open";
    let Some(list) = find(facts, "devices", "devices.list", &|t| Some(t.into())) else {
        let why = "the filter of cgroup v2 is a BPF program, which has no file to read";
        return judge.unread("devices", &[S8_5_1], tried, why);
    };
    let all = list.text.lines().any(|l| l.starts_with('a'));
    let answer = match all {
        true => "every device".into(),
        false => format!("{} entries", list.text.lines().count()),
    };
    let verdict = judge.allowed.strict(!all);
    judge
        .add("devices", &[S8_5_1], tried, ("a list", answer), verdict)
        .seen(
            &list.file,
            list.text.lines().take(20).collect::<Vec<_>>().join(", "),
        )
        .mend("do not run it privileged");
}

/// The hard limit of a line of /proc/PID/limits; `None` within: unlimited.
fn hard(text: &str, name: &str) -> Option<Option<u64>> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let hard = line.split_whitespace().nth(1)?;
    Some(hard.parse().ok())
}

fn descriptors(facts: &Facts, judge: &mut Judge<'_>) {
    let text = match &facts.limits {
        Ok(text) => text,
        Err(why) => return judge.unread("open-files", &[S8_1_4], "limits of the process", why),
    };
    let shown = |n: Option<u64>| n.map_or("unlimited".into(), |n| n.to_string());
    let source = format!("/proc/{}/limits", facts.pid);
    if let Some(files) = hard(text, "Max open files") {
        let most = judge.allowed.ceilings.limits.nofile.max.0;
        let verdict = judge.allowed.judge(files.is_some_and(|n| n <= most), |g| {
            let lifted = g.limits.as_ref().and_then(|l| l.nofile);
            lifted.is_some_and(|n| files.is_some_and(|f| f <= n.0))
        });
        let words = (&*format!("at most {most}"), shown(files));
        judge
            .add(
                "open-files",
                &[S8_1_4],
                "open files of a process",
                words,
                verdict,
            )
            .seen(&source, format!("Max open files {}", shown(files)))
            .mend("--ulimit nofile=1024:1024");
    }
    if let Some(core) = hard(text, "Max core file size") {
        // One byte is too little for a file and keeps the kernel from calling a handler (core(5)).
        let verdict = judge.allowed.strict(core.is_some_and(|n| n <= 1));
        judge
            .add(
                "core-files",
                &[S8_4_13],
                "core files of its processes",
                ("none", shown(core)),
                verdict,
            )
            .seen(&source, format!("Max core file size {}", shown(core)))
            .mend("--ulimit core=0");
    }
}

fn score(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "whether others are killed before it when memory runs out";
    let score = match &facts.oom_score {
        Ok(text) => text.trim().to_string(),
        Err(why) => return judge.unread("oom-score", &[S8_1_4], tried, why),
    };
    let verdict = judge.allowed.strict(!score.starts_with('-'));
    judge
        .add(
            "oom-score",
            &[S8_1_4],
            tried,
            ("0 or more", score.clone()),
            verdict,
        )
        .seen(format!("/proc/{}/oom_score_adj", facts.pid), score)
        .mend("--oom-score-adj 0");
}
