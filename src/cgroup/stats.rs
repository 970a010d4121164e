//! What the kernel has counted for a container, on v1 and v2, by the names of runc's `events`.

use super::dir::OpenDir;
use super::{Cgroup, value_of};
use crate::plan::limits::CgroupVersion;
use serde_json::{Map, Value, json};

/// Nanoseconds in a clock tick of cpuacct.stat (USER_HZ is 100 on every architecture that we build for).
const TICK: u64 = 10_000_000;

/// v1 files of blkio by runc's names.
const BLKIO: [(&str, &str); 2] = [
    (
        "ioServiceBytesRecursive",
        "blkio.throttle.io_service_bytes_recursive",
    ),
    (
        "ioServicedRecursive",
        "blkio.throttle.io_serviced_recursive",
    ),
];

impl Cgroup {
    /// All figures that there are; a controller that the container is not in has none.
    pub fn stats(&self) -> Value {
        json!({
            "cpu": self.cpu(),
            "cpuset": self.cpuset(),
            "memory": self.memory(),
            "pids": self.pids(),
            "blkio": self.blkio(),
            "hugetlb": self.hugetlb(),
            "intel_rdt": {},
            "network_interfaces": Value::Null,
        })
    }

    fn at(&self, controller: &str) -> Option<(&OpenDir, CgroupVersion)> {
        let member = self.with(controller)?;
        Some((&member.dir, member.place.version))
    }

    fn cpu(&self) -> Value {
        let v2 = self
            .v2()
            .map(|m| m.dir.read("cpu.stat").unwrap_or_default())
            .filter(|text| value_of(text, "usage_usec").is_some_and(|n| n > 0));
        let stat = match (self.at("cpu"), &v2) {
            (Some((dir, _)), _) => dir.read("cpu.stat").unwrap_or_default(),
            (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        };
        let of = |key| value_of(&stat, key).unwrap_or(0);
        let throttled = value_of(&stat, "throttled_usec").map(|n| n * 1000);
        let usage = match (self.at("cpuacct"), &v2) {
            (Some((dir, CgroupVersion::V1)), _) => accounted(dir),
            (_, Some(text)) => {
                let of = |key| value_of(text, key).unwrap_or(0) * 1000;
                json!({ "total": of("usage_usec"), "kernel": of("system_usec"), "user": of("user_usec") })
            }
            _ => json!({ "total": 0, "kernel": 0, "user": 0 }),
        };
        json!({
            "usage": usage,
            "throttling": {
                "periods": of("nr_periods"),
                "throttledPeriods": of("nr_throttled"),
                "throttledTime": throttled.unwrap_or_else(|| of("throttled_time")),
            },
        })
    }

    fn cpuset(&self) -> Value {
        let Some((dir, version)) = self.at("cpuset") else {
            return json!({});
        };
        let effective = |v1: &str, v2: &str| {
            let file = if version == CgroupVersion::V1 { v1 } else { v2 };
            listed(&dir.read(file).unwrap_or_default())
        };
        json!({
            "cpus": effective("cpuset.cpus", "cpuset.cpus.effective"),
            "mems": effective("cpuset.mems", "cpuset.mems.effective"),
        })
    }

    fn memory(&self) -> Value {
        match self.at("memory") {
            None => json!({ "usage": { "limit": 0, "failcnt": 0 } }),
            Some((dir, CgroupVersion::V1)) => memory_v1(dir),
            Some((dir, CgroupVersion::V2)) => memory_v2(dir),
        }
    }

    fn pids(&self) -> Value {
        match self.at("pids") {
            None => json!({}),
            Some((dir, _)) => {
                json!({ "current": number(dir, "pids.current"), "limit": number(dir, "pids.max") })
            }
        }
    }

    fn blkio(&self) -> Value {
        let mut out = Map::new();
        if let Some((dir, CgroupVersion::V1)) = self.at("blkio") {
            for (name, file) in BLKIO {
                let entries = v1_entries(&dir.read(file).unwrap_or_default());
                if !entries.is_empty() {
                    out.insert(name.into(), entries.into());
                }
            }
        } else if let Some((dir, _)) = self.at("io") {
            let text = dir.read("io.stat").unwrap_or_default();
            for (name, keys) in [
                (
                    "ioServiceBytesRecursive",
                    [("rbytes", "Read"), ("wbytes", "Write")],
                ),
                ("ioServicedRecursive", [("rios", "Read"), ("wios", "Write")]),
            ] {
                let entries = v2_entries(&text, keys);
                if !entries.is_empty() {
                    out.insert(name.into(), entries.into());
                }
            }
        }
        out.into()
    }

    fn hugetlb(&self) -> Value {
        let mut out = Map::new();
        let Some((dir, version)) = self.at("hugetlb") else {
            return out.into();
        };
        for size in ["2MB", "1GB", "64KB", "32MB"] {
            let of = |v1: &str, v2: &str| {
                let tail = if version == CgroupVersion::V1 { v1 } else { v2 };
                number(dir, &format!("hugetlb.{size}.{tail}"))
            };
            let usage = of("usage_in_bytes", "current");
            if !usage.is_null() {
                let max = of("max_usage_in_bytes", "max");
                let entry =
                    json!({ "usage": usage, "max": max, "failcnt": of("failcnt", "events") });
                out.insert(size.into(), entry);
            }
        }
        out.into()
    }
}

fn accounted(dir: &OpenDir) -> Value {
    let stat = dir.read("cpuacct.stat").unwrap_or_default();
    let of = |key| value_of(&stat, key).unwrap_or(0) * TICK;
    let each = dir.read("cpuacct.usage_percpu").unwrap_or_default();
    let each: Vec<u64> = each
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    json!({ "total": number(dir, "cpuacct.usage"), "percpu": each, "kernel": of("system"), "user": of("user") })
}

fn memory_v1(dir: &OpenDir) -> Value {
    let entry = |name: &str| {
        let of = |tail: &str| number(dir, &format!("memory.{name}{tail}"));
        json!({ "limit": of("limit_in_bytes"), "usage": of("usage_in_bytes"), "max": of("max_usage_in_bytes"),
            "failcnt": of("failcnt") })
    };
    let raw = raw(dir);
    json!({
        "cache": raw.get("cache").cloned().unwrap_or(0.into()),
        "usage": entry(""), "swap": entry("memsw."), "kernel": entry("kmem."), "kernelTCP": entry("kmem.tcp."),
        "raw": raw,
    })
}

fn memory_v2(dir: &OpenDir) -> Value {
    let failures = value_of(&dir.read("memory.events").unwrap_or_default(), "max").unwrap_or(0);
    let raw = raw(dir);
    json!({
        "cache": raw.get("file").cloned().unwrap_or(0.into()),
        "usage": { "limit": number(dir, "memory.max"), "usage": number(dir, "memory.current"),
            "max": number(dir, "memory.peak"), "failcnt": failures },
        "swap": { "limit": number(dir, "memory.swap.max"), "usage": number(dir, "memory.swap.current"), "failcnt": 0 },
        "kernel": { "limit": 0, "failcnt": 0 }, "kernelTCP": { "limit": 0, "failcnt": 0 },
        "raw": raw,
    })
}

fn raw(dir: &OpenDir) -> Map<String, Value> {
    let text = dir.read("memory.stat").unwrap_or_default();
    let pair = |line: &str| {
        let (name, n) = line.split_once(' ')?;
        Some((name.to_string(), n.trim().parse::<u64>().ok()?.into()))
    };
    text.lines().filter_map(pair).collect()
}

/// A file with one number; "max" is runc's largest, nothing is null.
fn number(dir: &OpenDir, file: &str) -> Value {
    match dir.read(file).ok().as_deref().map(str::trim) {
        Some("max") => u64::MAX.into(),
        Some(text) => text.parse::<u64>().map_or(Value::Null, Value::from),
        None => Value::Null,
    }
}

/// "8:0 Read 4096".
fn v1_entries(text: &str) -> Vec<Value> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let (op, n) = (words.next()?, words.next()?);
        of_disk(major, minor, op, n)
    };
    text.lines().filter_map(entry).collect()
}

