//! The workers, in the order in which they are started. A new one gets its row here.

use crate::worker::Row;

/// All of them.
pub const TABLE: &[&Row] = &[
    &crate::logs::capture::ROW,
    &crate::logs::copy::ROW,
    &crate::logs::relay::ROW,
    &crate::events::watch::ROW,
    &crate::events::verbs::ROW,
    &crate::events::limits::ROW,
    &crate::events::accesses::ROW,
    &crate::logs::ship::ROWS[0],
    &crate::logs::ship::ROWS[1],
    &crate::logs::ship::ROWS[2],
    &crate::logs::ship::ROWS[3],
    &super::guard::ROW,
];
