//! The options of one mount, read into a value; nothing is decided here.

use crate::policy::{Amount, Atime, Propagation, Writing};

/// What the option strings of a mount say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MountOptions {
    pub bind: Option<Recursion>,
    pub readonly: bool,
    /// `exec`, `suid`, `dev` said in so many words: asked for, and cut.
    pub exec: bool,
    pub suid: bool,
    pub dev: bool,
    pub noexec: bool,
    pub nosuid: bool,
    pub nodev: bool,
    pub atime: Option<Atime>,
    pub nosymfollow: bool,
    pub nodiratime: bool,
    pub propagation: Option<Propagation>,
    pub idmap: bool,
    pub copy_up: bool,
    /// `sync`, `dirsync`, `lazytime`.
    pub writing: Vec<Writing>,
    /// `remount`: what is mounted there already is meant.
    pub remount: bool,
    pub size: Option<Amount>,
    /// The same in hundredths of the host's memory.
    pub share: Option<u64>,
    pub inodes: Option<u64>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Options that are given but change nothing here, with the reason.
    pub idle: Vec<(String, &'static str)>,
    /// Options that are not known or that there is no mechanism for.
    pub unknown: Vec<String>,
}

/// Whether a bind mount takes what is mounted below along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recursion {
    One,
    Tree,
}

/// The options without a value, as `features` lists them. Some are known and change nothing, which a note says.
pub const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// Reads all options; later ones win, as in mount(8).
pub(super) fn parse(options: &[String]) -> MountOptions {
    let mut out = MountOptions::default();
    for option in options {
        if !flag(&mut out, option) && !behaviour(&mut out, option) && !value(&mut out, option) {
            out.unknown
                .push(super::strings::shorten(option).into_owned());
        }
    }
    out
}

/// Flags of mount_setattr(2); the r forms are the recursive ones, and ours always are.
fn flag(out: &mut MountOptions, option: &str) -> bool {
    match option {
        "bind" => out.bind = Some(out.bind.unwrap_or(Recursion::One)),
        "rbind" => out.bind = Some(Recursion::Tree),
        "ro" | "rro" => out.readonly = true,
        "rw" | "rrw" => out.readonly = false,
        "nosuid" | "rnosuid" => (out.nosuid, out.suid) = (true, false),
        "suid" | "rsuid" => (out.nosuid, out.suid) = (false, true),
        "nodev" | "rnodev" => (out.nodev, out.dev) = (true, false),
        "dev" | "rdev" => (out.nodev, out.dev) = (false, true),
        "noexec" | "rnoexec" => (out.noexec, out.exec) = (true, false),
        "exec" | "rexec" => (out.noexec, out.exec) = (false, true),
        "relatime" | "rrelatime" | "norelatime" | "rnorelatime" | "atime" | "ratime" => {
            out.atime = Some(Atime::Relatime);
        }
        "noatime" | "rnoatime" => out.atime = Some(Atime::Noatime),
        "strictatime" | "rstrictatime" => out.atime = Some(Atime::Strict),
        "nostrictatime" | "rnostrictatime" => out.atime = Some(Atime::Relatime),
        "nosymfollow" | "rnosymfollow" => out.nosymfollow = true,
        "symfollow" | "rsymfollow" => out.nosymfollow = false,
        "nodiratime" | "rnodiratime" => out.nodiratime = true,
        "diratime" | "rdiratime" => out.nodiratime = false,
        "private" | "rprivate" => out.propagation = Some(Propagation::Private),
        "slave" | "rslave" => out.propagation = Some(Propagation::Slave),
        "shared" | "rshared" => out.propagation = Some(Propagation::Shared),
        "unbindable" | "runbindable" => out.propagation = Some(Propagation::Unbindable),
        "idmap" | "ridmap" => out.idmap = true,
        "tmpcopyup" => out.copy_up = true,
        _ => return false,
    }
    true
}

