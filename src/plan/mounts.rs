//! The root file system and everything attached to it, in order. Pure.
//!
//! Nothing is ever created inside an image: where a mount point is missing, the image is shown through a
//! read-only overlay whose upper part, ours, has it. Who makes a mount follows from who may (`By`).

mod nodes;
mod place;
mod steps;
mod words;

use super::limits::CgroupDir;
use super::namespaces::NamespacePlan;
use super::{Lack, Line, PlanError, Weight};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::paths::HostPath;
use crate::policy::{Grant, Propagation, RootSource, Template, Translation};
use crate::survey::{Program, Survey};
use place::Builder;
pub use words::*;

/// What the mounts are made amid.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub host: &'a Host,
    pub survey: &'a Survey,
    pub namespaces: &'a NamespacePlan,
    /// The container's own, one a hierarchy.
    pub cgroups: &'a [CgroupDir],
}

pub(super) fn plan(
    grant: &Grant,
    seen: &Surroundings<'_>,
    program: &Program,
    lacks: &mut Vec<Lack>,
) -> Result<MountPlan, PlanError> {
    let Surroundings {
        host,
        survey,
        namespaces,
        ..
    } = *seen;
    let by = match host.privilege {
        Privilege::Root => By::Launcher,
        Privilege::User => By::Child,
    };
    let root = root(grant, host, survey, namespaces, by, lacks)?;
    let mut builder = Builder::new(root, survey, by, grant.template == Template::Compat);
    steps::hidden(&mut builder, grant, host, survey, namespaces);
    if matches!(grant.root.source, RootSource::Embedded) {
        builder.add(
            &program.path,
            What::Sample,
            Attrs {
                noexec: false,
                ..Attrs::SEALED
            },
            by,
            "",
        )?;
    }
    for mount in &grant.mounts {
        steps::mount(&mut builder, mount, grant, seen, lacks)?;
    }
    nodes::outside_dev(&mut builder, grant, namespaces)?;
    steps::secrets(&mut builder, grant, host, namespaces, lacks)?;
    if grant.process.terminal.is_some() {
        steps::console(&mut builder)?;
    }
    for path in &grant.masked_paths {
        builder.cover(path, What::Mask, Attrs::SEALED, "/linux/maskedPaths");
    }
    for path in &grant.readonly_paths {
        builder.cover(path, What::ReadOnly, Attrs::SEALED, "/linux/readonlyPaths");
    }
    builder.need_dir(&grant.process.cwd, "/process/cwd")?;
    let (root, steps) = builder.finish();
    Ok(MountPlan {
        root,
        steps,
        io_devices: survey.disks.clone(),
    })
}

fn root(
    grant: &Grant,
    host: &Host,
    survey: &Survey,
    namespaces: &NamespacePlan,
    by: By,
    lacks: &mut Vec<Lack>,
) -> Result<RootPlan, PlanError> {
    let (path, recursive) = match &grant.root.source {
        RootSource::Embedded => (None, false),
        RootSource::Host => (Some(HostPath::trusted("/")), by == By::Child),
        RootSource::Dir(dir) => (Some(dir.clone()), true),
    };
    let from = match (path, &survey.root) {
        (Some(path), Some(node)) if node.kind == crate::survey::Kind::Dir => RootFrom::Tree {
            idmap: can_idmap(node.magic, host, namespaces, by, path.to_string(), lacks),
            path,
            recursive,
        },
        (Some(path), _) => {
            return Err(PlanError::Mount {
                pointer: "/root/path".into(),
                what: format!("{path} is not a folder: name the root file system's folder"),
            });
        }
        (None, _) => RootFrom::Empty,
    };
    Ok(RootPlan {
        from,
        readonly: grant.root.readonly,
        skeleton: Skeleton::default(),
        propagation: grant.root.propagation.unwrap_or(Propagation::Private),
        by,
    })
}

/// File systems whose mounts can be id-mapped, and since when (mount_setattr(2)).
const IDMAP_SINCE: [(i64, (u32, u32)); 9] = [
    (0xEF53, (5, 12)),      // ext2/3/4
    (0x5846_5342, (5, 12)), // xfs
    (0x4d44, (5, 12)),      // vfat
    (0x9123_683E, (5, 15)), // btrfs
    (0xF2F5_2010, (5, 18)), // f2fs
    (0xE0F5_E1E2, (5, 19)), // erofs
    (0x7371_7368, (6, 2)),  // squashfs
    (0x0102_1994, (6, 3)),  // tmpfs
    (0x00C3_6400, (6, 7)),  // ceph
];

fn knows_idmap(magic: i64, host: &Host) -> bool {
    let mut all = IDMAP_SINCE.iter();
    all.any(|(m, since)| *m == magic && host.kernel >= *since)
}

