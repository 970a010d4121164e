//! An event in a sentence, for people and for collectors that show one. Pure.
//!
//! Names that a container chose are shown with their control characters escaped: no terminal is steered by them.

use super::model::What;
use super::parts::{Change, ExecResult, HookResult, Limit, Link, Reason};
use std::fmt;

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&text(self)))
    }
}

/// Without characters that steer a terminal or change the direction of writing.
pub fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

fn text(what: &What) -> String {
    match what {
        What::LaunchRequested { by, program, .. } => {
            format!("uid {} asks for a launch of {program}", by.uid)
        }
        What::Identity {
            uid, gid, host_uid, ..
        } => match host_uid {
            Some(host) => format!("runs as {uid}:{gid}, on the host {host}"),
            None => format!("runs as {uid}:{gid}"),
        },
        What::Granted {
            template,
            clamps,
            exceptions,
            ..
        } => format!("granted under {template} with {clamps} clamps and {exceptions} exceptions"),
        What::Clamped {
            pointer,
            asked,
            granted,
        } => format!("{pointer} was cut down from {asked} to {granted}"),
        What::ExceptionUsed {
            exception, grants, ..
        } => format!("the exception {exception} grants {grants}"),
        What::Verified { checked, .. } => format!("{checked} facts are as planned"),
        What::Started { program, pid } if program.is_empty() => format!("runs as process {pid}"),
        What::Started { program, pid } => format!("{program} runs as process {pid}"),
        What::Refused { reasons, .. } => format!("refused: {}", all(reasons)),
        What::DeniedCall {
            call,
            arguments,
            answer,
            count,
            ..
        } => format!(
            "{call}({}) was refused with {answer}{}",
            arguments.join(", "),
            times(*count)
        ),
        What::DeniedAccess {
            blockers,
            object,
            count,
            ..
        } => format!(
            "{} on {object} was refused{}",
            blockers.join(", "),
            times(*count)
        ),
        What::OomKilled { count } => format!("{count} processes were killed for want of memory"),
        What::LimitHit { limit, count } => {
            let limit = match limit {
                Limit::Pids => "threads and processes",
                Limit::Memory => "memory",
            };
            format!("the limit of {limit} was met{}", times(*count))
        }
        What::Exited { code, signal, .. } => match (code, signal) {
            (_, Some(signal)) => format!("ended by signal {signal}"),
            (Some(code), None) => format!("ended with {code}"),
            (None, None) => "ended".into(),
        },
        What::Exec {
            program,
            result: ExecResult::Allowed,
            ..
        } => format!("a second program was run: {program}"),
        What::Exec {
            program, reasons, ..
        } => format!("a second program was refused: {program}: {}", all(reasons)),
        What::Hook {
            point,
            program,
            result,
            said,
        } => match result {
            HookResult::Done => format!("the {point} hook {program} has run"),
            HookResult::Failed => {
                let said = said.as_deref().unwrap_or_default();
                format!("the {point} hook {program} failed: {said}")
            }
        },
        What::Changed { by, change, detail } => {
            let change = match change {
                Change::Signal => "sent a signal",
                Change::Paused => "paused it",
                Change::Resumed => "let it go on",
                Change::Limits => "changed its limits",
                Change::Deleted => "deleted it",
            };
            format!("uid {} {change} {detail}", by.uid)
                .trim_end()
                .into()
        }
        other => about_the_way(other),
    }
}

/// What happens to what was said, and around it.
fn about_the_way(what: &What) -> String {
    match what {
        What::Collector {
            collector,
            link,
            why,
            waiting,
        } => match (link, why) {
            (Link::Up, _) => {
                format!("the collector {collector} is reached, {waiting} records wait")
            }
            (Link::Down, why) => {
                let why = why.as_deref().unwrap_or("no reason known");
                format!(
                    "the collector {collector} can't be reached ({why}), {waiting} records wait"
                )
            }
        },
        What::PeerRefused { collector, why } => {
            format!("what answers for the collector {collector} is not it: {why}")
        }
        What::Spool {
            percent,
            bytes,
            quota,
        } => format!("the spool is {percent} % full: {bytes} of {quota} bytes"),
        What::Gap {
            records,
            bytes,
            why,
            ..
        } => format!("{records} records of {bytes} bytes were lost: {why}"),
        What::WorkerRestarted {
            worker,
            ended,
            count,
        } => format!(
            "the worker {worker} ended ({ended}) and was started again{}",
            times(*count)
        ),
        What::ClockStep { milliseconds } => format!("the clock was set by {milliseconds} ms"),
        What::Port {
            port,
            accepted,
            refused,
            open,
            ..
        } => format!("port {port}: {accepted} connections taken, {refused} refused, {open} open"),
        What::PortNative { port, established } => {
            format!(
                "port {port}: {established} connections established now, by the service's own socket"
            )
        }
        What::PortRefused {
            port,
            peer,
            why,
            count,
            ..
        } => format!("{peer} was refused at port {port}: {why}{}", times(*count)),
        What::LifetimeReached { seconds, grace } => {
            format!("it has lived {seconds} s, and has {grace} s to end")
        }
        _ => "still there".into(),
    }
}

fn times(count: u64) -> String {
    match count {
        0 | 1 => String::new(),
        n => format!(", {n} times"),
    }
}

fn all(reasons: &[Reason]) -> String {
    let one = |reason: &Reason| {
        let parts = [&reason.at, &reason.found, &reason.remedy];
        let parts: Vec<&str> = parts
            .iter()
            .map(|p| p.as_str())
            .filter(|p| !p.is_empty())
            .collect();
        match reason.control {
            Some(control) => format!("{control}: {}", parts.join(": ")),
            None => parts.join(": "),
        }
    };
    reasons.iter().map(one).collect::<Vec<_>>().join("; ")
}
