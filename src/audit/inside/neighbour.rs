//! A second container beside the audited one, with something in it that can be reached from wherever it is not kept
//! apart: a process, sockets, shared memory.
//!
//! It is launched as the first, but without filter and landlock, which would stand in its own way.

use super::control;
use super::stage::{Answers, Stage, pipe};
use super::{Control, controls};
use crate::audit::probes::{Field, Probe};
use crate::container::{self, ContainerError};
use crate::plan::Plan;
use crate::plan::landlock::LandlockPlan;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;

/// What was answered, and what the control runs said.
pub(super) type Tried = (Answers, BTreeMap<&'static str, Control>);

/// Tries them under `plan` while the neighbour is there.
pub(super) fn play(
    stage: &Stage<'_>,
    plan: &Plan,
    neighbour: &Plan,
    probes: &[&'static Probe],
) -> Result<Tried, ContainerError> {
    if probes.is_empty() {
        return Ok(Tried::default());
    }
    let mut neighbour = neighbour.clone();
    control::seat(&mut neighbour);
    neighbour.landlock = LandlockPlan::none();
    neighbour.seccomp.filters.clear();
    // There is one of each.
    neighbour.network.devices.clear();
    let ((theirs, into), (from, output)) = (pipe()?, pipe()?);
    let null = File::options().write(true).open("/dev/null");
    let streams = [Some(theirs), Some(output), null.ok().map(OwnedFd::from)];
    container::attended(
        &neighbour,
        stage.context,
        stage.store,
        streams,
        |running, _| {
            let mut into = File::from(into);
            let _ = into.write_all(b"serve\n");
            let lines = BufReader::new(File::from(from)).lines();
            let said = lines.map_while(Result::ok).find_map(|line| {
                let (port, key) = line.strip_prefix("serves ")?.split_once(' ')?;
                Some((port.to_string(), key.to_string()))
            });
            let Some((port, key)) = said else {
                return Ok(Tried::default());
            };
            let mut field: Field = stage.field.clone();
            let mut fact = |name: &str, value| field.facts.insert(name.into(), value);
            fact("neighbour-pid", running.pid.to_string());
            fact("neighbour-port", port);
            fact("neighbour-memory", key);
            let stage = Stage {
                field: &field,
                ..*stage
            };
            let answers = stage.play(plan, probes, &mut |_, _| ())?;
            let controls = controls(&stage, plan, probes, &answers);
            Ok((answers, controls))
        },
    )?
}
