//! A captured log, from its service's side: taking back what was said, and saying what others are to have said.
//!
//! Tried where standard error is a spool's pipe; `inside::logged` then looks at what the spool holds.

use super::calls::{open, sys};
use super::{Field, Layer, Needs, Probe, Tried};
use crate::controls::ControlId;
use crate::controls::ControlId::{S8_4_2, S8_4_13};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

const PIPE: (Layer, &[&str]) = (Layer::LogPipe, &["EACCES"]);

/// What the outside answers when all that was written is there, and as nothing but output.
pub const KEPT: &str = "kept as output";

/// What stands in every forgery.
pub const FORGED: &str = "cofferdam-forged";

/// Lines that a service writes whose log is to be emptied behind it.
const LINES: usize = 64;
/// How often a thief tries at most, who can read: the collector is awake, too.
const TRIES: usize = 20_000;

const fn forged(id: &'static str, what: &'static str, deed: fn(&Field) -> Tried) -> Probe {
    const CONTROLS: &[ControlId] = &[S8_4_2, S8_4_13];
    const BY: (Layer, &[&str]) = (Layer::Capture, &[KEPT]);
    Probe::new(id, what, CONTROLS, BY, deed).needing(Needs::Logged)
}

pub(super) const PROBES: &[Probe] = &[
    Probe::new(
        "log/steal",
        "take its lines out of the captured log again (read /proc/self/fd/2)",
        &[S8_4_2, S8_4_13],
        PIPE,
        |_| steal("steal"),
    )
    .needing(Needs::Logged),
    Probe::new(
        "log/steal-both-ways",
        "open the captured log for reading and writing",
        &[S8_4_2],
        PIPE,
        |_| open("/proc/self/fd/2", libc::O_RDWR | libc::O_NONBLOCK),
    )
    .needing(Needs::Logged),
    Probe::new(
        "log/steal-output",
        "open captured standard output for reading",
        &[S8_4_2],
        PIPE,
        |_| open("/proc/self/fd/1", libc::O_RDONLY | libc::O_NONBLOCK),
    )
    .needing(Needs::Logged),
    Probe::new(
        "log/unlock",
        "let everybody read the captured log (fchmod of its pipe)",
        &[S8_4_2],
        (Layer::LogPipe, &["EPERM"]),
        |_| sys(libc::SYS_fchmod, [2, 0o666]),
    )
    .needing(Needs::Logged),
    Probe::new(
        "log/complete",
        "write lines and have fewer of them in the log",
        &[S8_4_2, S8_4_13],
        (Layer::LogPipe, &[KEPT]),
        |_| {
            let _ = steal("complete");
            0
        },
    )
    .needing(Needs::Logged),
    forged(
        "log/forge-event",
        "write an event into the log as the launcher would",
        |_| say("log/forge-event"),
    ),
    forged(
        "log/forge-frame",
        "write a frame of the spool into the log, header and checksum",
        |_| say("log/forge-frame"),
    ),
    forged(
        "log/forge-gap",
        "write that lines are missing, and hide others so",
        |_| say("log/forge-gap"),
    ),
    forged(
        "log/forge-syslog",
        "write a syslog header of another service into the log",
        |_| say("log/forge-syslog"),
    ),
];

/// What this attack writes into standard error; nothing for those that forge nothing.
pub fn written(id: &str) -> Vec<u8> {
    let text = match id {
        "log/forge-event" => concat!(
            r#"{"version":1,"event":"ended","container":"other","code":0,"by":"cofferdam-forged"}"#,
            "\n"
        ),
        "log/forge-gap" => concat!(
            "[missing: cofferdam-forged]\n",
            r#"{"gap":"drop_new","bytes":9000,"records":90,"why":"cofferdam-forged"}"#,
            "\n"
        ),
        "log/forge-syslog" => concat!(
            "cofferdam-forged\n<13>1 2026-01-01T00:00:00Z host sshd 1 - - cofferdam-forged\r\n",
            "60 <86>1 2026-01-01T00:00:00Z host su - - - cofferdam-forged\0\n",
            "2026-01-01T00:00:00Z stderr F cofferdam-forged\n"
        ),
        "log/forge-frame" => return frame(b"{\"event\":\"ended\",\"by\":\"cofferdam-forged\"}"),
        _ => "",
    };
    text.as_bytes().to_vec()
}

/// A frame of events as one would make it who knows all but the salt; it begins and ends a line.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut header = [0u8; crate::logs::spool::HEADER];
    header[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    header[8..16].copy_from_slice(&1u64.to_le_bytes());
    header[24] = 2;
    let sum = crc32fast::hash(&[&header[..4], &header[8..], bytes].concat());
    header[4..8].copy_from_slice(&sum.to_le_bytes());
    [b"cofferdam-forged ", &header[..], bytes, b"\n"].concat()
}

fn say(id: &str) -> Tried {
    super::calls::io(std::io::stderr().write_all(&written(id)))
}

/// A line that a thief writes.
fn line(word: &str, number: usize) -> String {
    format!("{word} {number}\n")
}

/// The line behind the last one.
fn last(word: &str, lines: usize) -> String {
    format!("{word} wrote {lines}\n")
}

/// Whether all lines that a thief says to have written are there.
pub fn is_complete(word: &str, log: &[u8]) -> bool {
    let log = String::from_utf8_lossy(log);
    let told = log
        .lines()
        .find_map(|l| l.strip_prefix(word)?.strip_prefix(" wrote "));
    let Some(count) = told.and_then(|n| n.parse::<usize>().ok()) else {
        return false;
    };
    let all: String = (0..count.min(TRIES)).map(|n| line(word, n)).collect();
    count > 0 && log.contains(&format!("{all}{}", last(word, count)))
}

/// Writes lines and reads what is in the pipe, in turns; stops with the first line that it has got back.
fn steal(word: &str) -> Tried {
    let mut log = std::io::stderr();
    let mut options = File::options();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let mut opened: Result<File, Tried> = Err(libc::EACCES);
    let (mut lines, mut stolen) = (0, false);
    while !stolen && lines < if opened.is_ok() { TRIES } else { LINES } {
        let _ = log.write_all(line(word, lines).as_bytes());
        lines += 1;
        if opened.is_err() {
            opened = options
                .open("/proc/self/fd/2")
                .map_err(|e| e.raw_os_error().unwrap_or(libc::EIO));
        }
        if let Ok(file) = &mut opened {
            stolen = matches!(file.read(&mut [0; 4096]), Ok(1..));
        }
    }
    // Nobody reads but the collector from here on.
    let answer = opened.map(drop);
    let _ = log.write_all(last(word, lines).as_bytes());
    match answer {
        Ok(()) if stolen => 0,
        Ok(()) => libc::EAGAIN,
        Err(errno) => errno,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_line_shows() {
        assert!(is_complete("w", b"x\nw 0\nw 1\nw wrote 2\n"));
        assert!(!is_complete("w", b"x\nw 1\nw wrote 2\n"));
        assert!(!is_complete("w", b"w 0\nw 1\n"));
        assert!(!is_complete("w", b"w wrote 0\n"));
    }

    #[test]
    fn each_forgery_can_be_told() {
        for probe in PROBES.iter().filter(|p| p.by == Layer::Capture) {
            let text = written(probe.id);
            assert!(String::from_utf8_lossy(&text).contains(FORGED));
            assert!(text.ends_with(b"\n"));
        }
    }
}
