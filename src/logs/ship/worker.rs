//! The monitor's workers that ship a spool: one for each group of targets, so that none holds up another or sees its keys.
//!
//! In its jail one reads the spool, the files that its own targets name and the two that names are looked up in; keys are
//! opened before, so that no path leads to them. It writes its
//! cursor and connects to its targets' ports. It is started again when it dies, and then goes on behind its cursor.

use super::chain::{End, Notice};
use super::check::answer;
use super::spooled::Spool;
use super::station::Station;
use super::tls::open_key;
use super::trouble::Trouble;
use super::work::ship;
use crate::events::{About, Link, Sender, What};
use crate::logs::spool::{Cursor, waiting};
use crate::plan::monitor::{LogStart, MonitorPlan};
use crate::policy::{MOST_CHAINS, Protocol, Target, chains};
use crate::worker::{Descriptors, Jail, Row, Said, Worker};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

/// The rows: as many as there may be groups.
pub const ROWS: [Row; MOST_CHAINS] = [row::<0>(), row::<1>(), row::<2>(), row::<3>()];

/// How long collectors are tried after the container's end; the rest stays in the spool for the next launch.
const PATIENCE: Duration = Duration::from_secs(10);

const fn row<const N: usize>() -> Row {
    Row {
        name: "ship",
        wanted: |plan| !chain::<N>(plan).is_empty(),
        needs: &["spool"],
        takes: &["tell-events"],
        prepare: prepare::<N>,
        opens: opens::<N>,
        jail: jail::<N>,
        run: run::<N>,
        last: Duration::from_secs(30),
    }
}

fn chain<const N: usize>(plan: &MonitorPlan) -> &[Target] {
    let targets = plan.watch.logs.as_ref().map(|logs| &logs.targets[..]);
    let all = chains(targets.unwrap_or_default());
    all.get(N).copied().unwrap_or_default()
}

