//! One launch being decided: the request, what measures it, and the grant as it grows.
//!
//! The rules change it through [`Case::over`], [`Case::refuse`] and [`Case::waived`], so that no cut goes unnoted.

use crate::bundle::Bundle;
use crate::controls::ControlId;
use crate::host::Host;
use crate::paths::GuestPath;
use crate::policy::{
    Amount, Caller, CapabilitySets, CgroupPlace, Clamp, Date, Exception, Exec, Execution, Grant,
    Ids, Limits, Loosened, LsmLabels, NewPrivileges, OnExcess, Policy, Ports, Process, Root,
    SeccompGrant, Template, Violation, Waiver, Watching, WriteExecute,
};
use crate::request::Openings;
use oci_spec::runtime::{Linux, Spec};
use std::fmt::Display;

/// How far back a note is compared with those before it: doubles come close together, and a hostile request with
/// tens of thousands of faults must not cost their square.
const NEAR: usize = 16;

/// Whether ceilings are applied or only watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The normal case.
    Ceilings,
    /// The second pass of audit mode: everything is granted as asked.
    AsAsked,
}

/// One launch being decided.
pub(super) struct Case<'a> {
    pub bundle: &'a Bundle,
    pub policy: &'a Policy,
    pub host: &'a Host,
    pub grant: Grant,
    pub violations: Vec<Violation>,
    today: Date,
    strictness: Strictness,
}

impl<'a> Case<'a> {
    pub fn new(bundle: &'a Bundle, policy: &'a Policy, host: &'a Host, strict: Strictness) -> Self {
        Self {
            bundle,
            policy,
            host,
            grant: nothing(bundle),
            violations: Vec::new(),
            today: Date::of_seconds(host.now),
            strictness: strict,
        }
    }

    /// config.json.
    pub fn spec(&self) -> &'a Spec {
        &self.bundle.spec
    }

    /// The `linux` section, if any.
    pub fn linux(&self) -> Option<&'a Linux> {
        self.bundle.spec.linux().as_ref()
    }

    /// Whether the command line asked, not an engine.
    pub fn standalone(&self) -> bool {
        self.bundle.caller == Caller::Standalone
    }

    /// Whether nothing is clamped.
    pub fn compat(&self) -> bool {
        self.grant.template == Template::Compat || self.strictness == Strictness::AsAsked
    }

    /// What is given when nothing is asked: the default, or nothing at all under compat.
    pub fn unasked(&self, default: Amount) -> Amount {
        match self.compat() {
            true => Amount::UNLIMITED,
            false => default,
        }
    }

    /// Something above the ceiling: noted as cut down, or a violation where policy refuses excess.
    pub fn over(
        &mut self,
        control: ControlId,
        pointer: &str,
        asked: impl Display,
        granted: impl Display,
    ) {
        let by_caller = match self.bundle.caller {
            Caller::Standalone => OnExcess::Refuse,
            Caller::Engine => OnExcess::Clamp,
        };
        match self.policy.ceilings.on_excess.unwrap_or(by_caller) {
            OnExcess::Clamp => self.cut(control, pointer, asked, granted),
            OnExcess::Refuse => {
                let way_out = match control.control().loosenings.is_empty() {
                    true => "there is no exception from it".to_string(),
                    false => format!("an exception for {control} would lift it"),
                };
                let remedy = format!("policy allows: {granted}; {way_out}");
                self.refuse(control, pointer, asked, remedy);
            }
        }
    }

    /// Something the launcher gives differently whatever policy says about excess.
    pub fn cut(
        &mut self,
        control: ControlId,
        pointer: &str,
        asked: impl Display,
        granted: impl Display,
    ) {
        let clamp = Clamp {
            control,
            pointer: self.place(pointer),
            asked: asked.to_string(),
            granted: granted.to_string(),
        };
        if !self
            .grant
            .clamps
            .iter()
            .rev()
            .take(NEAR)
            .any(|c| *c == clamp)
        {
            self.grant.clamps.push(clamp);
        }
    }

    /// A reason against the launch.
    pub fn refuse(
        &mut self,
        control: ControlId,
        pointer: &str,
        found: impl Display,
        remedy: impl Display,
    ) {
        let place = self.place(pointer);
        let mut remedy = remedy.to_string();
        // Who has an exception that is over should not look for a mistake in it.
        let mut clamps = self.grant.clamps.iter().rev();
        let lapsed = clamps.find_map(|c| {
            let why = c.granted.strip_prefix(LAPSED)?;
            (c.pointer == place).then_some(why)
        });
        if let Some(why) = lapsed {
            remedy += &format!(" ({why})");
        }
        let violation = Violation {
            control,
            pointer: place,
            found: found.to_string(),
            remedy,
        };
        if !self
            .violations
            .iter()
            .rev()
            .take(NEAR)
            .any(|v| *v == violation)
        {
            self.violations.push(violation);
        }
    }

    /// Whether an exception in force allows this; if so its use is recorded. One that has lapsed is noted instead.
    pub fn waived(
        &mut self,
        pointer: &str,
        grants: impl Display,
        test: impl Fn(&Loosened) -> bool,
    ) -> bool {
        let policy = self.policy;
        let mut lapsed = Vec::new();
        for exception in &policy.exceptions {
            if !test(&exception.grant) || !exception.covers(self.bundle) {
                continue;
            }
            match exception.lapse(self.today) {
                None => {
                    let used = exception.grant.parts().into_iter().find(|part| test(part));
                    self.record(
                        exception,
                        grants,
                        used.unwrap_or_else(|| exception.grant.clone()),
                    );
                    return true;
                }
                Some(why) => lapsed.push((exception.control, why)),
            }
        }
        if self.compat() {
            return true;
        }
        for (control, why) in lapsed {
            self.cut(control, pointer, &grants, format!("{LAPSED}{why}"));
        }
        false
    }

    fn record(&mut self, exception: &Exception, grants: impl Display, loosens: Loosened) {
        let waiver = Waiver {
            exception: exception.id.clone(),
            control: exception.control,
            grants: grants.to_string(),
            loosens,
            expires: exception.expires.to_string(),
            approver: exception.approver.clone(),
            reference: exception.reference.clone(),
        };
        if !self.grant.waivers.contains(&waiver) {
            self.grant.waivers.push(waiver);
        }
    }

    /// Exceptions for this launch that are in force today.
    pub fn in_force(&self) -> impl Iterator<Item = &'a Exception> + use<'a> {
        let (policy, bundle, today) = (self.policy, self.bundle, self.today);
        let covers = move |e: &&Exception| e.covers(bundle) && e.lapse(today).is_none();
        policy.exceptions.iter().filter(covers)
    }

    /// An amount asked, held to a ceiling that an exception may lift.
    pub fn bounded<T: Copy + Ord + Display>(
        &mut self,
        pointer: &str,
        asked: T,
        ceiling: T,
        of: fn(&crate::policy::Ceiling) -> Option<T>,
    ) -> T {
        let granted = |g: &Loosened| g.limits.as_ref().and_then(of);
        let lifted = |to: T| move |g: &Loosened| granted(g).is_some_and(|max| max >= to);
        let what = |amount: T| format!("{pointer} {amount}");
        if asked <= ceiling || self.waived(pointer, what(asked), lifted(asked)) {
            return asked;
        }
        // What exceptions give is more than the policy's, and less than was asked.
        let given = self.in_force().filter_map(|e| granted(&e.grant));
        let most = given.fold(ceiling, T::max);
        if most > ceiling {
            self.waived(pointer, what(most), lifted(most));
        }
        self.over(ControlId::S8_1_4, pointer, asked, most);
        most
    }

    fn place(&self, pointer: &str) -> String {
        place(self.bundle, pointer)
    }
}

