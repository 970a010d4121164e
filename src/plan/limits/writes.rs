//! The writes of each limit, for v1 and v2, with what the kernel says afterwards.
//!
//! Order matters: memory before memory+swap, period before quota, cpuset's inherited values before its own.

use super::place::{Site, absent, refuse};
use super::units::{UNLIMITED, human, numbers, weight_of_shares};
use super::{Expect, Lack, Lacks, LimitLine, LimitPlan, LimitWrite, Presence, Purpose, Value};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::limits::CgroupVersion;
use crate::policy::Limits;

pub(super) fn plan(
    plan: &mut LimitPlan,
    site: &Site,
    grant: &Limits,
    host: &Host,
    io_devices: &[(u32, u32)],
) -> Result<(), Lacks> {
    site.begin(plan);
    let mut w = Writer { plan, site, host };
    w.memory(grant);
    w.pids(grant);
    w.cpu(grant);
    w.cpuset(grant);
    w.io(grant, io_devices);
    w.unified(grant)
}

struct Writer<'a, 'b> {
    plan: &'a mut LimitPlan,
    site: &'a Site<'b>,
    host: &'a Host,
}

impl Writer<'_, '_> {
    fn memory(&mut self, grant: &Limits) {
        let (max, low) = (grant.memory, grant.memory_low);
        if max.is_none() && low.is_none() && grant.swap.is_none() {
            return;
        }
        let Some((dir, version)) = self.enter("memory", "memory is not limited") else {
            return;
        };
        let v1 = version == CgroupVersion::V1;
        if let Some(n) = max {
            self.bytes(
                dir,
                if v1 {
                    "memory.limit_in_bytes"
                } else {
                    "memory.max"
                },
                n,
            );
        }
        if let Some(n) = low {
            self.bytes(
                dir,
                if v1 {
                    "memory.soft_limit_in_bytes"
                } else {
                    "memory.low"
                },
                n,
            );
        }
        match (version, max, grant.swap) {
            // v1 limits memory and swap together, never swap alone.
            (CgroupVersion::V1, Some(n), Some(swap)) => {
                self.bytes(dir, "memory.memsw.limit_in_bytes", n.saturating_add(swap));
                self.optional("swap is not limited, only discouraged");
                if swap == 0 {
                    self.text(dir, "memory.swappiness", "0");
                    self.optional("the kernel may still prefer swap");
                }
            }
            (CgroupVersion::V2, _, Some(swap)) => {
                self.bytes(dir, "memory.swap.max", swap);
                self.optional("nothing: this kernel has no swap to limit");
            }
            _ => {}
        }
        if !v1 && max.is_some() {
            self.text(dir, "memory.oom.group", "1");
        }
        let swap = match grant.swap {
            Some(0) => "no swap".to_string(),
            Some(n) => format!("{} swap", human(n)),
            None => "swap not limited".to_string(),
        };
        let max = max.map_or("not limited".to_string(), human);
        let low = low.map_or(String::new(), |n| format!(", {} protected", human(n)));
        self.line("memory", format!("{max}, {swap}{low}"));
    }

    fn pids(&mut self, grant: &Limits) {
        let Some(n) = grant.pids else { return };
        if let Some((dir, _)) = self.enter("pids", "threads and processes are not limited") {
            self.text(dir, "pids.max", n.to_string());
            self.line("pids", format!("{n} threads and processes"));
        }
    }

    fn cpu(&mut self, grant: &Limits) {
        if grant.cpu_quota.is_none() && grant.cpu_period.is_none() && grant.cpu_shares.is_none() {
            return;
        }
        let Some((dir, version)) = self.enter("cpu", "CPU time is not limited") else {
            return;
        };
        let period = grant.cpu_period.unwrap_or(100_000);
        let timed = grant.cpu_quota.is_some() || grant.cpu_period.is_some();
        match version {
            CgroupVersion::V1 => {
                if timed {
                    self.text(dir, "cpu.cfs_period_us", period.to_string());
                }
                if let Some(quota) = grant.cpu_quota {
                    self.text(dir, "cpu.cfs_quota_us", quota.to_string());
                }
                if let Some(n) = grant.cpu_shares {
                    self.text(dir, "cpu.shares", n.clamp(2, 262_144).to_string());
                }
            }
            CgroupVersion::V2 => {
                let quota = grant.cpu_quota.map_or("max".into(), |q| q.to_string());
                if timed {
                    self.text(dir, "cpu.max", format!("{quota} {period}"));
                }
                if let Some(n) = grant.cpu_shares {
                    self.text(dir, "cpu.weight", weight_of_shares(n).to_string());
                }
            }
        }
        let share = grant.cpu_shares.map(|n| format!("shares {n}"));
        let time = grant.cpu_quota.map(|q| {
            let percent = q.saturating_mul(100) / period.max(1);
            format!("{percent} % of one CPU ({q} µs in each {period} µs)")
        });
        self.line(
            "cpu",
            [time, share]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
        );
    }

    fn cpuset(&mut self, grant: &Limits) {
        let asked = [
            ("cpuset.cpus", grant.cpuset_cpus.as_deref()),
            ("cpuset.mems", grant.cpuset_mems.as_deref()),
        ];
        if asked.iter().all(|(_, list)| list.is_none()) {
            return;
        }
        let Some((dir, version)) = self.enter("cpuset", "the choice of CPUs is not limited") else {
            return;
        };
        if version == CgroupVersion::V1 {
            for (file, _) in asked {
                self.write(dir, file, Value::Inherited, Expect::Something);
            }
        }
        for (file, list) in asked {
            if let Some(list) = list {
                self.write(
                    dir,
                    file,
                    Value::Text(list.into()),
                    Expect::List(list.into()),
                );
                self.line(file.trim_start_matches("cpuset."), list.to_string());
            }
        }
    }

