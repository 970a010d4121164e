//! `update`: limits from a file, from standard input or from flags; clamped as at `create`.

use super::Global;
use super::launch::store;
use crate::bundle::{Bundle, changed, set_resources};
use crate::container::{Saved, Update, Updating};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::limits::{LimitPlan, plan_limits};
use crate::policy::{self, Clamp, Decision, Grant, Limits};
use crate::report::{self, Failure};
use crate::request;
use clap::Args;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The largest description of resources that is read, in bytes.
const MOST: u64 = 1 << 20;

/// `update`.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    /// Resources as JSON (linux.resources of config.json): a file, or - for standard input
    #[arg(long, short = 'r', value_name = "FILE")]
    resources: Option<String>,
    /// Memory (512m, 2g; -1: as much as policy allows)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = bytes)]
    memory: Option<i64>,
    /// Memory and swap together
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = bytes)]
    memory_swap: Option<i64>,
    /// Soft limit of memory
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = bytes)]
    memory_reservation: Option<i64>,
    /// Accepted for engines: counted in memory
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = bytes)]
    kernel_memory: Option<i64>,
    /// Accepted for engines: counted in memory
    #[arg(long, hide = true, allow_hyphen_values = true, value_parser = bytes)]
    kernel_memory_tcp: Option<i64>,
    /// Microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,
    /// Microseconds of CPU time in each period (-1: as much as policy allows)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Microseconds on top of the quota
    #[arg(long, value_name = "N")]
    cpu_burst: Option<u64>,
    /// Relative share (2 to 262144; 1024 is normal)
    #[arg(long, alias = "cpu-shares", value_name = "N")]
    cpu_share: Option<u64>,
    /// Real-time scheduling
    #[arg(long, value_name = "N")]
    cpu_rt_period: Option<u64>,
    /// Real-time scheduling
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// Whether its CPU time is what nobody else wants
    #[arg(long, value_name = "0|1")]
    cpu_idle: Option<i64>,
    /// CPUs (0-3,7)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Threads and processes (-1: as many as policy allows)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Relative share of disks
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,
    /// Refused: Intel RDT is not supported
    #[arg(long, hide = true)]
    l3_cache_schema: Option<String>,
    /// Refused: Intel RDT is not supported
    #[arg(long, hide = true)]
    mem_bw_schema: Option<String>,
    /// The container's id
    id: String,
}

fn bytes(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(n) => Ok(n.max(-1)),
        Err(_) => request::size(text)
            .map_err(|e| e.to_string())
            .and_then(|n| i64::try_from(n).map_err(|_| "too large".into())),
    }
}

pub(super) fn update(global: &Global, args: &UpdateArgs) -> Result<u8, Failure> {
    let mut asked = resources(args)?;
    let updating = Updating::open(&store(global), &args.id).map_err(Failure::from_engine)?;
    let saved = &updating.saved;
    let mut host = Host::probe().map_err(|e| Failure::engine(e.to_string()))?;
    host.now = saved.made;
    let old = grant(saved, &saved.bundle, &host)?;
    let mut new = grant(saved, &bundle(saved, &asked)?, &host)?;
    let kept = keep_what_is_more(&mut asked, &old.limits, &new.limits);
    let bundle = bundle(saved, &asked)?;
    if !kept.is_empty() {
        new = grant(saved, &bundle, &host)?;
    }
    devices(saved, &asked, &old, &host)?;
    let planned = |grant: &Grant| plan(grant, saved, &host);
    let (before, after) = (planned(&old)?, planned(&new)?);
    let resources =
        |c: &&Clamp| c.pointer.starts_with("/linux/resources") && !old.clamps.contains(c);
    let mut clamps: Vec<Clamp> = new.clamps.iter().filter(resources).cloned().collect();
    clamps.extend(kept);
    let checked = asked.memory().and_then(|m| m.check_before_update()) == Some(true);
    let changed = saved.with(bundle);
    let what = Update {
        old: &before,
        new: &after,
        check_memory: new.limits.memory.filter(|_| checked),
        clamps: &clamps,
        waivers: &new.waivers,
    };
    updating
        .apply(&what, &host, &changed)
        .map_err(Failure::from_engine)?;
    report::clamps(&clamps);
    Ok(0)
}

/// What is asked: the file's, and the flags' over it.
fn resources(args: &UpdateArgs) -> Result<LinuxResources, Failure> {
    if args.l3_cache_schema.is_some() || args.mem_bw_schema.is_some() {
        return Err(Failure::engine(
            "--l3-cache-schema, --mem-bw-schema: Intel RDT is not supported; leave them out",
        ));
    }
    let read = |name: &str| -> Result<LinuxResources, Failure> {
        let text = text_of(name)
            .map_err(|e| Failure::engine(format!("can't read the resources {name}: {e}")))?;
        serde_json::from_slice(&text)
            .map_err(|e| Failure::engine(format!("the resources {name}: {e}")))
    };
    let from_file = args.resources.as_deref().map(read).transpose()?;
    let flags = json!({
        "memory": {
            "limit": args.memory, "swap": args.memory_swap, "reservation": args.memory_reservation,
            "kernel": args.kernel_memory, "kernelTCP": args.kernel_memory_tcp
        },
        "cpu": {
            "period": args.cpu_period, "quota": args.cpu_quota, "burst": args.cpu_burst, "shares": args.cpu_share,
            "realtimePeriod": args.cpu_rt_period, "realtimeRuntime": args.cpu_rt_runtime, "idle": args.cpu_idle,
            "cpus": args.cpuset_cpus, "mems": args.cpuset_mems
        },
        "pids": { "limit": args.pids_limit.unwrap_or(0) },
        "blockIO": { "weight": args.blkio_weight },
    });
    let understood = |e: serde_json::Error| Failure::engine(format!("the resources: {e}"));
    let flags: LinuxResources = serde_json::from_value(flags).map_err(understood)?;
    let devices = from_file.as_ref().and_then(|r| r.devices().clone());
    let mut all = changed(from_file.as_ref(), &flags).map_err(understood)?;
    all.set_devices(devices);
    with_swap(&mut all);
    Ok(all)
}

