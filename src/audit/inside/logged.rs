//! The container whose output is captured into a spool of its own for the time: what its service could do to its log
//! is seen in what the spool holds afterwards.

use super::stage::{Answers, Stage};
use crate::audit::probes::log::{FORGED, KEPT, is_complete, written};
use crate::audit::probes::{Layer, Probe};
use crate::container::ContainerError;
use crate::logs::spool::{Position, Reader, SpoolError};
use crate::logs::{Kind, Stream};
use crate::plan::Plan;
use crate::plan::monitor::{
    Copying, LogNeed, LogStart, Logs, MonitorDeath, MonitorPlan, Sync, Watch, WhenFull,
};
use crate::sandbox::Running;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Far more than the attacks write.
const QUOTA: u64 = 64 << 20;

/// How often a folder that is still being written to is removed.
const TRIES: usize = 100;

/// The log's pipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pipe {
    /// As every captured service gets it.
    AsMade,
    /// The control run's: the service's own, mode 0600, as other launchers make it.
    ItsOwn,
}

/// Tries them in a container whose output is captured; the spool is gone afterwards.
pub(super) fn play(
    stage: &Stage<'_>,
    plan: &Plan,
    probes: &[&'static Probe],
    pipe: Pipe,
) -> Result<Answers, ContainerError> {
    if probes.is_empty() {
        return Ok(Answers::new());
    }
    let spool = Spool::make()?;
    let mut plan = plan.clone();
    plan.monitor = Some(captured(&spool.0));
    let mut answers = stage.play(&plan, probes, &mut |running, _| {
        if pipe == Pipe::ItsOwn {
            give_away(running);
        }
    })?;
    let held = spool.read(&plan.name);
    for probe in probes {
        // What it did is not in its answer, but in the spool.
        let told = probe.by == Layer::Capture || probe.expected.contains(&KEPT);
        if let Some(answer) = answers.get_mut(probe.id).filter(|a| told && *a == "OK") {
            *answer = match &held {
                Ok(held) => held.say(probe.id).into(),
                Err(error) => error.to_string(),
            };
        }
    }
    Ok(answers)
}

fn captured(spool: &Path) -> MonitorPlan {
    let logs = Logs {
        heartbeat: 60,
        start: LogStart::Anyway,
        spool: spool.to_string_lossy().into_owned(),
        quota: QUOTA,
        when_full: WhenFull::Block,
        sync: Sync::Never,
        need: LogNeed::Required,
        on_monitor_death: MonitorDeath::End,
        // The tester is heard by it.
        copy: Copying::Tee,
        targets: Vec::new(),
    };
    MonitorPlan {
        watch: Watch {
            logs: Some(logs),
            lifetime: None,
        },
        denials: None,
        tells_accesses: false,
        newcomer: None,
    }
}

/// The pipes become the service's, from outside, before it tries anything. Where that fails, the control run shows it.
fn give_away(running: &Running) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid));
    let id = |field: &str| -> Option<u32> {
        let line = status
            .as_ref()
            .ok()?
            .lines()
            .find_map(|l| l.strip_prefix(field))?;
        line.split_whitespace().next()?.parse().ok()
    };
    for fd in [1, 2] {
        let path = format!("/proc/{}/fd/{fd}", running.pid);
        let _ = std::os::unix::fs::chown(&path, id("Uid:"), id("Gid:"));
        let _ = std::fs::set_permissions(&path, Permissions::from_mode(0o600));
    }
}

/// A folder for one container's log, closed to others.
struct Spool(PathBuf);

impl Spool {
    fn make() -> Result<Self, ContainerError> {
        let template = std::env::temp_dir().join("cofferdam-audit-XXXXXX");
        let made = nix::unistd::mkdtemp(&template).map_err(|why| ContainerError::Store {
            tried: "make a spool (mkdtemp) in",
            path: std::env::temp_dir().display().to_string(),
            why: why.into(),
        })?;
        Ok(Self(made))
    }

    /// All that the container's log holds.
    fn read(&self, name: &str) -> Result<Held, SpoolError> {
        let path = self.0.join(name);
        let dir = std::fs::File::open(&path).map_err(|why| SpoolError {
            tried: "open",
            name: path.display().to_string(),
            why,
        })?;
        let mut reader = Reader::of_now(dir.into(), Position::default())?;
        let mut held = Held::default();
        while let Some(frame) = reader.read()? {
            for record in frame.records() {
                if record.kind == Kind::Gap || record.stream == Stream::Event {
                    held.gaps |= record.kind == Kind::Gap;
                    held.told.extend_from_slice(record.bytes);
                } else if record.stream == Stream::Stderr {
                    held.log.extend_from_slice(record.bytes);
                    held.log
                        .extend((record.kind == Kind::Line).then_some(b'\n'));
                }
            }
        }
        Ok(held)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Capture writes its last words when the launcher has heard that all is there: into a folder that goes.
        for _ in 0..TRIES {
            match std::fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                _ => return,
            }
        }
    }
}

/// What a spool held.
#[derive(Default)]
struct Held {
    /// Standard error's bytes.
    log: Vec<u8>,
    /// What the launcher and the capture told.
    told: Vec<u8>,
    gaps: bool,
}

impl Held {
    fn say(&self, id: &str) -> &'static str {
        let within = |all: &[u8], part: &[u8]| all.windows(part.len()).any(|w| w == part);
        let there = match written(id) {
            text if text.is_empty() => is_complete("complete", &self.log),
            text => within(&self.log, &text),
        };
        match () {
            () if within(&self.told, FORGED.as_bytes()) => "taken for the launcher's",
            () if self.told.is_empty() => "the launcher's own events are missing",
            () if self.gaps || !there => "missing",
            () => KEPT,
        }
    }
}
