//! `logs`: what a container said, how far it has been delivered, and whether it is as it was written.
//!
//! Reads spools and prints; decides nothing and changes nothing.

use super::Global;
use super::explain::since;
use super::launch::policy_owner;
use crate::logs::capture::Status;
use crate::logs::show::{Printer, Wanted};
use crate::logs::spool::{Cursor, Position, Reader, SpoolError, Verified, segments, verify};
use crate::report::{self, Failure};
use crate::request::is_name;
use crate::{clock, site};
use clap::Args;
use nix::fcntl::{OFlag, open};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use serde::Serialize;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// `logs`.
#[derive(Args, Debug)]
#[command(
    after_help = "logs NAME          prints what the container said\nlogs status NAME   tells what is kept, lost and delivered\nlogs verify NAME   checks every checksum and the chain of segments; 1 if anything is not as it was written"
)]
pub struct LogsArgs {
    /// Go on until the container has ended
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only what was said since: 30s, 10m, 2h, 7d, or a time like 2026-11-22T05:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// stdout, stderr, event, exec (of programs that `exec` started) or all [default: stdout and stderr]
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr", "event", "exec", "all"])]
    stream: Option<String>,
    /// Only the last launch of that name
    #[arg(long)]
    last: bool,
    /// A time in front of each line
    #[arg(long, short = 't')]
    timestamps: bool,
    /// As data: a line of JSON a record
    #[arg(long)]
    json: bool,
    /// Folder of the spools [default: the policy's]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// The container's name or id, with status or verify in front of it
    #[arg(required = true, num_args = 1..=2, value_name = "[status|verify] NAME")]
    words: Vec<String>,
}

/// What `logs status` tells.
#[derive(Debug, Serialize)]
struct Told {
    name: String,
    /// What capture has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Status>,
    /// Bytes of all segments.
    spool_bytes: u64,
    /// Number of the last record in the spool.
    last_seq: u64,
    collectors: Vec<Delivered>,
}

/// How far one collector is.
#[derive(Debug, Serialize)]
struct Delivered {
    collector: String,
    /// Records of the present launch with smaller numbers have arrived.
    up_to_seq: u64,
    segment: u64,
    /// Records that have not.
    lag: u64,
    /// When it acknowledged last, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<String>,
}

pub(super) fn logs(global: &Global, args: &LogsArgs) -> Result<u8, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let (verb, name) = match words[..] {
        [name] => (None, name),
        [verb @ ("status" | "verify"), name] => (Some(verb), name),
        _ => {
            return Err(Failure::new(format!(
                "{:?}: write logs NAME, logs status NAME or logs verify NAME",
                words.join(" ")
            )));
        }
    };
    if !is_name(name) {
        return Err(Failure::new(format!("{name:?} is no container's name")));
    }
    let path = place(global, args)?.join(name);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let dir = open(&path, flags, Mode::empty()).map_err(|errno| {
        Failure::new(format!(
            "there is no log of {name}: can't open {} (open): {}",
            path.display(),
            errno.desc()
        ))
    })?;
    let done = match verb {
        None => print(args, &path, dir),
        Some("status") => status(args, name, &dir),
        Some(_) => check(args, name, &dir),
    };
    done.map_err(Failure::from_error)
}

/// The spools' folder.
fn place(global: &Global, args: &LogsArgs) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.spool {
        return Ok(folder.clone());
    }
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let spool = policy.ceilings.logs.spool.map(PathBuf::from);
    spool.ok_or_else(|| {
        Failure::new(
            "the policy keeps no logs: write [logs] spool = \"/var/log/cofferdam/spool\" into it, or name a folder with --spool",
        )
    })
}

fn print(args: &LogsArgs, path: &std::path::Path, dir: OwnedFd) -> Result<u8, SpoolError> {
    let watch = args.follow.then(|| watch(path)).transpose()?;
    let wanted = Wanted {
        stream: args.stream.clone(),
        since: args.since.clone(),
    };
    let mut printer = Printer::new(wanted, args.json, args.timestamps);
    let own = duplicate(&dir)?;
    let begin = begin(args, &dir)?;
    let mut reader = match args.follow {
        true => Reader::open(own, begin),
        false => Reader::of_now(own, begin)?,
    };
    loop {
        // Looked at first: what was written before it is read below.
        let ended = watch.is_none() || has_ended(&dir);
        while let Some(frame) = reader.read()? {
            if !printer.frame(&frame) {
                return Ok(0);
            }
        }
        let is_read = printer.flush();
        match &watch {
            Some(watch) if is_read && !ended => drop(watch.read_events()),
            _ => return Ok(0),
        }
    }
}

fn watch(path: &std::path::Path) -> Result<Inotify, SpoolError> {
    let made = Inotify::init(InitFlags::IN_CLOEXEC).and_then(|watch| {
        let flags =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        watch.add_watch(path, flags).map(|_| watch)
    });
    failed(
        made.map_err(Into::into),
        "watch (inotify_add_watch)",
        "the folder",
    )
}

fn failed<T>(result: std::io::Result<T>, tried: &'static str, name: &str) -> Result<T, SpoolError> {
    result.map_err(|why| SpoolError {
        tried,
        name: name.into(),
        why,
    })
}

