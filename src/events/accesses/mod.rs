//! The worker that tells of accesses that landlock refuses: the kernel tells them in the host's audit records alone
//! (Linux 6.15), where audit is on.
//!
//! The launcher has joined the records' group, the worker only hears, and of all records only landlock's. It picks those
//! of its own container's ruleset out: the kernel says once, behind the first refusal, which process a ruleset is of,
//! and what follows has the ruleset's number alone. The number is kept where a successor finds it.

mod record;

use super::tally::{Refused, Tally, Told as Telling};
use super::{About, Sender, What};
use crate::controls::ControlId;
use crate::plan::monitor::MonitorPlan;
use crate::sys::audit::{ACCESS, DOMAIN, LONGEST, record as parts};
use crate::sys::memory::{Shared, anonymous};
use crate::worker::{Descriptors, Jail, Row, Said, Told, Worker, opens_nothing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use record::{Access, creator};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// The row.
pub const ROW: Row = Row {
    name: NAME,
    wanted: |plan: &MonitorPlan| plan.tells_accesses,
    needs: &["container", AUDIT, KNOWN],
    takes: &["tell-events", "lines"],
    prepare,
    opens: opens_nothing,
    jail: |_| Jail::default(),
    run,
    last: Duration::from_secs(1),
};

/// Its name in the table.
pub const NAME: &str = "accesses";

/// The descriptor that hears.
pub const AUDIT: &str = "audit";
/// Where the ruleset's number is kept.
const KNOWN: &str = "audit-domain";
const KNOWN_SIZE: usize = 4096;

/// Refusals whose ruleset is not known yet: the next record but a few says it.
const WAITING: usize = 32;

/// How long the kernel's own thread may take to hand the last records out.
const LATE: Duration = Duration::from_millis(200);

fn prepare(_: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    // Nobody hears: there is nothing to keep.
    if fds.get(AUDIT).is_none() {
        return Ok(());
    }
    let known = anonymous(c"cofferdam-domain", KNOWN_SIZE);
    fds.insert(
        KNOWN,
        known.map_err(|e| format!("make memory (memfd_create): {}", e.desc()))?,
    );
    Ok(())
}

/// A refusal of this container's.
struct Denied {
    access: Kind,
    pid: i32,
}

type Kind = (Vec<String>, String);

impl Refused for Denied {
    type Kind = Kind;

    fn kind(&self) -> &Kind {
        &self.access
    }

    fn told(&self, count: u64, untold: u64) -> Telling {
        let (blockers, object) = self.access.clone();
        Telling {
            control: control(&blockers),
            what: What::DeniedAccess {
                blockers,
                object,
                pid: self.pid,
                count,
                untold,
            },
        }
    }
}

/// The control that a right is kept for.
fn control(blockers: &[String]) -> ControlId {
    let first = blockers.first().map_or("", String::as_str);
    match first.split_once('.') {
        Some(("net", _)) => ControlId::S8_2_4,
        Some(("scope", _)) => ControlId::S8_1_3,
        _ if first == "ptrace" => ControlId::S8_4_13,
        Some(("fs", "execute")) => ControlId::S8_4_3,
        _ => ControlId::S8_4_7,
    }
}

/// What is known of this container's ruleset.
struct Domains {
    pid: i32,
    known: Shared,
    waiting: VecDeque<Access>,
}

impl Domains {
    /// A record; the refusals that are this container's.
    fn hear(&mut self, kind: u16, text: &[u8]) -> Vec<Access> {
        match kind {
            ACCESS => {
                let Some(access) = Access::parse(text) else {
                    return Vec::new();
                };
                if access.domain == self.known.number(0).load(SeqCst) {
                    return vec![access];
                }
                if self.waiting.len() == WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(access);
            }
            DOMAIN => {
                let Some((domain, pid)) = creator(text) else {
                    return Vec::new();
                };
                let (its, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
                    .into_iter()
                    .partition(|access| access.domain == domain);
                self.waiting = others.into();
                if pid == self.pid {
                    self.known.number(0).store(domain, SeqCst);
                    return its;
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let container = worker.fds.must("container")?;
    let audit = worker.fds.must(AUDIT)?;
    let known = worker.fds.must(KNOWN)?;
    let known = Shared::map(known.as_fd(), KNOWN_SIZE);
    let mut domains = Domains {
        pid: worker.pid,
        known: known.map_err(|e| format!("map what is known (mmap): {}", e.desc()))?,
        waiting: VecDeque::new(),
    };
    let (socket, lines) = (worker.fds.take("tell-events"), worker.fds.take("lines"));
    let events = Sender::by(About::from(&worker.origin), socket, lines);
    let tell = |all: Vec<Telling>| {
        all.into_iter()
            .for_each(|told| events.send_of(told.what, &[told.control]));
    };
    worker.tell.say(&Said::Ready);
    let mut tally = Tally::new(Instant::now());
    loop {
        let over = wait(&container, worker, &audit, &tally)?;
        if over {
            // The kernel tells from a thread of its own.
            std::thread::sleep(LATE);
        }
        tell(tally.due(Instant::now()).collect());
        while let Some(message) = next(&audit)? {
            let Some((kind, text)) = parts(&message) else {
                continue;
            };
            for access in domains.hear(kind, text) {
                let denied = Denied {
                    access: (access.blockers, access.object),
                    pid: worker.pid,
                };
                tell(tally.count(denied, Instant::now()));
            }
        }
        if over {
            tell(tally.rest());
            return Ok(());
        }
    }
}

/// A record, if there is one.
fn next(audit: &OwnedFd) -> Result<Option<Vec<u8>>, String> {
    let mut message = vec![0; LONGEST];
    loop {
        match recv(audit.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(got) => {
                message.truncate(got);
                return Ok(Some(message));
            }
            Err(Errno::EAGAIN) => return Ok(None),
            // ENOBUFS: more came at once than there was room for.
            Err(Errno::EINTR | Errno::ENOBUFS) => {}
            Err(errno) => {
                return Err(format!(
                    "hear the host's audit (recvfrom): {}",
                    errno.desc()
                ));
            }
        }
    }
}

/// Waits for a record, the next thing that is due, or the end; whether it is the end.
fn wait(
    container: &OwnedFd,
    worker: &Worker,
    audit: &OwnedFd,
    tally: &Tally<Denied>,
) -> Result<bool, String> {
    let mut fds = [container.as_fd(), worker.tell.fd(), audit.as_fd()]
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let patience = tally.next_due().map_or(PollTimeout::NONE, |due| {
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, patience) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
    }
    let asked = fds[1].any() == Some(true) && worker.tell.asked() != Told::Nothing;
    Ok(asked || fds[0].any() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_rulesets_refusals_are_taken_also_by_a_successor() {
        let fd = anonymous(c"x", KNOWN_SIZE).unwrap();
        let domains = || Domains {
            pid: 7,
            known: Shared::map(fd.as_fd(), KNOWN_SIZE).unwrap(),
            waiting: VecDeque::new(),
        };
        let access =
            |domain| format!("audit(1.2:3): domain={domain:x} blockers=fs.read_file path=\"/x\"");
        let of = |domain, pid| {
            format!(
                "audit(1.2:3): domain={domain:x} status=allocated mode=enforcing pid={pid} uid=0"
            )
        };
        let mut first = domains();
        for (domain, pid, count) in [(1, 6, 0), (2, 7, 1), (3, 8, 0)] {
            assert_eq!(first.hear(ACCESS, access(domain).as_bytes()).len(), 0);
            assert_eq!(first.hear(DOMAIN, of(domain, pid).as_bytes()).len(), count);
        }
        let mut second = domains();
        assert_eq!(second.hear(ACCESS, access(2).as_bytes()).len(), 1);
        assert_eq!(second.hear(ACCESS, access(1).as_bytes()).len(), 0);
        for n in 0..100 {
            assert!(second.hear(ACCESS, access(n + 10).as_bytes()).is_empty());
        }
        assert_eq!(second.waiting.len(), WAITING);
    }
}
