//! The writes of each limit, for v1 and v2, with what the kernel says afterwards.
//!
//! Order matters: memory before memory+swap, period before quota, cpuset's inherited values before its own.

use super::place::{Site, refuse};
use super::units::{UNLIMITED, human, numbers, weight_of_shares};
use super::{Expect, Lack, Lacks, LimitLine, LimitPlan, LimitWrite, Presence, Purpose, Value};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::limits::CgroupVersion;
use crate::policy::{IoThrottle, Limits};

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
    w.weights(grant);
    w.hugepages(grant)?;
    w.packets(grant)?;
    w.rdma(grant)?;
    w.unified(grant)
}

/// The limits of each disk: what holds for all, tightened where the request names one; 0 is no limit.
fn throttles(grant: &Limits, devices: &[(u32, u32)]) -> Vec<IoThrottle> {
    let (bps, iops) = (grant.io_bps.unwrap_or(0), grant.io_iops.unwrap_or(0));
    let general = |&(major, minor): &(u32, u32)| IoThrottle {
        major,
        minor,
        read_bps: bps,
        write_bps: bps,
        read_iops: iops,
        write_iops: iops,
    };
    let mut out: Vec<IoThrottle> = match bps.max(iops) {
        0 => Vec::new(),
        _ => devices.iter().map(general).collect(),
    };
    let tighter = |have: u64, asked: u64| match (have, asked) {
        (0, n) | (n, 0) => n,
        (have, asked) => have.min(asked),
    };
    for asked in &grant.io_devices {
        let same = |t: &&mut IoThrottle| (t.major, t.minor) == (asked.major, asked.minor);
        match out.iter_mut().find(same) {
            None => out.push(*asked),
            Some(t) => {
                t.read_bps = tighter(t.read_bps, asked.read_bps);
                t.write_bps = tighter(t.write_bps, asked.write_bps);
                t.read_iops = tighter(t.read_iops, asked.read_iops);
                t.write_iops = tighter(t.write_iops, asked.write_iops);
            }
        }
    }
    out
}

pub(super) struct Writer<'a, 'b> {
    plan: &'a mut LimitPlan,
    site: &'a Site<'b>,
    host: &'a Host,
}

impl Writer<'_, '_> {
    fn memory(&mut self, grant: &Limits) {
        let (max, low) = (grant.memory, grant.memory_low);
        let lesser = grant.swappiness.is_some() || grant.kernel_tcp.is_some() || grant.oom_waits;
        if max.is_none() && low.is_none() && grant.swap.is_none() && !lesser {
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
                if swap == 0 && grant.swappiness.is_none() {
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
        if v1 {
            self.lesser_memory(grant, dir);
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
        let lesser = grant.cpu_idle || grant.cpu_burst.is_some() || grant.realtime.is_some();
        if grant.cpu_quota.is_none()
            && grant.cpu_period.is_none()
            && grant.cpu_shares.is_none()
            && !lesser
        {
            return;
        }
        let Some((dir, version)) = self.enter("cpu", "CPU time is not limited") else {
            return;
        };
        let period = grant.cpu_period.unwrap_or(100_000);
        let timed = grant.cpu_quota.is_some() || grant.cpu_period.is_some();
        // The kernel gives an idle group the least share, and takes no other.
        let shares = grant.cpu_shares.filter(|_| !grant.cpu_idle);
        match version {
            CgroupVersion::V1 => {
                if timed {
                    self.text(dir, "cpu.cfs_period_us", period.to_string());
                }
                if let Some(quota) = grant.cpu_quota {
                    self.text(dir, "cpu.cfs_quota_us", quota.to_string());
                }
                if let Some(n) = shares {
                    self.text(dir, "cpu.shares", n.clamp(2, 262_144).to_string());
                }
            }
            CgroupVersion::V2 => {
                let quota = grant.cpu_quota.map_or("max".into(), |q| q.to_string());
                if timed {
                    self.text(dir, "cpu.max", format!("{quota} {period}"));
                }
                if let Some(n) = shares {
                    self.text(dir, "cpu.weight", weight_of_shares(n).to_string());
                }
            }
        }
        let share = shares.map(|n| format!("shares {n}"));
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
        self.lesser_cpu(grant, dir, version);
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
        let throttles = throttles(grant, devices);
        if throttles.is_empty() {
            if grant.io_bps.is_some() || grant.io_iops.is_some() {
                self.line("io", "nothing to limit: the files lie on no disk".into());
            }
            return;
        }
        let controller = if self.has_v1("blkio") { "blkio" } else { "io" };
        let Some((dir, version)) = self.enter(controller, "disk throughput is not limited") else {
            return;
        };
        for throttle in &throttles {
            match version {
                CgroupVersion::V1 => self.throttle(dir, throttle),
                CgroupVersion::V2 => self.io_max(dir, throttle),
            }
        }
        let bps = grant.io_bps.map(|n| format!("{}/s each way", human(n)));
        let iops = grant.io_iops.map(|n| format!("{n} operations/s"));
        let text: Vec<String> = [bps, iops].into_iter().flatten().collect();
        let caveat = match version {
            CgroupVersion::V1 => " (v1: buffered writes are not counted)",
            CgroupVersion::V2 => "",
        };
        let on: Vec<(u32, u32)> = throttles.iter().map(|t| (t.major, t.minor)).collect();
        let text = text.join(", ");
        self.line("io", format!("{text} on {}{caveat}", numbers(&on)));
    }

    fn io_max(&mut self, dir: usize, t: &IoThrottle) {
        let max = |n: u64| {
            if n == 0 {
                "max".to_string()
            } else {
                n.to_string()
            }
        };
        let value = format!(
            "{}:{} rbps={} wbps={} riops={} wiops={}",
            t.major,
            t.minor,
            max(t.read_bps),
            max(t.write_bps),
            max(t.read_iops),
            max(t.write_iops)
        );
        let expect = Expect::Line(value.clone());
        self.write(dir, "io.max", Value::Text(value), expect);
    }

    fn throttle(&mut self, dir: usize, t: &IoThrottle) {
        for (way, kind, n) in [
            ("read", "bps", t.read_bps),
            ("write", "bps", t.write_bps),
            ("read", "iops", t.read_iops),
            ("write", "iops", t.write_iops),
        ] {
            if n > 0 {
                let text = format!("{}:{} {n}", t.major, t.minor);
                let file = format!("blkio.throttle.{way}_{kind}_device");
                self.write(dir, &file, Value::Text(text.clone()), Expect::Line(text));
            }
        }
    }

    fn hugepages(&mut self, grant: &Limits) -> Result<(), Lacks> {
        for (size, bytes) in &grant.hugepages {
            let (dir, version) = self.require("hugetlb", "hugepageLimits")?;
            let file = match version {
                CgroupVersion::V1 => format!("hugetlb.{size}.limit_in_bytes"),
                CgroupVersion::V2 => format!("hugetlb.{size}.max"),
            };
            self.write(
                dir,
                &file,
                Value::Text(bytes.to_string()),
                Expect::Bytes(*bytes),
            );
            self.line("hugepages", format!("{} in pages of {size}", human(*bytes)));
        }
        Ok(())
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
                    // An error by the specification, whatever policy lets pass (config-linux.md, Unified).
                    return Err(Lacks(vec![Lack {
                        control: ControlId::S8_1_4,
                        what: format!(
                            "{key} exists only where the {controller} controller is on cgroup v2; or leave /linux/resources/unified out"
                        ),
                        lost: format!("{key} is not set"),
                    }]));
                }
            }
        }
        Ok(())
    }

