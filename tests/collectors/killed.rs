//! Shippers are killed and stopped while a service speaks: it doesn't notice, and its collectors miss nothing.

use crate::lab::{self, Lab, until};
use crate::receivers::Rsyslog;
use crate::support::{Alive, Rig, finish, text, unique};
use cofferdam::logs::ship::{relp, syslog};
use cofferdam::policy::{Protocol, Transport};
use nix::sys::signal::{SigHandler, Signal, signal};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Lines a second of the service.
const A_SECOND: u64 = 10_000;

static OVER: AtomicBool = AtomicBool::new(false);

extern "C" fn over(_: i32) {
    OVER.store(true, Ordering::SeqCst);
}

/// The service: numbered lines at that speed until TERM comes, then what the last was. Its exit code tells whether a
/// write took longer than `most` milliseconds.
pub fn speak(most: &str) -> i32 {
    // SAFETY: the handler stores to an atomic.
    unsafe { signal(Signal::SIGTERM, SigHandler::Handler(over)).unwrap() };
    let most = Duration::from_millis(most.parse().unwrap());
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready").unwrap();
    let (began, mut n, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while !OVER.load(Ordering::SeqCst) {
        let before = Instant::now();
        writeln!(out, "number {n:010} of a service that has much to say").unwrap();
        slowest = slowest.max(before.elapsed());
        n += 1;
        if n % 100 == 0 {
            // The speed, not a wait for anything.
            let due = Duration::from_secs_f64(n as f64 / A_SECOND as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    writeln!(out, "last {n:010}").unwrap();
    i32::from(slowest > most)
}

/// Processes of this name below a parent.
pub fn children(parent: i32, name: &str) -> Vec<i32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let all = fs::read_to_string(path).unwrap_or_default();
    let all = all.split_whitespace().filter_map(|pid| pid.parse().ok());
    let called = |pid: &i32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm.starts_with(name))
    };
    all.filter(called).collect()
}

fn kill(pid: i32, signal: i32) {
    cofferdam::sys::process::kill(pid, signal).unwrap();
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

/// How often the shippers are killed.
const KILLS: usize = 10;

/// Whether every number up to the one that was said to be the last is there, and how many came more than once.
fn assert_whole(path: &Path) -> usize {
    let stored = fs::read_to_string(path).unwrap();
    let numbers = |word: &str| {
        let tails = stored.lines().filter_map(|l| l.rsplit_once(word));
        let numbers = tails.filter_map(|(_, rest)| rest.get(..10)?.parse::<usize>().ok());
        numbers.collect::<Vec<_>>()
    };
    let last = numbers("] last ")[0];
    let mut seen = vec![false; last];
    let all = numbers("] number ");
    all.iter().for_each(|n| seen[*n] = true);
    let lost = seen.iter().filter(|seen| !**seen).count();
    let twice = all.len() + lost - last;
    eprintln!(
        "{}: {last} lines, {lost} lost, {twice} twice",
        path.display()
    );
    assert_eq!(lost, 0);
    twice
}

#[test]
fn a_shipper_killed_ten_times_and_stopped_loses_nothing_and_no_service_waits() {
    need!(Root);
    let (lab, rig) = (Lab::new(), Rig::new());
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let targets = [
        lab.target("tls", Protocol::Syslog, Transport::Tls, lab::TLS),
        lab.target("relp", Protocol::Relp, Transport::Tcp, lab::RELP),
    ];
    let policy = crate::check::policy(&targets, text(&rig.path("spool")));
    fs::write(rig.path("policy.toml"), policy).unwrap();
    let name = unique("killed");
    let alive = Alive::spawn(rig.run_command(&name, &[], &["speak", "60000"]));
    let run = alive.child.id() as i32;
    let stored = |kind: &str| size(&rsyslog.file(kind));
    let mut monitor = 0;
    until("both shippers", || {
        monitor = children(run, "cofferdam-mon").first().copied().unwrap_or(0);
        children(monitor, "cofferdam-ship").len() == 2
    });
    for _ in 0..KILLS {
        let before = (stored("tls"), stored("relp"));
        until("lines at both collectors", || {
            stored("tls") > before.0 && stored("relp") > before.1
        });
        let old = children(monitor, "cofferdam-ship");
        old.iter().for_each(|pid| kill(*pid, libc::SIGKILL));
        until("both shippers again", || {
            let new = children(monitor, "cofferdam-ship");
            new.len() == 2 && new.iter().all(|pid| !old.contains(pid))
        });
    }
    let spool = rig.path("spool").join(&name);
    let kept = || -> u64 {
        let files = fs::read_dir(&spool).unwrap().flatten();
        files
            .filter_map(|f| f.metadata().ok())
            .map(|m| m.len())
            .sum()
    };
    let stopped = children(monitor, "cofferdam-ship");
    stopped.iter().for_each(|pid| kill(*pid, libc::SIGSTOP));
    let before = kept();
    // Some seconds of lines, while nobody ships.
    until("lines in the spool", || kept() > before + (4 << 20));
    stopped.iter().for_each(|pid| kill(*pid, libc::SIGCONT));
    kill(run, libc::SIGTERM);
    assert_eq!(alive.end(), 0, "the service has waited");
    let mut ship = rig.command();
    // It waits for those that are at work.
    ship.args(["collectors", "ship", "--patience", "100"])
        .arg(&spool);
    let shipped = finish(ship);
    assert_eq!(shipped.code, 0, "{} {}", shipped.out, shipped.err);
    // What was on its way to each, and what one turn's answers were about; `collectors ship` goes on once more.
    let bound = (KILLS + 1) * 2 * relp::WINDOW;
    let twice = assert_whole(&rsyslog.file("relp"));
    assert!(twice <= bound, "{twice} of {bound}");
    // Without answers, all of a connection.
    let shortest =
        "999 <14>1 2026-01-01T00:00:00.000000Z - - - out [] number 0000000000 of a service";
    let bound = (KILLS + 1) * (syslog::SPAN as usize / shortest.len());
    let twice = assert_whole(&rsyslog.file("tls"));
    assert!(twice <= bound, "{twice} of {bound}");
    rig.assert_clean(&name);
}
