//! Every mount: nosuid and nodev always, what is writable also noexec and with a size.
//!
//! Nothing lies over or below /proc and /sys but their own file systems (CVE-2019-16884, CVE-2019-19921 and kin).

use super::case::Case;
use super::mount_flags::attributes;
use super::mount_options::{self, MountOptions};
use super::{strings::MAX_LIST, strings::shorten, translation, volumes};
use crate::controls::ControlId;
use crate::paths::GuestPath;
use crate::policy::{Amount, Atime, Mount, MountSource, Translation};
use std::collections::BTreeSet;

/// Far more than any image or engine asks for, far less than what fills the kernel's table (fs.mount-max).
const MOST: usize = 4096;

/// All entries, in order; then /proc and /dev if they were not among them.
pub(super) fn all(case: &mut Case<'_>) {
    let count = case.spec().mounts().as_ref().map_or(0, Vec::len);
    if count > MOST {
        let found = format!("{count} mounts");
        let remedy = format!("at most {MOST} are attached");
        case.refuse(ControlId::S8_1_4, "/mounts", found, remedy);
        return;
    }
    let asked = case.spec().mounts().as_deref().unwrap_or_default();
    let mut taken = BTreeSet::new();
    for (at, mount) in asked.iter().take(MAX_LIST).enumerate() {
        one(case, &format!("/mounts/{at}"), mount, &mut taken);
    }
    let has = |case: &Case<'_>, what| case.grant.mounts.iter().any(|m| m.source == what);
    if !has(case, MountSource::Dev) {
        let mut dev = plain(GuestPath::root().join("dev"), MountSource::Dev, "");
        (dev.readonly, dev.nodev) = (true, false);
        case.grant.mounts.insert(0, dev);
    }
    if !has(case, MountSource::Proc) {
        let proc = plain(GuestPath::root().join("proc"), MountSource::Proc, "");
        case.grant.mounts.insert(0, proc);
    }
}

pub(super) fn plain(target: GuestPath, source: MountSource, pointer: &str) -> Mount {
    Mount {
        target,
        source,
        readonly: false,
        noexec: true,
        nosuid: true,
        nodev: true,
        atime: Atime::Relatime,
        nosymfollow: false,
        nodiratime: false,
        propagation: None,
        pointer: pointer.into(),
    }
}

fn one(
    case: &mut Case<'_>,
    pointer: &str,
    mount: &oci_spec::runtime::Mount,
    taken: &mut BTreeSet<GuestPath>,
) {
    let text = mount.destination().to_string_lossy();
    // runtime-spec, mounts: a relative destination is read as relative to "/".
    let Ok(target) = GuestPath::parse(&format!("/{text}")).map_err(|error| {
        case.refuse(
            ControlId::S8_4_5,
            &format!("{pointer}/destination"),
            error,
            "give an absolute path inside the container",
        );
    }) else {
        return;
    };
    let options = mount_options::parse(mount.options().as_deref().unwrap_or_default());
    if !options.unknown.is_empty() {
        let found = format!("the options {}", options.unknown.join(", "));
        case.refuse(
            ControlId::S8_4_5,
            &format!("{pointer}/options"),
            found,
            super::NO_MECHANISM,
        );
    }
    let again = options.remount && taken.contains(&target);
    if again || super::remount::is_change(mount, &options) {
        return super::remount::change(case, pointer, &target, &options);
    }
    let Some(source) = source(case, pointer, &target, mount, &options) else {
        return;
    };
    let first = taken.insert(target.clone());
    if !first && !covers(case, &target, &source, pointer) && !case.compat() {
        let found = format!("a second mount on {target}");
        case.refuse(ControlId::S8_4_5, pointer, found, "mount each place once");
        return;
    }
    if options.remount {
        let given = "a new mount: nothing was there before this entry";
        case.cut(
            ControlId::S8_4_5,
            &format!("{pointer}/options"),
            "remount",
            given,
        );
    }
    misplaced(case, pointer, &source, mount, &options);
    let granted = attributes(case, pointer, plain(target, source, pointer), &options);
    case.grant.mounts.push(granted);
}

