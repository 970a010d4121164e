//! Turns granted mounts into steps for this host: sizes, owners, device nodes, who makes them.

use super::place::Builder;
use super::{Attrs, By, DevNodes, Node, Skeleton, Surroundings, What, can_idmap, knows_idmap};
use crate::controls::ControlId;
use crate::host::Host;
use crate::paths::{GuestPath, HostPath};
use crate::plan::namespaces::NamespacePlan;
use crate::plan::{Lack, PlanError, Weight};
use crate::policy::{Grant, Mount, MountSource, RootSource, Template, Translation};
use crate::survey::{Kind, Source, Survey};

/// `--rootfs /`: everything but programs and configuration reads as empty, and so do secrets below /etc.
pub(super) fn hidden(
    builder: &mut Builder<'_>,
    grant: &Grant,
    host: &Host,
    survey: &Survey,
    namespaces: &NamespacePlan,
) {
    if grant.root.source != RootSource::Host {
        return;
    }
    let replaced = |path: &GuestPath| grant.mounts.iter().any(|m| m.target == *path);
    for (path, kind) in &survey.hidden {
        if replaced(path) {
            continue;
        }
        let what = match kind {
            Kind::Dir => What::EmptyDir {
                holds: Skeleton::default(),
            },
            _ => What::EmptyFile,
        };
        builder.cover(path, what, Attrs::SEALED, "--rootfs /");
    }
    if builder.privileged() == By::Child {
        return;
    }
    // The root alone was opened: bring what the host mounts below the folders that stay.
    for path in &host.submounts {
        let Some(target) = path
            .as_path()
            .to_str()
            .and_then(|t| GuestPath::parse(t).ok())
        else {
            continue;
        };
        let kept = ["/usr", "/opt", "/etc"].iter().any(|k| {
            target
                .as_str()
                .strip_prefix(k)
                .is_some_and(|r| r.is_empty() || r.starts_with('/'))
        });
        if kept && !survey.hidden.iter().any(|(h, _)| target.is_at_or_below(h)) {
            let what = What::Bind {
                path: path.clone(),
                recursive: false,
                ids: match namespaces.user.is_some() {
                    true => Translation::Container,
                    false => Translation::None,
                },
            };
            builder.cover(
                &target,
                what,
                Attrs {
                    noexec: false,
                    ..Attrs::SEALED
                },
                "--rootfs /",
            );
        }
    }
}

/// One granted mount.
pub(super) fn mount(
    builder: &mut Builder<'_>,
    mount: &Mount,
    grant: &Grant,
    seen: &Surroundings<'_>,
    lacks: &mut Vec<Lack>,
) -> Result<(), PlanError> {
    let (host, namespaces) = (seen.host, seen.namespaces);
    let attrs = Attrs {
        readonly: mount.readonly,
        nosuid: mount.nosuid,
        nodev: mount.nodev,
        noexec: mount.noexec,
        nosymfollow: mount.nosymfollow,
        nodiratime: mount.nodiratime,
        atime: mount.atime,
    };
    let mut by = By::Child;
    let what = match &mount.source {
        MountSource::Bind {
            path,
            recursive,
            ids,
        } => {
            by = builder.privileged();
            bind(
                builder,
                mount,
                (path, *recursive, ids),
                host,
                namespaces,
                lacks,
            )?
        }
        MountSource::Tmpfs {
            size,
            inodes,
            mode,
            uid,
            gid,
            copy_up,
            writing,
        } => What::Tmpfs {
            size: *size,
            inodes: inodes.unwrap_or((size / 4096).max(64)),
            mode: *mode,
            uid: *uid,
            gid: *gid,
            copy_up: *copy_up,
            writing: writing.clone(),
            holds: Skeleton::default(),
        },
        MountSource::Proc => What::Proc {
            // Also in a shared pid namespace: what is not a process (/proc/sys, /proc/kcore) is the host's.
            processes_only: grant.template != Template::Compat,
        },
        MountSource::Dev => {
            by = builder.privileged();
            dev(builder, grant, namespaces)
        }
        MountSource::Devpts { gid } => What::Devpts { gid: *gid },
        MountSource::Mqueue => What::Mqueue,
        MountSource::Sysfs => What::Sysfs,
        MountSource::Cgroup => return cgroup(builder, mount, seen, attrs),
    };
    let step = builder.add(&mount.target, what, attrs, by, &mount.pointer)?;
    step.propagation = mount.propagation;
    Ok(())
}

