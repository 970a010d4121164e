//! The audit from inside: every attack in the container that a plan makes, and in control runs of the same plan with
//! one layer changed, which show that the refusal came from where it had to.
//!
//! Takes a plan as it is, and no decision about it. Called by the verb `audit`; the launcher must have one thread.

mod control;
mod judge;
mod logged;
mod neighbour;
mod stage;

use super::model::{Finding, Verdict};
use super::probes::{self, Field, Layer, Needs, Probe};
use crate::cgroup::Cgroup;
use crate::container::{ContainerError, Context, Store};
use crate::controls::ControlId;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::limits::Value;
use crate::sandbox::Running;
use judge::Control;
use stage::{Answers, Stage};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The most that a memory bomb takes, in bytes: a little more than its lowered limit.
pub const BOMB: u64 = 40 << 20;

/// What is audited.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// What would be launched. Its program is covered by the tester.
    pub plan: &'a Plan,
    /// The same under another name: what it must be kept apart from.
    pub neighbour: &'a Plan,
    /// The machine.
    pub host: &'a Host,
    /// As for every launch.
    pub context: &'a Context<'a>,
    /// Where containers are kept while they are there.
    pub store: &'a Store,
}

/// Tries everything; `look` sees the audited container from outside, once, before anything is tried.
pub fn attack(
    ground: &Ground<'_>,
    look: &mut dyn FnMut(&Plan, &Running, &Cgroup),
) -> Result<Vec<Finding>, ContainerError> {
    let mut plan = ground.plan.clone();
    control::seat(&mut plan);
    let (_bait, field) = bait(&plan);
    let stage = Stage {
        context: ground.context,
        store: ground.store,
        field: &field,
    };
    let foreign = has_foreign_calls();
    let absent = |p: &Probe| judge::absent(p, &plan, ground.host, foreign);
    let applies: Vec<&Probe> = probes::all().filter(|p| absent(p).is_none()).collect();
    let needing = |needs: Needs| applies.iter().copied().filter(move |p| p.needs == needs);
    let together: Vec<&Probe> = applies
        .iter()
        .copied()
        .filter(|p| !matches!(p.needs, Needs::Apart | Needs::Logged | Needs::Neighbour))
        .collect();
    let mut look = Some(look);
    let mut answers = stage.play(&plan, &together, &mut |running, cgroup| {
        if let Some(look) = look.take() {
            look(&plan, running, cgroup);
        }
    })?;
    let lowered = control::lowered(&plan);
    for probe in needing(Needs::Apart) {
        answers.extend(stage.play(&lowered, &[probe], &mut |_, _| ())?);
    }
    let logged: Vec<&Probe> = needing(Needs::Logged).collect();
    answers.extend(logged::play(&stage, &plan, &logged, logged::Pipe::AsMade)?);
    let neighbouring: Vec<&Probe> = needing(Needs::Neighbour).collect();
    let beside = neighbour::play(&stage, &plan, ground.neighbour, &neighbouring)?;
    answers.extend(beside.0);
    let alone: Vec<&Probe> = applies
        .iter()
        .copied()
        .filter(|p| p.needs != Needs::Neighbour)
        .collect();
    let mut controls = controls(&stage, &plan, &alone, &answers);
    controls.extend(beside.1);
    Ok(probes::all()
        .map(|probe| {
            let none = Control::None;
            let control = controls.get(probe.id).unwrap_or(&none);
            judge::judge(probe, &plan, absent(probe), answers.get(probe.id), control)
        })
        .collect())
}

