//! Makes a bundle of a command line: a hardened spec, then what was asked on top of it.

use super::{Bundle, BundleError, Caller, Extras, RootSource};
use crate::paths::{GuestPath, HostPath};
use crate::request::{RunRequest, Source, Volume, as_host_name};
use oci_spec::runtime::{Mount, Spec};
use serde_json::Value;

/// A config.json that asks for nothing beyond the default ceiling.
const HARDENED: &str = r#"{
    "ociVersion": "1.3.0",
    "root": { "path": "rootfs", "readonly": true },
    "process": {
        "terminal": false,
        "user": { "uid": 65532, "gid": 65532 },
        "args": ["/app"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "cwd": "/",
        "capabilities": {
            "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []
        },
        "rlimits": [
            { "type": "RLIMIT_CORE", "soft": 1, "hard": 1 },
            { "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }
        ],
        "noNewPrivileges": true
    },
    "mounts": [
        {
            "destination": "/proc", "type": "proc", "source": "proc",
            "options": ["nosuid", "noexec", "nodev"]
        }
    ],
    "linux": {
        "namespaces": [
            { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
            { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
        ]
    }
}"#;

/// The same as data; `spec` prints it.
pub fn hardened_spec() -> Value {
    serde_json::from_str(HARDENED).unwrap_or_default()
}

impl Bundle {
    /// What `run` and `plan` work on.
    pub fn standalone(request: &RunRequest) -> Result<Self, BundleError> {
        let mut extras = Extras {
            template: request.template,
            expose: Some(request.expose.clone()),
            openings: request.openings.clone(),
            secrets: request.secrets.clone(),
            own_range: true,
            idmapped: request.volumes.iter().map(|v| v.target.clone()).collect(),
            systemd_cgroup: false,
            io_bps: request.io,
            by_flag: match request.source {
                Source::Bundle(_) => Some(flagged(request)),
                _ => None,
            },
            ..Extras::default()
        };
        let (mut spec, root) = match &request.source {
            Source::Bundle(dir) => {
                let mut bundle =
                    Self::load(dir, &request.name, Caller::Standalone, extras.clone())?;
                let user_maps = bundle
                    .spec
                    .linux()
                    .as_ref()
                    .and_then(|l| l.uid_mappings().as_ref());
                extras.own_range = user_maps.is_none_or(Vec::is_empty);
                if request.expose.is_empty() {
                    extras.expose = None;
                }
                (std::mem::take(&mut bundle.spec), bundle.root)
            }
            other => (template_spec(request, other)?, root_of(other)),
        };
        ask(&mut spec, request);
        super::load::resolve_sources(&mut spec, std::path::Path::new("/"));
        let text = serde_json::to_vec(&spec).unwrap_or_default();
        Ok(Self {
            name: request.name.clone(),
            caller: Caller::Standalone,
            root,
            hook_files: super::hook_files::look(&spec),
            spec,
            extras,
            digest: crate::digest::sha256_hex(&text),
        })
    }
}

/// What the flags given set, as pointers.
fn flagged(request: &RunRequest) -> Vec<String> {
    let all = [
        ("/linux/resources/memory", request.memory.is_some()),
        ("/linux/resources/cpu", request.cpus.is_some()),
        ("/linux/resources/pids", request.pids.is_some()),
        ("/process/rlimits", request.nofile.is_some()),
        ("/process/user", request.user.is_some()),
        ("/process/env", !request.env.is_empty()),
        ("/process/args", !request.args.is_empty()),
        ("/process/cwd", request.workdir.is_some()),
    ];
    let given = all.into_iter().filter(|(_, given)| *given);
    given.map(|(pointer, _)| pointer.to_string()).collect()
}

fn root_of(source: &Source) -> RootSource {
    match source {
        Source::Rootfs(dir) | Source::Bundle(dir) => {
            match super::load::resolved(dir.as_path().into()) {
                root if root.as_path() == std::path::Path::new("/") => RootSource::Host,
                root => RootSource::Dir(root),
            }
        }
        Source::Embedded => RootSource::Embedded,
    }
}

fn template_spec(request: &RunRequest, source: &Source) -> Result<Spec, BundleError> {
    let parsed = super::load::parse(HARDENED.as_bytes());
    let mut spec = parsed.map_err(|(pointer, what)| BundleError::Shape {
        path: "the built-in spec".into(),
        pointer,
        what,
    })?;
    if let (Source::Embedded, Some(process)) = (source, spec.process_mut()) {
        let mut args = vec![crate::sample::path().to_string()];
        args.extend(request.args.iter().cloned());
        process.set_args(Some(args));
    }
    // A host's name has no '+'.
    spec.set_hostname(Some(as_host_name(&request.name).replace('+', "-")));
    Ok(spec)
}

/// The flags, on top of whatever spec there is.
fn ask(spec: &mut Spec, request: &RunRequest) {
    let embedded = request.source == Source::Embedded;
    if let Some(process) = spec.process_mut() {
        if !request.args.is_empty() && !embedded {
            process.set_args(Some(request.args.clone()));
        }
        if let Some((uid, gid)) = request.user {
            let mut user = process.user().clone();
            user.set_uid(uid);
            user.set_gid(gid);
            process.set_user(user);
        }
        if let Some(workdir) = &request.workdir {
            process.set_cwd(workdir.as_str().into());
        }
        let mut env = process.env().clone().unwrap_or_default();
        for asked in &request.env {
            let key = asked.split('=').next().unwrap_or_default();
            env.retain(|e| e.split('=').next() != Some(key));
            env.push(asked.clone());
        }
        process.set_env(Some(env));
        if request.tty {
            process.set_terminal(Some(true));
        }
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let pts = std::path::Path::new("/dev/pts");
    if request.tty && !mounts.iter().any(|m| m.destination() == pts) {
        mounts.push(devpts(pts));
    }
    let memory = request.tmpfs.iter().map(|(at, size)| tmpfs(at, *size));
    let mut flags: Vec<Mount> = memory.chain(request.volumes.iter().map(bind)).collect();
    // Flags have no order between them: what lies below another's target must not be covered by it.
    flags.sort_by_key(|m| m.destination().components().count());
    mounts.extend(flags);
    spec.set_mounts(Some(mounts));
    resources(spec, request);
    if !request.labels.is_empty() {
        let mut labels = spec.annotations().clone().unwrap_or_default();
        labels.extend(request.labels.iter().cloned());
        spec.set_annotations(Some(labels));
    }
}

fn devpts(target: &std::path::Path) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(target.into());
    mount.set_typ(Some("devpts".into()));
    mount.set_source(Some("devpts".into()));
    let options = ["nosuid", "noexec", "newinstance"].map(String::from);
    mount.set_options(Some(options.to_vec()));
    mount
}

fn tmpfs(target: &GuestPath, size: u64) -> Mount {
    let options = [
        "nosuid",
        "nodev",
        "noexec",
        &format!("size={size}"),
        "mode=1777",
    ]
    .map(String::from)
    .to_vec();
    mount(target, "tmpfs", &HostPath::trusted("tmpfs"), options)
}

fn bind(volume: &Volume) -> Mount {
    let access = if volume.writable { "rw" } else { "ro" };
    let options = ["bind", access, "nosuid", "nodev", "noexec"]
        .map(String::from)
        .to_vec();
    mount(&volume.target, "bind", &volume.source, options)
}

fn mount(target: &GuestPath, kind: &str, source: &HostPath, options: Vec<String>) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(target.as_str().into());
    mount.set_typ(Some(kind.into()));
    mount.set_source(Some(source.as_path().into()));
    mount.set_options(Some(options));
    mount
}

fn resources(spec: &mut Spec, request: &RunRequest) {
    use oci_spec::runtime::{
        LinuxCpu, LinuxMemory, LinuxPids, PosixRlimitBuilder, PosixRlimitType,
    };
    if let Some(nofile) = request.nofile
        && let Some(process) = spec.process_mut()
    {
        let mut limits = process.rlimits().clone().unwrap_or_default();
        limits.retain(|l| l.typ() != PosixRlimitType::RlimitNofile);
        let built = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .soft(nofile)
            .hard(nofile)
            .build();
        limits.extend(built);
        process.set_rlimits(Some(limits));
    }
    let Some(linux) = spec.linux_mut() else {
        return;
    };
    let mut resources = linux.resources().clone().unwrap_or_default();
    if let Some(bytes) = request.memory.and_then(|n| i64::try_from(n).ok()) {
        let mut memory = LinuxMemory::default();
        memory.set_limit(Some(bytes));
        resources.set_memory(Some(memory));
    }
    if let Some(thousandths) = request.cpus {
        let mut cpu = LinuxCpu::default();
        cpu.set_period(Some(100_000));
        cpu.set_quota(i64::try_from(thousandths * 100).ok());
        resources.set_cpu(Some(cpu));
    }
    if let Some(count) = request.pids.and_then(|n| i64::try_from(n).ok()) {
        let mut pids = LinuxPids::default();
        pids.set_limit(count);
        resources.set_pids(Some(pids));
    }
    linux.set_resources(Some(resources));
}
