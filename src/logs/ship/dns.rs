//! Questions to a name server and its answers (RFC 1035), as bytes; and the two files that say whom to ask.
//!
//! Pure. Any bytes are taken: an answer that isn't one to the question is none. Used by `resolve`, which does the asking;
//! the C library is not asked, since a static program would have to load its modules at run time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    A = 1,
    /// IPv6.
    Aaaa = 28,
}

/// Most records of an answer that are looked at.
const MOST: usize = 64;

/// A question, with recursion wanted; none if the name can't be one.
#[must_use]
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 18);
    out.extend(id.to_be_bytes());
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|n| (1..=63).contains(n))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend((kind as u16).to_be_bytes());
    out.extend([0, 1]);
    (name.len() <= 254).then_some(out)
}

/// The addresses in an answer to this question: empty if the name has none; `None` if it is no answer to it, or the
/// server failed and another may know better.
#[must_use]
pub fn answer(question: &[u8], bytes: &[u8]) -> Option<Vec<IpAddr>> {
    let header = bytes.get(..12)?;
    let (flags, code) = (header[2], header[3] & 15);
    let same = header[..2] == *question.get(..2)? && flags & 0x80 != 0;
    // The name may come back in other letters, as a guard against forgery that we don't ask for.
    let asked = bytes.get(12..question.len())?;
    if !same || !asked.eq_ignore_ascii_case(&question[12..]) || !matches!(code, 0 | 3) {
        return None;
    }
    let kind = question.get(question.len() - 4..question.len() - 2)?;
    let count = usize::from(u16::from_be_bytes([header[6], header[7]])).min(MOST);
    let mut at = question.len();
    let mut found = Vec::new();
    for _ in 0..count {
        at = after_name(bytes, at)?;
        let fixed = bytes.get(at..at + 10)?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = bytes.get(at + 10..at + 10 + length)?;
        // Aliases stand before what they lead to; only the addresses matter.
        if fixed[..2] == *kind && fixed[2..4] == [0, 1] {
            found.extend(address(data));
        }
        at += 10 + length;
    }
    Some(found)
}

fn address(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => <[u8; 4]>::try_from(data)
            .ok()
            .map(|a| Ipv4Addr::from(a).into()),
        16 => <[u8; 16]>::try_from(data)
            .ok()
            .map(|a| Ipv6Addr::from(a).into()),
        _ => None,
    }
}

/// Behind a name, which is not followed where it points elsewhere.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => return Some(at + 1),
            1..=63 => at += 1 + length,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Addresses of a name in /etc/hosts.
#[must_use]
pub fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let line = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|w| w.eq_ignore_ascii_case(name))
            .then_some(address)
    };
    text.lines().filter_map(line).take(MOST).collect()
}

/// What /etc/resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// At most three; this host's own if the file names none.
    pub addresses: Vec<IpAddr>,
    /// What is put behind a name without a dot, in order.
    pub search: Vec<String>,
}

/// Reads /etc/resolv.conf (resolv.conf(5)).
#[must_use]
pub fn servers(text: &str) -> Servers {
    let mut servers = Servers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") if servers.addresses.len() < 3 => {
                // A zone (fe80::1%eth0) is not understood: such a server is passed over.
                let address: Option<IpAddr> = words.next().and_then(|w| w.parse().ok());
                servers.addresses.extend(address);
            }
            Some("search" | "domain") => {
                servers.search = words.take(6).map(ToString::to_string).collect();
            }
            _ => {}
        }
    }
    if servers.addresses.is_empty() {
        servers.addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_with_an_alias() {
        let asked = question(0x1234, "siem.test", Kind::A).unwrap();
        assert_eq!(asked[12..], *b"\x04siem\x04test\0\0\x01\0\x01");
        let mut bytes = asked.clone();
        bytes[2..4].copy_from_slice(&[0x81, 0x80]);
        bytes[7] = 2;
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01x\xc0\x11");
        bytes.extend(b"\x01x\xc0\x11\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x07");
        let ten: IpAddr = [10, 0, 0, 7].into();
        assert_eq!(answer(&asked, &bytes), Some(vec![ten]));
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut other = bytes.clone();
            change(&mut other);
            answer(&asked, &other)
        };
        assert_eq!(refused(&|b| b[0] = 0), None, "another question's");
        assert_eq!(refused(&|b| b[2] = 1), None, "a question");
        assert_eq!(refused(&|b| b[3] = 2), None, "the server failed");
        assert_eq!(refused(&|b| b[14] = b'x'), None, "another name's");
        assert_eq!(refused(&|b| b.truncate(50)), None, "cut off");
        assert_eq!(
            refused(&|b| {
                b[3] = 3;
                b[7] = 0;
            }),
            Some(vec![]),
            "no such name"
        );
        assert!(question(0, "", Kind::A).is_none() && question(0, "a..b", Kind::A).is_none());
    }

    #[test]
    fn the_two_files() {
        let text = "127.0.0.1 localhost\n10.0.0.9\tsiem.test siem # c\nbad siem\n::1 SIEM\n#1.1.1.1 siem\n";
        let two: [IpAddr; 2] = [[10, 0, 0, 9].into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(hosts(text, "siem."), two);
        let text =
            "# c\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch a.test b.test\noptions x\n";
        let told = servers(text);
        assert_eq!(told.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(told.search, ["a.test", "b.test"]);
        assert_eq!(servers("").addresses, [IpAddr::from([127, 0, 0, 1])]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(tail in proptest::collection::vec(any::<u8>(), 0..200), counts in any::<u8>()) {
            let asked = question(7, "siem.test", Kind::Aaaa).unwrap();
            let mut bytes = asked.clone();
            bytes[2] = 0x80;
            bytes[7] = counts;
            bytes.extend(tail);
            let _ = answer(&asked, &bytes);
        }
    }
}
