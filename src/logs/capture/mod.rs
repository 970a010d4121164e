//! The worker that moves a container's output from its pipes into the spool, and events beside it.
//!
//! It holds nothing that its successor would not find (see [`held`]): killed at any moment, nothing is lost and nothing
//! is stored twice. It never waits for anybody but the disk: a copy that nobody takes is dropped and counted.

pub(super) mod held;
mod newcomers;
mod pulse;
mod status;
mod stream;

pub use status::Status;

use super::record::Stream;
use super::spool::{HEADER, Settings, SpoolError, Stored, Writer};
use crate::events::{self, About, Sender, What};
use crate::plan::monitor::MonitorPlan;
use crate::worker::{Descriptors, Jail, Row, Said, Told, Worker, opens_nothing};
use newcomers::Newcomers;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};
use stream::{Brought, Source};

/// The row.
pub const ROW: Row = Row {
    name: "capture",
    wanted: |plan: &MonitorPlan| plan.watch.logs.is_some(),
    needs: &["spool", "stdout", "stderr", "events"],
    takes: &[
        "tell-events",
        super::newcomers::TAKES,
        super::newcomers::KNOWN,
        "hold-stdout",
        "hold-stdout-in",
        "held-stdout",
        "copy-stdout-in",
        "hold-stderr",
        "hold-stderr-in",
        "held-stderr",
        "copy-stderr-in",
    ],
    prepare,
    opens: opens_nothing,
    jail: |_| Jail {
        writes: vec!["spool"],
        ..Jail::default()
    },
    run,
    last: Duration::from_secs(10),
};

/// How soon a full spool, or a disk that fails, is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Output that comes faster than this is collected for [`GATHER`] before it is moved: what costs is being woken.
const BUSY: Duration = Duration::from_millis(1);
const GATHER: Duration = Duration::from_millis(2);

fn prepare(plan: &MonitorPlan, fds: &mut Descriptors) -> Result<(), String> {
    for name in ["stdout", "stderr"] {
        held::prepare(name, fds)
            .map_err(|e| format!("make what {name} is held in: {}", e.desc()))?;
    }
    super::newcomers::prepare(fds).map_err(|e| {
        format!(
            "make a socket pair for what exec's programs say: {}",
            e.desc()
        )
    })?;
    super::copy::prepare(plan, fds)
}

/// CLOCK_REALTIME in nanoseconds.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as u64)
}

struct Capture {
    writer: Writer,
    sources: [Source; 2],
    newcomers: Newcomers,
    events: Option<OwnedFd>,
    sender: Sender,
    status: Status,
    dir: OwnedFd,
    /// Output was written and is not on the disk for good.
    unsynced: Option<Instant>,
    /// The status file is older than what it tells.
    untold: Option<Instant>,
    /// Highest of the levels that was told.
    level: u8,
    full: bool,
    drained: bool,
    /// The monitor was killed, and policy lets the service go on: its end is what is left to wait for.
    alone: bool,
    clock: (Instant, u64),
    /// When the last heartbeat was sent, and the time between two.
    pulse: (Instant, Duration),
}

fn run(worker: &mut Worker) -> Result<(), String> {
    let mut capture = Capture::open(worker)?;
    // The file is there before the disk can be full.
    capture.tell_status();
    worker.tell.say(&Said::Ready);
    let mut last = Instant::now();
    let mut rushed = false;
    loop {
        let asked = match capture.wait(worker)? {
            true => worker.tell.asked(),
            false => Told::Nothing,
        };
        if rushed && last.elapsed() < BUSY {
            std::thread::sleep(GATHER);
        }
        last = Instant::now();
        capture.take_events();
        // More than a pipe's worth at once is moved without waiting for yet more.
        let bytes = capture.take_output()?;
        rushed = bytes > 0 && bytes < 256 << 10;
        capture.look_after()?;
        if capture.is_drained() && !std::mem::replace(&mut capture.drained, true) {
            let _ = capture.writer.tell_gaps(now_ns());
            capture.tell_status();
            worker.tell.say(&Said::Drained);
        }
        if capture.drained && capture.alone {
            return capture.close();
        }
        match asked {
            Told::Finish => return capture.close(),
            Told::Alone => capture.alone = true,
            Told::Nothing => {}
        }
    }
}

