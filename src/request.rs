//! What the user typed for a launch, parsed strictly: a value is taken whole or refused (CVE-2026-30892).
//!
//! Knows the words of the command line, not what is allowed. Called by `cli`; `bundle` makes a spec of it.

pub mod openings;

use crate::paths::{GuestPath, HostPath};
pub use openings::Openings;
use serde::Serialize;

/// Which family of rules the launch follows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// One process, one exec, threads only.
    Default,
    /// Processes by fork, still one exec.
    Workers,
    /// Processes, and exec of a listed set of programs.
    Script,
    /// Clamps nothing: conformance suites and migration only.
    Compat,
}

/// A secret: a file of the host that becomes /run/secrets/NAME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Secret {
    /// File name below /run/secrets.
    pub name: String,
    /// Where it is read from.
    pub source: HostPath,
}

/// A standalone launch.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// The container's name.
    pub name: String,
    /// Root, bundle or neither.
    pub source: Source,
    /// `--profile`.
    pub template: Option<Template>,
    /// `--user`: (uid, gid).
    pub user: Option<(u32, u32)>,
    /// `--volume`.
    pub volumes: Vec<Volume>,
    /// `--tmpfs`: where and how many bytes.
    pub tmpfs: Vec<(GuestPath, u64)>,
    /// `--env`: `K=V`.
    pub env: Vec<String>,
    /// `--secret`.
    pub secrets: Vec<Secret>,
    /// `--expose`: TCP ports.
    pub expose: Vec<u16>,
    /// `--publish`, `--listen`, `--link`, `--connect`, `--network` and what belongs to them.
    pub openings: Openings,
    /// `--workdir`.
    pub workdir: Option<GuestPath>,
    /// `--memory`, bytes.
    pub memory: Option<u64>,
    /// `--cpus`, thousandths.
    pub cpus: Option<u64>,
    /// `--pids`.
    pub pids: Option<u64>,
    /// `--nofile`.
    pub nofile: Option<u64>,
    /// `--io`, bytes a second.
    pub io: Option<u64>,
    /// `--tty`.
    pub tty: bool,
    /// `--label K=V`.
    pub labels: Vec<(String, String)>,
    /// The program and its arguments.
    pub args: Vec<String>,
}

/// Where the root comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Neither flag: the embedded sample.
    #[default]
    Embedded,
    /// `--rootfs DIR`.
    Rootfs(HostPath),
    /// `--bundle DIR`.
    Bundle(HostPath),
}

/// `--volume SRC:DST[:rw]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// On the host.
    pub source: HostPath,
    /// Inside.
    pub target: GuestPath,
    /// Writable.
    pub writable: bool,
}

/// Why a word was not understood: what was given, what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?}: {expected}")]
pub struct NotUnderstood {
    given: String,
    expected: String,
}

fn no<T>(given: &str, expected: impl Into<String>) -> Result<T, NotUnderstood> {
    Err(NotUnderstood {
        given: given.into(),
        expected: expected.into(),
    })
}

/// Whether a text can name a container, an exception or a secret: `[A-Za-z0-9_+.-]`, 1 to 255 bytes, not `.` or `..`.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+.-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(plain) && text != "." && text != ".."
}

/// The most bytes of a host's name (sethostname(2)); a container's own may have more.
pub const HOST_NAME_MAX: usize = 64;

/// As much of a container's name as a host's may have.
pub fn as_host_name(name: &str) -> &str {
    name.get(..HOST_NAME_MAX).unwrap_or(name)
}

/// A container's name.
pub fn name(text: &str) -> Result<String, NotUnderstood> {
    if is_name(text) {
        Ok(text.into())
    } else {
        no(
            text,
            "a name has 1 to 255 of the characters A-Z a-z 0-9 _ + . - and is not . or ..",
        )
    }
}

/// `UID[:GID]`, numbers only: an image's own passwd file is never read (CVE-2016-3697).
pub fn user(text: &str) -> Result<(u32, u32), NotUnderstood> {
    user_in(text).map(|(uid, gid)| (uid, gid.unwrap_or(uid)))
}

/// `UID[:GID]` where something else says the group that is left out.
pub fn user_in(text: &str) -> Result<(u32, Option<u32>), NotUnderstood> {
    let id = |part: &str| {
        let number = part.parse::<u32>().ok().filter(|n| *n != u32::MAX);
        number.filter(|n| n.to_string() == part)
    };
    let parsed = match text.split_once(':') {
        Some((uid, gid)) => id(uid).zip(id(gid).map(Some)),
        None => id(text).map(|n| (n, None)),
    };
    parsed.map_or_else(
        || {
            no(
                text,
                "expected UID or UID:GID as plain numbers (names are not looked up in the image)",
            )
        },
        Ok,
    )
}

/// `SRC:DST[:ro|:rw]`.
pub fn volume(text: &str) -> Result<Volume, NotUnderstood> {
    let expected = "expected SRC:DST, SRC:DST:ro or SRC:DST:rw with absolute paths";
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, writable) = match parts.as_slice() {
        [s, d] | [s, d, "ro"] => (s, d, false),
        [s, d, "rw"] => (s, d, true),
        _ => return no(text, expected),
    };
    let paths = HostPath::parse(source).and_then(|s| Ok((s, GuestPath::parse(target)?)));
    match paths {
        Ok((source, target)) => Ok(Volume {
            source,
            target,
            writable,
        }),
        Err(why) => no(text, format!("{expected}: {why}")),
    }
}