/// What was tried from inside and what was seen from outside, as one: what does not show from outside is left out
/// where an attack has shown it for the same control.
pub fn together(ground: &Ground<'_>, tried: Vec<Finding>, mut seen: Vec<Finding>) -> Vec<Finding> {
    for finding in seen.iter_mut().filter(|f| f.verdict == Verdict::Fail) {
        if let Some(why) = judge::out_of_reach(&finding.id, ground.plan, ground.host) {
            finding.verdict = Verdict::not_applicable(why);
        }
    }
    let assessed = |control: &ControlId| {
        // An engine's socket that is not inside says nothing about who may call it outside.
        if [ControlId::S8_2_1, ControlId::S8_2_3].contains(control) {
            return false;
        }
        let mut of = tried.iter().filter(|f| f.controls.contains(control));
        of.any(|f| {
            !matches!(
                f.verdict,
                Verdict::NotAssessed { .. } | Verdict::NotApplicable { .. }
            )
        })
    };
    let unseen = |f: &Finding| matches!(f.verdict, Verdict::NotAssessed { .. });
    seen.retain(|f| !(unseen(f) && f.controls.iter().all(assessed)));
    tried.into_iter().chain(seen).collect()
}

/// The control runs, a layer each, and what they said to each attack.
fn controls(
    stage: &Stage<'_>,
    plan: &Plan,
    applies: &[&'static Probe],
    answers: &Answers,
) -> BTreeMap<&'static str, Control> {
    let mut by_layer: BTreeMap<Layer, Vec<&Probe>> = BTreeMap::new();
    for probe in applies {
        by_layer.entry(probe.by).or_default().push(probe);
    }
    let mut out = BTreeMap::new();
    for (layer, probes) in by_layer {
        // Where the layer is not there to be taken away, the answer is that of the run without it.
        let without = match layer {
            Layer::Beside => control::beside(plan, stage.field.number("neighbour-pid")),
            _ => control::without(layer, plan),
        };
        let run = match without {
            Some(plan) if layer == Layer::LogPipe => {
                logged::play(stage, &plan, &probes, logged::Pipe::ItsOwn).map(Some)
            }
            Some(plan) => stage.play(&plan, &probes, &mut |_, _| ()).map(Some),
            None => Ok(None),
        };
        for probe in probes {
            let control = match &run {
                Ok(Some(all)) => all.get(probe.id).map(|a| Control::Answer(a.clone())),
                Ok(None) if control::is_missing(layer, plan) => {
                    answers.get(probe.id).map(|a| Control::Answer(a.clone()))
                }
                Ok(None) => None,
                Err(error) => Some(Control::Impossible(error.to_string())),
            };
            out.insert(probe.id, control.unwrap_or(Control::None));
        }
    }
    out
}

/// What is there to be reached from inside, and must not be.
struct Bait {
    _udp: Option<UdpSocket>,
    _unix: Option<UnixListener>,
}

fn bait(plan: &Plan) -> (Bait, Field) {
    let mut facts = BTreeMap::new();
    let mut fact = |name: &str, value: String| facts.insert(name.to_string(), value);
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok();
    let port = udp.as_ref().and_then(|s| s.local_addr().ok());
    fact("host-port", port.map_or(9, |a| a.port()).to_string());
    let name = format!("cofferdam-audit-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).ok();
    let unix = address.and_then(|a| UnixListener::bind_addr(&a).ok());
    fact("host-socket", name);
    fact("host-pid", std::process::id().to_string());
    fact("exec-fd", plan.process.exec_fd.to_string());
    fact("memory-pieces", (BOMB >> 20).to_string());
    let tasks = plan.limits.writes.iter().find(|w| w.file == "pids.max");
    let tasks = tasks.and_then(|w| match &w.value {
        Value::Text(text) => text.parse::<u64>().ok(),
        Value::Inherited => None,
    });
    fact("tasks", tasks.unwrap_or(256).to_string());
    if let Some((place, size, inodes)) = judge::scratch(plan) {
        fact("scratch", place);
        fact("tmpfs-size", size.to_string());
        fact("tmpfs-inodes", inodes.to_string());
    }
    let bait = Bait {
        _udp: udp,
        _unix: unix,
    };
    (bait, Field { facts })
}

/// Whether the kernel answers 32-bit calls (getpid by int 0x80).
fn has_foreign_calls() -> bool {
    #[cfg(target_arch = "x86_64")]
    let answer = crate::sys::attempt::foreign(20, 0, 0) == i64::from(std::process::id());
    #[cfg(not(target_arch = "x86_64"))]
    let answer = false;
    answer
}
