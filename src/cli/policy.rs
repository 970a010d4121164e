//! `policy check` and `policy report`: a site's files read and judged, its launch records added up. Starts nothing.

use super::launch::policy_owner;
use super::{Global, ReportArgs};
use crate::policy::{CheckReport, Date, Migration};
use crate::report::{self, Failure};
use crate::site::{self, SiteError};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that a record may have; a launch's own is of some ten thousand.
const LONGEST: u64 = 4 << 20;

/// `policy check`.
pub(super) fn check(global: &Global, json: bool) -> Result<u8, Failure> {
    let loaded = match site::load(global.policy.as_deref(), policy_owner()) {
        Ok(policy) => Ok(policy),
        Err(SiteError::Invalid(problems)) => Err(problems),
        Err(other) => return Err(Failure::from_error(other)),
    };
    let check = CheckReport::new(&loaded, seconds_now());
    report::policy(&check, json);
    Ok(if check.is_valid() { 0 } else { 1 })
}

/// `policy report`.
pub(super) fn report(global: &Global, args: &ReportArgs) -> Result<u8, Failure> {
    let said = match &args.records {
        Some(path) => path.clone(),
        None => site::load(global.policy.as_deref(), policy_owner())
            .map_err(Failure::from_error)?
            .ceilings
            .records
            .map(PathBuf::from)
            .ok_or_else(|| {
                Failure::new(
                    "the policy keeps no records: write records = \"/var/log/cofferdam/launches.jsonl\" into it, or name a file with --records",
                )
            })?,
    };
    let migration = added_up(&said).map_err(|why| {
        Failure::new(format!(
            "can't read the records in {}: {why}",
            said.display()
        ))
    })?;
    if args.exceptions {
        let today = Date::of_seconds(seconds_now());
        report::line(migration.exceptions(today).trim_end());
    } else if args.json {
        report::print_json(&migration);
    } else {
        report::line(migration.to_string().trim_end());
    }
    Ok(0)
}

/// Line by line: a site has millions of launches.
fn added_up(path: &Path) -> std::io::Result<Migration> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut migration = Migration::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
            migration.unreadable(number, format!("it has more than {LONGEST} bytes"));
            continue;
        }
        migration.add_line(number, &line);
    }
    Ok(migration)
}

fn seconds_now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}
