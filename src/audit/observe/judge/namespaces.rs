//! Which namespaces are its own, and who shares its network. From /proc/PID/ns.

use super::super::allowed::Judge;
use super::super::facts::Facts;
use super::super::network;
use crate::controls::ControlId::{self, *};

/// (name in /proc, id and exception's word, control, what is lost without it).
const KINDS: [(&str, &str, ControlId, &str); 6] = [
    ("net", "network", S8_1_3, "network stack"),
    ("mnt", "mount", S8_4_5, "mounts"),
    ("pid", "pid", S8_1_3, "processes"),
    ("ipc", "ipc", S8_1_3, "shared memory"),
    ("uts", "uts", S8_1_3, "host name"),
    ("cgroup", "cgroup", S8_1_3, "view of the cgroups"),
];

pub(super) fn judge(facts: &Facts, judge: &mut Judge<'_>) {
    for (file, word, control, what) in KINDS {
        let id = format!("namespace-{word}");
        let tried = format!("whether its {what} ({word} namespace) is its own");
        let Some((own, Some(host))) = facts.namespaces.get(file).map(|(o, h)| (o, h)) else {
            continue;
        };
        let own = match own {
            Ok(own) => own,
            Err(why) => {
                judge.unread(&id, &[control], &tried, why);
                continue;
            }
        };
        let answer = match own == host {
            true => "the host's",
            false => "its own",
        };
        let granted = |n: &String| n.split(':').next() == Some(word);
        let verdict = judge
            .allowed
            .judge(own != host, |g| g.namespaces.iter().any(granted));
        judge
            .add(&id, &[control], &tried, ("its own", answer.into()), verdict)
            .seen(format!("/proc/{}/ns/{file}", facts.pid), own)
            .seen(format!("/proc/self/ns/{file}"), host)
            .mend("give it a namespace of its own");
    }
    neighbours(facts, judge);
    interfaces(facts, judge);
}

fn neighbours(facts: &Facts, judge: &mut Judge<'_>) {
    let has_own = network::is_own(facts);
    if !has_own {
        return;
    }
    // A pod's first process has nothing but the namespace.
    let named = |p: &super::super::scan::Process| format!("{} ({})", p.pid, p.name);
    let others: Vec<String> = facts.neighbours.iter().take(8).map(named).collect();
    let answer = match others.is_empty() {
        true => "nobody".into(),
        false => format!(
            "{} other processes: {}",
            facts.neighbours.len(),
            others.join(", ")
        ),
    };
    let verdict = judge.allowed.judge(others.is_empty(), |g| {
        g.namespaces.iter().any(|n| n.starts_with("network"))
    });
    judge
        .add(
            "network-shared",
            &[S8_1_3],
            "who else is in its network namespace",
            ("nobody", answer),
            verdict,
        )
        .mend("give each container a network namespace of its own");
}

fn interfaces(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "ways out of its network namespace";
    let controls = [S8_1_3, S8_5_4];
    if !network::is_own(facts) {
        return;
    }
    let names = match &facts.net["dev"] {
        Ok(text) => network::interfaces(text),
        Err(why) => return judge.unread("interfaces", &controls, tried, why),
    };
    let file = format!("/proc/{}/net/dev", facts.pid);
    if names.is_empty() {
        judge
            .add(
                "interfaces",
                &controls,
                tried,
                ("loopback only", "loopback only".into()),
                crate::audit::Verdict::Pass,
            )
            .seen(file, "lo");
        return;
    }
    let routes = facts.net["route"].as_deref().unwrap_or_default();
    let routes = routes.lines().skip(1).count();
    let names = names.join(" ");
    let why = "whether the network behind it lets containers reach each other is the engine's doing: Docker's default bridge does unless daemon.json says icc = false (`cofferdam check host`)";
    judge
        .add(
            "interfaces",
            &controls,
            tried,
            (
                "loopback only, or declared links",
                format!("{names}, {routes} routes"),
            ),
            crate::audit::Verdict::not_assessed(why),
        )
        .seen(file, names);
}
