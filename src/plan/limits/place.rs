//! Where the cgroups of one container go, and which hierarchy serves which controller.
//!
//! Placement: an engine's absolute `cgroupsPath` is taken below each hierarchy's mount (as runc's cgroupfs driver
//! does), a relative one below the launcher's own place. Without one: v1 below the launcher's *own* cgroup, so that
//! a launcher inside a limited cgroup stays inside that limit, v2 below [`V2Hierarchy::parent`](crate::host::V2Hierarchy).

use super::scope::ScopeSite;
use super::{CgroupDir, CgroupVersion, Enable, Lack, Lacks, LimitPlan, Purpose};
use crate::controls::ControlId;
use crate::host::{CgroupLayout, Host, Privilege, V1Hierarchy, V2Hierarchy};
use crate::policy::CgroupPlace;

/// What an engine reads figures from, or an init system follows processes by.
const ACCOUNTED: [&str; 6] = ["memory", "cpu", "cpuacct", "blkio", "pids", "name=systemd"];

/// The most bytes of a file's name (limits.h).
const NAME_MAX: usize = 255;

/// The place of one container in every hierarchy.
pub(super) struct Site<'a> {
    layout: &'a CgroupLayout,
    tail: Tail,
    scope: Option<ScopeSite>,
}

enum Tail {
    /// Picked by the launcher.
    Own(String),
    /// linux.cgroupsPath with a leading slash.
    Absolute(String),
    /// linux.cgroupsPath without.
    Relative(String),
}

impl<'a> Site<'a> {
    pub(super) fn find(place: &CgroupPlace, name: &str, host: &'a Host) -> Result<Self, Lacks> {
        let layout = &host.cgroups;
        if let Some(asked) = &place.scope {
            let scope = ScopeSite::find(asked, host)?;
            return Ok(Self {
                layout,
                tail: Tail::Absolute(scope.path.clone()),
                scope: Some(scope),
            });
        }
        let tail = match place.path.as_deref() {
            None => Tail::Own(components(&own_name(name), 1)?),
            Some(path) if path.starts_with('/') => Tail::Absolute(components(path, 64)?),
            Some(path) => Tail::Relative(components(path, 64)?),
        };
        Ok(Self {
            layout,
            tail,
            scope: None,
        })
    }

    /// The v2 cgroup is always made where one can be: it costs next to nothing to enter (CLONE_INTO_CGROUP) and it
    /// is how processes are found, frozen and killed at one stroke, whatever controllers live on v1.
    pub(super) fn begin(&self, plan: &mut LimitPlan) {
        // Who asks systemd needs no place of his own.
        let parent = |v2: &'a V2Hierarchy| match &self.scope {
            Some(_) => Some(""),
            None => v2.parent.as_deref(),
        };
        let v2 = self.layout.v2.as_ref();
        let Some((v2, parent)) = v2.and_then(|v2| Some((v2, parent(v2)?))) else {
            return;
        };
        let path = match &self.tail {
            Tail::Absolute(path) => path.clone(),
            Tail::Own(rest) | Tail::Relative(rest) => join(parent, rest),
        };
        plan.dirs.push(CgroupDir {
            mount: v2.mount.clone(),
            path,
            version: CgroupVersion::V2,
            controllers: Vec::new(),
            purpose: Purpose::Track,
        });
    }

    /// The index of the cgroup that carries `controller`, planned on first use.
    pub(super) fn enter(
        &self,
        plan: &mut LimitPlan,
        controller: &str,
        purpose: Purpose,
    ) -> Option<usize> {
        let on_v2 = |c: &str| match (&self.scope, &self.layout.v2) {
            (Some(scope), _) => has(&scope.controllers, c),
            (None, v2) => v2.as_ref().is_some_and(|v| has(&v.controllers, c)),
        };
        if on_v2(controller)
            && let Some(at) = plan
                .dirs
                .iter()
                .position(|d| d.version == CgroupVersion::V2)
        {
            note(&mut plan.dirs[at], controller, purpose);
            return Some(at);
        }
        let hierarchy = self
            .layout
            .v1
            .iter()
            .find(|h| has(&h.controllers, controller))?;
        let at = plan
            .dirs
            .iter()
            .position(|d| d.mount == hierarchy.mount)
            .unwrap_or_else(|| {
                plan.dirs.push(self.v1_dir(hierarchy, purpose));
                plan.dirs.len() - 1
            });
        note(&mut plan.dirs[at], controller, purpose);
        Some(at)
    }

    /// What remains when every limit is planned: tracking, accounting, the freezer, switching controllers on.
    pub(super) fn finish(&self, plan: &mut LimitPlan) {
        if plan.v2_dir().is_none() {
            self.track(plan);
            plan.freezer = self
                .layout
                .v1
                .iter()
                .find(|h| has(&h.controllers, "freezer"))
                .map(|h| CgroupDir {
                    controllers: vec!["freezer".into()],
                    ..self.v1_dir(h, Purpose::Track)
                });
        }
        if !matches!(self.tail, Tail::Own(_)) {
            for controller in ACCOUNTED {
                self.enter(plan, controller, Purpose::Account);
            }
        }
        self.enable(plan);
    }

    fn track(&self, plan: &mut LimitPlan) {
        let found = ["pids", "freezer", "name=systemd", "memory", "cpu"]
            .iter()
            .any(|c| self.enter(plan, c, Purpose::Track).is_some());
        if !found {
            plan.lacks.push(Lack {
                control: ControlId::S8_1_4,
                what: "no cgroup can be made: no hierarchy is mounted and writable by the caller"
                    .into(),
                lost: "processes are found by their pid namespace only".into(),
            });
        }
    }

    fn enable(&self, plan: &mut LimitPlan) {
        let (Some(dir), Some(v2)) = (plan.v2_dir(), self.layout.v2.as_ref()) else {
            return;
        };
        if dir.controllers.is_empty() {
            return;
        }
        let parent = v2.parent.as_deref().unwrap_or("");
        let from = match (&self.scope, &self.tail) {
            // Above its own manager a user may change nothing, and it has been delegated there already.
            (Some(scope), _) => scope.manager_cgroup.len(),
            (None, Tail::Absolute(_)) => 0,
            (None, _) => parent.len(),
        };
        let cuts = dir.path.match_indices('/').map(|(at, _)| at);
        let enable = (from == 0)
            .then_some(0)
            .into_iter()
            .chain(cuts.filter(|at| *at >= from))
            .map(|at| Enable {
                mount: dir.mount.clone(),
                path: dir.path[..at].to_string(),
                controllers: dir.controllers.clone(),
            })
            .collect();
        let inside =
            self.scope.is_none() && !parent.is_empty() && v2.own.trim_start_matches('/') == parent;
        plan.step_aside = inside.then(|| CgroupDir {
            mount: dir.mount.clone(),
            path: join(parent, "cofferdam-launcher"),
            version: CgroupVersion::V2,
            controllers: Vec::new(),
            purpose: Purpose::Track,
        });
        plan.enable = enable;
    }

    /// Why a controller can't be had here, and what to do.
    pub(super) fn absent(&self, host: &Host, controller: &str) -> String {
        match &self.scope {
            Some(scope) if !scope.manager_cgroup.is_empty() => format!(
                "the {controller} controller is not delegated to {}: add it to Delegate= of user@.service",
                scope.manager_cgroup
            ),
            _ => absent(host, controller),
        }
    }

    /// The scope, when all that is written into its files is known.
    pub(super) fn scope(&self, plan: &mut LimitPlan, container: &str) {
        if let Some(scope) = &self.scope {
            plan.scope = Some(scope.plan(&plan.writes, container));
            plan.lines.insert(0, scope.line());
        }
    }

    fn v1_dir(&self, hierarchy: &V1Hierarchy, purpose: Purpose) -> CgroupDir {
        let path = match &self.tail {
            Tail::Absolute(path) => path.clone(),
            Tail::Own(rest) | Tail::Relative(rest) => {
                join(hierarchy.own.trim_start_matches('/'), rest)
            }
        };
        CgroupDir {
            mount: hierarchy.mount.clone(),
            path,
            version: CgroupVersion::V1,
            controllers: Vec::new(),
            purpose,
        }
    }
}

