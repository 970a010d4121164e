//! A whole spool shipped to one group of targets, launch by launch.
//!
//! Called by the monitor's worker and by `collectors ship`.

use super::chain::{Chain, End, Notice};
use super::resolve::Resolver;
use super::spooled::Spool;
use super::station::Station;
use super::trouble::Trouble;
use std::time::Duration;

/// Ships until nothing more will come. `patience`: how long collectors are tried after the last record, and how long
/// another process that ships the same may take.
pub fn ship(
    spool: &mut Spool,
    stations: &[Station],
    patience: Duration,
    notice: &mut dyn FnMut(Notice),
) -> Result<End, Trouble> {
    spool.claim(patience)?;
    let mut end = End::Delivered;
    let mut resolver = Resolver::new();
    while let Some(origin) = spool.row()? {
        let source = &mut *spool;
        end = Chain::new(stations, &origin, source, patience, &mut resolver, notice).run()?;
        if matches!(end, End::Left(_)) {
            break;
        }
    }
    Ok(end)
}