fn bind(
    builder: &Builder<'_>,
    mount: &Mount,
    (path, recursive, ids): (&HostPath, bool, &Translation),
    host: &Host,
    namespaces: &NamespacePlan,
    lacks: &mut Vec<Lack>,
) -> Result<What, PlanError> {
    match builder.survey().sources.get(path) {
        Some(Source::Present(node)) => {
            let (shown, by) = (path.to_string(), builder.privileged());
            let ids = match ids {
                Translation::None => Translation::None,
                Translation::Container => {
                    match can_idmap(node.magic, host, namespaces, by, shown, lacks) {
                        true => Translation::Container,
                        false => Translation::None,
                    }
                }
                Translation::Own { .. } if by == By::Launcher && knows_idmap(node.magic, host) => {
                    ids.clone()
                }
                // Asked for in so many words: shown with other owners it would be another mount.
                Translation::Own { .. } => {
                    return Err(PlanError::Mount {
                        pointer: format!("{}/uidMappings", mount.pointer),
                        what: format!(
                            "{shown} can't be shown with ids of its own: that takes the host's root, and a file system that this kernel can map"
                        ),
                    });
                }
            };
            Ok(What::Bind {
                path: path.clone(),
                recursive,
                ids,
            })
        }
        Some(Source::Absent(why)) => Err(PlanError::Mount {
            pointer: mount.pointer.clone(),
            what: format!(
                "the host's {path}, to be mounted at {}: {}",
                mount.target,
                why.to_lowercase()
            ),
        }),
        None => Err(PlanError::Mount {
            pointer: mount.pointer.clone(),
            what: format!("{path} was not looked at"),
        }),
    }
}

