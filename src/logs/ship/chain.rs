//! Ships one row of records to the first of some targets that can be reached, until there are no more.
//!
//! Connects, sends what is not acknowledged, keeps what is, and begins again with back-off whenever there is trouble. It
//! gives up only when no more will come and nobody has taken the rest in time: that stays where it came from.

use super::super::{Kind, Origin, Record, Stream};
use super::backoff::Backoff;
use super::resolve::Resolver;
use super::sink::{Rejected, Sink};
use super::source::Source;
use super::station::Station;
use super::trouble::{Cause, Trouble};
use crate::events;
use crate::policy::EventForm;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many records are sent before the collector is listened to.
const TURN: usize = 1024;
/// How long an idle connection must stand before the collector counts as up.
const STANDING: Duration = Duration::from_secs(1);
/// How long a collector may take to read what it got before a connection is given up that was ended to find that out.
const READ: Duration = Duration::from_secs(60);
/// And the least, whatever the patience.
const READ_LAST: Duration = Duration::from_secs(2);
/// How often a source that can't wake anybody is asked, and a collector for answers too few to wake anybody.
const ASK: Duration = Duration::from_millis(100);
/// How long without any other reason.
const IDLE: Duration = Duration::from_secs(10);

/// Something that people should know about a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Lines reach it.
    Up {
        /// Its name.
        target: String,
        /// How many records wait for it.
        waiting: u64,
    },
    /// They don't.
    Down {
        /// Its name.
        target: String,
        /// How many records wait for it.
        waiting: u64,
        /// A sentence.
        why: String,
    },
    /// Somebody else stands where it should: nothing was sent.
    PeerRefused {
        /// Its name.
        target: String,
        /// A sentence.
        why: String,
    },
    /// It has refused some records for good.
    Rejected {
        /// Its name.
        target: String,
        /// Which.
        what: Rejected,
    },
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is delivered.
    Delivered,
    /// No more will come, but nobody took what is behind this number.
    Left(u64),
}

/// The shipper of one group of targets.
pub struct Chain<'a, S> {
    stations: &'a [Station],
    origin: &'a Origin,
    source: S,
    notice: &'a mut dyn FnMut(Notice),
    resolver: &'a mut Resolver,
    /// What was last told about each station.
    told: Vec<Option<Option<Cause>>>,
    delivered: u64,
    kept: u64,
    /// The last record that the sink has taken.
    passed: u64,
    /// What a station's last connection has brought there, if it can be connected to again at once.
    claim: Option<(usize, u64)>,
    patience: Duration,
    ended: Option<Instant>,
}

impl<'a, S: Source> Chain<'a, S> {
    /// `patience`: how long collectors are tried after the last record.
    pub fn new(
        stations: &'a [Station],
        origin: &'a Origin,
        source: S,
        patience: Duration,
        resolver: &'a mut Resolver,
        notice: &'a mut dyn FnMut(Notice),
    ) -> Self {
        let delivered = source.delivered();
        Self {
            stations,
            origin,
            source,
            notice,
            resolver,
            told: vec![None; stations.len()],
            delivered,
            kept: delivered,
            passed: delivered,
            claim: None,
            patience,
            ended: None,
        }
    }

    /// Ships until the source has ended. Only what concerns the source itself is an error.
    pub fn run(&mut self) -> Result<End, Trouble> {
        let mut backoff = Backoff::default();
        loop {
            let mut floor = Duration::ZERO;
            if let Some((at, mut sink)) = self.first_of(0..self.stations.len(), &mut floor) {
                let before = self.delivered;
                self.confirm(at)?;
                let why = match self.converse(at, &mut sink)? {
                    Turn::Over => match self.end(at, sink, self.patience.max(READ_LAST))? {
                        None if self.delivered >= self.passed => return Ok(End::Delivered),
                        None => continue,
                        Some(trouble) => trouble,
                    },
                    Turn::Worn => match self.end(at, sink, READ)? {
                        None => continue,
                        Some(trouble) => trouble,
                    },
                    // It was only tried; it is opened again behind what this one has taken.
                    Turn::Better(better) => {
                        self.keep(sink.finish(READ_LAST).arrived)?;
                        self.told[better] = None;
                        backoff.reset();
                        continue;
                    }
                    Turn::Trouble(trouble) => {
                        self.keep(sink.acknowledged())?;
                        trouble
                    }
                };
                if self.delivered > before || self.told[at] == Some(None) {
                    backoff.reset();
                }
                if let Cause::Busy(wait) = why.cause {
                    floor = wait;
                }
                self.down(at, why);
            }
            if let Some(trouble) = self.resolver.hidden() {
                return Err(trouble);
            }
            // Whoever can be connected to only later may have ended meanwhile.
            self.claim = None;
            if !self.pause(backoff.next(floor))? {
                return Ok(End::Left(self.delivered));
            }
        }
    }

