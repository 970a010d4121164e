//! What a weakening does to a plan.

use cofferdam::paths::{GuestPath, HostPath};
use cofferdam::plan::landlock::{Access, LandlockPlan, Scoped};
use cofferdam::plan::mounts::{Attrs, Step, What};
use cofferdam::plan::network::Loopback;
use cofferdam::plan::{NamespaceKind, Plan, Translation};
use cofferdam::seccomp::{self, Action, Arch, Gate, Parameters};

/// The shipped filter, but with these calls let through whatever their arguments.
pub fn allow(plan: &mut Plan, calls: &[&str]) {
    let text = |name: &str| {
        (name == "default").then_some(include_str!("../../profiles/seccomp/default.json"))
    };
    let mut profile = seccomp::parse("default", &text).unwrap();
    for rule in &mut profile.rules {
        rule.names.retain(|name| !calls.contains(&name.as_str()));
    }
    profile.rules.retain(|rule| !rule.names.is_empty());
    let mut rule = profile.rules[0].clone();
    rule.names = calls.iter().map(ToString::to_string).collect();
    (rule.action, rule.args, rule.gate) = (Action::Allow, Vec::new(), Gate::Always);
    profile.rules.push(rule);
    let parameters = Parameters {
        exec_fd: Some(plan.process.exec_fd),
        ..Parameters::default()
    };
    let program = seccomp::compile(&profile, Arch::NATIVE, &parameters).unwrap();
    plan.seccomp.filters[0].program = program;
}

/// Calls of other ABIs are let through.
pub fn allow_foreign(plan: &mut Plan) {
    const RETURN: u16 = 0x06;
    let filter = &mut plan.seccomp.filters[0].program.filter;
    for insn in filter.iter_mut().filter(|i| i.code == RETURN) {
        if Action::from_ret(insn.k) == Action::KillProcess {
            insn.k = Action::Allow.to_ret();
        }
    }
}

/// One capability in the sets named.
pub fn capability(plan: &mut Plan, name: &str, everywhere: bool) {
    let sets = &mut plan.capabilities.sets;
    sets.bounding.push(name.into());
    if everywhere {
        for set in [
            &mut sets.permitted,
            &mut sets.effective,
            &mut sets.inheritable,
            &mut sets.ambient,
        ] {
            set.push(name.into());
        }
        plan.capabilities.securebits = 0;
    }
    plan.capabilities.dropped.retain(|d| d != name);
}

/// No landlock domain.
pub fn no_landlock(plan: &mut Plan) {
    plan.landlock = LandlockPlan {
        abi: 0,
        paths: Vec::new(),
        ports: None,
        connect: Vec::new(),
        scoped: Scoped::None,
        refusals: Default::default(),
    };
}

/// Landlock lets everything below / be written to.
pub fn landlock_writes(plan: &mut Plan) {
    for rule in &mut plan.landlock.paths {
        if rule.path == GuestPath::root() {
            rule.access = Access::Write;
        }
    }
}

/// Changes the flags of some mounts.
pub fn flags(plan: &mut Plan, which: fn(&What) -> bool, change: fn(&mut Attrs)) {
    for step in plan.mounts.steps.iter_mut().filter(|s| which(&s.what)) {
        change(&mut step.attrs);
    }
}

pub fn is_tmpfs(what: &What) -> bool {
    matches!(what, What::Tmpfs { .. })
}

pub fn is_dev(what: &What) -> bool {
    matches!(what, What::Dev { .. })
}

/// All of /proc.
pub fn all_of_proc(plan: &mut Plan) {
    for step in &mut plan.mounts.steps {
        if let What::Proc { processes_only } = &mut step.what {
            *processes_only = false;
        }
    }
}

fn bound(path: &str, recursive: bool) -> What {
    What::Bind {
        path: HostPath::trusted(path),
        recursive,
        ids: Translation::None,
    }
}

fn mount(plan: &mut Plan, at: &str, what: What, attrs: Attrs) {
    let target = GuestPath::parse(at).unwrap();
    plan.mounts.root.skeleton.dirs.push(target.clone());
    plan.mounts.steps.push(Step {
        target,
        what,
        attrs,
        by: plan.mounts.root.by,
        propagation: None,
        pointer: String::new(),
    });
}

/// The host's /sys.
pub fn sys(plan: &mut Plan) {
    mount(plan, "/sys", bound("/sys", true), Attrs::SEALED);
}

/// One more tmpfs, writable and executable.
pub fn another_tmpfs(plan: &mut Plan) {
    let mut all = plan.mounts.steps.iter();
    let what = all.find(|s| is_tmpfs(&s.what)).unwrap().what.clone();
    let attrs = Attrs {
        readonly: false,
        noexec: false,
        ..Attrs::SEALED
    };
    mount(plan, "/more", what, attrs);
}

/// The host's /dev in the place of ours.
pub fn host_dev(plan: &mut Plan) {
    for step in plan.mounts.steps.iter_mut().filter(|s| is_dev(&s.what)) {
        step.what = bound("/dev", true);
    }
}

/// The host's namespace of this kind.
pub fn share(plan: &mut Plan, kind: NamespaceKind) {
    plan.namespaces.new.retain(|k| *k != kind);
    if kind == NamespaceKind::Uts {
        plan.namespaces.hostname = None;
    }
}

/// The host's network.
pub fn host_network(plan: &mut Plan) {
    share(plan, NamespaceKind::Network);
    plan.network.loopback = Loopback::AsJoined;
}

/// The host's processes, and its /proc.
pub fn host_pids(plan: &mut Plan) {
    share(plan, NamespaceKind::Pid);
    no_memfd_rule(plan);
    for step in &mut plan.mounts.steps {
        if matches!(step.what, What::Proc { .. }) {
            step.what = bound("/proc", false);
            step.by = plan.mounts.root.by;
        }
    }
}

/// memfds may be executable.
pub fn no_memfd_rule(plan: &mut Plan) {
    plan.network.sysctl.retain(|(f, _)| f != "vm/memfd_noexec");
}

/// Files of a cgroup controller are not written.
pub fn unlimited(plan: &mut Plan, prefix: &str) {
    plan.limits.writes.retain(|w| !w.file.starts_with(prefix));
}

/// Twice the open files, but the program's number is that of before.
pub fn more_files(plan: &mut Plan, soft_too: bool) {
    for limit in &mut plan.process.rlimits {
        if limit.kind == "nofile" {
            limit.hard *= 2;
            if soft_too {
                limit.soft = limit.hard;
            }
        }
    }
}

/// Something open at number 7 goes in.
pub fn descriptor(plan: &mut Plan, path: &str) {
    let file = std::fs::File::open(path).unwrap();
    // SAFETY: dup2 touches no memory, and nothing here has a descriptor of that number.
    unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 7) };
    plan.process.descriptors.push(7);
}
