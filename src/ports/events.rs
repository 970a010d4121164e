//! What the forwarder counts: connections let in, turned away, broken off.

use super::admission::Refusal;
use nix::errno::Errno;

/// Counted since the forwarder began.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Let in.
    pub(super) accepted: u64,
    /// Broken off by one side.
    pub(super) broken: u64,
    /// Datagrams that came when there were too many clients.
    pub(super) dropped: u64,
    /// Turned away: by what.
    pub(super) source: u64,
    pub(super) connections: u64,
    pub(super) rate: u64,
    /// The other side was not there, or did not want it.
    pub(super) unreachable: u64,
    pub(super) not_permitted: u64,
}

impl Counts {
    pub(super) fn refused(&mut self, _door: usize, why: Refusal) {
        match why {
            Refusal::Source => self.source += 1,
            Refusal::Connections => self.connections += 1,
            Refusal::Rate => self.rate += 1,
        }
    }

    pub(super) fn unreachable(&mut self, _door: usize, errno: Errno) {
        match errno {
            Errno::EACCES => self.not_permitted += 1,
            _ => self.unreachable += 1,
        }
    }
}
