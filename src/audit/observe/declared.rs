//! What was asked for a container, where that can be read: config.json, or cofferdam's own record of the launch.
//!
//! Names what is expected; the kernel's own answers are what is judged. A file that can't be read is no error here.

use super::containers::{Container, Engine};
use super::engines::{is_trusted, json};
use crate::bundle::{Bundle, Caller, CallingEngine, Extras};
use crate::container::Saved;
use crate::host::Host;
use crate::paths::HostPath;
use crate::policy::{self, Decision, Policy};
use crate::seccomp::{self, Arch, Parameters, Program};
use serde_json::Value;
use std::path::Path;

/// The annotation in which ports are declared.
const EXPOSE: &str = "org.cofferdam.expose";
/// Any descriptor does: what is looked at are calls that no filter of ours lets through with it.
const EXEC_FD: u32 = 1 << 20;

/// What is known of the request.
#[derive(Default)]
pub struct Declared {
    /// The request.
    pub bundle: Option<Bundle>,
    /// Why there is none.
    pub absent: String,
    /// The policy of the launch, where cofferdam was the runtime.
    pub policy: Option<Policy>,
    /// Ports that may be bound.
    pub ports: Option<Vec<u16>>,
    /// The filters that were asked for: what all of them let through is let through. `None`: unknown.
    pub filters: Option<Vec<Program>>,
    /// Architectures beside the native one whose calls the filters let in.
    pub foreign: Vec<String>,
    /// cofferdam's record of the launch.
    pub record: Option<Value>,
}

impl Declared {
    /// Reads what there is.
    pub fn read(container: &Container, host: Option<&Host>) -> Self {
        match &container.own {
            Some(dir) => Self::own(dir, host),
            None => Self::of_bundle(container),
        }
    }

    /// Whether the request is known.
    pub fn is_known(&self) -> bool {
        self.bundle.is_some()
    }

    /// Whether a mount at this place was asked for.
    pub fn has_mount(&self, point: &str) -> bool {
        let Some(bundle) = &self.bundle else {
            return false;
        };
        let mounts = bundle.spec.mounts().as_deref().unwrap_or_default();
        let at = |path: &Path| path == Path::new(point);
        mounts.iter().any(|m| at(m.destination())) || point.starts_with("/run/secrets")
    }

    fn of_bundle(container: &Container) -> Self {
        let Some(dir) = &container.bundle else {
            return Self {
                absent: "nobody says where its config.json is".into(),
                ..Self::default()
            };
        };
        // Exceptions are matched on it: it must not be the container's owner's to write.
        let file = dir.join("config.json");
        if !is_trusted(&file) {
            return Self {
                absent: format!(
                    "{} is not there, or not root's alone to write",
                    file.display()
                ),
                ..Self::default()
            };
        }
        let engine = match container.engine {
            Engine::Docker => Some(CallingEngine::Docker),
            Engine::Containerd => Some(CallingEngine::Containerd),
            Engine::Podman => Some(CallingEngine::Podman),
            Engine::Crio => Some(CallingEngine::Crio),
            _ => None,
        };
        let extras = Extras {
            engine,
            ..Extras::default()
        };
        let name = container.id.as_deref().unwrap_or("unknown");
        match Bundle::load(&HostPath::trusted(dir), name, Caller::Engine, extras) {
            Ok(bundle) => Self::of(bundle),
            Err(why) => Self {
                absent: why.to_string(),
                ..Self::default()
            },
        }
    }

    /// Of any request: its filter is config.json's.
    pub fn of(bundle: Bundle) -> Self {
        let section = bundle
            .spec
            .linux()
            .as_ref()
            .and_then(|l| l.seccomp().as_ref());
        let (filters, foreign) = match section {
            None => (Some(Vec::new()), Vec::new()),
            Some(section) => match seccomp::adopt(section, Arch::NATIVE) {
                Ok(adopted) => {
                    let program =
                        seccomp::compile(&adopted.profile, Arch::NATIVE, &Parameters::default());
                    (program.ok().map(|p| vec![p]), adopted.clamped_architectures)
                }
                Err(_) => (None, Vec::new()),
            },
        };
        Self {
            ports: ports(&bundle),
            bundle: Some(bundle),
            filters,
            foreign,
            ..Self::default()
        }
    }

    fn own(dir: &Path, host: Option<&Host>) -> Self {
        let saved = json(&dir.join("launch.json")).filter(|_| is_trusted(dir));
        let saved = saved.and_then(|v| serde_json::from_value::<Saved>(v).ok());
        let record = json(&dir.join("record.json")).filter(|_| is_trusted(dir));
        let Some(saved) = saved else {
            return Self {
                absent: format!(
                    "can't read {}; run it as root",
                    dir.join("launch.json").display()
                ),
                record,
                ..Self::default()
            };
        };
        let policy = saved.policy.policy().ok();
        // Decided again, by the one function, as it was on the day of the launch.
        let filters = policy.as_ref().zip(host).and_then(|(policy, host)| {
            let mut host = host.clone();
            host.now = saved.made;
            filters(&saved.bundle, policy, &host)
        });
        Self {
            ports: ports(&saved.bundle),
            bundle: Some(saved.bundle),
            policy,
            filters,
            record,
            ..Self::default()
        }
    }
}

/// The filters that a launch gets.
fn filters(bundle: &Bundle, policy: &Policy, host: &Host) -> Option<Vec<Program>> {
    let Decision::Granted(grant) = policy::decide(bundle, policy, host) else {
        return None;
    };
    let parameters = Parameters {
        groups: grant.seccomp.groups.iter().cloned().collect(),
        exec_fd: Some(EXEC_FD),
    };
    let mut programs = Vec::new();
    if let Some(template) = grant.seccomp.template
        && let Some(template) = seccomp::Template::from_name(template.name())
    {
        programs.push(template.program(&parameters).ok()?);
    }
    if let Some(profile) = &grant.seccomp.requested {
        programs.push(seccomp::compile(profile, Arch::NATIVE, &parameters).ok()?);
    }
    Some(programs)
}

fn ports(bundle: &Bundle) -> Option<Vec<u16>> {
    if let Some(ports) = &bundle.extras.expose {
        return Some(ports.clone());
    }
    let text = bundle.spec.annotations().as_ref()?.get(EXPOSE)?;
    Some(
        text.split(',')
            .filter_map(|p| p.trim().parse().ok())
            .collect(),
    )
}