/// Whether a later mount hides an earlier one as if that had never been: containerd lists a new /dev/shm for every
/// pod, and then the pod's own. What another one could have been attached to in between, or the launcher fills, is not
/// hidden so; nor does a command line say anything twice.
fn covers(case: &mut Case<'_>, target: &GuestPath, by: &MountSource, pointer: &str) -> bool {
    let simple = |source: &MountSource| {
        matches!(source, MountSource::Bind { .. } | MountSource::Tmpfs { .. })
    };
    let mounts = &case.grant.mounts;
    let Some(at) = mounts.iter().position(|m| m.target == *target) else {
        return false;
    };
    let inside = |m: &Mount| m.target != *target && m.target.is_at_or_below(target);
    if case.standalone()
        || !simple(by)
        || !simple(&mounts[at].source)
        || mounts[at..].iter().any(inside)
    {
        return false;
    }
    let earlier = case.grant.mounts.remove(at);
    let granted = format!("none: {pointer} covers it");
    case.cut(ControlId::S8_4_5, &earlier.pointer, target, granted);
    true
}

/// What is attached, or `None` after saying why not.
fn source(
    case: &mut Case<'_>,
    pointer: &str,
    target: &GuestPath,
    mount: &oci_spec::runtime::Mount,
    options: &MountOptions,
) -> Option<MountSource> {
    let kind = mount.typ().as_deref().unwrap_or("");
    let kind = if options.bind.is_some() || kind == "none" {
        "bind"
    } else {
        kind
    };
    let home = match kind {
        "proc" => Some("/proc"),
        "sysfs" => Some("/sys"),
        "cgroup" | "cgroup2" => Some("/sys/fs/cgroup"),
        "devpts" => Some("/dev/pts"),
        "mqueue" => Some("/dev/mqueue"),
        _ => None,
    };
    let at = target.as_str();
    if home.is_some_and(|home| home != at) {
        let found = format!("{kind} on {at}");
        case.refuse(
            ControlId::S8_4_5,
            &format!("{pointer}/destination"),
            found,
            format!("{kind} belongs on {}", home.unwrap_or_default()),
        );
        return None;
    }
    if home.is_none() && is_kernel_place(target) {
        let found = format!("a mount on {at}");
        case.refuse(
            ControlId::S8_4_5,
            &format!("{pointer}/destination"),
            found,
            "nothing is mounted over or below /, /proc and /sys",
        );
        return None;
    }
    match kind {
        "proc" => Some(MountSource::Proc),
        "sysfs" => Some(MountSource::Sysfs),
        "cgroup" | "cgroup2" => Some(MountSource::Cgroup),
        "mqueue" => Some(MountSource::Mqueue),
        "devpts" => devpts(case, pointer, options),
        "tmpfs" if at == "/dev" => {
            let given = match case.compat() {
                true => "64 KiB with device nodes made by the launcher, nosuid",
                false => "device nodes made by the launcher, read-only, noexec",
            };
            case.cut(
                ControlId::S8_4_7,
                pointer,
                "a writable tmpfs on /dev",
                given,
            );
            Some(MountSource::Dev)
        }
        "tmpfs" => Some(tmpfs(case, pointer, options)),
        "bind" => {
            let ids = match case.bundle.extras.idmapped.contains(target) {
                true => Translation::Container,
                false => translation::of(case, pointer, mount, options.idmap),
            };
            volumes::bind(case, pointer, target, mount, options, ids)
        }
        other => {
            let found = format!("the file system {:?}", shorten(other));
            case.refuse(
                ControlId::S8_4_5,
                &format!("{pointer}/type"),
                found,
                "proc, sysfs, cgroup, devpts, mqueue, tmpfs and bind are attached",
            );
            None
        }
    }
}