    pub(super) fn has_v1(&self, controller: &str) -> bool {
        self.host.cgroups.has_v1(controller)
    }

    pub(super) fn enter(&mut self, controller: &str, lost: &str) -> Option<(usize, CgroupVersion)> {
        let at = self.site.enter(self.plan, controller, Purpose::Limit);
        if at.is_none() {
            self.lack(self.site.absent(self.host, controller), lost);
        }
        at.map(|at| (at, self.plan.dirs[at].version))
    }

    /// What only a request can ask for: without the controller there is nothing that could stand in for it.
    pub(super) fn require(
        &mut self,
        controller: &str,
        field: &str,
    ) -> Result<(usize, CgroupVersion), Lacks> {
        let at = self.site.enter(self.plan, controller, Purpose::Limit);
        let at = at.ok_or_else(|| {
            let why = self.site.absent(self.host, controller);
            Lacks(vec![Lack {
                control: ControlId::S8_1_4,
                what: format!("{why}; or leave /linux/resources/{field} out"),
                lost: "that limit".into(),
            }])
        })?;
        Ok((at, self.plan.dirs[at].version))
    }

    fn lack(&mut self, what: String, lost: &str) {
        self.plan.lacks.push(Lack {
            control: ControlId::S8_1_4,
            what,
            lost: lost.to_string(),
        });
    }

    pub(super) fn line(&mut self, name: &str, text: String) {
        self.plan.lines.push(LimitLine {
            control: ControlId::S8_1_4,
            name: name.to_string(),
            text,
        });
    }

    pub(super) fn write(&mut self, dir: usize, file: &str, value: Value, expect: Expect) {
        self.plan.writes.push(LimitWrite {
            dir,
            file: file.to_string(),
            value,
            control: ControlId::S8_1_4,
            expect,
            presence: Presence::Required,
        });
    }

    pub(super) fn text(&mut self, dir: usize, file: &str, value: impl Into<String>) {
        let value = value.into();
        self.write(dir, file, Value::Text(value.clone()), Expect::Text(value));
    }

    pub(super) fn bytes(&mut self, dir: usize, file: &str, n: u64) {
        let v1 = self.plan.dirs[dir].version == CgroupVersion::V1;
        let (value, expect) = match (n < UNLIMITED, v1) {
            (true, _) => (n.to_string(), Expect::Bytes(n)),
            (false, true) => ("-1".into(), Expect::Bytes(i64::MAX as u64)),
            (false, false) => ("max".into(), Expect::Text("max".into())),
        };
        self.write(dir, file, Value::Text(value), expect);
    }

    /// The write just planned may meet a kernel without the file.
    pub(super) fn optional(&mut self, lost: &str) {
        if let Some(last) = self.plan.writes.last_mut() {
            last.presence = Presence::Optional(lost.to_string());
        }
    }
}
