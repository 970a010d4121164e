//! The same container with one layer changed: what answers differently there was this layer's doing. Pure.

use crate::audit::probes::{Layer, MARK};
use crate::paths::{GuestPath, HostPath};
use crate::plan::landlock::LandlockPlan;
use crate::plan::limits::{Expect, LimitPlan, Value};
use crate::plan::mounts::{Attrs, RootFrom, Step, What};
use crate::plan::network::Loopback;
use crate::plan::seccomp::Mdwe;
use crate::plan::{NamespaceKind, Plan, Translation};
use crate::seccomp::Action;

/// Memory that a bomb has to stay in.
pub(super) const LOWERED_MEMORY: u64 = 24 << 20;

/// The plan without this layer; `None` where there is no such run.
pub(super) fn without(layer: Layer, plan: &Plan) -> Option<Plan> {
    let mut plan = plan.clone();
    match layer {
        Layer::Filter => mark_filters(&mut plan),
        Layer::Landlock => plan.landlock = LandlockPlan::none(),
        Layer::ReadOnly => {
            if plan.mounts.root.from != RootFrom::Empty {
                // A folder of the host's must not be written to for a control run.
                return None;
            }
            plan.mounts.root.readonly = false;
            sealed(
                &mut plan,
                |what| matches!(what, What::Dev { .. }),
                |a| {
                    a.readonly = false;
                },
            );
        }
        Layer::NoExec => sealed(
            &mut plan,
            |what| matches!(what, What::Tmpfs { .. }),
            |a| {
                a.noexec = false;
            },
        ),
        Layer::View => show_everything(&mut plan)?,
        Layer::Pids => share_pids(&mut plan)?,
        Layer::Network => {
            share(&mut plan, NamespaceKind::Network)?;
            plan.network.loopback = Loopback::AsJoined;
        }
        Layer::WriteExecute => plan.seccomp.write_execute = Mdwe::Waived,
        Layer::MemfdNoexec => plan
            .network
            .sysctl
            .retain(|(file, _)| file != "vm/memfd_noexec"),
        Layer::OpenFiles => {
            for limit in plan
                .process
                .rlimits
                .iter_mut()
                .filter(|l| l.kind == "nofile")
            {
                limit.hard = limit.hard.checked_mul(2)?;
                limit.soft = limit.hard;
            }
        }
        Layer::Tasks => unlimited(&mut plan.limits, "pids."),
        Layer::Memory => unlimited(&mut plan.limits, "memory."),
        Layer::Cpu => unlimited(&mut plan.limits, "cpu."),
        Layer::Inotify => plan
            .network
            .sysctl
            .retain(|(file, _)| !file.starts_with("user/")),
        Layer::TmpfsSize => {
            for step in &mut plan.mounts.steps {
                if let What::Tmpfs { size, inodes, .. } = &mut step.what {
                    (*size, *inodes) = (size.saturating_mul(2), inodes.saturating_mul(2));
                }
            }
        }
        Layer::Capabilities => plan.capabilities.sets.bounding.push("NET_RAW".into()),
        // It takes a neighbour: see `beside`.
        Layer::Beside => return None,
        // `logged` changes it in the running container.
        Layer::LogPipe => {}
        Layer::NoNewPrivileges
        | Layer::MountFlags
        | Layer::Streams
        | Layer::Capture
        | Layer::Kernel => return None,
    }
    if layer == Layer::Capabilities {
        plan.capabilities.dropped.retain(|name| name != "NET_RAW");
    }
    Some(plan)
}

/// Whether the plan does without the layer already, so that it is the control run itself.
pub(super) fn is_missing(layer: Layer, plan: &Plan) -> bool {
    match layer {
        Layer::Pids => !plan.namespaces.is_apart(NamespaceKind::Pid),
        Layer::Network => !plan.namespaces.is_apart(NamespaceKind::Network),
        _ => false,
    }
}

/// Every denial gets an errno that nothing else gives, kills too.
fn mark_filters(plan: &mut Plan) {
    const RETURN: u16 = 0x06;
    for filter in &mut plan.seccomp.filters {
        for insn in filter
            .program
            .filter
            .iter_mut()
            .filter(|i| i.code == RETURN)
        {
            if Action::from_ret(insn.k) != Action::Allow {
                insn.k = Action::Errno(MARK as u16).to_ret();
            }
        }
    }
}

fn sealed(plan: &mut Plan, which: fn(&What) -> bool, change: fn(&mut Attrs)) {
    let steps = plan.mounts.steps.iter_mut();
    steps
        .filter(|s| which(&s.what))
        .for_each(|s| change(&mut s.attrs));
}