impl Capture {
    fn open(worker: &mut Worker) -> Result<Self, String> {
        let Some(logs) = &worker.plan.watch.logs else {
            return Err("there is nothing to log".into());
        };
        let settings = Settings {
            quota: logs.quota,
            when_full: logs.when_full,
            sync: logs.sync,
        };
        let pulse = Duration::from_secs(logs.heartbeat.max(1));
        let dir = worker.fds.must("spool")?;
        let own = dir.try_clone().map_err(|e| e.to_string())?;
        let text = |e: SpoolError| e.to_string();
        let mut writer = Writer::open(own, &worker.origin, settings, now_ns()).map_err(text)?;
        let events = worker.fds.must("events")?;
        let about = About::from(&worker.origin);
        let sender = Sender::by(about, worker.fds.take("tell-events"), None);
        let sources = [
            Source::open(Stream::Stdout, "stdout", &mut worker.fds, &mut writer)?,
            Source::open(Stream::Stderr, "stderr", &mut worker.fds, &mut writer)?,
        ];
        let newcomers = Newcomers::open(&mut worker.fds, &writer)?;
        let mut status =
            Status::load(&dir, &worker.origin).unwrap_or_else(|| Status::new(&worker.origin));
        status.restarts = worker.restarts;
        Ok(Self {
            writer,
            sources,
            newcomers,
            events: Some(events),
            sender,
            status,
            dir,
            unsynced: None,
            untold: Some(Instant::now()),
            level: 0,
            full: false,
            drained: false,
            alone: false,
            clock: (Instant::now(), now_ns()),
            pulse: (Instant::now(), pulse),
        })
    }

