//! The collector is restarted in the middle of 25,000 lines a second, ended properly, killed, or killed after it has
//! stood still while its kernel went on taking what came: nothing is lost.

use crate::count::{Count, count, syslog};
use crate::lab::{self, Lab, until};
use crate::producer::{Producer, line};
use crate::python::{self, Python};
use crate::receivers::{Rsyslog, Running};
use crate::support;
use cofferdam::logs::ship::{Notice, relp};
use cofferdam::policy::{Protocol, Span, Transport};
use nix::sys::signal::Signal;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Instant;

const LINES: u64 = 75_000;
const A_SECOND: u64 = 25_000;

/// How the collector ends: at once, or after the producer has written a fifth of the lines to one that stands still.
const ENDS: [(Signal, bool); 3] = [
    (Signal::SIGTERM, false),
    (Signal::SIGKILL, false),
    (Signal::SIGKILL, true),
];

/// One run: so many lines, the collector away while the producer writes a fifth of them.
fn restarted(
    lab: &Lab,
    target: cofferdam::policy::Target,
    (signal, stands): (Signal, bool),
    start: &dyn Fn() -> Running,
    stored: &dyn Fn() -> Count,
) {
    let protocol = target.protocol;
    let running = start();
    let (producer, over) = Producer::new(&lab.spool());
    let progress = producer.start(LINES, A_SECOND);
    let shipping = lab.ship(vec![target], over);
    until("a fifth of the lines", || stored().stored > LINES / 5);
    let meanwhile = |lines: u64| {
        let back = (progress.written.load(Ordering::Relaxed) + lines).min(LINES);
        until("lines written meanwhile", || {
            progress.written.load(Ordering::Relaxed) >= back
        });
    };
    if stands {
        // What reads by fits and starts is given ever more room by its kernel.
        for _ in 0..5 {
            running.signal(Signal::SIGSTOP);
            meanwhile(LINES / 40);
            running.signal(Signal::SIGCONT);
            meanwhile(LINES / 200);
        }
        running.signal(Signal::SIGSTOP);
        meanwhile(LINES / 10);
    }
    running.end(signal);
    meanwhile(LINES / 5);
    shipping.wait_for(|n| matches!(n, Notice::Down { .. }));
    let _running = start();
    progress.join();
    let notices = shipping.delivered();
    until("the last line", || stored().lost == 0);
    let told = stored();
    eprintln!("{signal} {stands}: {told:?}");
    assert_eq!((told.lost, told.changed), (0, 0));
    // What was on its way comes twice: a window, a batch of 128 KiB, or what went over one connection.
    let bound = match protocol {
        Protocol::Relp => relp::WINDOW as u64,
        Protocol::Otlp | Protocol::Fluent => (128 << 10) / line(1).len() as u64 + 1,
        _ => LINES / 3,
    };
    assert!(told.duplicate <= bound, "{told:?} of {bound}");
    let ups = notices.iter().filter(|n| matches!(n, Notice::Up { .. }));
    assert!(ups.count() >= 2, "{notices:?}");
}

fn rsyslog(kind: &str, protocol: Protocol, transport: Transport, port: u16) {
    for end in ENDS {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let lab = Lab::new();
                let rsyslog = Rsyslog::new(&lab);
                let target = lab.target(kind, protocol, transport, port);
                let stored = || syslog(&rsyslog.file(kind), LINES);
                restarted(&lab, target, end, &|| rsyslog.start(), &stored);
            });
        });
    }
}

#[test]
fn syslog_over_tls_loses_nothing() {
    need!(Root);
    rsyslog("tls", Protocol::Syslog, Transport::Tls, lab::TLS);
}

#[test]
fn relp_loses_nothing() {
    need!(Root);
    rsyslog("relp", Protocol::Relp, Transport::Tcp, lab::RELP);
}

#[test]
fn relp_over_tls_loses_nothing() {
    need!(Root);
    rsyslog("relptls", Protocol::Relp, Transport::Tls, lab::RELP_TLS);
}