fn is_kernel_place(target: &GuestPath) -> bool {
    let root = GuestPath::root();
    *target == root
        || ["proc", "sys"]
            .iter()
            .any(|name| target.is_at_or_below(&root.join(name)))
}

/// Options of another kind of mount: they change nothing, and that is said.
fn misplaced(
    case: &mut Case<'_>,
    pointer: &str,
    source: &MountSource,
    mount: &oci_spec::runtime::Mount,
    options: &MountOptions,
) {
    let tmpfs = matches!(source, MountSource::Tmpfs { .. } | MountSource::Dev);
    let bind = matches!(source, MountSource::Bind { .. });
    let sized = options.size.is_some()
        || options.share.is_some()
        || options.inodes.is_some()
        || options.copy_up;
    if sized && !tmpfs {
        let place = format!("{pointer}/options");
        case.cut(
            ControlId::S8_4_7,
            &place,
            "size, nr_inodes or tmpcopyup",
            "nothing: not a tmpfs",
        );
    }
    if *source == MountSource::Dev && options.copy_up {
        let place = format!("{pointer}/options");
        let given = "nothing: the launcher makes all that is in /dev";
        case.cut(ControlId::S8_4_7, &place, "tmpcopyup", given);
    }
    let new = matches!(source, MountSource::Tmpfs { .. });
    for writing in options.writing.iter().filter(|_| !new) {
        let given = match bind {
            true => "as the file system of the source is mounted on the host",
            false => "nothing: not a file system that is written to",
        };
        let place = format!("{pointer}/options");
        case.cut(ControlId::S8_4_7, &place, writing.name(), given);
    }
    if bind && (options.mode.is_some() || options.uid.is_some() || options.gid.is_some()) {
        let place = format!("{pointer}/options");
        case.cut(
            ControlId::S8_4_7,
            &place,
            "mode, uid or gid",
            "those of the source",
        );
    }
    let mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
    if (options.idmap || mapped) && !bind {
        let place = format!("{pointer}/options");
        case.cut(
            ControlId::S8_4_7,
            &place,
            "idmap",
            "nothing: not a bind mount",
        );
    }
}

/// Only where a terminal may come, now or by `exec`.
fn devpts(case: &mut Case<'_>, pointer: &str, options: &MountOptions) -> Option<MountSource> {
    if !case.grant.may_have_terminals() {
        case.cut(
            ControlId::S8_4_1,
            pointer,
            "pseudo terminals",
            "none: there is no terminal",
        );
        return None;
    }
    Some(MountSource::Devpts { gid: options.gid })
}

fn tmpfs(case: &mut Case<'_>, pointer: &str, options: &MountOptions) -> MountSource {
    let range = case.policy.ceilings.limits.tmpfs;
    let place = format!("{pointer}/options");
    let share = |hundredths: u64| {
        let bytes = u128::from(case.host.memory) * u128::from(hundredths) / 100;
        match u64::try_from(bytes).unwrap_or(u64::MAX) {
            0 => Amount::UNLIMITED, // as the kernel takes it
            bytes => Amount(bytes),
        }
    };
    let size = match options.size.or(options.share.map(share)) {
        None => range.default,
        Some(asked) => case.bounded(&place, asked, range.max, |c| c.tmpfs),
    };
    // A tmpfs is memory: "no limit" by exception still ends at the largest size that tmpfs takes.
    let size = Amount(size.0.min(i64::MAX as u64));
    let inodes = options
        .inodes
        .filter(|n| *n != 0)
        .map(|n| n.min((size.0 / 1024).max(64)));
    MountSource::Tmpfs {
        size: size.0,
        inodes,
        mode: options.mode,
        uid: options.uid,
        gid: options.gid,
        copy_up: options.copy_up,
        writing: options.writing.clone(),
    }
}
