//! `explain`: reads a container's events and says what was refused, why, and what would let it pass.

use super::Global;
use super::launch::policy_owner;
use crate::events::explain::Explanation;
use crate::events::{self, Reason};
use crate::logs::spool::{Position, Reader};
use crate::logs::{Kind, Stream};
use crate::report::{self, Failure};
use crate::{clock, site};
use clap::Args;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// File that `run --events` wrote [default: the container's spool, and the refused launches on record]
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Only what has happened since: 30s, 10m, 2h, 7d, or a time like 2026-11-22T05:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// As data
    #[arg(long)]
    json: bool,
    /// The container's name or id
    name: String,
}

/// A time in the form of events, which can be compared as texts.
pub(super) fn since(text: &str) -> Result<String, String> {
    let wrong = || "30s, 10m, 2h, 7d, or a time like 2026-11-22T05:00:00Z".to_string();
    if text.contains('T') {
        let text = text.strip_suffix('Z').unwrap_or(text);
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        // As many digits as there are, up to microseconds.
        let time = format!("{whole}.{:0<6.6}Z", part);
        return clock::seconds(&time).map(|_| time).ok_or_else(wrong);
    }
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let now = clock::seconds(&clock::now()).map_or(0, |(seconds, _)| seconds);
    Ok(clock::rfc3339(
        now.saturating_sub(number.saturating_mul(unit)),
        0,
    ))
}

pub(super) fn explain(global: &Global, args: &ExplainArgs) -> Result<u8, Failure> {
    let mut all = Explanation::of(&args.name);
    let mut told = Told {
        all: &mut all,
        since: args.since.as_deref().unwrap_or_default(),
    };
    match &args.events {
        Some(path) => told.file(path)?,
        None => {
            let policy = site::load(global.policy.as_deref(), policy_owner())
                .map_err(Failure::from_error)?;
            let spool = policy.ceilings.logs.spool.as_deref().map(Path::new);
            let records = policy.ceilings.records.as_deref().map(Path::new);
            if spool.is_none() && records.is_none() {
                return Err(Failure::new(
                    "the policy keeps neither events nor records: write [logs] spool = \"/var/log/cofferdam/spool\" into it, or name a file with --events",
                ));
            }
            if let Some(spool) = spool {
                told.spool(&spool.join(&args.name))?;
            }
            if let Some(records) = records {
                told.records(records, &args.name)?;
            }
        }
    }
    match args.json {
        true => report::print_json(&all),
        false => report::line(all.screen(columns()).trim_end()),
    }
    Ok(0)
}

fn columns() -> usize {
    let size = crate::sys::terminal::size(std::io::stdout().as_fd());
    size.map_or(100, |(_, columns)| columns.into())
}

/// What a refused launch's record says.
#[derive(Deserialize)]
struct Record {
    result: String,
    name: String,
    requested: String,
    #[serde(default)]
    violations: Vec<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    control: crate::controls::ControlId,
    pointer: String,
    found: String,
    remedy: String,
}

/// Longest line of a record; more is none of ours.
const LINE: u64 = 1 << 20;

struct Told<'a> {
    all: &'a mut Explanation,
    since: &'a str,
}

impl Told<'_> {
    fn event(&mut self, line: &[u8]) {
        match events::parse(line) {
            Ok(event) if event.time.as_str() >= self.since => self.all.add(&event),
            Ok(_) => {}
            Err(_) => self.all.unreadable(),
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let bad = |why: std::io::Error| {
            Failure::new(format!(
                "can't read the events in {}: {why}",
                path.display()
            ))
        };
        let file = File::open(path).map_err(bad)?;
        lines(file, |line| self.event(line)).map_err(bad)
    }

    fn spool(&mut self, path: &Path) -> Result<(), Failure> {
        let dir = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path);
        let dir = match dir {
            Ok(dir) => dir,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Err(why) => {
                let text = format!("can't read the spool {}: {why}", path.display());
                return Err(Failure::new(text));
            }
        };
        let mut reader =
            Reader::of_now(dir.into(), Position::default()).map_err(Failure::from_error)?;
        while let Some(frame) = reader.read().map_err(Failure::from_error)? {
            if frame.stream != Stream::Event {
                continue;
            }
            for record in frame.records().filter(|r| r.kind == Kind::Line) {
                self.event(record.bytes);
            }
        }
        Ok(())
    }

    fn records(&mut self, path: &Path, name: &str) -> Result<(), Failure> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Err(why) => {
                let text = format!("can't read the records in {}: {why}", path.display());
                return Err(Failure::new(text));
            }
        };
        let read = lines(file, |line| {
            let Ok(record) = serde_json::from_slice::<Record>(line) else {
                return;
            };
            let ours = record.name == name && record.requested.as_str() >= self.since;
            if record.result != "refused" || !ours {
                return;
            }
            let reasons: Vec<Reason> = record.violations.into_iter().map(Reason::from).collect();
            self.all.add_refusal(&reasons, &record.requested);
        });
        read.map_err(|why| Failure::new(format!("can't read {}: {why}", path.display())))
    }
}

impl From<Broken> for Reason {
    fn from(broken: Broken) -> Self {
        Self {
            control: Some(broken.control),
            at: broken.pointer,
            found: broken.found,
            remedy: broken.remedy,
        }
    }
}

/// Each line, none held beyond [`LINE`] bytes.
fn lines(file: File, mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut from = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            each(line);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_as_people_write_them() {
        let now = crate::clock::now();
        assert!(super::since("0s").unwrap()[..16] <= now[..16]);
        assert!(super::since("9999999999d").unwrap().starts_with("1970"));
        assert_eq!(
            super::since("2026-11-22T05:00:00Z").unwrap(),
            "2026-11-22T05:00:00.000000Z"
        );
        for bad in [
            "",
            "x",
            "1",
            "1y",
            "é",
            "-1s",
            "2026-11-22T",
            "99999999999999999999999d",
        ] {
            assert!(super::since(bad).is_err(), "{bad}");
        }
    }
}