/// "8:0 rbytes=4096 wbytes=0 ...".
fn v2_entries(text: &str, keys: [(&str, &str); 2]) -> Vec<Value> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|w| w.split_once(':')) else {
            continue;
        };
        for word in words {
            let pair = word.split_once('=');
            let op = pair.and_then(|(key, _)| keys.iter().find(|(k, _)| *k == key));
            if let (Some((_, n)), Some((_, op))) = (pair, op) {
                out.extend(of_disk(major, minor, op, n));
            }
        }
    }
    out
}

fn of_disk(major: &str, minor: &str, op: &str, n: &str) -> Option<Value> {
    let of = |text: &str| text.parse::<u64>().ok();
    Some(json!({ "major": of(major)?, "minor": of(minor)?, "op": op, "value": of(n)? }))
}

/// "0-2,5" as numbers.
fn listed(text: &str) -> Vec<u16> {
    let mut out = Vec::new();
    for part in text.trim().split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            out.extend(first..=last);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_disks_are_read() {
        assert_eq!(listed("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(listed(""), Vec::<u16>::new());
        let v1 = v1_entries("8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n");
        assert_eq!(
            v1[0],
            json!({"major": 8, "minor": 0, "op": "Read", "value": 4096})
        );
        assert_eq!(v1.len(), 2);
        let v2 = v2_entries(
            "8:0 rbytes=1 wbytes=2 rios=3\n",
            [("rbytes", "Read"), ("wbytes", "Write")],
        );
        assert_eq!(v2.len(), 2);
        assert_eq!(v2[1]["value"], 2);
    }
}
