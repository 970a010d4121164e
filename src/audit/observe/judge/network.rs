//! Ports and raw sockets. From /proc/PID/net.

use super::super::allowed::Judge;
use super::super::declared::Declared;
use super::super::facts::Facts;
use super::super::network::{self, Listener};
use crate::audit::Verdict;
use crate::controls::ControlId::*;

pub(super) fn judge(facts: &Facts, declared: &Declared, judge: &mut Judge<'_>) {
    if !network::is_own(facts) {
        let why = "its network namespace is the host's, or can't be told apart: its sockets can't be told from others'";
        judge.unread("listening", &[S8_2_4, S8_5_5], "listening sockets", why);
        return;
    }
    raw(facts, judge);
    if let Err(why) = &facts.net["tcp"] {
        judge.unread("listening", &[S8_2_4, S8_5_5], "listening sockets", why);
        return;
    }
    let open: Vec<Listener> = network::listeners(facts).into_iter().collect();
    let outside: Vec<&Listener> = open.iter().filter(|l| !l.loopback).collect();
    let mut ports: Vec<u16> = outside.iter().map(|l| l.port).collect();
    ports.sort_unstable();
    ports.dedup();
    listening(facts, declared, &outside, &ports, judge);
    count(&ports, judge);
}

fn raw(facts: &Facts, judge: &mut Judge<'_>) {
    if let Err(why) = &facts.net["raw"] {
        return judge.unread("raw-sockets", &[S8_4_6], "raw and packet sockets", why);
    }
    let found = network::raw_sockets(facts);
    let answer = match found.is_empty() {
        true => "none".into(),
        false => {
            let each = found.iter().map(|(file, n)| format!("{n} in net/{file}"));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let verdict = judge.allowed.strict(found.is_empty());
    judge
        .add(
            "raw-sockets",
            &[S8_4_6],
            "raw and packet sockets in its network namespace",
            ("none", answer),
            verdict,
        )
        .mend("drop CAP_NET_RAW and deny the socket families");
}

fn listening(
    facts: &Facts,
    declared: &Declared,
    open: &[&Listener],
    ports: &[u16],
    judge: &mut Judge<'_>,
) {
    let tried = "listening sockets that others can reach";
    let shown: Vec<String> = open
        .iter()
        .map(|l| format!("{}/{}", l.port, l.protocol))
        .collect();
    let answer = match shown.is_empty() {
        true => "none".into(),
        false => shown.join(" "),
    };
    let source = format!("/proc/{}/net/tcp, tcp6, udp, udp6", facts.pid);
    let expected = match &declared.ports {
        Some(ports) => format!("only those that are declared: {ports:?}"),
        None => "only those that are declared".into(),
    };
    let verdict = match &declared.ports {
        _ if ports.is_empty() => Verdict::Pass,
        Some(declared) => judge
            .allowed
            .judge(ports.iter().all(|p| declared.contains(p)), |g| g.ports_any),
        None => Verdict::not_assessed(
            "which ports are necessary is declared nowhere that can be read (annotation org.cofferdam.expose)",
        ),
    };
    judge
        .add("listening", &[S8_2_4], tried, (&expected, answer), verdict)
        .seen(source, shown.join(" "))
        .mend("declare the port, or close it");
}

fn count(ports: &[u16], judge: &mut Judge<'_>) {
    let most = judge.allowed.ceilings.max_ports as usize;
    let verdict = judge.allowed.judge(ports.len() <= most, |g| {
        g.ports_any || g.max_ports.is_some_and(|n| ports.len() <= n as usize)
    });
    judge
        .add(
            "one-port",
            &[S8_5_5],
            "how many ports others can reach",
            (
                &format!("at most {most}"),
                format!("{}: {ports:?}", ports.len()),
            ),
            verdict,
        )
        .mend("one port a service: split it");
}