fn place(path: &str) -> Option<GuestPath> {
    GuestPath::parse(path).ok()
}

/// All of /proc, /sys, the host's /dev.
fn show_everything(plan: &mut Plan) -> Option<()> {
    for step in &mut plan.mounts.steps {
        match &mut step.what {
            What::Proc { processes_only } => *processes_only = false,
            What::Dev { .. } => step.what = bound("/dev", true),
            _ => {}
        }
    }
    if plan.mounts.root.from == RootFrom::Empty {
        let sys = place("/sys")?;
        plan.mounts.root.skeleton.dirs.push(sys.clone());
        let by = plan.mounts.root.by;
        plan.mounts.steps.push(Step {
            target: sys,
            what: bound("/sys", true),
            attrs: Attrs::SEALED,
            by,
            propagation: None,
            pointer: String::new(),
        });
    }
    Some(())
}

fn bound(path: &str, recursive: bool) -> What {
    What::Bind {
        path: HostPath::trusted(path),
        recursive,
        ids: Translation::None,
    }
}

/// The host's processes, and its /proc to see them.
fn share_pids(plan: &mut Plan) -> Option<()> {
    share(plan, NamespaceKind::Pid)?;
    // It belongs to the pid namespace, and this one is the host's.
    plan.network
        .sysctl
        .retain(|(file, _)| file != "vm/memfd_noexec");
    for step in &mut plan.mounts.steps {
        if matches!(step.what, What::Proc { .. }) {
            step.what = bound("/proc", false);
            step.by = plan.mounts.root.by;
        }
    }
    Some(())
}

fn share(plan: &mut Plan, kind: NamespaceKind) -> Option<()> {
    let new = &mut plan.namespaces.new;
    let at = new.iter().position(|k| *k == kind)?;
    new.remove(at);
    Some(())
}

/// In the namespaces of a neighbour, and with nothing else that would keep it away.
pub(super) fn beside(plan: &Plan, pid: u64) -> Option<Plan> {
    let mut plan = plan.clone();
    for kind in [NamespaceKind::Network, NamespaceKind::Ipc] {
        let _ = share(&mut plan, kind);
        let path = format!("/proc/{pid}/ns/{}", kind.proc_name());
        plan.namespaces.joined.retain(|(k, _)| *k != kind);
        plan.namespaces
            .joined
            .insert(0, (kind, HostPath::trusted(&path)));
    }
    plan.network.loopback = Loopback::AsJoined;
    plan.network.devices.clear();
    plan.network
        .sysctl
        .retain(|(file, _)| !file.starts_with("net/"));
    plan.landlock = LandlockPlan::none();
    plan.seccomp.filters.clear();
    Some(plan)
}

fn unlimited(limits: &mut LimitPlan, prefix: &str) {
    limits.writes.retain(|w| !w.file.starts_with(prefix));
}

/// The same limits, low enough to be reached soon: only where there are any.
pub(super) fn lowered(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for write in &mut plan.limits.writes {
        let set = |write: &mut crate::plan::limits::LimitWrite, text: &str| {
            write.value = Value::Text(text.into());
            write.expect = Expect::Text(text.into());
        };
        let number = match &write.value {
            Value::Text(text) => text.parse::<u64>().ok(),
            Value::Inherited => None,
        };
        match write.file.as_str() {
            "cpu.max" => set(write, "1000 10000"),
            "cpu.cfs_period_us" => set(write, "10000"),
            "cpu.cfs_quota_us" => set(write, "1000"),
            file if file.starts_with("memory.") && number.is_some_and(|n| n > LOWERED_MEMORY) => {
                write.value = Value::Text(LOWERED_MEMORY.to_string());
                write.expect = Expect::Bytes(LOWERED_MEMORY);
            }
            _ => {}
        }
    }
    plan
}

/// Puts the tester into the program's place: its file is covered by this binary's, read-only, and nothing else changes.
pub fn seat(plan: &mut Plan) {
    let path = plan.process.program.path.clone();
    plan.process.program.args = vec![crate::audit::tester::NAME.into()];
    // They belong to the service, and would run again for each control run.
    plan.hooks = Default::default();
    // The tester's words are not the service's log, and nobody serves its ports meanwhile.
    plan.monitor = None;
    plan.openings = Default::default();
    if !plan.mounts.steps.iter().any(|s| s.what == What::Sample) {
        plan.mounts.steps.push(Step {
            target: path,
            what: What::Sample,
            attrs: Attrs {
                noexec: false,
                ..Attrs::SEALED
            },
            by: plan.mounts.root.by,
            propagation: None,
            pointer: String::new(),
        });
    }
}
