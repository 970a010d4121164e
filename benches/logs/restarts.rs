//! What collectors miss and get twice when they are ended or killed while 25,000 lines a second come.

use crate::count::{Count, count, syslog};
use crate::lab::{self, Lab, until};
use crate::producer::Producer;
use crate::python::{self, Python};
use crate::receivers::{Rsyslog, Running};
use cofferdam::logs::ship::Notice;
use cofferdam::policy::{Protocol, Target, Transport};
use nix::sys::signal::Signal;
use std::sync::atomic::Ordering;

const LINES: u64 = 75_000;
const A_SECOND: u64 = 25_000;
const KINDS: [&str; 5] = ["tls", "relp", "relptls", "otlp", "fluent"];

pub fn restarts(times: u64) {
    println!(
        "{:<10}{:>10}{:>9}{:>7}{:>8}{:>7}",
        "protocol", "signal", "stored", "lost", "twice", "order"
    );
    for run in 0..times {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            for kind in KINDS {
                // A network of its own belongs to its thread.
                let one = std::thread::spawn(move || one(kind, signal));
                match one.join().expect("a run") {
                    Ok(told) => println!(
                        "{kind:<10}{:>10}{:>9}{:>7}{:>8}{:>7}",
                        signal.as_str(),
                        told.stored,
                        told.lost,
                        told.duplicate,
                        told.disordered
                    ),
                    Err(why) if run == 0 => println!("left out: {kind}: {why}"),
                    Err(_) => {}
                }
            }
        }
    }
}

fn one(kind: &'static str, signal: Signal) -> Result<Count, String> {
    let lab = Lab::new();
    let (protocol, transport, port) = match kind {
        "tls" => (Protocol::Syslog, Transport::Tls, lab::TLS),
        "relp" => (Protocol::Relp, Transport::Tcp, lab::RELP),
        "relptls" => (Protocol::Relp, Transport::Tls, lab::RELP_TLS),
        "otlp" => (Protocol::Otlp, Transport::Tcp, lab::OTLP),
        _ => (Protocol::Fluent, Transport::Tcp, lab::FLUENT),
    };
    let target = lab.target(kind, protocol, transport, port);
    let make: fn(&Lab) -> Python = match kind {
        "otlp" => |lab| Python::otlp(lab, &[]),
        "fluent" => Python::fluent,
        _ => {
            let rsyslog = Rsyslog::new(&lab);
            let stored = || syslog(&rsyslog.file(kind), LINES);
            return Ok(restarted(
                &lab,
                target,
                signal,
                &|| rsyslog.start(),
                &stored,
            ));
        }
    };
    if let Some(why) = python::missing() {
        return Err(why);
    }
    let receiver = make(&lab);
    let stored = || count(receiver.lines().into_iter(), LINES);
    Ok(restarted(
        &lab,
        target,
        signal,
        &|| receiver.start(),
        &stored,
    ))
}

fn restarted(
    lab: &Lab,
    target: Target,
    signal: Signal,
    start: &dyn Fn() -> Running,
    stored: &dyn Fn() -> Count,
) -> Count {
    let running = start();
    let (producer, over) = Producer::new(&lab.spool());
    let progress = producer.start(LINES, A_SECOND);
    let shipping = lab.ship(vec![target], over);
    until("a fifth of the lines", || stored().stored > LINES / 5);
    running.end(signal);
    let back = (progress.written.load(Ordering::Relaxed) + LINES / 5).min(LINES);
    until("lines written meanwhile", || {
        progress.written.load(Ordering::Relaxed) >= back
    });
    shipping.wait_for(|n| matches!(n, Notice::Down { .. }));
    let running = start();
    progress.join();
    shipping.delivered();
    // Ended properly, so that what it has read is in its file.
    running.end(Signal::SIGTERM);
    stored()
}