    fn io(&mut self, grant: &Limits, devices: &[(u32, u32)]) {
        if grant.io_bps.is_none() && grant.io_iops.is_none() {
            return;
        }
        if devices.is_empty() {
            self.line("io", "nothing to limit: the files lie on no disk".into());
            return;
        }
        let controller = if self
            .host
            .cgroups
            .v1
            .iter()
            .any(|h| h.controllers.iter().any(|c| c == "blkio"))
        {
            "blkio"
        } else {
            "io"
        };
        let Some((dir, version)) = self.enter(controller, "disk throughput is not limited") else {
            return;
        };
        for (major, minor) in devices {
            match version {
                CgroupVersion::V1 => self.throttle(dir, grant, *major, *minor),
                CgroupVersion::V2 => {
                    let max = |n: Option<u64>| n.map_or("max".to_string(), |n| n.to_string());
                    let (bps, iops) = (max(grant.io_bps), max(grant.io_iops));
                    let value =
                        format!("{major}:{minor} rbps={bps} wbps={bps} riops={iops} wiops={iops}");
                    self.write(
                        dir,
                        "io.max",
                        Value::Text(value.clone()),
                        Expect::Line(value),
                    );
                }
            }
        }
        let bps = grant.io_bps.map(|n| format!("{}/s each way", human(n)));
        let iops = grant.io_iops.map(|n| format!("{n} operations/s"));
        let text = [bps, iops]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ");
        let caveat = match version {
            CgroupVersion::V1 => " (v1: buffered writes are not counted)",
            CgroupVersion::V2 => "",
        };
        self.line("io", format!("{text} on {}{caveat}", numbers(devices)));
    }

    fn throttle(&mut self, dir: usize, grant: &Limits, major: u32, minor: u32) {
        for (kind, value) in [("bps", grant.io_bps), ("iops", grant.io_iops)] {
            let Some(n) = value else { continue };
            for way in ["read", "write"] {
                let text = format!("{major}:{minor} {n}");
                let file = format!("blkio.throttle.{way}_{kind}_device");
                self.write(dir, &file, Value::Text(text.clone()), Expect::Line(text));
            }
        }
    }

    fn unified(&mut self, grant: &Limits) -> Result<(), Lacks> {
        for (key, value) in &grant.unified {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
            let controller = key.split('.').next().unwrap_or_default();
            if !key.contains('.')
                || !key.chars().all(plain)
                || controller == "cgroup"
                || key.len() > 128
            {
                return Err(refuse(format!(
                    "linux.resources.unified has {key:?}, which is not the name of a limit: leave it out"
                )));
            }
            let on_v2 = self.plan.v2_dir().is_some();
            let at = self.site.enter(self.plan, controller, Purpose::Limit);
            match at {
                Some(dir) if on_v2 && self.plan.dirs[dir].version == CgroupVersion::V2 => {
                    let expect = match value.trim().parse::<u64>() {
                        Ok(n) if controller == "memory" => Expect::Bytes(n),
                        Ok(n) => Expect::Text(n.to_string()),
                        Err(_) => Expect::Unchecked,
                    };
                    self.write(dir, key, Value::Text(value.clone()), expect);
                    self.line(key, value.clone());
                }
                _ => {
                    let what = format!(
                        "{key} exists only where the {controller} controller is on cgroup v2"
                    );
                    self.lack(what, &format!("{key} is not set"));
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, controller: &str, lost: &str) -> Option<(usize, CgroupVersion)> {
        let at = self.site.enter(self.plan, controller, Purpose::Limit);
        if at.is_none() {
            self.lack(absent(self.host, controller), lost);
        }
        at.map(|at| (at, self.plan.dirs[at].version))
    }

    fn lack(&mut self, what: String, lost: &str) {
        self.plan.lacks.push(Lack {
            control: ControlId::S8_1_4,
            what,
            lost: lost.to_string(),
        });
    }

    fn line(&mut self, name: &str, text: String) {
        self.plan.lines.push(LimitLine {
            control: ControlId::S8_1_4,
            name: name.to_string(),
            text,
        });
    }

    fn write(&mut self, dir: usize, file: &str, value: Value, expect: Expect) {
        self.plan.writes.push(LimitWrite {
            dir,
            file: file.to_string(),
            value,
            control: ControlId::S8_1_4,
            expect,
            presence: Presence::Required,
        });
    }

    fn text(&mut self, dir: usize, file: &str, value: impl Into<String>) {
        let value = value.into();
        self.write(dir, file, Value::Text(value.clone()), Expect::Text(value));
    }

    fn bytes(&mut self, dir: usize, file: &str, n: u64) {
        let v1 = self.plan.dirs[dir].version == CgroupVersion::V1;
        let (value, expect) = match (n < UNLIMITED, v1) {
            (true, _) => (n.to_string(), Expect::Bytes(n)),
            (false, true) => ("-1".into(), Expect::Bytes(i64::MAX as u64)),
            (false, false) => ("max".into(), Expect::Text("max".into())),
        };
        self.write(dir, file, Value::Text(value), expect);
    }

    /// The write just planned may meet a kernel without the file.
    fn optional(&mut self, lost: &str) {
        if let Some(last) = self.plan.writes.last_mut() {
            last.presence = Presence::Optional(lost.to_string());
        }
    }
}