/// null zero full random urandom tty?: the five that every program expects, and those granted beyond.
fn dev(builder: &Builder<'_>, grant: &Grant, namespaces: &NamespacePlan) -> What {
    let bound = builder.privileged() == By::Child;
    let plain = |name: &str, minor| Node {
        name: name.into(),
        kind: 'c',
        major: 1,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut nodes = vec![
        plain("null", 3),
        plain("zero", 5),
        plain("full", 7),
        plain("random", 8),
        plain("urandom", 9),
    ];
    if grant.may_have_terminals() {
        nodes.push(Node {
            major: 5,
            minor: 0,
            ..plain("tty", 0)
        });
    }
    for device in grant.devices.iter().filter(|d| d.below_dev().is_some()) {
        let node = super::nodes::node(device, namespaces);
        nodes.retain(|n| n.name != node.name);
        nodes.push(node);
    }
    let mut links = vec![
        ("fd".to_string(), "/proc/self/fd".to_string()),
        ("stdin".into(), "/proc/self/fd/0".into()),
        ("stdout".into(), "/proc/self/fd/1".into()),
        ("stderr".into(), "/proc/self/fd/2".into()),
    ];
    if grant
        .mounts
        .iter()
        .any(|m| matches!(m.source, MountSource::Devpts { .. }))
    {
        links.push(("ptmx".into(), "pts/ptmx".into()));
    }
    What::Dev {
        nodes,
        links,
        holds: Skeleton::default(),
        how: if bound {
            DevNodes::Bound
        } else {
            DevNodes::Made
        },
    }
}

/// The terminal is one of the container's devpts, and is on /dev/console too (runtime-spec, config.md, terminal).
pub(super) fn console(builder: &mut Builder<'_>) -> Result<(), PlanError> {
    let pts = GuestPath::root().join("dev/pts");
    if !builder.has(&pts, |what| matches!(what, What::Devpts { .. })) {
        return Err(PlanError::Value {
            pointer: "/process/terminal".into(),
            what: "a terminal needs a devpts file system at /dev/pts: add that mount".into(),
        });
    }
    let attrs = Attrs {
        readonly: false,
        nodev: false,
        ..Attrs::SEALED
    };
    let console = GuestPath::root().join("dev/console");
    builder.add(
        &console,
        What::Console,
        attrs,
        By::Child,
        "/process/terminal",
    )?;
    Ok(())
}

/// The unified tree, or a folder with one mount for each v1 hierarchy that the container has a cgroup in: of another
/// its cgroup namespace would begin where the launcher is, and show the cgroups of all others.
fn cgroup(
    builder: &mut Builder<'_>,
    mount: &Mount,
    seen: &Surroundings<'_>,
    attrs: Attrs,
) -> Result<(), PlanError> {
    let host = seen.host;
    if host.cgroups.v1.is_empty() {
        builder.add(
            &mount.target,
            What::Cgroup2,
            attrs,
            By::Child,
            &mount.pointer,
        )?;
        return Ok(());
    }
    let folder = What::EmptyDir {
        holds: Skeleton::default(),
    };
    builder.add(
        &mount.target,
        folder,
        Attrs::SEALED,
        By::Child,
        &mount.pointer,
    )?;
    let own = |mount: &HostPath| seen.cgroups.iter().any(|dir| dir.mount == *mount);
    for hierarchy in host.cgroups.v1.iter().filter(|h| own(&h.mount)) {
        let name = hierarchy.controllers.join(",");
        let target = mount.target.join(name.trim_start_matches("name="));
        let what = What::Cgroup1 {
            controllers: hierarchy.controllers.clone(),
        };
        builder.add(&target, what, attrs, By::Child, &mount.pointer)?;
    }
    Ok(())
}

/// /run/secrets.
pub(super) fn secrets(
    builder: &mut Builder<'_>,
    grant: &Grant,
    host: &Host,
    namespaces: &NamespacePlan,
    lacks: &mut Vec<Lack>,
) -> Result<(), PlanError> {
    if grant.secrets.is_empty() {
        return Ok(());
    }
    for secret in &grant.secrets {
        let why = match builder.survey().sources.get(&secret.source) {
            Some(Source::Absent(why)) => why.as_str(),
            Some(Source::Present(node)) if node.kind != Kind::File => "not a regular file",
            _ => continue,
        };
        return Err(PlanError::Value {
            pointer: "--secret".into(),
            what: format!(
                "secret {}: can't open {}: {why}",
                secret.name, secret.source
            ),
        });
    }
    let noswap = builder.privileged() == By::Launcher && host.kernel >= (6, 4);
    if !noswap {
        lacks.push(Lack {
            control: ControlId::S8_2_2,
            what: "tmpfs noswap needs Linux 6.4 and the host's root".into(),
            lost: "secrets could be swapped out".into(),
            weight: Weight::Covered,
        });
    }
    let user = namespaces
        .user
        .as_ref()
        .filter(|_| builder.privileged() == By::Launcher);
    let (uid, gid) = (grant.process.uid, grant.process.gid);
    let what = What::Secrets {
        files: grant
            .secrets
            .iter()
            .map(|s| (s.name.clone(), s.source.clone()))
            .collect(),
        uid: user.and_then(|u| u.outside_uid(uid)).unwrap_or(uid),
        gid: user.and_then(|u| u.outside_gid(gid)).unwrap_or(gid),
        noswap,
    };
    let by = builder.privileged();
    let target = GuestPath::root().join("run/secrets");
    builder.add(&target, what, Attrs::SEALED, by, "--secret")?;
    Ok(())
}
