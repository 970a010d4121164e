//! The monitor process: starts the workers, waits for whatever happens, ends when the container and they have ended.
//!
//! One loop around poll; it never reads what it holds. Called by main, which has been executed for it.

use super::delay::{Delay, is_ending};
use super::ending::how_it_ended;
use super::slot::Slot;
use super::table::TABLE;
use super::words::{Order, Word, receive, send};
use crate::events::{About, Sender, What, accesses, limits, verbs};
use crate::logs::{Origin, relay};
use crate::plan::monitor::{Lifetime, MonitorPlan};
use crate::sys::process;
use crate::worker::{Descriptors, Said, drop_capabilities};
use caps::Capability;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// argv\[0\] of the process.
pub const NAME: &str = "cofferdam-monitor";
pub(super) const ARGV0: &CStr = c"cofferdam-monitor";

/// How long output may take to get through after the container's end. Only somebody outside who holds the program's
/// streams open, or a reader that takes nothing, makes it last.
const DRAIN: Duration = Duration::from_secs(5);

/// How often a container whose end is delayed is looked at: its first process can't have ended, but it may be ending.
const LOOK: Duration = Duration::from_secs(2);

/// How long capture may take to close the spool.
const CLOSE: Duration = Duration::from_secs(10);

struct Beside {
    plan: MonitorPlan,
    origin: Origin,
    fds: Descriptors,
    launcher: Option<OwnedFd>,
    slots: Vec<Slot>,
    sender: Sender,
    told_ready: bool,
    drained: bool,
    told_drained: bool,
    /// When the container ended.
    ended: Option<Instant>,
    lifetime: Option<Deadline>,
    finishing: Option<Instant>,
    /// Whether the container's end is to be delayed, as soon as the container is there.
    delays_end: bool,
    delay: Option<Delay>,
    pid: i32,
    /// When a container whose end is delayed was first seen ending.
    ending: Option<Instant>,
    /// Whether the launcher was there at the container's end, to tell how it ended (`run`).
    had_launcher_at_end: bool,
    /// How many processes were killed for want of memory.
    oom_kills: u64,
}

/// What is next in a life that is measured.
struct Deadline {
    at: Instant,
    signal: i32,
    life: Lifetime,
}

/// The process; its exit code.
pub fn main() -> i32 {
    let _ = process::prctl_name(c"cofferdam-mon");
    process::ignore_the_callers_signals();
    let _ = process::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    let mut fds = Descriptors::default();
    // Whoever executed this has put the socket there; anybody else gets an error from the first read.
    let launcher = process::own(3);
    let order = receive::<Order>(&launcher, &mut fds);
    let Ok(Some(Order::Start {
        plan,
        origin,
        delays_end,
    })) = order
    else {
        return 1;
    };
    let keep: &[Capability] = match delays_end {
        // Until the container is there: entering the pid namespace of a process that is not dumpable takes both.
        true => &[
            Capability::CAP_KILL,
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_SYS_PTRACE,
        ],
        false => &[Capability::CAP_KILL],
    };
    let _ = drop_capabilities(keep);
    let _ = process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    let copy = |name| fds.get(name).and_then(|fd| fd.try_clone_to_owned().ok());
    let sender = Sender::by(About::from(&origin), copy("tell-events"), copy("lines"));
    let slots = TABLE.iter().map(|row| Slot::new(row, &plan)).collect();
    let mut beside = Beside {
        plan: *plan,
        origin,
        fds,
        launcher: Some(launcher),
        slots,
        sender,
        told_ready: false,
        drained: false,
        told_drained: false,
        ended: None,
        lifetime: None,
        finishing: None,
        had_launcher_at_end: false,
        oom_kills: 0,
        delays_end,
        delay: None,
        pid: 0,
        ending: None,
    };
    match beside.live() {
        Ok(()) => 0,
        Err(why) => {
            beside.say(Word::Failed(why));
            beside.slots.iter_mut().for_each(Slot::kill);
            1
        }
    }
}

impl Beside {
    fn live(&mut self) -> Result<(), String> {
        for slot in self.slots.iter().filter(|s| !s.over) {
            (slot.row.prepare)(&self.plan, &mut self.fds)?;
        }
        loop {
            self.start_due()?;
            self.tell_ready();
            self.let_it_end();
            self.come_to_an_end();
            if self.finishing.is_some() && self.slots.iter().all(|s| s.over) {
                return Ok(());
            }
            self.wait()?;
        }
    }

    fn start_due(&mut self) -> Result<(), String> {
        let now = Instant::now();
        for slot in &mut self.slots {
            if slot.due(&self.fds).is_some_and(|due| due <= now) {
                slot.start(&self.plan, (&self.origin, self.pid), &mut self.fds)
                    .map_err(|why| format!("start {}: {why}", slot.row.name))?;
            }
        }
        Ok(())
    }

    /// Ready is ready as soon as those work that need nothing of the container; an end can be delayed only where the
    /// program has not begun, and ended.
    fn tell_ready(&mut self) {
        let waits = |s: &Slot| {
            !s.over && !s.ready && !s.row.needs.contains(&"container") && self.fds.have(s.row.needs)
        };
        if !self.told_ready && !self.delays_end && !self.slots.iter().any(waits) {
            self.told_ready = true;
            self.say(Word::Ready);
        }
    }

