//! The OCI verbs, with runc's options, outputs and exit codes. Nothing is printed on success but what was asked for.

use super::launch::{Purpose, context, plan_bundle, resolver, store};
use super::{CreateArgs, DeleteArgs, Global, KillArgs, ListArgs, SpecArgs};
use crate::bundle::{Bundle, CallingEngine, DescriptorKind, Extras, hardened_spec};
use crate::container::{self, ContainerError, Janitor, Receiver, State, Status};
use crate::paths::HostPath;
use crate::plan::process::Stdio;
use crate::policy::{Caller, is_name};
use crate::ports::Held;
use crate::report::{self, Failure, Sink};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::Write;

/// `create`.
pub(super) fn create(
    global: &Global,
    args: CreateArgs,
    sink: &Sink,
    janitor: Option<Janitor>,
) -> Result<u8, Failure> {
    let fail = |text: &str| Failure::create(text);
    if !is_name(&args.id) {
        return Err(fail(&format!(
            "invalid container id {:?}: 1 to 255 of the characters A-Z a-z 0-9 _ + . -, and not . or ..",
            args.id
        )));
    }
    if args.no_pivot {
        return Err(fail(
            "--no-pivot: refused, since without pivot_root the host's root stays reachable (SS-011/8.4.5)",
        ));
    }
    // First of all: what we open ourselves must not be taken for the caller's.
    let (descriptors, listen_fds) = descriptors(args.preserve_fds).map_err(|e| fail(&e))?;
    let dir = std::path::absolute(&args.bundle)
        .map(HostPath::trusted)
        .map_err(|e| fail(&e.to_string()))?;
    let extras = Extras {
        systemd_cgroup: global.systemd_cgroup,
        descriptors,
        listen_fds,
        engine: CallingEngine::of_parent(global.root.as_deref()),
        ..Extras::default()
    };
    let bundle = Bundle::load(&dir, &args.id, Caller::Engine, extras);
    let mut bundle = bundle.map_err(|e| fail(&e.to_string()))?;
    let resolver = resolver(global, &mut bundle).map_err(Failure::of_create)?;
    let purpose = Purpose::Launch(args.record.as_deref());
    let planned = plan_bundle(global, bundle, purpose).map_err(Failure::of_create)?;
    let terminal = matches!(planned.plan.process.stdio, Stdio::Terminal(_));
    let console = match (terminal, &args.console_socket) {
        (false, None) => None,
        (false, Some(_)) => {
            return Err(fail(
                "--console-socket without process.terminal: nothing would be sent to it",
            ));
        }
        (true, None) => {
            return Err(fail(
                "process.terminal without --console-socket: create ends before the program begins, so name the unix socket that takes the terminal",
            ));
        }
        (true, Some(path)) => Some(Receiver::console(path).map_err(|e| fail(&e.to_string()))?),
    };
    let mut context = context(&planned, dir.to_string(), args.record.as_deref());
    let held = Held::open(&planned.plan.openings).map_err(|e| fail(&e.to_string()))?;
    context.held.replace(held);
    context.resolver = resolver.as_ref().map(|r| r.path.clone());
    context.links = crate::ports::folder::beside(store(global).root());
    let created = container::create(
        &planned.plan,
        &context,
        &store(global),
        &container::Told {
            pid_file: args.pid_file.as_deref(),
            pidfd_socket: args.pidfd_socket.as_deref(),
        },
        console,
        janitor,
    );
    context.warnings.take().iter().for_each(|w| sink.warn(w));
    created.map_err(|e| Failure::from_container(e).of_create())?;
    if let (Some(resolver), Some(_)) = (resolver, &planned.plan.openings.network) {
        resolver.keep();
    }
    Ok(0)
}

/// Descriptors 3 to 2+N, those of LISTEN_FDS first: (number, what it is), and how many of LISTEN_FDS.
fn descriptors(preserve: u32) -> Result<(Vec<(i32, DescriptorKind)>, usize), String> {
    let own = std::process::id().to_string();
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own);
    let listen = std::env::var("LISTEN_FDS").ok().filter(|_| for_us);
    let listen = listen.and_then(|n| n.parse::<u16>().ok()).unwrap_or(0);
    let last = preserve.checked_add(3 + u32::from(listen));
    let last = last
        .and_then(|n| i32::try_from(n).ok())
        .ok_or("--preserve-fds: no process has so many descriptors")?;
    let look = |number: i32| match std::fs::metadata(format!("/proc/self/fd/{number}")) {
        Ok(meta) if meta.is_dir() => Ok((number, DescriptorKind::Dir)),
        Ok(_) => Ok((number, DescriptorKind::Other)),
        Err(_) => Err(format!(
            "--preserve-fds {preserve}: descriptor {number} is not open; open it, or hand on fewer"
        )),
    };
    let all = (3..last).map(look).collect::<Result<_, _>>()?;
    Ok((all, listen.into()))
}