/// What changes nothing: defaults by name, and file system options that the launcher fixes itself.
fn behaviour(out: &mut MountOptions, option: &str) -> bool {
    const DEFAULTS: [&str; 9] = [
        "defaults",
        "nomand",
        "silent",
        "loud",
        "noiversion",
        "noswap",
        "newinstance",
        "",
        "nofail",
    ];
    if DEFAULTS.contains(&option) {
        return true;
    }
    let mut writes = |how: Writing, so: bool| {
        out.writing.retain(|w| *w != how);
        out.writing.extend(so.then_some(how));
    };
    match option {
        "remount" => out.remount = true,
        "sync" => writes(Writing::Sync, true),
        "async" => writes(Writing::Sync, false),
        "dirsync" => writes(Writing::DirSync, true),
        "lazytime" => writes(Writing::LazyTime, true),
        "nolazytime" => writes(Writing::LazyTime, false),
        "mand" | "iversion" => {
            let why = "nothing: the kernel sets it on no mount of a container";
            out.idle.push((option.into(), why));
        }
        _ => return false,
    }
    true
}

fn value(out: &mut MountOptions, option: &str) -> bool {
    let Some((key, value)) = option.split_once('=') else {
        return false;
    };
    let number = || whole(value, 10).and_then(|n| u32::try_from(n).ok());
    let octal = || {
        whole(value, 8)
            .and_then(|n| u32::try_from(n).ok())
            .filter(|m| *m <= 0o7777)
    };
    match key {
        "size" => {
            // The last one counts, as for the kernel.
            let share = value.strip_suffix('%').map(|share| whole(share, 10));
            (out.size, out.share) = match share {
                Some(share) => (None, share),
                None => (size(value), None),
            };
            out.size.is_some() || out.share.is_some()
        }
        "nr_inodes" => size(value).map(|n| out.inodes = Some(n.0)).is_some(),
        "mode" => octal().map(|m| out.mode = Some(m)).is_some(),
        "uid" => number().map(|n| out.uid = Some(n)).is_some(),
        "gid" => number().map(|n| out.gid = Some(n)).is_some(),
        // devpts: fixed by the launcher; procfs: always hidepid, always subset=pid.
        "ptmxmode" => octal().is_some(),
        "hidepid" | "subset" => true,
        _ => false,
    }
}

/// Digits only: no sign, no blank, nothing left over.
fn whole(text: &str, radix: u32) -> Option<u64> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    digits
        .then(|| u64::from_str_radix(text, radix).ok())
        .flatten()
}

/// tmpfs(5): a number with k, m or g. 0 (no limit) comes back as unlimited.
fn size(text: &str) -> Option<Amount> {
    let shift = match text.bytes().last()?.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    match whole(digits, 10)?.checked_mul(1 << shift)? {
        0 => Some(Amount::UNLIMITED),
        bytes => Some(Amount(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> MountOptions {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        parse(&options)
    }

    #[test]
    fn sizes_are_read_whole() {
        assert_eq!(read(&["size=65536k"]).size, Some(Amount(64 << 20)));
        assert_eq!(read(&["size=0"]).size, Some(Amount::UNLIMITED));
        assert_eq!(read(&["size=1m", "size=50%"]).size, None);
        assert_eq!(read(&["size=50%"]).share, Some(50));
        assert_eq!(read(&["size=%"]).unknown, ["size=%"]);
        for wrong in [
            "size=",
            "size=+1",
            "size=1kb",
            "size=-1",
            "size=k",
            "mode=9",
            "mode=77777",
            "uid=1x",
        ] {
            assert_eq!(read(&[wrong]).unknown, [wrong], "{wrong}");
        }
    }

    #[test]
    fn every_option_that_is_listed_is_known() {
        let unknown = read(MOUNT_OPTIONS).unknown;
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(MOUNT_OPTIONS.is_sorted(), "sorted, each once");
    }

    #[test]
    fn later_options_win_and_unknown_ones_are_kept() {
        assert!(!read(&["ro", "rw"]).readonly);
        assert_eq!(read(&["bind", "rbind", "bind"]).bind, Some(Recursion::Tree));
        assert_eq!(read(&["x-gvfs", "context=\"a\""]).unknown.len(), 2);
    }
}