/// `DST:SIZE`.
pub fn tmpfs(text: &str) -> Result<(GuestPath, u64), NotUnderstood> {
    let Some((target, bytes)) = text.rsplit_once(':') else {
        return no(text, "expected DST:SIZE, for example /tmp:16m");
    };
    match GuestPath::parse(target) {
        Ok(target) => Ok((target, size(bytes)?)),
        Err(why) => no(text, format!("expected DST:SIZE: {why}")),
    }
}

/// Bytes, or with k, m, g, t (powers of 1024).
pub fn size(text: &str) -> Result<u64, NotUnderstood> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return no(text, "expected a size such as 65536, 512k, 64m or 2g"),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| plain);
    match number
        .and_then(|n| n.checked_mul(1 << shift))
        .filter(|n| *n > 0)
    {
        Some(bytes) => Ok(bytes),
        None => no(
            text,
            "expected a size such as 65536, 512k, 64m or 2g, above 0 and below 16 EiB",
        ),
    }
}

/// CPUs as a decimal number with up to three places; thousandths come out.
pub fn cpus(text: &str) -> Result<u64, NotUnderstood> {
    let expected = "expected a number of CPUs such as 2, 0.5 or 1.25, from 0.01 to 8192";
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return no(text, expected);
    }
    let part: u64 = format!("{part:0<3}").parse().unwrap_or(0);
    let thousandths = whole
        .parse::<u64>()
        .ok()
        .and_then(|w| w.checked_mul(1000)?.checked_add(part));
    match thousandths.filter(|n| (10..=8_192_000).contains(n)) {
        Some(n) => Ok(n),
        None => no(text, expected),
    }
}

/// `K=V`.
pub fn env(text: &str) -> Result<String, NotUnderstood> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() && !text.contains('\0') => Ok(text.into()),
        // The value may be a secret: it is not repeated.
        _ => no(
            text.split('=').next().unwrap_or_default(),
            "expected KEY=VALUE (take a variable of the caller with KEY=\"$KEY\")",
        ),
    }
}

/// `NAME=SOURCE`, the source a file of the host.
pub fn secret(text: &str) -> Result<Secret, NotUnderstood> {
    let expected = "expected NAME=FILE, the file an absolute path on the host";
    match text.split_once('=') {
        Some((name, source)) if is_name(name) => match HostPath::parse(source) {
            Ok(source) => Ok(Secret {
                name: name.into(),
                source,
            }),
            Err(why) => no(text, format!("{expected}: {why}")),
        },
        Some((name, _)) => no(
            text,
            format!("{name:?} is not a name of letters, digits and _ + . -: {expected}"),
        ),
        None => no(text, expected),
    }
}

/// `K=V` as a pair.
pub fn label(text: &str) -> Result<(String, String), NotUnderstood> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => no(text, "expected KEY=VALUE"),
    }
}

/// A TCP port, with or without `/tcp`.
pub fn port(text: &str) -> Result<u16, NotUnderstood> {
    let digits = text.strip_suffix("/tcp").unwrap_or(text);
    match digits.parse::<u16>() {
        Ok(port) if port > 0 && port.to_string() == digits => Ok(port),
        _ => no(text, "expected a TCP port from 1 to 65535"),
    }
}

/// A template's name.
pub fn template(text: &str) -> Result<Template, NotUnderstood> {
    match text {
        "default" => Ok(Template::Default),
        "workers" => Ok(Template::Workers),
        "script" => Ok(Template::Script),
        "compat" => Ok(Template::Compat),
        _ => no(text, "the profiles are default, workers, script and compat"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn partial_parses_are_refused() {
        for bad in [
            "",
            "-1",
            "1 ",
            "+1",
            "01",
            "1:",
            ":1",
            "1:2:3",
            "root",
            "4294967295",
            "4294967296",
            "1:-u",
        ] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
        assert_eq!(user("1000"), Ok((1000, 1000)));
        assert_eq!(user("0:7"), Ok((0, 7)));
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(size("64m"), Ok(64 << 20));
        assert_eq!(size("1"), Ok(1));
        for bad in [
            "",
            "m",
            "0",
            "-1",
            "1.5g",
            "64 m",
            "99999999999g",
            "1e3",
            "0x10",
        ] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cpus_are_thousandths() {
        assert_eq!(cpus("0.5"), Ok(500));
        assert_eq!(cpus("2"), Ok(2000));
        assert_eq!(cpus("1.25"), Ok(1250));
        for bad in ["", ".", "0", "1.2345", "-1", "1e1", "9999999999999999999"] {
            assert!(cpus(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_environment_value_is_never_in_an_error() {
        let error = env("=hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn volumes() {
        assert!(volume("/a:/b:rw").unwrap().writable);
        assert!(!volume("/a:/b").unwrap().writable);
        for bad in [
            "/a",
            "a:/b",
            "/a:b",
            "/a:/../b",
            "/a:/b:rx",
            "/a:/b:rw:z",
            ":",
        ] {
            assert!(volume(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_user_parses_to_prints_as_it_was(text in "[ -+:0-9a-f]{0,12}") {
            if let Ok((uid, gid)) = user(&text) {
                let shown = format!("{uid}:{gid}");
                prop_assert!(text == shown || (uid == gid && text == uid.to_string()));
            }
        }

        #[test]
        fn no_parser_panics(text in ".{0,40}") {
            let _ = (name(&text), user(&text), volume(&text), tmpfs(&text), size(&text), cpus(&text));
            let _ = (env(&text), secret(&text), port(&text), template(&text), label(&text));
        }
    }
}
