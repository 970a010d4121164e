//! The writes of limits that few ask for: bursts, idle groups, real-time shares, weights, packet marks, RDMA.

use super::writes::Writer;
use super::{CgroupVersion, Expect, Lacks, Value};
use crate::policy::Limits;

impl Writer<'_, '_> {
    /// v1 memory beyond the limit itself; the memory cgroup has been entered.
    pub(super) fn lesser_memory(&mut self, grant: &Limits, dir: usize) {
        if let Some(n) = grant.swappiness {
            self.text(dir, "memory.swappiness", n.to_string());
            self.line("swappiness", n.to_string());
        }
        if let Some(n) = grant.kernel_tcp {
            self.bytes(dir, "memory.kmem.tcp.limit_in_bytes", n);
            self.line("tcp buffers", super::bytes(n));
        }
        if grant.oom_waits {
            let expect = Expect::Line("oom_kill_disable 1".into());
            self.write(dir, "memory.oom_control", Value::Text("1".into()), expect);
            self.line("oom", "processes wait at the limit, none is killed".into());
        }
    }

    /// The cpu cgroup has been entered; the quota is written before the burst that it bounds.
    pub(super) fn lesser_cpu(&mut self, grant: &Limits, dir: usize, version: CgroupVersion) {
        let v1 = version == CgroupVersion::V1;
        if let Some(n) = grant.cpu_burst {
            let file = if v1 {
                "cpu.cfs_burst_us"
            } else {
                "cpu.max.burst"
            };
            self.text(dir, file, n.to_string());
            self.line("cpu burst", format!("{n} µs"));
        }
        if grant.cpu_idle {
            self.text(dir, "cpu.idle", "1");
            self.line("cpu idle", "only time that nobody else wants".into());
        }
        if let Some((runtime, period)) = grant.realtime {
            if let Some(period) = period {
                self.text(dir, "cpu.rt_period_us", period.to_string());
            }
            self.text(dir, "cpu.rt_runtime_us", runtime.to_string());
            self.line("real-time", format!("{runtime} µs"));
        }
    }

    /// bfq's files exist while a disk uses that scheduler, io.weight while the cost model is on.
    pub(super) fn weights(&mut self, grant: &Limits) {
        if grant.io_weight.is_none() && grant.io_weights.is_empty() {
            return;
        }
        let v1 = self.has_v1("blkio");
        let controller = if v1 { "blkio" } else { "io" };
        let Some((dir, _)) = self.enter(controller, "disks are shared equally") else {
            return;
        };
        let file = format!("{controller}.bfq.weight");
        let lost = "no share of its own while no disk here has the scheduler bfq";
        if let Some(n) = grant.io_weight {
            let expect = Expect::Unchecked;
            self.write(dir, &file, Value::Text(n.to_string()), expect);
            self.optional(lost);
            if !v1 {
                // 10..1000 onto 1..10000, as other runtimes do.
                let scaled = 1 + (u64::from(n) - 10) * 9999 / 990;
                let value = Value::Text(format!("default {scaled}"));
                self.write(dir, "io.weight", value, Expect::Unchecked);
                self.optional("no share of its own while the kernel has no I/O cost model");
            }
            self.line("io weight", n.to_string());
        }
        for (major, minor, n) in &grant.io_weights {
            let file = match v1 {
                true => "blkio.bfq.weight_device".to_string(),
                false => file.clone(),
            };
            let value = Value::Text(format!("{major}:{minor} {n}"));
            self.write(dir, &file, value, Expect::Unchecked);
            self.optional(lost);
            self.line("io weight", format!("{n} on {major}:{minor}"));
        }
    }

    pub(super) fn packets(&mut self, grant: &Limits) -> Result<(), Lacks> {
        if let Some(class) = grant.net_class {
            let (dir, _) = self.require("net_cls", "network/classID")?;
            self.text(dir, "net_cls.classid", class.to_string());
            self.line("packets", format!("class {class:#x}"));
        }
        for (interface, priority) in &grant.net_priorities {
            let (dir, _) = self.require("net_prio", "network/priorities")?;
            let text = format!("{interface} {priority}");
            let expect = Expect::Line(text.clone());
            self.write(dir, "net_prio.ifpriomap", Value::Text(text.clone()), expect);
            self.line("packets", format!("priority {text}"));
        }
        Ok(())
    }

    pub(super) fn rdma(&mut self, grant: &Limits) -> Result<(), Lacks> {
        for limit in &grant.rdma {
            let (dir, _) = self.require("rdma", "rdma")?;
            let number = |n: Option<u32>| n.map_or("max".to_string(), |n| n.to_string());
            let text = format!(
                "{} hca_handle={} hca_object={}",
                limit.device,
                number(limit.handles),
                number(limit.objects)
            );
            let expect = Expect::Line(text.clone());
            self.write(dir, "rdma.max", Value::Text(text.clone()), expect);
            self.line("rdma", text);
        }
        Ok(())
    }
}
