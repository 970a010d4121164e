//! Who may come in by a published port, and how often. Counts what it refuses; called by `tcp` and `udp`.

use crate::plan::openings::Admission;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// From an address that is not listed.
    Source,
    /// Too many at once.
    Connections,
    /// Too many a second.
    Rate,
}

/// The gate of one socket.
pub(super) struct Gate {
    rules: Admission,
    open: u32,
    /// Thousandths of a connection that may still come.
    tokens: u64,
    filled: Instant,
}

impl Gate {
    pub(super) fn new(rules: &Admission, now: Instant) -> Self {
        Self {
            rules: rules.clone(),
            open: 0,
            tokens: rules.rate.map_or(0, |rate| u64::from(rate) * 1000),
            filled: now,
        }
    }

    /// Lets a connection in, and counts it; `from` is unknown for unix sockets alone.
    pub(super) fn enter(&mut self, from: Option<SocketAddr>, now: Instant) -> Result<(), Refusal> {
        let listed = |from: SocketAddr| self.rules.from.iter().any(|r| r.holds(from.ip()));
        if !self.rules.from.is_empty() && !from.is_some_and(listed) {
            return Err(Refusal::Source);
        }
        if self.rules.connections.is_some_and(|most| self.open >= most) {
            return Err(Refusal::Connections);
        }
        if let Some(rate) = self.rules.rate {
            self.fill(rate.into(), now);
            self.tokens = self.tokens.checked_sub(1000).ok_or(Refusal::Rate)?;
        }
        self.open += 1;
        Ok(())
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A second's worth at most: whoever was quiet for an hour may not come a thousand at a time.
    fn fill(&mut self, rate: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let passed = passed.min(Duration::from_secs(1)).as_millis() as u64;
        if passed > 0 {
            self.filled = now;
            self.tokens = (self.tokens + passed * rate).min(rate * 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::openings::cidr;

    fn rules(from: &[&str], connections: Option<u32>, rate: Option<u32>) -> Admission {
        Admission {
            from: from.iter().map(|r| cidr(r).unwrap()).collect(),
            connections,
            rate,
            proxy: None,
        }
    }

    fn from(text: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(text.parse().unwrap(), 1))
    }

    #[test]
    fn only_listed_sources_come_in() {
        let now = Instant::now();
        let mut gate = Gate::new(&rules(&["10.0.0.0/8", "::1"], None, None), now);
        assert_eq!(gate.enter(from("10.1.2.3"), now), Ok(()));
        assert_eq!(gate.enter(from("::1"), now), Ok(()));
        assert_eq!(gate.enter(from("192.0.2.1"), now), Err(Refusal::Source));
        assert_eq!(gate.enter(from("fe80::1"), now), Err(Refusal::Source));
        assert_eq!(gate.enter(None, now), Err(Refusal::Source));
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let now = Instant::now();
        let mut gate = Gate::new(&rules(&[], Some(2), None), now);
        assert_eq!(gate.enter(None, now), Ok(()));
        assert_eq!(gate.enter(None, now), Ok(()));
        assert_eq!(gate.enter(None, now), Err(Refusal::Connections));
        gate.leave();
        assert_eq!(gate.enter(None, now), Ok(()));
    }

    #[test]
    fn a_rate_is_a_second_s_worth_and_grows_with_time() {
        let start = Instant::now();
        let mut gate = Gate::new(&rules(&[], None, Some(10)), start);
        let mut let_in = |at: Duration| {
            let mut n = 0;
            while gate.enter(None, start + at).is_ok() {
                n += 1;
            }
            n
        };
        assert_eq!(let_in(Duration::ZERO), 10);
        assert_eq!(let_in(Duration::from_millis(500)), 5);
        assert_eq!(let_in(Duration::from_secs(3600)), 10);
    }
}
