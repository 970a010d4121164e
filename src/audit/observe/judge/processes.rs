//! Its processes: how many, what kind, who came in from outside; terminals and logs; how old it is.

use super::super::allowed::Judge;
use super::super::facts::Facts;
use super::super::scan::Process;
use crate::audit::Verdict;
use crate::controls::ControlId::*;
use crate::policy::{self, Template};

/// Programs that keep or send logs: work of the outside.
const LOGGERS: [&str; 14] = [
    "rsyslogd",
    "syslogd",
    "syslog-ng",
    "systemd-journal",
    "journald",
    "fluentd",
    "fluent-bit",
    "filebeat",
    "logrotate",
    "promtail",
    "vector",
    "logstash",
    "nxlog",
    "svlogd",
];
const WEEK: u64 = 7 * 24 * 3600;

pub(super) fn judge(facts: &Facts, judge: &mut Judge<'_>) {
    let alive: Vec<&Process> = facts.members.iter().filter(|m| !m.zombie).collect();
    count(facts, &alive, judge);
    kinds(facts, &alive, judge);
    entered(facts, &alive, judge);
    terminals(facts, judge);
    logs(facts, &alive, judge);
    age(facts, judge);
}

fn named(all: &[&Process]) -> String {
    let each = all
        .iter()
        .take(12)
        .map(|p| format!("{} ({})", p.pid, p.name));
    let mut out = each.collect::<Vec<_>>().join(", ");
    if all.len() > 12 {
        out.push_str(&format!(" and {} more", all.len() - 12));
    }
    out
}

fn count(facts: &Facts, alive: &[&Process], judge: &mut Judge<'_>) {
    let tried = "how many processes it has";
    if alive.is_empty() {
        let why = "its processes can't be told from others: its pid namespace is not to be read; run it as root";
        return judge.unread("one-process", &[S8_5_2], tried, why);
    }
    let several = |t: Option<Template>| matches!(t, Some(Template::Workers | Template::Script));
    let verdict = judge
        .allowed
        .judge(alive.len() == 1, |g| several(g.template));
    judge
        .add(
            "one-process",
            &[S8_5_2],
            tried,
            ("one", alive.len().to_string()),
            verdict,
        )
        .seen("/proc", named(alive))
        .mend("one process a container: split the others off");
    if let Some(why) = &facts.unseen {
        judge.unread("threads-seen", &[S8_5_2], "all of its threads", why);
    }
}

fn kinds(facts: &Facts, alive: &[&Process], judge: &mut Judge<'_>) {
    if alive.is_empty() {
        return;
    }
    let by = |is: fn(&str) -> bool| -> Vec<&Process> {
        alive.iter().copied().filter(|p| is(&p.name)).collect()
    };
    let granted =
        |found: &[&Process], names: &[String]| found.iter().all(|p| names.contains(&p.name));
    let said = |found: &[&Process]| match found.is_empty() {
        true => "none".to_string(),
        false => named(found),
    };
    let source = format!("/proc/{}/status", facts.pid);
    let machines = by(policy::is_supervisor);
    let verdict = judge
        .allowed
        .judge(machines.is_empty(), |g| granted(&machines, &g.entry_points));
    judge
        .add(
            "machine",
            &[S8_5_3],
            "init systems, supervisors and cron among its processes (by name)",
            ("none", said(&machines)),
            verdict,
        )
        .seen(&source, format!("Name: {}", facts.status.name))
        .mend("start the service itself");
    let logins = by(policy::is_login);
    let verdict = judge
        .allowed
        .judge(logins.is_empty(), |g| granted(&logins, &g.entry_points));
    judge
        .add(
            "logins",
            &[S8_4_1],
            "servers for remote login among its processes (by name)",
            ("none", said(&logins)),
            verdict,
        )
        .seen(&source, format!("Name: {}", facts.status.name))
        .mend("take it out of the image");
}

