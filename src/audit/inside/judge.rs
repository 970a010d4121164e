//! What an answer means: a denial passes only if the layer that has to give it is the one that gave it. Pure.

use crate::audit::model::{Deviation, Finding, Verdict};
use crate::audit::probes::{Layer, MARK, Needs, Probe, name};
use crate::host::{Host, Privilege};
use crate::plan::Plan;
use crate::plan::mounts::What;
use crate::plan::namespaces::MapWriter;
use crate::policy::Waiver;
use crate::request::Template;

/// What the control run said.
pub(super) enum Control {
    /// This layer has none.
    None,
    /// It could not be made.
    Impossible(String),
    /// What was answered there.
    Answer(String),
}

impl Layer {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Layer::Filter => "the system-call filter",
            Layer::Landlock => "the landlock domain",
            Layer::ReadOnly => "read-only mounts",
            Layer::NoExec => "noexec on writable mounts",
            Layer::View => "leaving it out of the file system",
            Layer::Pids => "the pid namespace",
            Layer::Network => "the network namespace",
            Layer::WriteExecute => "MDWE",
            Layer::MemfdNoexec => "vm.memfd_noexec",
            Layer::OpenFiles => "the limit of open files",
            Layer::Tasks => "the cgroup's count of tasks",
            Layer::Memory => "the cgroup's memory",
            Layer::Cpu => "the cgroup's CPU quota",
            Layer::Inotify => "the user namespace's counts for inotify",
            Layer::TmpfsSize => "the size of the tmpfs",
            Layer::Capabilities => "empty capability sets",
            Layer::NoNewPrivileges => "no_new_privs",
            Layer::MountFlags => "the flags of every mount",
            Layer::Streams => "handing in three streams alone",
            Layer::Beside => "namespaces of its own, landlock or the filter",
            Layer::LogPipe => "a log pipe that is not its own",
            Layer::Capture => "capture outside the container",
            Layer::Kernel => "the kernel, for everybody",
        }
    }

    fn control_words(self) -> String {
        match self {
            Layer::Filter => "control run whose filter marks what it denies".into(),
            Layer::Beside => "control run in the neighbour's namespaces".into(),
            Layer::LogPipe => "control run whose log pipes are its own, mode 0600".into(),
            other => format!("control run without {}", other.words()),
        }
    }
}

/// One finding of one attack.
pub(super) fn judge(
    probe: &Probe,
    plan: &Plan,
    absent: Option<String>,
    answer: Option<&String>,
    control: &Control,
) -> Finding {
    let expected = format!("{} from {}", probe.expected.join(" or "), probe.by.words());
    let said = answer.map_or("not tried", String::as_str);
    let verdict = match (absent, answer) {
        (Some(why), _) => Verdict::not_applicable(why),
        (None, None) => Verdict::not_assessed("the tester gave no answer"),
        (None, Some(answer)) => verdict(probe, answer, control),
    };
    let verdict = match (verdict, excuse(probe, plan)) {
        (Verdict::Fail, Some(deviation)) => Verdict::Waived(deviation),
        (verdict, _) => verdict,
    };
    let id = format!("probe/{}", probe.id);
    let mut finding = Finding::judged(id, probe.controls, probe.what, (expected, said), verdict);
    if let Some(answer) = answer {
        finding = finding.seen("inside", answer.as_str());
    }
    match control {
        Control::Answer(text) => finding.seen(probe.by.control_words(), text.as_str()),
        Control::Impossible(why) => finding.seen(probe.by.control_words(), why.as_str()),
        Control::None => finding,
    }
}

fn verdict(probe: &Probe, answer: &str, control: &Control) -> Verdict {
    if !probe.expected.contains(&answer) {
        return Verdict::Fail;
    }
    match control {
        Control::None => Verdict::Pass,
        Control::Impossible(why) => Verdict::not_assessed(format!(
            "refused, but the control run could not be made: {why}"
        )),
        Control::Answer(text) if probe.by == Layer::Filter => match *text == name(MARK) {
            true => Verdict::Pass,
            false => Verdict::Fail,
        },
        Control::Answer(text) if text != answer => Verdict::Pass,
        // Nothing but a read-only mount gives this errno, and no other folder was made writable for a control run.
        Control::Answer(_) if answer == "EROFS" => Verdict::Pass,
        // There may be nothing of it on this machine.
        Control::Answer(_)
            if matches!(
                probe.by,
                Layer::View | Layer::Network | Layer::Pids | Layer::Inotify
            ) =>
        {
            Verdict::not_applicable("this machine gives the same answer without the container")
        }
        Control::Answer(_) => Verdict::Fail,
    }
}