/// What is noted of an exception that is not in force, in front of why.
const LAPSED: &str = "not granted: ";

/// The flag that a JSON pointer stands for, when the request came from a command line.
pub fn place(bundle: &Bundle, pointer: &str) -> String {
    if bundle.caller != Caller::Standalone {
        return pointer.into();
    }
    let flag = FLAGS.iter().find(|(prefix, _)| pointer.starts_with(prefix));
    // In a config.json the reader finds the pointer, unless a flag has written over it.
    let by_flag = |prefix: &str| match &bundle.extras.by_flag {
        None => true,
        Some(given) => given.iter().any(|g| g == prefix),
    };
    let flag = flag.filter(|(prefix, _)| by_flag(prefix));
    flag.map_or(pointer, |(_, flag)| flag).into()
}

/// Flags of `run` by what they become in config.json.
const FLAGS: [(&str, &str); 11] = [
    ("/linux/resources/memory", "--memory"),
    ("/linux/resources/cpu", "--cpus"),
    ("/linux/resources/pids", "--pids"),
    ("/process/rlimits", "--nofile"),
    ("/process/user", "--user"),
    ("/process/env", "--env"),
    ("/process/args", "PROGRAM"),
    ("/process/cwd", "--workdir"),
    ("/process/terminal", "--tty"),
    ("/mounts", "--volume or --tmpfs"),
    ("/hostname", "NAME"),
];

/// The grant before any rule has spoken: no rights, nothing shared.
fn nothing(bundle: &Bundle) -> Grant {
    Grant {
        name: bundle.name.clone(),
        caller: bundle.caller,
        template: Template::Default,
        root: Root {
            source: bundle.root.clone(),
            readonly: true,
            propagation: None,
        },
        process: Process {
            args: Vec::new(),
            env: Vec::new(),
            cwd: GuestPath::root(),
            uid: 65532,
            gid: 65532,
            groups: Vec::new(),
            umask: 0o022,
            oom_score_adj: None,
            rlimits: Vec::new(),
            terminal: None,
            descriptors: Vec::new(),
            new_privileges: NewPrivileges::Never,
        },
        execution: Execution::default(),
        exec: Exec::Once,
        exec_verb: None,
        write_execute: WriteExecute::Denied,
        capabilities: CapabilitySets::default(),
        seccomp: SeccompGrant {
            template: Some(Template::Default),
            groups: Vec::new(),
            requested: None,
            flags: Vec::new(),
            listener: None,
            watching: Watching::Off,
            routed: Vec::new(),
        },
        namespaces: Vec::new(),
        ids: Ids::Host,
        mounts: Vec::new(),
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        devices: Vec::new(),
        device_rules: Vec::new(),
        limits: Limits::default(),
        watch: Default::default(),
        cgroup: CgroupPlace::default(),
        sysctl: Vec::new(),
        net_devices: Vec::new(),
        networks: None,
        ports: Ports::Declared(Vec::new()),
        openings: Openings::default(),
        hostname: None,
        domainname: None,
        lsm: LsmLabels::default(),
        secrets: Vec::new(),
        hooks: Vec::new(),
        annotations: Default::default(),
        clamps: Vec::new(),
        waivers: Vec::new(),
        degraded_allowed: Vec::new(),
    }
}