    /// Waits for something to do; whether the monitor has spoken.
    fn wait(&mut self, worker: &Worker) -> Result<bool, String> {
        // A closed socket would wake us for ever.
        let mut fds = Vec::with_capacity(4);
        if !self.alone {
            fds.push(PollFd::new(worker.tell.fd(), PollFlags::POLLIN));
        }
        fds.extend(
            self.events
                .iter()
                .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        if !self.full {
            let open = self.sources.iter().filter_map(Source::waits_for);
            let open = open.chain([self.newcomers.waits_for()]);
            fds.extend(open.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        }
        match poll(&mut fds, self.patience()) {
            Ok(_) | Err(Errno::EINTR) => {
                let spoken = !self.alone && fds[0].any() == Some(true);
                let newcomer = !self.full && fds.last().and_then(PollFd::any) == Some(true);
                drop(fds);
                if newcomer {
                    self.newcomers.wake();
                }
                Ok(spoken)
            }
            Err(errno) => Err(format!("wait (poll): {}", errno.desc())),
        }
    }

    fn patience(&self) -> PollTimeout {
        let second = Duration::from_secs(1);
        let again = self.full.then(|| Instant::now() + AGAIN);
        let sync = self.unsynced.map(|at| at + second);
        let tell = self.untold.map(|at| at + second);
        // A container that has ended has no heart, and its collector is told of the end.
        let pulse = (!self.drained).then(|| self.pulse.0 + self.pulse.1);
        let timers = again.into_iter().chain(sync).chain(tell).chain(pulse);
        let next = timers.min();
        next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    }

    /// Stores every event that is there.
    fn take_events(&mut self) {
        let Some(events) = self.events.take() else {
            return;
        };
        let more = self.store_events(&events);
        self.note_untold();
        if more {
            self.events = Some(events);
        }
    }

    /// Whether there may be more, now or later.
    fn store_events(&mut self, events: &OwnedFd) -> bool {
        let mut line = [0u8; events::MOST];
        let mut whole = Vec::new();
        // Not for ever: output wants to be moved, too.
        for _ in 0..64 {
            match events::receive(events, &mut line) {
                Ok(0) => return false,
                Ok(n) => {
                    whole.clear();
                    whole.resize(HEADER, 0);
                    whole.extend_from_slice(&line[..n]);
                    self.status.count(&line[..n]);
                    match self.writer.append(Stream::Event, now_ns(), &mut whole) {
                        Ok(Stored::Kept) => self.status.events += 1,
                        Ok(Stored::Dropped | Stored::Full) | Err(_) => self.status.events_lost += 1,
                    }
                    self.touch();
                }
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
        true
    }

    /// Moves what is in the pipes; how many bytes.
    fn take_output(&mut self) -> Result<usize, String> {
        let mut all = 0;
        self.full = false;
        // As much as two full pipes, then events get their turn.
        for _ in 0..32 {
            let mut idle = 0;
            let (writer, status) = (&mut self.writer, &mut self.status);
            let [out, err] = &mut self.sources;
            let brought = [
                out.bring(writer, status)?,
                err.bring(writer, status)?,
                self.newcomers.bring(writer, status)?,
            ];
            let ways = brought.len();
            for each in brought {
                match each {
                    Brought::Some(bytes) => all += bytes,
                    Brought::Nothing => idle += 1,
                    Brought::Stuck => {
                        idle += 1;
                        self.full = true;
                    }
                }
            }
            if idle == ways {
                break;
            }
        }
        if all > 0 {
            self.touch();
            self.unsynced.get_or_insert_with(Instant::now);
        }
        Ok(all)
    }

    /// What is missing and in no gap record, for a successor.
    fn note_untold(&mut self) {
        for source in &mut self.sources {
            source.note_untold(&self.writer);
        }
    }

    fn touch(&mut self) {
        self.untold.get_or_insert_with(Instant::now);
    }

    /// What time has made due: the disk, the status, levels, the clock.
    fn look_after(&mut self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        if self.unsynced.is_some_and(|at| at.elapsed() >= second) {
            self.unsynced = None;
            // A disk that fails is told with the status, and by the next write.
            let _ = self.writer.sync();
        }
        self.levels();
        self.beat();
        if self.untold.is_some_and(|at| at.elapsed() >= second) {
            self.untold = None;
            self.clock_step();
            let _ = self.writer.tell_gaps_if_room(now_ns());
            self.note_untold();
            self.tell_status();
            if !self.writer.has_told() {
                // Nobody says when there is room, or a disk that can be written again.
                self.touch();
            }
        }
        Ok(())
    }

    fn tell_status(&mut self) {
        self.status.next_seq = self.writer.next_seq();
        self.status.room = self.writer.room();
        self.status.full = self.full;
        let error = self.writer.take_error();
        self.status.error = error.or(self.status.error.take());
        let _ = self.status.store(&self.dir);
    }

    /// Events at 50, 80, 95 and 100 % of the quota, each once on the way up.
    fn levels(&mut self) {
        let room = self.writer.room();
        let percent = match self.full {
            true => 100,
            false => (room.used.saturating_mul(100) / room.quota.max(1)).min(99),
        };
        let level = [50u8, 80, 95, 100]
            .into_iter()
            .rev()
            .find(|l| u64::from(*l) <= percent);
        let level = level.unwrap_or(0);
        if level > self.level {
            self.sender.send(What::Spool {
                percent: level,
                bytes: room.used,
                quota: room.quota,
            });
        }
        self.level = level;
    }

    fn is_drained(&self) -> bool {
        self.sources.iter().all(Source::is_over)
    }

    /// Everything that is still in hand, and the end of the spool.
    fn close(mut self) -> Result<(), String> {
        self.newcomers.wake();
        self.take_output()?;
        for source in self.sources.iter_mut().filter(|_| self.full) {
            source.give_up(&mut self.writer, &mut self.status)?;
        }
        self.take_events();
        let _ = self.writer.tell_gaps(now_ns());
        self.note_untold();
        self.status.ended_ns = Some(now_ns());
        self.tell_status();
        // A successor could do no better; the next launch looks for the end itself.
        let _ = self.writer.close();
        Ok(())
    }
}