    /// The first of the stations that opens.
    fn first_of(
        &mut self,
        which: std::ops::Range<usize>,
        floor: &mut Duration,
    ) -> Option<(usize, Box<dyn Sink>)> {
        for at in which {
            let station = &self.stations[at];
            match station.open(self.origin, self.resolver, self.delivered) {
                Ok(sink) => return Some((at, sink)),
                Err(trouble) => {
                    if let Cause::Busy(wait) = trouble.cause {
                        *floor = wait;
                    }
                    self.down(at, trouble);
                }
            }
        }
        None
    }

    /// Sends and listens until there is nothing more, or trouble.
    fn converse(&mut self, at: usize, sink: &mut Box<dyn Sink>) -> Result<Turn, Trouble> {
        let mut began = Instant::now();
        self.source.seek(self.delivered)?;
        // What an earlier connection was given beyond is none of this one's doubt: it may end sooner.
        self.passed = self.delivered;
        loop {
            // Asked before reading: what came meanwhile is seen in the next turn.
            let ended = self.source.ended();
            self.source.woken();
            let drained = match self.send(at, sink)? {
                Ok(drained) => drained,
                Err(trouble) => return Ok(Turn::Trouble(trouble)),
            };
            let acknowledged = sink.acknowledged();
            let stands = acknowledged > self.delivered || began.elapsed() >= STANDING;
            self.keep(acknowledged)?;
            if stands {
                self.up(at);
            }
            if drained && ended && sink.awaits().is_none() {
                return Ok(Turn::Over);
            }
            if sink.is_worn() {
                return Ok(Turn::Worn);
            }
            if at > 0 && began.elapsed() > self.stations[at].target.return_after() {
                let mut floor = Duration::ZERO;
                match self.first_of(0..at, &mut floor) {
                    Some((better, _)) => return Ok(Turn::Better(better)),
                    None => began = Instant::now(),
                }
            }
            if drained || !sink.has_room() {
                let told = self.told[at] == Some(None);
                let wait = if told { IDLE } else { STANDING };
                let wait = match at {
                    0 => wait,
                    _ => wait.min(self.stations[at].target.return_after()),
                };
                self.wait(Some(&**sink), wait)?;
            }
        }
    }

    /// One turn: the outer error is the source's, the inner one the collector's. Whether nothing is left for now.
    fn send(
        &mut self,
        at: usize,
        sink: &mut Box<dyn Sink>,
    ) -> Result<Result<bool, Trouble>, Trouble> {
        let form = self.stations[at].target.events.unwrap_or_default();
        let mut drained = false;
        for _ in 0..TURN {
            if !sink.has_room() {
                break;
            }
            let Some(record) = self.source.next()? else {
                drained = true;
                break;
            };
            self.passed = self.passed.max(record.seq);
            if let Err(trouble) = pass(&mut **sink, &record, form, self.origin) {
                return Ok(Err(trouble));
            }
        }
        let mut over = || -> Result<(), Trouble> {
            if drained || !sink.has_room() {
                sink.flush()?;
            }
            sink.receive()
        };
        if let Err(trouble) = over() {
            return Ok(Err(trouble));
        }
        if let Some(what) = sink.rejected() {
            let told = gap(&mut **sink, &what);
            let target = self.stations[at].target.name.clone();
            (self.notice)(Notice::Rejected { target, what });
            if let Err(trouble) = told {
                return Ok(Err(trouble));
            }
        }
        Ok(Ok(drained))
    }

    /// Ends a connection; trouble if that leaves in doubt what has arrived and the next connection can't tell either.
    fn end(
        &mut self,
        at: usize,
        sink: Box<dyn Sink>,
        patience: Duration,
    ) -> Result<Option<Trouble>, Trouble> {
        let ended = sink.finish(patience);
        self.keep(ended.arrived)?;
        if self.delivered >= self.passed {
            return Ok(None);
        }
        if ended.read < self.passed {
            let text = "the collector has ended the connection, or read nothing, before it had read everything";
            return Ok(Some(Trouble::new(Cause::Away, text)));
        }
        self.claim = Some((at, ended.read));
        Ok(None)
    }

