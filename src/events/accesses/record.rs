//! The kernel's words about one refusal of landlock's, taken apart. Pure; what is no such record is none.
//!
//! ```text
//! audit(1795928352.770:2): domain=19250f11b blockers=fs.read_file path="/etc/hostname" dev="vda" ino=611
//! audit(1795928352.770:2): domain=19250f11b status=allocated mode=enforcing pid=19905 uid=0 exe="/usr/bin/x" comm="x"
//! ```
//! Whoever chooses a path chooses none of the words around it: the kernel writes one with a quote, a space or a control
//! character in hex.

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) domain: u64,
    pub(super) blockers: Vec<String>,
    pub(super) object: String,
}

/// The value of `key=`, which must be the first word of `text`; and what stands behind.
fn word<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    let rest = text.strip_prefix(key)?.strip_prefix('=')?;
    Some(rest.split_once(' ').unwrap_or((rest, "")))
}

/// The domain's number, and what stands behind it.
fn domain(text: &[u8]) -> Option<(u64, &str)> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_end_matches(['\0', '\n', ' ']);
    let (_, rest) = text.split_once("): ")?;
    let (number, rest) = word(rest, "domain")?;
    Some((u64::from_str_radix(number, 16).ok()?, rest))
}

impl Access {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (domain, rest) = domain(text)?;
        let (blockers, object) = word(rest, "blockers")?;
        Some(Self {
            domain,
            blockers: blockers.split(',').map(str::to_string).collect(),
            object: plain(object),
        })
    }
}

/// The process that has put itself under this ruleset: (domain, process id).
pub(super) fn creator(text: &[u8]) -> Option<(u64, i32)> {
    let (domain, rest) = domain(text)?;
    let (status, rest) = word(rest, "status")?;
    let (_, rest) = word(rest, "mode")?;
    let (pid, _) = word(rest, "pid")?;
    (status == "allocated").then_some(())?;
    Some((domain, pid.parse().ok()?))
}

/// What was to be reached: a path alone, or as the kernel has it.
fn plain(object: &str) -> String {
    let Some(path) = object.strip_prefix("path=") else {
        return object.into();
    };
    if let Some(path) = path.strip_prefix('"') {
        return path.split('"').next().unwrap_or_default().into();
    }
    let hex = path.split(' ').next().unwrap_or_default();
    let byte = |at: usize| {
        hex.get(at..at + 2)
            .and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
    match bytes {
        // An abstract socket's name begins with a NUL.
        Some(bytes) => crate::logs::show::escaped(&bytes),
        None => object.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rest: &str) -> String {
        let text = format!("audit(1.770:2): domain=19f blockers=fs.read_file,fs.truncate {rest}");
        let access = Access::parse(text.as_bytes()).unwrap();
        assert_eq!(access.domain, 0x19f);
        assert_eq!(access.blockers, ["fs.read_file", "fs.truncate"]);
        access.object
    }

    #[test]
    fn what_was_to_be_reached() {
        assert_eq!(object("path=\"/etc/x\" dev=\"vda\" ino=6"), "/etc/x");
        assert_eq!(
            object("path=2F746D702F6120220A dev=\"vda\" ino=6"),
            "/tmp/a \"\\x0a"
        );
        assert_eq!(object("path=0061"), "\\x00a");
        assert_eq!(object("path=zz dev=\"vda\""), "path=zz dev=\"vda\"");
        assert_eq!(object("daddr=127.0.0.1 dest=80"), "daddr=127.0.0.1 dest=80");
        assert_eq!(object("opid=1 ocomm=\"init\""), "opid=1 ocomm=\"init\"");
    }

    #[test]
    fn whose_ruleset_it_is() {
        let text = b"audit(1.7:2): domain=19 status=allocated mode=enforcing pid=77 uid=0 exe=\"/a\" comm=\"b\"\0";
        assert_eq!(creator(text), Some((0x19, 77)));
        let text = b"audit(1.7:2): domain=19 status=deallocated denials=3";
        assert_eq!(creator(text), None);
        for text in [
            &b"audit(1.7:2): op=set"[..],
            b"",
            b"\xff",
            b"audit(1.7:2): domain=x blockers=a b",
        ] {
            assert_eq!((Access::parse(text), creator(text)), (None, None));
        }
    }

    /// As the kernel's audit_log_untrustedstring() has it.
    fn untrusted(path: &[u8]) -> String {
        match path.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b'"') {
            true => format!("\"{}\"", String::from_utf8_lossy(path)),
            false => path.iter().map(|b| format!("{b:02X}")).collect(),
        }
    }

    proptest::proptest! {
        #[test]
        fn no_record_is_a_panic(start: bool, bytes: Vec<u8>) {
            let start: &[u8] = if start { b"audit(1.7:2): domain=19 blockers=a path=" } else { b"" };
            let text = [start, &bytes].concat();
            let _ = (Access::parse(&text), creator(&text));
        }

        #[test]
        fn a_path_is_whole_and_changes_nothing_else(path: Vec<u8>) {
            proptest::prop_assume!(!path.is_empty());
            let shown = object(&format!("path={} dev=\"vda\" ino=6", untrusted(&path)));
            proptest::prop_assert_eq!(shown, crate::logs::show::escaped(&path));
        }
    }
}
