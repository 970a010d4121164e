//! /proc/PID/net: interfaces and sockets of a network namespace. Parsers; judges nothing.

use super::facts::Facts;
use std::collections::BTreeSet;

/// Whether its network namespace is known to be another than the reader's.
pub fn is_own(facts: &Facts) -> bool {
    match facts.namespaces.get("net") {
        Some((Ok(own), Some(host))) => own != host,
        _ => false,
    }
}

/// Names of net/dev without loopback.
pub fn interfaces(text: &str) -> Vec<String> {
    let lines = text.lines().skip(2).filter_map(|l| l.split_once(':'));
    let names = lines.map(|(name, _)| name.trim().to_string());
    names.filter(|n| n != "lo").collect()
}

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// "tcp", "udp6" …
    pub protocol: &'static str,
    /// Whether only the namespace itself reaches it.
    pub loopback: bool,
}

/// Listening TCP and unconnected UDP sockets.
pub fn listeners(facts: &Facts) -> BTreeSet<Listener> {
    let mut out = BTreeSet::new();
    for (protocol, waits) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let Ok(text) = &facts.net[protocol] else {
            continue;
        };
        out.extend(
            text.lines()
                .skip(1)
                .filter_map(|l| listener(l, protocol, waits)),
        );
    }
    out
}

fn listener(line: &str, protocol: &'static str, waits: &str) -> Option<Listener> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (address, port) = local.rsplit_once(':')?;
    (state == waits).then_some(())?;
    // As the kernel prints them: words in the byte order of the machine.
    let v4 = address.len() == 8 && address.ends_with("7F");
    let v6 = address == "00000000000000000000000001000000";
    Some(Listener {
        port: u16::from_str_radix(port, 16).ok()?,
        protocol,
        loopback: v4 || v6,
    })
}

/// Sockets in raw, raw6 and packet: (file, how many).
pub fn raw_sockets(facts: &Facts) -> Vec<(&'static str, usize)> {
    let files = ["raw", "raw6", "packet"];
    let counts = files.map(|f| (f, facts.net[f].as_deref().unwrap_or_default()));
    let counts = counts
        .into_iter()
        .map(|(f, text)| (f, text.lines().skip(1).count()));
    counts.filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        let found = listener(line, "tcp", "0A").unwrap();
        assert_eq!((found.port, found.loopback), (8080, false));
        let local = "   0: 0100007F:0035 00000000:0000 0A";
        assert!(listener(local, "tcp", "0A").unwrap().loopback);
        assert_eq!(
            listener("   0: 0100007F:0035 00000000:0000 01", "tcp", "0A"),
            None
        );
        assert_eq!(listener("x", "tcp", "0A"), None);
        assert_eq!(interfaces("a\nb\n    lo: 0\n  eth0: 1 2\n"), ["eth0"]);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = listener(&text, "tcp", "0A");
            let _ = interfaces(&text);
        }
    }
}