/// Makes the cursor, which the worker may write but not make.
fn prepare<const N: usize>(plan: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    let (Some(first), Some(spool)) = (chain::<N>(plan).first(), fds.get("spool")) else {
        return Ok(());
    };
    let spool = spool.try_clone_to_owned().map_err(|e| e.to_string())?;
    Cursor::open(&spool, &first.name)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// The name of a target's key among the descriptors.
fn key_of(target: &Target) -> String {
    format!("key {}", target.name)
}

/// The keys. One that can't be opened is tried again in the jail, by its path, for the sentence that says why.
fn opens<const N: usize>(worker: &mut Worker) {
    let targets = chain::<N>(&worker.plan).iter();
    let keys: Vec<(String, File)> = targets
        .filter_map(|target| Some((key_of(target), open_key(target.key.as_deref()?).ok()?)))
        .collect();
    for (name, key) in keys {
        worker.fds.insert(name, key);
    }
}

fn jail<const N: usize>(worker: &Worker) -> Jail {
    let targets = chain::<N>(&worker.plan);
    let mut jail = Jail {
        reads: vec!["spool"],
        read_paths: vec!["/etc/hosts".into(), "/etc/resolv.conf".into()],
        connect: targets
            .iter()
            .filter_map(|t| Some(t.host_and_port()?.1))
            .collect(),
        ..Jail::default()
    };
    for target in targets {
        let closed = worker.fds.get(&key_of(target)).is_none();
        let key = target.key.as_ref().filter(|_| closed);
        let files = [target.ca.as_ref(), target.certificate.as_ref(), key];
        jail.read_paths
            .extend(files.into_iter().flatten().map(PathBuf::from));
        if matches!(target.protocol, Protocol::Cri | Protocol::Json) {
            jail.write_paths.extend(target.place().map(PathBuf::from));
        }
    }
    if let (Some(first), Some(spool)) = (targets.first(), worker.fds.get("spool")) {
        let name = Cursor::name_of(&first.name);
        let cursor = format!("/proc/self/fd/{}/{name}", spool.as_raw_fd());
        jail.write_paths.push(cursor.into());
    }
    jail
}

fn run<const N: usize>(worker: &mut Worker) -> Result<(), String> {
    let targets = chain::<N>(&worker.plan);
    let prepared: Vec<(&Target, Result<Station, Trouble>)> = targets
        .iter()
        .map(|target| {
            let key = worker.fds.take(&key_of(target)).map(File::from);
            (target, Station::with_key(target, key))
        })
        .collect();
    let logs = worker.plan.watch.logs.as_ref();
    // No service waits for a collector, unless the policy says so; and then only for the first time.
    if worker.restarts == 0 && logs.is_some_and(|l| l.start == LogStart::Reached) {
        reached(&prepared)?;
    }
    worker.tell.say(&Said::Ready);
    let about = About::from(&worker.origin);
    let sender = Sender::by(about, worker.fds.take("tell-events"), None);
    let mut tell = |notice| sender.send(event(notice));
    let quota = worker.plan.watch.logs.as_ref().map_or(0, |l| l.quota);
    let launch = &worker.origin.launch;
    let all = match worker.fds.get("spool").map(|fd| fd.try_clone_to_owned()) {
        Some(Ok(dir)) => waiting(&dir, launch, 0).unwrap_or(0),
        _ => 0,
    };
    let mut stations = Vec::new();
    for (target, station) in prepared {
        match station {
            Ok(station) => stations.push(station.within(quota)),
            Err(trouble) => tell(Notice::Down {
                target: target.name.clone(),
                // All of this launch: it gets none.
                waiting: all,
                why: trouble.text,
            }),
        }
    }
    let Some(first) = targets.first().filter(|_| !stations.is_empty()) else {
        return Err("no collector can be used".into());
    };
    let dir = worker.fds.must("spool")?;
    let over = worker
        .tell
        .fd()
        .try_clone_to_owned()
        .map_err(|e| e.to_string())?;
    let mut spool = Spool::open(dir, &first.name, Some(over)).map_err(|e| e.text)?;
    match ship(&mut spool, &stations, PATIENCE, &mut tell) {
        Ok(End::Delivered | End::Left(_)) => Ok(()),
        Err(trouble) => Err(trouble.text),
    }
}

/// Whether one of them would take records; if not, why none does.
fn reached(prepared: &[(&Target, Result<Station, Trouble>)]) -> Result<(), String> {
    let mut all = Vec::new();
    for (target, station) in prepared {
        let answer = answer(target, station.as_ref());
        match answer.why {
            None => return Ok(()),
            Some(why) => all.push(format!("{}: {why}", answer.target)),
        }
    }
    let all = all.join("; ");
    Err(format!(
        "no collector can be reached, and the policy lets nothing run without (require_collector): {all}; \
         `cofferdam collectors check` tries them"
    ))
}

/// A notice as an event.
fn event(notice: Notice) -> What {
    let link = |collector, link, why, waiting| What::Collector {
        collector,
        link,
        why,
        waiting,
    };
    match notice {
        Notice::Up { target, waiting } => link(target, Link::Up, None, waiting),
        Notice::Down {
            target,
            waiting,
            why,
        } => link(target, Link::Down, Some(why), waiting),
        Notice::PeerRefused { target, why } => What::PeerRefused {
            collector: target,
            why,
        },
        Notice::Rejected { target, what } => What::Gap {
            records: what.count,
            bytes: 0,
            first: Some(what.first),
            last: Some(what.last),
            why: format!("{target} rejects them: {}", what.why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Origin;
    use crate::policy::{Copying, LogNeed, Logs, MonitorDeath, Sync, Watch, WhenFull};
    use crate::worker::Tell;
    use std::os::unix::fs::OpenOptionsExt;

    fn worker_of(targets: Vec<Target>) -> Worker {
        let logs = Logs {
            spool: "/nowhere".into(),
            quota: 1 << 20,
            when_full: WhenFull::Block,
            sync: Sync::Never,
            need: LogNeed::Required,
            on_monitor_death: MonitorDeath::End,
            copy: Copying::None,
            heartbeat: 60,
            start: LogStart::Anyway,
            targets,
        };
        let words = || String::from("x");
        Worker {
            plan: MonitorPlan {
                watch: Watch {
                    logs: Some(logs),
                    lifetime: None,
                },
                ..MonitorPlan::default()
            },
            origin: Origin {
                id: words(),
                name: None,
                image: None,
                host: words(),
                boot: words(),
                launch: words(),
            },
            fds: Descriptors::default(),
            tell: Tell::pair().unwrap().0,
            pid: 0,
            restarts: 0,
        }
    }

    #[test]
    fn the_jail_has_no_path_to_a_key_that_could_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let target = |name: &str, mode| {
            let mut made = File::options();
            made.write(true).create_new(true).mode(mode);
            made.open(place(name)).unwrap();
            Target {
                key: Some(place(name)),
                fallback: name != "good",
                ..Target::plain(name, Protocol::Syslog)
            }
        };
        let mut worker = worker_of(vec![target("good", 0o600), target("read by all", 0o644)]);
        opens::<0>(&mut worker);
        let jail = jail::<0>(&worker);
        assert!(worker.fds.get("key good").is_some());
        let reaches = |name| jail.read_paths.contains(&PathBuf::from(place(name)));
        // The other one is refused by its path, with a sentence.
        assert_eq!((reaches("good"), reaches("read by all")), (false, true));
    }
}