    /// A station is connected to: what its last connection has brought there has arrived if there was nothing between.
    fn confirm(&mut self, at: usize) -> Result<(), Trouble> {
        match self.claim.take() {
            Some((station, read)) if station == at => {
                self.keep(read)?;
                self.up(at);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Keeps what is delivered, once a turn: whoever goes on after us if we are killed sends what a turn's answers were
    /// about a second time, and what was on its way, but no more.
    fn keep(&mut self, delivered: u64) -> Result<(), Trouble> {
        self.delivered = self.delivered.max(delivered);
        if self.delivered > self.kept {
            self.source.keep(self.delivered)?;
            self.kept = self.delivered;
        }
        Ok(())
    }

    /// Waits before the next attempt; false when there is nothing left to wait for.
    fn pause(&mut self, how_long: Duration) -> Result<bool, Trouble> {
        let until = Instant::now() + how_long;
        loop {
            if self.source.is_last() {
                let since = *self.ended.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.patience {
                    return Ok(false);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            self.source.woken();
            self.wait(None, left)?;
        }
    }

    /// Waits for the collector, and for the source if the collector takes more.
    fn wait(&self, sink: Option<&dyn Sink>, most: Duration) -> Result<(), Trouble> {
        let wake = match sink.is_none_or(Sink::has_room) {
            true => self.source.wake(),
            false => [None, None],
        };
        let asks = wake.iter().all(Option::is_none).then_some(ASK);
        let looks = [asks, sink.and_then(Sink::awaits)];
        let most = looks.into_iter().flatten().fold(most, Duration::min);
        let said = sink.and_then(Sink::descriptor);
        let fds = wake.into_iter().chain([said]).flatten();
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let most = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, most) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(errno) => Err(Trouble::local("wait (poll)", errno.desc())),
        }
    }

    fn up(&mut self, at: usize) {
        if self.told[at] != Some(None) {
            self.told[at] = Some(None);
            let target = self.stations[at].target.name.clone();
            let waiting = self.source.waiting(self.delivered);
            (self.notice)(Notice::Up { target, waiting });
        }
    }

    /// Told once for each sort of trouble, not at each attempt.
    fn down(&mut self, at: usize, trouble: Trouble) {
        let sort = match trouble.cause {
            Cause::Busy(_) => Cause::Busy(Duration::ZERO),
            other => other,
        };
        if self.told[at] == Some(Some(sort)) {
            return;
        }
        self.told[at] = Some(Some(sort));
        let (target, why) = (self.stations[at].target.name.clone(), trouble.text);
        (self.notice)(match sort {
            Cause::PeerRefused => Notice::PeerRefused { target, why },
            _ => Notice::Down {
                target,
                waiting: self.source.waiting(self.delivered),
                why,
            },
        });
    }
}

/// How a conversation ended.
enum Turn {
    /// No more will come and everything is with the collector.
    Over,
    /// The connection is to be ended and made again.
    Worn,
    /// One that stands before this one can be reached again.
    Better(usize),
    /// The connection is of no more use.
    Trouble(Trouble),
}

/// Hands a record to the protocol, events in the form that the target wants.
fn pass(
    sink: &mut dyn Sink,
    record: &Record<'_>,
    form: EventForm,
    origin: &Origin,
) -> Result<(), Trouble> {
    let is_event = record.stream == Stream::Event && record.kind == Kind::Line;
    if form == EventForm::Ocsf
        && is_event
        && let Ok(event) = events::parse(record.bytes)
        && let Ok(bytes) = serde_json::to_vec(&events::ocsf::of(&event, origin))
    {
        return sink.send(&Record {
            bytes: &bytes,
            ..*record
        });
    }
    sink.send(record)
}

/// What is told to a collector about what it did not take.
#[derive(Serialize)]
struct Gap<'a> {
    lost: u64,
    first: u64,
    last: u64,
    reason: &'a str,
}

fn gap(sink: &mut dyn Sink, what: &Rejected) -> Result<(), Trouble> {
    let reason = format!("rejected by the collector: {}", what.why);
    let gap = Gap {
        lost: what.count,
        first: what.first,
        last: what.last,
        reason: &reason,
    };
    let bytes = serde_json::to_vec(&gap).map_err(|error| Trouble::local("count a gap", error))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    sink.send(&Record {
        seq: 0,
        time_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        stream: Stream::Event,
        pid: 0,
        kind: Kind::Gap,
        bytes: &bytes,
    })?;
    sink.flush()
}
