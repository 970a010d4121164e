//! The limits of a container that runs, changed: what has to be written into the cgroups that are there. Pure.

use super::{CgroupDir, DeviceFilter, Expect, LimitPlan, LimitWrite, Value};

impl LimitPlan {
    /// What leads from `self` to `new`, in the cgroups that are `there`. A hierarchy that the container is not in yet
    /// gets the cgroup that `new` names; a limit that `new` no longer has is lifted.
    pub fn towards(&self, new: &LimitPlan, there: &[CgroupDir]) -> LimitPlan {
        let place = |dir: &CgroupDir| {
            let same = there.iter().find(|t| t.mount == dir.mount);
            same.unwrap_or(dir).clone()
        };
        let mut out = LimitPlan {
            dirs: new.dirs.iter().map(place).collect(),
            enable: new.enable.clone(),
            filter: DeviceFilter::None,
            lines: new.lines.clone(),
            ..LimitPlan::default()
        };
        let had = |write: &&LimitWrite, of: &LimitPlan| {
            let mount = |plan: &LimitPlan, at: usize| plan.dirs.get(at).map(|d| d.mount.clone());
            self.writes.iter().any(|old| {
                mount(self, old.dir) == mount(of, write.dir)
                    && (&old.file, &old.value) == (&write.file, &write.value)
            })
        };
        out.writes = new
            .writes
            .iter()
            .filter(|write| !had(write, new))
            .cloned()
            .collect();
        self.lift(new, there, &mut out);
        out.scope = new.scope.as_ref().map(|scope| scope.with(&out.writes));
        out
    }

    /// Adds the lifting of what `new` no longer limits. In v1 it then names no such hierarchy either, so the cgroup is
    /// the one that is `there`.
    fn lift(&self, new: &LimitPlan, there: &[CgroupDir], out: &mut LimitPlan) {
        for old in &self.writes {
            let Some(mount) = self.dirs.get(old.dir).map(|d| &d.mount) else {
                continue;
            };
            let at = out.dirs.iter().position(|d| d.mount == *mount);
            let kept = |w: &LimitWrite| w.file == old.file && Some(w.dir) == at;
            let Some(text) = unlimited(&old.file).filter(|_| !new.writes.iter().any(kept)) else {
                continue;
            };
            let dir = at.or_else(|| {
                let own = there.iter().find(|d| d.mount == *mount)?;
                out.dirs.push(own.clone());
                Some(out.dirs.len() - 1)
            });
            out.writes.extend(dir.map(|dir| LimitWrite {
                dir,
                file: old.file.clone(),
                value: Value::Text(text.into()),
                control: old.control,
                expect: Expect::Something,
                presence: old.presence.clone(),
            }));
        }
    }
}

/// What lifts a limit; `None`: it is no limit, or has no such word.
fn unlimited(file: &str) -> Option<&'static str> {
    Some(match file {
        "memory.limit_in_bytes" | "memory.memsw.limit_in_bytes" | "memory.soft_limit_in_bytes" => {
            "-1"
        }
        "cpu.cfs_quota_us" => "-1",
        "memory.max" | "memory.swap.max" | "pids.max" | "cpu.max" => "max",
        "memory.low" => "0",
        _ => return None,
    })
}