/// `start`.
pub(super) fn start(global: &Global, id: &str, sink: &Sink) -> Result<u8, Failure> {
    let warnings = container::start(&store(global), id).map_err(Failure::from_engine)?;
    warnings.iter().for_each(|text| sink.warn(text));
    Ok(0)
}

/// `pause`.
pub(super) fn pause(global: &Global, id: &str) -> Result<u8, Failure> {
    container::pause(&store(global), id).map_err(Failure::from_engine)?;
    Ok(0)
}

/// `resume`.
pub(super) fn resume(global: &Global, id: &str) -> Result<u8, Failure> {
    container::resume(&store(global), id).map_err(Failure::from_engine)?;
    Ok(0)
}

fn shown(state: &State) -> serde_json::Value {
    let status = state.status();
    json!({
        "ociVersion": "1.3.0",
        "id": state.id,
        "pid": if status == Status::Stopped { 0 } else { state.pid },
        "status": status,
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
        "owner": state.owner_name(),
        "annotations": state.annotations,
    })
}

/// `state`.
pub(super) fn state(global: &Global, id: &str) -> Result<u8, Failure> {
    let store = store(global);
    let state = container::state(&store, id).map_err(Failure::from_engine)?;
    let mut shown = shown(&state);
    if let Some((name, addresses)) = store.dir_of(id).and_then(container::attached_network) {
        shown["network"] = json!({ "name": name, "addresses": addresses });
    }
    report::print_json(&shown);
    Ok(0)
}

/// A name with or without SIG, or a number.
fn signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        // 0 asks whether it is there, and sends nothing (kill(2)).
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<Signal>().ok().map(|s| s as i32)
}

/// `kill`.
pub(super) fn kill(global: &Global, args: &KillArgs) -> Result<u8, Failure> {
    let number = signal(&args.signal).ok_or_else(|| {
        Failure::engine(format!(
            "unknown signal {:?}: a name such as TERM or a number from 0 to 64",
            args.signal
        ))
    })?;
    container::kill(&store(global), &args.id, number, args.all).map_err(Failure::from_engine)?;
    Ok(0)
}

/// `delete`.
pub(super) fn delete(global: &Global, args: &DeleteArgs, sink: &Sink) -> Result<u8, Failure> {
    let deleted = container::delete(&store(global), &args.id, args.force);
    let warnings = deleted.map_err(Failure::from_engine)?;
    warnings.iter().for_each(|text| sink.warn(text));
    Ok(0)
}

/// `list`.
pub(super) fn list(global: &Global, args: &ListArgs) -> Result<u8, Failure> {
    let store = store(global);
    store.visible().map_err(Failure::from_engine)?;
    let mut unseen = None;
    let mut states: Vec<State> = Vec::new();
    for id in store.ids() {
        match store.peek(&id) {
            Ok(state) => states.extend(state),
            // Deleted since.
            Err(ContainerError::Unknown) => {}
            Err(error) => unseen = Some(error),
        }
    }
    if args.quiet {
        for state in &states {
            report::line(&state.id);
        }
    } else if args.json || args.format == "json" {
        let all: Vec<_> = states.iter().map(shown).collect();
        // runc prints null for none, and engines have learnt to expect it.
        report::print_json(&if all.is_empty() {
            json!(null)
        } else {
            json!(all)
        });
    } else {
        report::containers(&states);
    }
    // Those that can be seen are shown, and that they are not all is said.
    unseen.map_or(Ok(0), |error| Err(Failure::from_engine(error)))
}

/// `spec`.
pub(super) fn spec(global: &Global, args: &SpecArgs) -> Result<u8, Failure> {
    let mut spec = hardened_spec();
    if global.rootless.as_deref() == Some("true") {
        for_the_caller(&mut spec);
    }
    let text = serde_json::to_string_pretty(&spec).unwrap_or_default() + "\n";
    if args.stdout {
        report::line(text.trim_end());
        return Ok(0);
    }
    let path = args.bundle.join("config.json");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path);
    file.and_then(|mut f| f.write_all(text.as_bytes()))
        .map_err(|e| Failure::engine(format!("can't write {}: {e}", path.display())))?;
    Ok(0)
}

/// An ordinary user's own id is the only one that may be mapped without help (user_namespaces(7)).
fn for_the_caller(spec: &mut serde_json::Value) {
    let (uid, gid) = (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    );
    let user = spec["process"]["user"].clone();
    let linux = &mut spec["linux"];
    if let Some(all) = linux["namespaces"].as_array_mut() {
        all.push(json!({ "type": "user" }));
    }
    let map = |inside: &serde_json::Value, outside: u32| json!([{ "containerID": inside, "hostID": outside, "size": 1 }]);
    linux["uidMappings"] = map(&user["uid"], uid);
    linux["gidMappings"] = map(&user["gid"], gid);
}

/// `features`.
pub(super) fn features() -> Result<u8, Failure> {
    report::print_json(&report::features());
    Ok(0)
}