    fn say(&mut self, word: Word) {
        if let Some(launcher) = &self.launcher {
            let _ = send(launcher, word, &Descriptors::default());
        }
    }

    fn wait(&mut self) -> Result<(), String> {
        let mut fds = Vec::new();
        let container = self.fds.get("container").filter(|_| self.ended.is_none());
        fds.extend(container.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let launcher = self
            .launcher
            .as_ref()
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        let (has_container, has_launcher) = (!fds.is_empty(), launcher.is_some());
        fds.extend(launcher);
        let ports = self.fds.get("ports");
        fds.extend(ports.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let has_ports = ports.is_some();
        for running in self.slots.iter().filter_map(|s| s.running.as_ref()) {
            fds.push(PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN));
            // Its words come first; when it has ended, the pidfd says so.
            fds.push(PollFd::new(running.tell.fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, self.patience()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("wait (poll): {}", errno.desc())),
        }
        let mut happened = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let over = has_container && happened.next().unwrap_or(false);
        let called = has_launcher && happened.next().unwrap_or(false);
        let told = has_ports && happened.next().unwrap_or(false);
        let ends: Vec<bool> = happened.collect();
        drop(fds);
        if told {
            drop(self.fds.take("ports"));
        }
        if called {
            self.hear_launcher();
        }
        self.hear_workers(&ends)?;
        if over {
            self.ended = Some(Instant::now());
            self.had_launcher_at_end = self.launcher.is_some();
            // Before an engine removes the cgroup.
            let kills = self.fds.get(limits::KILLS).map(limits::kills);
            self.oom_kills = kills.unwrap_or(0);
            self.lifetime = None;
        }
        self.life();
        Ok(())
    }

    fn hear_launcher(&mut self) {
        let Some(launcher) = &self.launcher else {
            return;
        };
        match receive::<Order>(launcher, &mut self.fds) {
            Ok(Some(Order::Launched(pid))) => {
                self.pid = pid;
                if std::mem::take(&mut self.delays_end) {
                    self.delay = self.fds.get("container").and_then(Delay::begin);
                    let _ = drop_capabilities(&[Capability::CAP_KILL]);
                }
                self.lifetime = self.plan.watch.lifetime.map(|life| Deadline {
                    at: Instant::now() + Duration::from_secs(life.seconds),
                    signal: libc::SIGTERM,
                    life,
                });
            }
            Ok(Some(Order::Start { .. })) => {}
            Ok(None) | Err(_) => self.launcher = None,
        }
    }

    fn hear_workers(&mut self, ends: &[bool]) -> Result<(), String> {
        let mut ends = ends.chunks(2);
        let mut restarted = Vec::new();
        let mut failed = None;
        for slot in &mut self.slots {
            if slot.running.is_none() {
                continue;
            }
            let ended = ends.next().is_some_and(|e| e.first() == Some(&true));
            for said in slot.heard() {
                match said {
                    Said::Ready => {}
                    Said::Drained => {
                        self.drained = true;
                        // Capture has closed its own: the copy is at its end when ours are closed, too.
                        drop((
                            self.fds.take("copy-stdout-in"),
                            self.fds.take("copy-stderr-in"),
                        ));
                        // Output without a container of ours (the verb `logger`) is over with its streams.
                        if self.fds.get("container").is_none() {
                            self.ended.get_or_insert_with(Instant::now);
                        }
                    }
                    Said::Failed(why) if !slot.ready => {
                        failed = Some(format!("{}: {why}", slot.row.name))
                    }
                    Said::Failed(_) => {}
                }
            }
            if ended && let Some(how) = slot.ended() {
                restarted.push((slot.row.name, how, slot.restarts));
            }
        }
        for (worker, ended, count) in restarted {
            self.sender.send(What::WorkerRestarted {
                worker: worker.into(),
                ended,
                count,
            });
        }
        match failed {
            // Nothing runs before everybody is at work.
            Some(why) if !self.told_ready => Err(why),
            _ => Ok(()),
        }
    }

    /// TERM at the end of its lifetime, KILL after the grace.
    fn life(&mut self) {
        let Some(deadline) = &mut self.lifetime else {
            return;
        };
        if deadline.at > Instant::now() {
            return;
        }
        let Some(container) = self.fds.get("container") else {
            return;
        };
        let first = deadline.signal == libc::SIGTERM;
        let _ = process::pidfd_signal(container, deadline.signal);
        if !first {
            self.lifetime = None;
            return;
        }
        deadline.signal = libc::SIGKILL;
        deadline.at = Instant::now() + Duration::from_secs(deadline.life.grace);
        let life = deadline.life;
        self.sender.send(What::LifetimeReached {
            seconds: life.seconds,
            grace: life.grace,
        });
        self.say(Word::Lifetime);
    }

    /// Whether the caller has all that was said, or nobody hands it on.
    fn is_handed_on(&self) -> bool {
        self.slots.iter().all(|s| s.row.name != "copy" || s.over)
    }

    /// Whether something on its way is still waited for after the container's end: a caller that was told of the end has
    /// the output, and capture stores the counts.
    fn waits_for_the_last(&self) -> bool {
        let awaited = !self.drained || !self.is_handed_on() || self.counts_are_out();
        awaited && self.ended.is_some_and(|at| at.elapsed() < DRAIN)
    }

    /// Lets a container end whose output has reached its engine, or had time enough.
    fn let_it_end(&mut self) {
        let newcomer = self.plan.newcomer.is_some();
        let last = if newcomer { relay::NAME } else { "copy" };
        if self.slots.iter().any(|s| s.row.name == last && s.over) {
            // Who waits for the end of these streams waits no longer.
            drop((self.fds.take("to-stdout"), self.fds.take("to-stderr")));
            if newcomer {
                // Where nobody keeps it, nothing can be said.
                drop((self.fds.take("stdout"), self.fds.take("stderr")));
            }
        }
        if self.delay.is_none() {
            return;
        }
        if self.ending.is_none() && is_ending(self.pid) {
            self.ending = Some(Instant::now());
        }
        let enough = self.ending.is_some_and(|at| at.elapsed() >= DRAIN);
        if ((self.drained && self.is_handed_on()) || enough)
            && let Some(delay) = self.delay.take()
        {
            delay.end();
        }
    }

    /// Whether the last counts of limits and ports may still come: capture is to store them before it closes.
    fn counts_are_out(&self) -> bool {
        let mut slots = self.slots.iter();
        let last = [limits::NAME, accesses::NAME];
        let counts = slots.any(|s| last.contains(&s.row.name) && !s.over && s.running.is_some());
        let ports = self.fds.get("ports").is_some();
        counts || ports
    }

    /// Whether no verb has anything left to tell: capture is to store that, too.
    fn verbs_are_out(&mut self, begun: Instant) -> bool {
        let mut slots = self.slots.iter_mut();
        let Some(slot) = slots.find(|s| s.row.name == verbs::WORKER && !s.over) else {
            return true;
        };
        slot.finish(&self.fds);
        if begun.elapsed() >= verbs::HELD {
            slot.kill();
        }
        slot.over
    }

    /// The end, in order: the container, its output, the launcher, capture, everybody else.
    fn come_to_an_end(&mut self) {
        let launched = self.fds.get("container").is_some();
        let nobody = self.launcher.is_none();
        if !launched && nobody {
            self.drained = true;
            self.ended.get_or_insert_with(Instant::now);
        }
        let Some(ended) = self.ended else { return };
        let has_output = self
            .slots
            .iter()
            .any(|s| !s.over && ["capture", relay::NAME].contains(&s.row.name));
        if !self.drained && (!has_output || ended.elapsed() >= DRAIN) {
            self.drained = true;
        }
        if self.waits_for_the_last() {
            return;
        }
        if self.launcher.is_some() {
            // It closes its end when it has told its last event.
            if !std::mem::replace(&mut self.told_drained, true) {
                self.say(Word::Drained);
            }
            return;
        }
        let whole = self.plan.newcomer.is_none();
        if launched && whole && !self.had_launcher_at_end && self.finishing.is_none() {
            let container = self.fds.get("container");
            self.sender.send(how_it_ended(container, self.oom_kills));
        }
        let begun = *self.finishing.get_or_insert_with(Instant::now);
        if !self.verbs_are_out(begun) {
            return;
        }
        let (mut first, mut others) = (true, Vec::new());
        for slot in &mut self.slots {
            match slot.row.name {
                "capture" if !slot.over => {
                    slot.finish(&self.fds);
                    if begun.elapsed() >= CLOSE {
                        slot.kill();
                    }
                    first &= slot.over;
                }
                _ => others.push(slot),
            }
        }
        for slot in others {
            if !first || slot.over {
                continue;
            }
            slot.finish(&self.fds);
            if begun.elapsed() >= CLOSE + slot.row.last {
                slot.kill();
            }
        }
    }

    /// How long there is nothing to do.
    fn patience(&self) -> PollTimeout {
        let due = self.slots.iter().filter_map(|s| s.due(&self.fds));
        let life = self.lifetime.iter().map(|l| l.at);
        let drain = self
            .ended
            .iter()
            .filter(|_| self.waits_for_the_last())
            .map(|at| *at + DRAIN);
        let close = self.finishing.iter().flat_map(|at| {
            let last = self
                .slots
                .iter()
                .filter(|s| !s.over)
                .map(|s| CLOSE + s.row.last);
            last.map(|span| *at + span)
        });
        let held = self.finishing.iter().map(|at| *at + verbs::HELD);
        let held = held.filter(|at| *at > Instant::now());
        let look = self.delay.iter().map(|_| match self.ending {
            Some(at) => at + DRAIN,
            None => Instant::now() + LOOK,
        });
        let next = due.chain(look).chain(life).chain(drain);
        let next = next.chain(close).chain(held).min();
        next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    }
}
