//! How many answers a second: a program that does nothing but be refused must not have the watcher's processor time
//! for itself, which its own limits don't count. Allowed calls never come here.

use std::time::{Duration, Instant};

/// Answers a second in the long run. At some 5 µs each that is a twentieth of a processor.
const ANSWERS: f64 = 10_000.0;

/// As many at once as in one second.
pub(super) struct Pace {
    left: f64,
    seen: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: ANSWERS,
            seen: now,
        }
    }

    /// How long the next answer has to wait.
    fn delay(&mut self, now: Instant) -> Duration {
        let gone = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seen = now;
        self.left = (self.left + gone * ANSWERS).min(ANSWERS) - 1.0;
        // Ten at a time: a sleep is never as short as one answer's share.
        match self.left < -10.0 {
            true => Duration::from_secs_f64(-self.left / ANSWERS),
            false => Duration::ZERO,
        }
    }

    pub(super) fn wait(&mut self, now: Instant) {
        let delay = self.delay(now);
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let mut now = Instant::now();
        let begun = now;
        let mut pace = Pace::new(now);
        for _ in 0..30_000 {
            now += pace.delay(now);
        }
        let took = now.duration_since(begun).as_secs_f64();
        assert!((1.9..2.1).contains(&took), "{took}");
        now += Duration::from_secs(9);
        assert!((0..10_000).all(|_| pace.delay(now).is_zero()));
    }
}