fn duplicate(dir: &OwnedFd) -> Result<OwnedFd, SpoolError> {
    failed(dir.try_clone(), "duplicate (fcntl)", "the folder")
}

/// The beginning, of everything or of the last launch.
fn begin(args: &LogsArgs, dir: &OwnedFd) -> Result<Position, SpoolError> {
    let mut begin = Position::default();
    let mut last = None;
    for segment in segments(dir)?.into_iter().rev().take_while(|_| args.last) {
        let here = Position {
            segment,
            ..Position::default()
        };
        let mut reader = Reader::open(duplicate(dir)?, here);
        reader.read()?;
        let launch = reader.origin().map(|o| o.launch.clone());
        if last.is_some() && last != launch {
            break;
        }
        (last, begin) = (launch, here);
    }
    Ok(begin)
}

/// Whether the last launch has written its last record.
fn has_ended(dir: &OwnedFd) -> bool {
    Status::read(dir).is_some_and(|s| s.ended_ns.is_some())
}

fn status(args: &LogsArgs, name: &str, dir: &OwnedFd) -> Result<u8, SpoolError> {
    let last = segments(dir)?.last().copied().unwrap_or(0);
    let begin = Position {
        segment: last,
        ..Position::default()
    };
    let mut reader = Reader::of_now(duplicate(dir)?, begin)?;
    while reader.read()?.is_some() {}
    let end = reader.position();
    let first = reader.head().map_or(1, |h| h.first_seq);
    let mut collectors = Vec::new();
    for file in Cursor::all(dir)? {
        let (at, stored_ns) = Cursor::peek(dir, &file).unwrap_or_default();
        // An older segment of this launch has smaller numbers, one of an older launch has other ones.
        let up_to_seq = match at.segment == end.segment {
            true => at.seq,
            false => at.seq.min(first),
        };
        collectors.push(Delivered {
            collector: file.trim_start_matches("cursor-").into(),
            up_to_seq,
            segment: at.segment,
            lag: end.seq.saturating_sub(up_to_seq.max(1)),
            acknowledged: (stored_ns != 0).then(|| {
                clock::rfc3339(
                    stored_ns / 1_000_000_000,
                    (stored_ns % 1_000_000_000) as u32,
                )
            }),
        });
    }
    let mut capture = Status::read(dir);
    if let Some(running) = capture.as_mut().filter(|c| c.ended_ns.is_none()) {
        running.error = Status::trouble(dir).or(running.error.take());
    }
    let told = Told {
        name: name.into(),
        capture,
        spool_bytes: crate::logs::spool::size(dir)?,
        last_seq: end.seq.saturating_sub(1),
        collectors,
    };
    match args.json {
        true => report::print_json(&told),
        false => show(&told),
    }
    Ok(0)
}

fn show(told: &Told) {
    report::line(&format!("{:<14}{}", "name", told.name));
    report::line(&format!("{:<14}{} bytes", "spool", told.spool_bytes));
    report::line(&format!("{:<14}{}", "last record", told.last_seq));
    if let Some(c) = &told.capture {
        let state = match (c.ended_ns, c.full) {
            (Some(_), _) => "ended",
            (None, true) => "waiting: the spool is full",
            (None, false) => "running",
        };
        report::line(&format!("{:<14}{state}", "launch"));
        report::line(&format!(
            "{:<14}{} of {} bytes",
            "quota", c.room.used, c.room.quota
        ));
        report::line(&format!(
            "{:<14}{} records, {} bytes; {} events",
            "stored", c.records, c.bytes, c.events
        ));
        report::line(&format!(
            "{:<14}{} records, {} bytes; {} events",
            "lost", c.room.lost, c.room.lost_bytes, c.events_lost
        ));
        report::line(&format!("{:<14}{} bytes", "copy behind", c.copy_lost));
        report::line(&format!("{:<14}{}", "restarts", c.restarts));
        if let Some(error) = &c.error {
            report::line(&format!("{:<14}{error}", "disk"));
        }
    }
    for c in &told.collectors {
        let when = c.acknowledged.as_deref().unwrap_or("never");
        report::line(&format!(
            "{:<14}{}: up to record {}, {} behind, acknowledged {when}",
            "collector",
            c.collector,
            c.up_to_seq.saturating_sub(1),
            c.lag
        ));
    }
}

fn check(args: &LogsArgs, name: &str, dir: &OwnedFd) -> Result<u8, SpoolError> {
    let found = verify(dir)?;
    let code = u8::from(!found.problems.is_empty());
    if args.json {
        report::print_json(&found);
        return Ok(code);
    }
    let Verified {
        segments,
        first,
        frames,
        records,
        ..
    } = &found;
    report::line(&format!(
        "{name}: {records} records in {frames} frames in {segments} segments, the first of them number {first}"
    ));
    for gap in &found.gaps {
        report::line(&format!("gap: {gap}"));
    }
    if let Some(hash) = &found.last_hash {
        report::line(&format!(
            "SHA-256 of the last segment, which holds those before it: {hash}"
        ));
    }
    for problem in &found.problems {
        report::line(&format!(
            "WRONG: segment {}: {}",
            problem.segment, problem.what
        ));
    }
    if found.problems.is_empty() {
        report::line("all of it is as it was written");
    }
    Ok(code)
}
