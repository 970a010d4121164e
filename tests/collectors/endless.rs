//! One line without an end, a gibibyte of it, from the pipe to a collector: memory stays as small as for any other, and
//! what the collector has is, put together again, what the service wrote.

use crate::lab::{self, Lab, until};
use crate::receivers::Rsyslog;
use crate::support::{Rig, finish, text, unique};
use aws_lc_rs::digest::{Context, SHA256};
use cofferdam::policy::{Protocol, Transport};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Blocks of one MiB.
const BLOCKS: u64 = 1024;

/// Letters, each block another; now and then what no log should be confused by.
fn blocks(mut take: impl FnMut(&[u8])) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b' ' + (state % 95) as u8
        })
        .collect();
    let hostile = b"\0\x1b[2J\r\xff\xfe\\x41 <14>1 - - - - - - \xc3\x28";
    for number in 0..BLOCKS {
        let digits = format!("{number:016}");
        block[..16].copy_from_slice(digits.as_bytes());
        let at = 1000 * (number as usize + 1) % (1 << 19);
        let kept = block[at..at + hostile.len()].to_vec();
        if number % 8 == 0 {
            block[at..at + hostile.len()].copy_from_slice(hostile);
        }
        take(&block);
        block[at..at + hostile.len()].copy_from_slice(&kept);
    }
}

/// The service: all of them, and no line feed.
pub fn pour() -> i32 {
    let own = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let mut out = fs::File::from(own);
    blocks(|block| out.write_all(block).unwrap());
    0
}

/// The greatest resident set that each process below the monitor has had, in KiB, by name.
fn peaks(monitor: i32, all: &mut BTreeMap<String, u64>) {
    let read = |path: String| fs::read_to_string(path).unwrap_or_default();
    let children = read(format!("/proc/{monitor}/task/{monitor}/children"));
    let pids = children.split_whitespace().map(str::to_string);
    for pid in pids.chain([monitor.to_string()]) {
        let status = read(format!("/proc/{pid}/status"));
        let value = |key: &str| {
            status
                .lines()
                .find_map(|l| Some(l.strip_prefix(key)?.trim()))
        };
        let (Some(name), Some(peak)) = (value("Name:"), value("VmHWM:")) else {
            continue;
        };
        let peak: u64 = peak.trim_end_matches(" kB").parse().unwrap();
        let most = all.entry(name.to_string()).or_default();
        *most = peak.max(*most);
    }
}

/// Puts the stored messages together again: bytes and their digest. What was on its way without an answer when the
/// container's shipper ended has been sent twice.
fn put_together(path: &Path) -> (u64, Vec<u8>) {
    let mut file = BufReader::with_capacity(1 << 20, fs::File::open(path).unwrap());
    let (mut line, mut count, mut whole) = (Vec::new(), 0, Context::new(&SHA256));
    let (mut last, mut bytes) = ((0, 0), Vec::new());
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).unwrap() == 0 {
            return (count, whole.finish().as_ref().to_vec());
        }
        let message = std::str::from_utf8(&line[..line.len() - 1]).unwrap();
        let (head, body) = message.split_once("\"] ").unwrap();
        if !head.contains(" stream=\"stdout\"") {
            continue;
        }
        let number = |key| {
            let value = head.split_once(key)?.1;
            value.split(['"', '/']).next()?.parse::<u64>().ok()
        };
        let place = (number(" seq=\"").unwrap(), number(" part=\"").unwrap_or(1));
        if place <= last {
            continue;
        }
        last = place;
        bytes.clear();
        match head.contains(" enc=\"esc\"") {
            true => unescape(body, &mut bytes),
            false => bytes.extend_from_slice(body.as_bytes()),
        }
        count += bytes.len() as u64;
        whole.update(&bytes);
    }
}

fn unescape(body: &str, out: &mut Vec<u8>) {
    let mut rest = body;
    while let Some((before, behind)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        out.push(u8::from_str_radix(&behind[..2], 16).unwrap());
        rest = &behind[2..];
    }
    out.extend_from_slice(rest.as_bytes());
}

#[test]
fn a_gibibyte_on_one_line_takes_no_memory_and_arrives_to_the_byte() {
    need!(Root);
    let (lab, rig) = (Lab::new(), Rig::new());
    let rsyslog = Rsyslog::new(&lab);
    let _running = rsyslog.start();
    let targets = [lab.target("relp", Protocol::Relp, Transport::Tcp, lab::RELP)];
    let policy = crate::check::policy(&targets, text(&rig.path("spool")));
    let room = "[logs]\nquota = \"3GiB\"\ncopy = \"none\"\n";
    fs::write(rig.path("policy.toml"), policy.replace("[logs]\n", room)).unwrap();
    let name = unique("endless");
    let mut run = rig.run_command(&name, &[], &["pour"]);
    let mut run = run.stdin(std::process::Stdio::null()).spawn().unwrap();
    let mut monitor = 0;
    until("the monitor", || {
        monitor = crate::killed::children(run.id() as i32, "cofferdam-mon")
            .first()
            .copied()
            .unwrap_or(0);
        monitor > 0
    });
    let mut all = BTreeMap::new();
    let status = loop {
        peaks(monitor, &mut all);
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
    until("the workers' end", || {
        peaks(monitor, &mut all);
        !Path::new(&format!("/proc/{monitor}")).exists()
    });
    let mut ship = rig.command();
    ship.args(["collectors", "ship", "--patience", "100"])
        .arg(rig.path("spool").join(&name));
    let shipped = finish(ship);
    assert_eq!(shipped.code, 0, "{} {}", shipped.out, shipped.err);
    eprintln!("{all:?}");
    for worker in ["cofferdam-mon", "cofferdam-captu", "cofferdam-ship"] {
        // A debug build's program is 40 MiB, of which what was executed counts.
        let peak = all.get(worker).copied().unwrap_or(0);
        assert!(peak > 0 && peak < 32 << 10, "{worker}: {peak} KiB");
    }
    let mut wanted = Context::new(&SHA256);
    blocks(|block| wanted.update(block));
    let (count, digest) = put_together(&rsyslog.file("relp"));
    assert_eq!(count, BLOCKS << 20);
    assert_eq!(digest, wanted.finish().as_ref());
}
