//! What only time makes due: the heartbeat with its counters, and a look at the host's clock.
//!
//! Silence is told apart from death by the first, a wrong time stamp from a right one by the second. Called by capture's
//! loop; it changes nothing but what it counts.

use super::{Capture, Status, now_ns};
use crate::events::{Counters, What, parse};
use crate::logs::spool::Cursor;
use std::time::Instant;

/// A clock that differs by more from what has passed was set.
const STEP_MS: i64 = 1000;

/// By how much a clock was set that shows another span than the one that has passed, in milliseconds.
fn step(passed: i64, shown: i64) -> Option<i64> {
    let by = shown - passed;
    (by.abs() > STEP_MS).then_some(by)
}

impl Status {
    /// Takes the numbers out of an event on its way; most have none.
    pub(super) fn count(&mut self, line: &[u8]) {
        let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
        if !has(b"\"denied-call\"") && !has(b"\"worker-restarted\"") && !has(b"\"unsent\"") {
            return;
        }
        let Ok(event) = parse(line) else { return };
        self.unsent += event.unsent;
        match event.what {
            What::DeniedCall { count, untold, .. } => self.denied += count + untold,
            What::WorkerRestarted { .. } => self.workers_restarted += 1,
            _ => {}
        }
    }
}

impl Capture {
    /// Sends the heartbeat when it is due.
    pub(super) fn beat(&mut self) {
        let (last, span) = self.pulse;
        if self.drained || last.elapsed() < span {
            return;
        }
        self.pulse.0 = Instant::now();
        self.clock_step();
        let room = self.writer.room();
        let next = self.writer.next_seq();
        let status = &self.status;
        let counters = Counters {
            last_seq: next.saturating_sub(1),
            records: status.records,
            bytes: status.bytes,
            events: status.events,
            unsent: status.unsent,
            dropped: room.lost + status.events_lost,
            spool_bytes: room.used,
            waiting: self.waiting(next),
            denied: status.denied,
            restarts: status.workers_restarted,
        };
        self.sender.send(What::Heartbeat { counters });
    }

    /// Records that the collector that is behind most has not acknowledged; 0 where there is none.
    fn waiting(&self, next: u64) -> u64 {
        let names = Cursor::all(&self.dir).unwrap_or_default();
        let cursors = names
            .iter()
            .filter_map(|name| Cursor::peek(&self.dir, name));
        // An older segment of this launch has smaller numbers, one of an older launch has other ones.
        let (segment, first) = self.writer.segment();
        let at = cursors.map(|(at, _)| match at.segment == segment {
            true => at.seq,
            false => at.seq.min(first),
        });
        at.min().map_or(0, |seq| next.saturating_sub(seq.max(1)))
    }

    /// Tells a clock that was set.
    pub(super) fn clock_step(&mut self) {
        let (since, then) = self.clock;
        let passed = since.elapsed().as_millis() as i64;
        let shown = (now_ns() / 1_000_000) as i64 - (then / 1_000_000) as i64;
        self.clock = (Instant::now(), now_ns());
        if let Some(milliseconds) = step(passed, shown) {
            self.sender.send(What::ClockStep { milliseconds });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::About;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_runs() {
        assert_eq!(step(60_000, 60_000), None);
        assert_eq!(step(60_000, 60_999), None, "slewing");
        assert_eq!(step(60_000, 3_660_000), Some(3_600_000));
        assert_eq!(step(60_000, -3_540_000), Some(-3_600_000));
    }

    #[test]
    fn numbers_are_taken_out_of_events() {
        let origin = crate::logs::Origin {
            id: "c".into(),
            name: None,
            image: None,
            host: "h".into(),
            boot: "b".into(),
            launch: "l".into(),
        };
        let about = About::from(&origin);
        let mut status = Status::new(&origin);
        let restarted = What::WorkerRestarted {
            worker: "watch".into(),
            ended: "signal 9".into(),
            count: 1,
        };
        let denied = What::DeniedCall {
            call: "mount".into(),
            number: 165,
            arguments: Vec::new(),
            raw: Default::default(),
            answer: "EPERM".into(),
            pid: 1,
            count: 3,
            untold: 4,
        };
        for what in [restarted, denied, What::OomKilled { count: 9 }] {
            let mut event = what.event(&about, &[]);
            event.unsent = 2;
            status.count(&event.line());
        }
        status.count(b"{\"unsent\" and no JSON");
        assert_eq!(
            (status.denied, status.unsent, status.workers_restarted),
            (7, 6, 1)
        );
    }
}