/// Memory without a limit is memory and swap without one, as in runc: the sum can't stay below a part of it.
fn with_swap(asked: &mut LinuxResources) {
    let Some(mut memory) = *asked.memory() else {
        return;
    };
    if memory.limit().is_some_and(|n| n < 0) && memory.swap().is_none_or(|n| n == 0) {
        memory.set_swap(Some(-1));
        asked.set_memory(Some(memory));
    }
}

fn text_of(name: &str) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let count = match name {
        "-" => std::io::stdin()
            .lock()
            .take(MOST + 1)
            .read_to_end(&mut text),
        // A FIFO in the file's place must not block us while others wait for the container.
        path => std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(Path::new(path))?
            .take(MOST + 1)
            .read_to_end(&mut text),
    }?;
    match count as u64 > MOST {
        true => Err(std::io::Error::other("more than 1 MiB")),
        false => Ok(text),
    }
}

fn bundle(saved: &Saved, asked: &LinuxResources) -> Result<Bundle, Failure> {
    let mut bundle = saved.bundle.clone();
    let now = bundle.spec.linux().as_ref();
    let now = now.and_then(|l| l.resources().clone());
    changed(now.as_ref(), asked)
        .and_then(|all| set_resources(&mut bundle.spec, all))
        .map_err(|e| Failure::engine(format!("the resources: {e}")))?;
    Ok(bundle)
}

/// The one decision function, with the policy that the container was made under.
fn grant(saved: &Saved, bundle: &Bundle, host: &Host) -> Result<Box<Grant>, Failure> {
    let policy = saved
        .policy
        .policy()
        .map_err(|problems| Failure::policy(&problems))?;
    match policy::decide(bundle, &policy, host) {
        Decision::Granted(grant) => Ok(grant),
        Decision::Refused(violations) => Err(Failure::refused(bundle, &violations).as_engine()),
    }
}

fn plan(grant: &Grant, saved: &Saved, host: &Host) -> Result<LimitPlan, Failure> {
    plan_limits(
        &grant.limits,
        &grant.device_rules,
        &grant.cgroup,
        &grant.name,
        host,
        &saved.disks,
    )
    .map_err(|e| Failure::engine(format!("/linux/resources: {e}")))
}

/// "Unlimited" gets the default at `create`; to a container that has more already it must take nothing away. But swap is
/// asked as a sum with memory, and beside unlimited memory there is no such sum.
fn keep_what_is_more(asked: &mut LinuxResources, old: &Limits, new: &Limits) -> Vec<Clamp> {
    let mut value = serde_json::to_value(&*asked).unwrap_or_default();
    let mut kept = Vec::new();
    for (pointer, had, gets) in [
        ("/memory/limit", old.memory, new.memory),
        ("/memory/swap", old.swap, new.swap),
        ("/pids/limit", old.pids, new.pids),
        ("/cpu/quota", old.cpu_quota, new.cpu_quota),
    ] {
        let memory = value.pointer("/memory/limit").and_then(Value::as_i64);
        if pointer == "/memory/swap" && memory.is_some_and(|n| n < 0) {
            continue;
        }
        let Some(at) = value.pointer_mut(pointer) else {
            continue;
        };
        let less = gets.is_some_and(|n| had.is_none_or(|h| h > n));
        if less && at.as_i64().is_some_and(|n| n < 0) {
            *at = Value::from(0);
            kept.push(Clamp {
                control: ControlId::S8_1_4,
                pointer: format!("/linux/resources{pointer}"),
                asked: "unlimited".into(),
                granted: "what it has".into(),
            });
        }
    }
    if let Ok(changed) = serde_json::from_value(value) {
        *asked = changed;
    }
    kept
}

/// The device filter stays as it was made: engines repeat it, mostly as the bare deny-all without the allow list.
fn devices(saved: &Saved, asked: &LinuxResources, old: &Grant, host: &Host) -> Result<(), Failure> {
    let Some(rules) = asked.devices().as_ref().filter(|r| !r.is_empty()) else {
        return Ok(());
    };
    if rules.iter().all(|rule| !rule.allow()) {
        return Ok(());
    }
    let mut bundle = saved.bundle.clone();
    let now = bundle.spec.linux().as_ref();
    let mut all = now.and_then(|l| l.resources().clone()).unwrap_or_default();
    all.set_devices(Some(rules.clone()));
    set_resources(&mut bundle.spec, all)
        .map_err(|e| Failure::engine(format!("the resources: {e}")))?;
    if grant(saved, &bundle, host)?.device_rules == old.device_rules {
        return Ok(());
    }
    Err(Failure::engine(
        "SS-011/8.5.1: /linux/resources/devices: other devices for a container that runs; they are given at create only: permission denied",
    ))
}
