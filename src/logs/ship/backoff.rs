//! How long to wait before the next attempt: 50 ms, doubled each time up to 30 s, and of that a random part, so that a
//! thousand launchers don't come back to a collector in the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

/// Attempts that failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After an attempt that failed: how long until the next, at least `floor`.
    pub fn next(&mut self, floor: Duration) -> Duration {
        let most = ceiling(self.failures);
        self.failures = self.failures.saturating_add(1);
        share(most, random()).max(floor.min(LONGEST))
    }

    /// After one that did not.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

fn ceiling(failures: u32) -> Duration {
    FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST)
}

fn share(most: Duration, random: u32) -> Duration {
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Any number; the middle if there is no randomness, which does no harm here.
pub(super) fn random() -> u32 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => u32::MAX / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_thirty_seconds_and_never_exceeds_its_ceiling() {
        let told: Vec<u128> = (0..12).map(|n| ceiling(n).as_millis()).collect();
        assert_eq!(told[..4], [50, 100, 200, 400]);
        assert_eq!(told[10..], [30_000, 30_000]);
        assert_eq!(ceiling(u32::MAX), LONGEST);
        assert_eq!(share(LONGEST, 0), Duration::ZERO);
        assert_eq!(share(LONGEST, u32::MAX), LONGEST);
        let mut backoff = Backoff::default();
        for n in 0..50 {
            assert!(backoff.next(Duration::ZERO) <= ceiling(n));
        }
        assert!(backoff.next(Duration::from_secs(20)) >= Duration::from_secs(20));
        assert!(backoff.next(Duration::from_secs(2000)) <= LONGEST);
    }
}