/// Why an attack means nothing here.
pub(super) fn absent(probe: &Probe, plan: &Plan, host: &Host, foreign: bool) -> Option<String> {
    match probe.needs {
        Needs::Foreign if !foreign => {
            return Some("the kernel has no 32-bit system calls".into());
        }
        Needs::Scratch if scratch(plan).is_none() => {
            return Some("nothing is writable in this container".into());
        }
        _ => {}
    }
    let by = plan.namespaces.user.as_ref().map(|u| &u.by);
    let its_own = probe.id == "log/read-back" || probe.by == Layer::LogPipe;
    if its_own && by == Some(&MapWriter::OwnId) {
        return Some("an ordinary user's program has the user's own id, and so has its log".into());
    }
    let old = |what: &str| Some(format!("{what} (this is {})", host.release));
    match probe.by {
        Layer::Landlock if host.landlock_abi == 0 => Some("the kernel has no landlock".into()),
        Layer::Landlock if probe.id.starts_with("port/") && host.landlock_abi < 4 => {
            old("landlock has port rules since Linux 6.7")
        }
        Layer::Beside if host.privilege == Privilege::User => Some(
            "an ordinary user can't join another container for the control run: not tried".into(),
        ),
        Layer::Inotify if host.privilege == Privilege::User => {
            Some("what an ordinary user's program takes is counted for that user alone".into())
        }
        Layer::Inotify if by == Some(&MapWriter::Joined) => {
            Some("whoever made the joined user namespace has set its counts".into())
        }
        Layer::WriteExecute if host.kernel < (6, 3) => old("MDWE came with Linux 6.3"),
        Layer::MemfdNoexec if host.kernel < (6, 3) => old("vm.memfd_noexec came with Linux 6.3"),
        Layer::MemfdNoexec if host.privilege == Privilege::User => {
            Some("only the host's root can set vm.memfd_noexec".into())
        }
        Layer::Memory | Layer::Tasks | Layer::Cpu => {
            let lack = plan.limits.lacks.first();
            lack.map(|l| l.what.clone())
                .or_else(|| too_small(probe, plan))
        }
        _ => None,
    }
}

/// Why something that is amiss from outside can't be had by this caller.
pub(super) fn out_of_reach(id: &str, plan: &Plan, host: &Host) -> Option<String> {
    if host.privilege == Privilege::Root {
        return None;
    }
    match id.strip_prefix("observe/")? {
        "devices" => Some("only the host's root can limit devices: nodev mounts and the user namespace stand in for it".into()),
        id if id.starts_with("limit-") => plan.limits.lacks.first().map(|l| l.what.clone()),
        _ => None,
    }
}

fn too_small(probe: &Probe, plan: &Plan) -> Option<String> {
    if probe.id != "bomb/tmpfs" {
        return None;
    }
    match scratch(plan) {
        Some((_, size, _)) if size > super::BOMB => None,
        Some(_) => Some("the writable places are smaller than the memory limit".into()),
        None => Some("nothing is writable in this container".into()),
    }
}

/// The first tmpfs that can be written: where, its size and its inodes.
pub(super) fn scratch(plan: &Plan) -> Option<(String, u64, u64)> {
    plan.mounts.steps.iter().find_map(|step| match &step.what {
        What::Tmpfs { size, inodes, .. } if !step.attrs.readonly => {
            Some((step.target.to_string(), *size, *inodes))
        }
        _ => None,
    })
}

/// The exception that allows what this attack did.
fn excuse(probe: &Probe, plan: &Plan) -> Option<Deviation> {
    let waiver = plan.waivers.iter().find(|w| allows(w, probe))?;
    Some(Deviation {
        exception: waiver.exception.clone(),
        grants: waiver.grants.clone(),
        approver: waiver.approver.clone(),
        reference: waiver.reference.clone(),
        expires: waiver.expires.clone(),
    })
}

/// What processes need of each other, beside being made.
const WORKERS: [&str; 2] = ["kernel/shared-memory", "identity/outlive"];

fn allows(waiver: &Waiver, probe: &Probe) -> bool {
    let l = &waiver.loosens;
    let family = |name: &str| probe.id.starts_with(name);
    let template = match l.template {
        Some(Template::Workers) => family("process/") || WORKERS.contains(&probe.id),
        Some(Template::Script) => {
            family("process/") || family("exec/") || WORKERS.contains(&probe.id)
        }
        Some(Template::Compat) => true,
        _ => false,
    };
    template
        || (l.jit && probe.by == Layer::WriteExecute)
        || (l.writable_root && probe.by == Layer::ReadOnly)
        || (!l.exec_on.is_empty() && probe.by == Layer::NoExec)
        || (!l.capabilities.is_empty() && probe.by == Layer::Capabilities)
        || (!l.namespaces.is_empty()
            && matches!(
                probe.by,
                Layer::Pids | Layer::Network | Layer::Beside | Layer::Inotify
            ))
        || (l.ports_any && family("port/") && probe.by == Layer::Landlock)
        || (l.root_user && probe.id == "identity/is-root")
        || (!l.devices.is_empty() && family("device/"))
        || (!l.seccomp_groups.is_empty() && probe.by == Layer::Filter)
        || (l.terminal && (family("terminal/") || probe.id == "device/tty"))
        || (!l.env.is_empty() && probe.id == "secret/environment")
}