fn absent(host: &Host, controller: &str) -> String {
    let layout = &host.cgroups;
    match &layout.v2 {
        None if layout.v1.is_empty() => {
            format!("no cgroup file system is mounted, so nothing has the {controller} controller")
        }
        Some(v2) if v2.parent.is_none() && host.privilege == Privilege::User => format!(
            "the caller's cgroup {} is not delegated to it: start under systemd-run --user --scope -p Delegate=yes",
            v2.own
        ),
        Some(v2) if host.privilege == Privilege::User && layout.v1.is_empty() => format!(
            "the {controller} controller is not delegated to {}: add it to Delegate= of user@.service",
            v2.own
        ),
        _ => format!(
            "no cgroup hierarchy that the caller may write has the {controller} controller: mount it, or boot with it"
        ),
    }
}

pub(super) fn refuse(what: impl Into<String>) -> Lacks {
    Lacks(vec![Lack {
        control: ControlId::S8_1_4,
        what: what.into(),
        lost: "every limit".into(),
    }])
}

fn note(dir: &mut CgroupDir, controller: &str, purpose: Purpose) {
    if !has(&dir.controllers, controller) {
        dir.controllers.push(controller.to_string());
    }
    if purpose == Purpose::Limit {
        dir.purpose = Purpose::Limit;
    }
}

fn has(list: &[String], name: &str) -> bool {
    list.iter().any(|c| c == name)
}

fn join(base: &str, rest: &str) -> String {
    let base = base.trim_matches('/');
    if base.is_empty() {
        rest.to_string()
    } else {
        format!("{base}/{rest}")
    }
}

/// Of a container's id, which may have as many bytes as a file name may (NAME_MAX): a long one is cut, and told from
/// others that begin alike by what it hashes to.
fn own_name(id: &str) -> String {
    const PREFIX: &str = "cofferdam-";
    const DIGITS: usize = 16;
    if PREFIX.len() + id.len() <= NAME_MAX {
        return format!("{PREFIX}{id}");
    }
    let kept = id.floor_char_boundary(NAME_MAX - PREFIX.len() - 1 - DIGITS);
    let hash = crate::digest::sha256_hex(id.as_bytes());
    format!("{PREFIX}{}-{}", &id[..kept], &hash[..DIGITS])
}

/// A relative path of at most `most` plain names.
fn components(path: &str, most: usize) -> Result<String, Lacks> {
    let names: Vec<&str> = path.split('/').filter(|n| !n.is_empty()).collect();
    let plain = |n: &&str| {
        *n != "." && *n != ".." && n.len() <= NAME_MAX && !n.contains(|c: char| c.is_control())
    };
    if names.is_empty() || names.len() > most || path.len() > 2048 || !names.iter().all(plain) {
        let names = match most {
            1 => "one plain name".to_string(),
            most => format!("1 to {most} plain names"),
        };
        return Err(refuse(format!(
            "the cgroup path {path:?} can't be used: give {names} without '.', '..' or control characters"
        )));
    }
    Ok(names.join("/"))
}