/// A process whose parent is outside came in by exec: orphans go to the first process.
fn entered(facts: &Facts, alive: &[&Process], judge: &mut Judge<'_>) {
    if alive.is_empty() {
        return;
    }
    let outside =
        |p: &&&Process| p.pid != facts.pid && !alive.iter().any(|other| other.pid == p.ppid);
    let found: Vec<&Process> = alive.iter().filter(outside).copied().collect();
    let answer = match found.is_empty() {
        true => "none".into(),
        false => named(&found),
    };
    let verdict = judge.allowed.judge(found.is_empty(), |g| g.exec.is_some());
    judge
        .add(
            "entered",
            &[S8_4_1, S8_4_13],
            "processes that came in from outside after the start (exec)",
            ("none", answer),
            verdict,
        )
        .mend("end it; refuse exec");
}

fn terminals(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "terminals among its standard streams";
    let mut found = Vec::new();
    for (number, link) in &facts.streams {
        match link {
            Ok(to) if is_terminal(to) => found.push(format!("{number} is {to}")),
            Ok(_) => {}
            Err(why) if why.contains("No such file") => {}
            Err(why) => return judge.unread("terminal", &[S8_4_1], tried, why),
        }
    }
    let answer = match found.is_empty() {
        true => "none".into(),
        false => found.join(", "),
    };
    let verdict = judge.allowed.judge(found.is_empty(), |g| g.terminal);
    judge
        .add("terminal", &[S8_4_1], tried, ("none", answer), verdict)
        .seen(format!("/proc/{}/fd", facts.pid), streams(facts))
        .mend("run it without -t");
}

fn is_terminal(path: &str) -> bool {
    path.starts_with("/dev/pts/") || path.starts_with("/dev/tty") || path == "/dev/console"
}

fn streams(facts: &Facts) -> String {
    let each = facts.streams.iter().map(|(n, to)| match to {
        Ok(to) => format!("{n} -> {to}"),
        Err(_) => format!("{n} closed"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn logs(facts: &Facts, alive: &[&Process], judge: &mut Judge<'_>) {
    let tried = "who keeps its logs";
    let is_logger = |p: &&&Process| LOGGERS.contains(&p.name.as_str());
    let loggers: Vec<&Process> = alive.iter().filter(is_logger).copied().collect();
    let expected = "its output goes outside through pipes, and no log daemon runs inside";
    if !loggers.is_empty() {
        let verdict = judge.allowed.strict(false);
        judge
            .add(
                "logs",
                &[S8_4_2],
                tried,
                (expected, named(&loggers)),
                verdict,
            )
            .mend("write to standard output and let the outside forward it");
        return;
    }
    let outward =
        |to: &String| to.starts_with("pipe:") || to.starts_with("socket:") || to == "/dev/null";
    let out = facts.streams.iter().filter(|(n, _)| *n > 0);
    let verdict = match out
        .map(|(_, to)| to.as_ref().map(outward))
        .collect::<Result<Vec<_>, _>>()
    {
        Ok(all) if all.iter().all(|outward| *outward) => Verdict::Pass,
        Ok(_) => Verdict::not_assessed(
            "its output goes to a file or terminal: whether that is outside can't be told from its name",
        ),
        Err(why) if why.contains("No such file") => {
            Verdict::not_assessed("it has closed its output: where it logs to can't be seen")
        }
        Err(why) => Verdict::not_assessed(why.clone()),
    };
    judge
        .add(
            "logs",
            &[S8_4_2],
            tried,
            (expected, streams(facts)),
            verdict,
        )
        .seen(format!("/proc/{}/fd", facts.pid), streams(facts));
}

fn age(facts: &Facts, judge: &mut Judge<'_>) {
    let tried = "how long it has run";
    let Some(age) = facts.age else {
        return judge.unread("age", &[Osg3], tried, "its start time can't be read");
    };
    let answer = format!("{} days, {} hours", age / 86_400, age / 3600 % 24);
    let verdict = judge.allowed.strict(age <= WEEK);
    judge
        .add("age", &[Osg3], tried, ("at most 7 days", answer), verdict)
        .seen(
            format!("/proc/{}/stat", facts.pid),
            format!("{age} seconds"),
        )
        .mend("start it again from the newest image");
}