fn can_idmap(
    magic: i64,
    host: &Host,
    namespaces: &NamespacePlan,
    by: By,
    what: String,
    lacks: &mut Vec<Lack>,
) -> bool {
    if namespaces.user.is_none() || by == By::Child {
        return false;
    }
    let can = knows_idmap(magic, host);
    if !can {
        lacks.push(Lack {
            control: ControlId::S8_5_1,
            what: format!("the file system of {what} can't be id-mapped on this kernel"),
            lost: "its files keep the host's ids and show as nobody's".into(),
            weight: Weight::Covered,
        });
    }
    can
}

impl MountPlan {
    pub(super) fn lines(&self) -> Vec<Line> {
        let root = &self.root;
        let mut text = match &root.from {
            RootFrom::Empty => "the embedded sample".to_string(),
            RootFrom::Tree { path, idmap, .. } => {
                format!("{path}{}", if *idmap { ", ids mapped" } else { "" })
            }
        };
        text.push_str(if root.readonly {
            ", read-only"
        } else {
            ", WRITABLE"
        });
        text.push_str(", nosuid nodev");
        let added = root.skeleton.dirs.len() + root.skeleton.files.len();
        if added > 0 && root.from != RootFrom::Empty {
            text.push_str(&match root.overlaid() {
                true => format!(", overlay with {added} mount points"),
                false => format!(", {added} mount points made in it"),
            });
        }
        let mut out = vec![Line::new(
            "root",
            text,
            &[ControlId::S8_3_7, ControlId::S8_4_5, ControlId::S8_4_7],
        )];
        let hides =
            |s: &&Step| matches!(s.what, What::EmptyDir { .. } | What::EmptyFile | What::Mask);
        let hidden: Vec<&str> = self
            .steps
            .iter()
            .filter(hides)
            .map(|s| s.target.as_str())
            .collect();
        for step in self.steps.iter().filter(|s| !hides(s)) {
            out.push(step.line());
        }
        if !hidden.is_empty() {
            out.push(Line::new(
                "hidden",
                hidden.join(" "),
                &[ControlId::S8_2_2, ControlId::S8_4_3],
            ));
        }
        out
    }
}

impl Step {
    fn line(&self) -> Line {
        let what = match &self.what {
            What::Bind { path, ids, .. } => match ids {
                Translation::None => path.to_string(),
                Translation::Container => format!("{path} (ids mapped)"),
                Translation::Own { uids, .. } => {
                    format!("{path} (ids mapped {})", super::ids::text(uids))
                }
            },
            What::Sample => "the sample service".into(),
            What::Tmpfs {
                size,
                copy_up,
                writing,
                ..
            } => {
                let mut text = format!("tmpfs {}", super::limits::bytes(*size));
                if *copy_up {
                    text.push_str(" with a copy of what it covers");
                }
                let words = writing.iter().map(|w| format!(" {}", w.name()));
                text.extend(words);
                text
            }
            What::Proc {
                processes_only: true,
            } => "proc, own processes only".into(),
            What::Proc { .. } => "proc".into(),
            What::Dev { nodes, .. } => nodes
                .iter()
                .map(|n| n.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            What::Device { node } => match node.kind {
                'p' => "a pipe".into(),
                kind => format!("the device {kind} {}:{}", node.major, node.minor),
            },
            What::Devpts { .. } => "devpts".into(),
            What::Console => "the terminal".into(),
            What::Mqueue => "mqueue".into(),
            What::Sysfs => "sysfs".into(),
            What::Cgroup2 | What::Cgroup1 { .. } => "cgroup".into(),
            What::ReadOnly => "made read-only".into(),
            What::Secrets { files, .. } => files
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            What::EmptyDir { .. } | What::EmptyFile | What::Mask => "empty".into(),
        };
        let a = &self.attrs;
        let flags: Vec<&str> = [
            (true, if a.readonly { "ro" } else { "rw" }),
            (a.nosuid, "nosuid"),
            (a.nodev, "nodev"),
            (a.noexec, "noexec"),
        ]
        .iter()
        .filter_map(|(on, name)| on.then_some(*name))
        .collect();
        let controls: &'static [ControlId] = match self.what {
            What::Secrets { .. } => &[ControlId::S8_2_2],
            What::Console => &[ControlId::S8_4_1],
            What::Proc { .. } | What::Dev { .. } | What::Device { .. } => {
                &[ControlId::S8_4_4, ControlId::S8_5_1]
            }
            _ => &[ControlId::S8_4_7, ControlId::S8_4_8],
        };
        Line::new(
            "mount",
            format!("{}: {what} ({})", self.target, flags.join(" ")),
            controls,
        )
    }
}
