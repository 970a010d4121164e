//! Which refusals are told when: the first of a kind at once, the others counted and told every ten seconds.
//!
//! Bounded: [`KINDS`] kinds at a time, and what doesn't fit is counted in one number. Pure but for the clock it is given.

use super::What;
use crate::controls::ControlId;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Kinds that are told apart at a time.
const KINDS: usize = 256;
/// How long refusals of a kind that was told are counted before they are told.
const EVERY: Duration = Duration::from_secs(10);
/// Kinds told at once within one such span; more of them wait for its end.
const AT_ONCE: u32 = 64;

/// Something to tell.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) what: What,
    pub(crate) control: ControlId,
}

/// Something that was refused.
pub(crate) trait Refused {
    /// What makes two of them the same.
    type Kind: Clone + Eq + Hash;
    /// Which of them it is.
    fn kind(&self) -> &Self::Kind;
    /// As an event: so many of it, and of others.
    fn told(&self, count: u64, untold: u64) -> Told;
}

/// The refusals of one process.
pub(crate) struct Tally<R: Refused> {
    kinds: HashMap<R::Kind, Counted<R>>,
    at_once: u32,
    untold: u64,
    ends: Instant,
}

struct Counted<R> {
    last: R,
    waiting: u64,
}

impl<R: Refused> Tally<R> {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            kinds: HashMap::new(),
            at_once: AT_ONCE,
            untold: 0,
            ends: now + EVERY,
        }
    }

    /// One more; what of it is told now.
    pub(crate) fn count(&mut self, refused: R, now: Instant) -> Vec<Told> {
        let mut told: Vec<Told> = self.due(now).collect();
        let room = self.kinds.len() < KINDS;
        if let Some(counted) = self.kinds.get_mut(refused.kind()) {
            counted.waiting += 1;
            counted.last = refused;
        } else if room {
            let at_once = self.at_once > 0;
            self.at_once = self.at_once.saturating_sub(1);
            if at_once {
                told.push(refused.told(1, 0));
            }
            let (kind, waiting) = (refused.kind().clone(), u64::from(!at_once));
            let last = refused;
            self.kinds.insert(kind, Counted { last, waiting });
        } else {
            self.untold += 1;
        }
        told
    }

    /// When there is something to tell, if nothing else happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waits = self.untold > 0 || self.kinds.values().any(|c| c.waiting > 0);
        waits.then_some(self.ends)
    }

    /// What is told at the end of a span; kinds of which there were no more are forgotten, and so new when they come again.
    pub(crate) fn due(&mut self, now: Instant) -> impl Iterator<Item = Told> + use<R> {
        let mut told = Vec::new();
        if now >= self.ends {
            told = self.rest();
            self.ends = now + EVERY;
            self.at_once = AT_ONCE;
        }
        told.into_iter()
    }

    /// Everything that waits.
    pub(crate) fn rest(&mut self) -> Vec<Told> {
        self.kinds.retain(|_, counted| counted.waiting > 0);
        let mut told = Vec::new();
        for counted in self.kinds.values_mut() {
            let untold = std::mem::take(&mut self.untold);
            let waiting = std::mem::take(&mut counted.waiting);
            told.push(counted.last.told(waiting, untold));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::watch::Denial;
    use crate::seccomp::{Arch, Call, syscalls};

    fn denial(name: &str, first: u64) -> Denial {
        let number = syscalls::number(Arch::NATIVE, name).unwrap();
        let call = Call {
            number,
            audit_arch: Arch::NATIVE.audit_arch(),
            args: [first, 0, 0, 0, 0, 0],
        };
        Denial::of(&call, 1, 5)
    }

    fn counts(told: &[Told]) -> Vec<(u64, u64)> {
        let of = |t: &Told| match &t.what {
            What::DeniedCall { count, untold, .. } => (*count, *untold),
            other => panic!("{other:?}"),
        };
        told.iter().map(of).collect()
    }

    #[test]
    fn the_first_at_once_and_the_others_counted() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        assert_eq!(
            counts(&tally.count(denial("unshare", 1 << 17), now)),
            [(1, 0)]
        );
        for _ in 0..1000 {
            assert!(tally.count(denial("unshare", 1 << 17), now).is_empty());
        }
        assert_eq!(
            counts(&tally.count(denial("unshare", 1 << 28), now)),
            [(1, 0)]
        );
        assert_eq!(tally.next_due(), Some(now + EVERY));
        let later = now + EVERY;
        let due: Vec<Told> = tally.due(later).collect();
        assert_eq!(counts(&due), [(1000, 0)]);
        assert_eq!(tally.next_due(), None);
        // Nothing for a whole span: forgotten, and told at once when it comes again.
        assert!(tally.due(later + EVERY).next().is_none());
        let again = tally.count(denial("unshare", 1 << 17), later + EVERY);
        assert_eq!(counts(&again), [(1, 0)]);
    }

    #[test]
    fn however_many_kinds_memory_is_bounded_and_nothing_uncounted() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        let mut told = Vec::new();
        for at in 0..10_000 {
            told.extend(tally.count(denial("unshare", at), now));
        }
        assert_eq!(told.len(), AT_ONCE as usize);
        assert_eq!(tally.kinds.len(), KINDS);
        told.extend(tally.rest());
        let all: u64 = counts(&told).iter().map(|(c, u)| c + u).sum();
        assert_eq!(all, 10_000);
    }
}
