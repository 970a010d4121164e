//! What a forwarder tells: each port's connections and bytes, and whom it turned away.
//!
//! Refusals of a kind are told once at once and then counted ([`Tally`]); a port's counts every minute in which it was
//! used, and when the container has ended. Nothing is kept that grows with the number of connections.

use super::admission::Refusal;
use crate::controls::ControlId;
use crate::events::tally::{Refused, Tally, Told};
use crate::events::{Sender, What};
use nix::errno::Errno;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How often a port that is used is told.
const EVERY: Duration = Duration::from_secs(60);

/// Why somebody got no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The port's gate is closed to it.
    Gate(Refusal),
    /// It may not link to this container.
    Stranger,
    /// The one that was linked to does not permit this container.
    NotPermitted,
    /// Nobody serves the port inside.
    NotServed(i32),
    /// What was linked to, or connected to, is not there.
    Missing(i32),
}

impl Why {
    fn control(self) -> ControlId {
        match self {
            Self::Stranger | Self::NotPermitted | Self::Missing(_) => ControlId::S8_5_4,
            Self::Gate(_) | Self::NotServed(_) => ControlId::S8_2_4,
        }
    }

    /// Nobody serves the port inside.
    pub(super) fn not_served(errno: Errno) -> Self {
        Self::NotServed(errno as i32)
    }

    pub(super) fn missing(errno: Errno) -> Self {
        Self::Missing(errno as i32)
    }

    fn words(self) -> String {
        let said = |errno| Errno::from_raw(errno).desc();
        match self {
            Self::Gate(Refusal::Source) => "its address is not one that may come in".into(),
            Self::Gate(Refusal::Connections) => "as many are connected as may be at once".into(),
            Self::Gate(Refusal::Rate) => "more came in a second than may".into(),
            Self::Stranger => "it is not a permitted peer for this port".into(),
            Self::NotPermitted => "that container does not permit this one to link there".into(),
            Self::NotServed(errno) => {
                format!("the program does not serve it: {}", said(errno))
            }
            Self::Missing(errno) => format!("the target is not there: {}", said(errno)),
        }
    }
}

/// One that was turned away.
pub(super) struct TurnedAway {
    kind: (u16, String, Why),
}

impl Refused for TurnedAway {
    type Kind = (u16, String, Why);

    fn kind(&self) -> &Self::Kind {
        &self.kind
    }

    fn told(&self, count: u64, untold: u64) -> Told {
        let (port, peer, why) = &self.kind;
        Told {
            what: What::PortRefused {
                port: *port,
                peer: peer.clone(),
                why: why.words(),
                count,
                untold,
            },
            control: why.control(),
        }
    }
}

/// A port, as far as it was not told yet.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    number: u16,
    accepted: u64,
    refused: u64,
    open: u64,
    /// To the container, and from it.
    bytes: [u64; 2],
    /// Open when it was last told.
    told: u64,
}

impl Port {
    fn has_news(&self) -> bool {
        let counted = [self.accepted, self.refused, self.bytes[0], self.bytes[1]];
        counted != [0; 4] || self.open != self.told
    }
}

/// All that one forwarder has to tell.
pub(super) struct Counts {
    events: Sender,
    ports: Vec<Port>,
    refusals: Tally<TurnedAway>,
    due: Option<Instant>,
}

impl Counts {
    pub(super) fn new(events: Sender, now: Instant) -> Self {
        Self {
            events,
            ports: Vec::new(),
            refusals: Tally::new(now),
            due: None,
        }
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.events.numbers()
    }

    fn port(&mut self, number: u16) -> &mut Port {
        let at = self.ports.iter().position(|p| p.number == number);
        let at = at.unwrap_or_else(|| {
            self.ports.push(Port {
                number,
                ..Port::default()
            });
            self.ports.len() - 1
        });
        &mut self.ports[at]
    }

    pub(super) fn accepted(&mut self, port: u16) {
        let port = self.port(port);
        port.accepted += 1;
        port.open += 1;
    }

    /// A peer has got a connection of its own, which doesn't pass through here.
    pub(super) fn linked(&mut self, port: u16) {
        self.port(port).accepted += 1;
    }

    pub(super) fn ended(&mut self, port: u16) {
        let port = self.port(port);
        port.open = port.open.saturating_sub(1);
    }

    /// So many bytes to the container, and from it.
    pub(super) fn moved(&mut self, port: u16, bytes: [u64; 2]) {
        let port = self.port(port);
        port.bytes[0] += bytes[0];
        port.bytes[1] += bytes[1];
    }

    pub(super) fn refused(&mut self, port: u16, peer: impl Into<String>, why: Why, now: Instant) {
        self.port(port).refused += 1;
        if self.events.is_heard() {
            let kind = (port, peer.into(), why);
            let told = self.refusals.count(TurnedAway { kind }, now);
            self.send(told);
        }
    }

    /// What is due is told; when to come again, if there is something to tell then.
    pub(super) fn due(&mut self, now: Instant) -> Option<Duration> {
        if !self.events.is_heard() {
            return None;
        }
        let told: Vec<Told> = self.refusals.due(now).collect();
        self.send(told);
        let news = self.ports.iter().any(Port::has_news);
        match self.due {
            Some(due) if due <= now => self.tell(),
            None if news => self.due = Some(now + EVERY),
            _ => {}
        }
        let next = self.due.into_iter().chain(self.refusals.next_due()).min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn tell(&mut self) {
        self.due = None;
        for port in self.ports.iter_mut().filter(|p| p.has_news()) {
            self.events.send(What::Port {
                port: port.number,
                accepted: port.accepted,
                refused: port.refused,
                open: port.open,
                bytes_in: port.bytes[0],
                bytes_out: port.bytes[1],
            });
            *port = Port {
                number: port.number,
                open: port.open,
                told: port.open,
                ..Port::default()
            };
        }
    }

    /// The container has ended.
    pub(super) fn finish(&mut self) {
        let rest = self.refusals.rest();
        self.send(rest);
        self.tell();
    }

    fn send(&self, all: Vec<Told>) {
        for told in all {
            self.events.send_of(told.what, &[told.control]);
        }
    }
}

/// A client, without its port: whoever tries again is the same one.
pub(super) fn client(from: Option<SocketAddr>) -> String {
    from.map_or_else(|| "unknown".into(), |from| from.ip().to_string())
}