fn python(make: fn(&Lab) -> Python, protocol: Protocol, port: u16) {
    for end in ENDS {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let lab = Lab::new();
                let receiver = make(&lab);
                let target = lab.target("python", protocol, Transport::Tcp, port);
                let stored = || count(receiver.lines().into_iter(), LINES);
                restarted(&lab, target, end, &|| receiver.start(), &stored);
            });
        });
    }
}

#[test]
fn otlp_loses_nothing() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("otlp_loses_nothing", "otlp", &why);
    }
    python(|lab| Python::otlp(lab, &[]), Protocol::Otlp, lab::OTLP);
}

#[test]
fn forward_loses_nothing() {
    need!(Root);
    if let Some(why) = python::missing() {
        return support::skip("forward_loses_nothing", "fluent", &why);
    }
    python(Python::fluent, Protocol::Fluent, lab::FLUENT);
}

#[test]
fn a_collector_that_is_down_at_the_start_gets_everything_later() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let target = lab.target("relp", Protocol::Relp, Transport::Tcp, lab::RELP);
    let shipping = lab.ship(vec![target], lab.finished(2_000));
    // As many wait as there are.
    shipping.wait_for(
        |n| matches!(n, Notice::Down { why, waiting: 2_000, .. } if why.contains("refused")),
    );
    let _running = rsyslog.start();
    let notices = shipping.delivered();
    let up = |n: &Notice| {
        matches!(
            n,
            Notice::Up {
                waiting: 0..2_000,
                ..
            }
        )
    };
    assert!(notices.iter().any(up), "{notices:?}");
    let whole = Count {
        stored: 2_000,
        ..Count::default()
    };
    assert_eq!(syslog(&rsyslog.file("relp"), 2_000), whole);
}

#[test]
fn a_fallback_takes_over_and_the_rest_goes_there() {
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let nobody = lab.target("first", Protocol::Relp, Transport::Tcp, 1);
    let mut second = lab.target("second", Protocol::Relp, Transport::Tcp, lab::RELP);
    second.fallback = true;
    let notices = lab
        .ship(vec![nobody, second], lab.finished(2_000))
        .delivered();
    assert_eq!(syslog(&rsyslog.file("relp"), 2_000).lost, 0);
    let down = |n: &Notice| matches!(n, Notice::Down { target, .. } if target == "first");
    let up = |n: &Notice| matches!(n, Notice::Up { target, .. } if target == "second");
    assert!(
        notices.iter().any(down) && notices.iter().any(up),
        "{notices:?}"
    );
}

/// Hands what comes to one port on to another, both of this network.
fn forward(from: u16, to: u16) {
    let listener = TcpListener::bind(("127.0.0.1", from)).unwrap();
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            for (mut from, mut to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far, near),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn the_first_target_is_returned_to_after_the_time_that_the_policy_says() {
    const AWAY: u16 = 12999;
    need!(Root);
    let lab = Lab::new();
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let first = lab.target("first", Protocol::Relp, Transport::Tcp, AWAY);
    let mut second = lab.target("second", Protocol::Relp, Transport::Tcp, lab::RELP);
    second.fallback = true;
    second.return_after = Some(Span(2));
    drop(lab.finished(2_000));
    let (over, tell) = nix::unistd::pipe().unwrap();
    let begun = Instant::now();
    let shipping = lab.ship(vec![first, second], over);
    shipping.wait_for(|n| matches!(n, Notice::Up { target, .. } if target == "second"));
    forward(AWAY, lab::RELP);
    shipping.wait_for(|n| matches!(n, Notice::Up { target, .. } if target == "first"));
    // Not before its time, and long before the minute that is the rule.
    let took = begun.elapsed();
    assert!((2..50).contains(&took.as_secs()), "{took:?}");
    drop(tell);
    shipping.delivered();
    let whole = Count {
        stored: 2_000,
        ..Count::default()
    };
    assert_eq!(syslog(&rsyslog.file("relp"), 2_000), whole);
}
