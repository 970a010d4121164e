//! What arrived, compared with what was written: lost, duplicate, out of order, changed.

use crate::producer::line;
use std::path::Path;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub stored: u64,
    pub lost: u64,
    pub duplicate: u64,
    pub disordered: u64,
    pub changed: u64,
}

/// Counts messages of a file: each has seq="N" in its structured data and ends with the line of that number.
pub fn syslog(path: &Path, lines: u64) -> Count {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // A message that a receiver was killed over may stand there without its end.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let message = |l: &str| {
        let (_, rest) = l.split_once(" seq=\"")?;
        let (number, rest) = rest.split_once('"')?;
        let (_, body) = rest.split_once("] ")?;
        Some((number.parse().ok()?, body.to_string()))
    };
    count(whole.lines().filter_map(message), lines)
}

/// Counts numbered lines.
pub fn count(all: impl Iterator<Item = (u64, String)>, lines: u64) -> Count {
    let mut seen = vec![false; usize::try_from(lines).unwrap() + 1];
    let mut told = Count::default();
    let mut last = 0;
    for (number, body) in all {
        told.stored += 1;
        if body != line(number) {
            told.changed += 1;
            continue;
        }
        let seen = &mut seen[usize::try_from(number).unwrap()];
        if std::mem::replace(seen, true) {
            told.duplicate += 1;
        } else if number < last {
            told.disordered += 1;
        }
        last = last.max(number);
    }
    told.lost = seen[1..].iter().filter(|s| !**s).count() as u64;
    told
}
