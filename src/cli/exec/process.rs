//! The process that `exec` is asked for, from a file and from flags. Reads and joins; permits nothing.

use super::ExecArgs;
use crate::bundle::{Bundle, MAX_CONFIG, UnknownCapabilities, without_unknown_capabilities};
use crate::report::Failure;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, Process,
};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A process, and the names of capabilities in its file that this launcher does not know.
pub(super) type Asked = (Process, Vec<UnknownCapabilities>);

/// The process that is asked for: the file's, or the container's own with other arguments; flags over both.
pub(super) fn process(args: &ExecArgs, bundle: &Bundle) -> Result<Asked, Failure> {
    // Not oci-spec's default process, which has capabilities and limits of its own.
    let own = bundle.spec.process().clone();
    let own = own
        .ok_or_else(|| Failure::exec("/process: the container has none: make it anew with one"))?;
    let mut unknown = bundle.extras.unknown_capabilities.clone();
    let mut process = match &args.process {
        Some(path) => {
            let (mut asked, names) = read(path)?;
            unknown = names;
            // What a process of its own need not repeat.
            if asked.rlimits().as_ref().is_none_or(Vec::is_empty) {
                asked.set_rlimits(own.rlimits().clone());
            }
            if asked.oom_score_adj().is_none() {
                asked.set_oom_score_adj(own.oom_score_adj());
            }
            if asked.apparmor_profile().is_none() {
                asked.set_apparmor_profile(own.apparmor_profile().clone());
            }
            if asked.selinux_label().is_none() {
                asked.set_selinux_label(own.selinux_label().clone());
            }
            asked
        }
        None => {
            let mut process = own;
            process.set_args(None);
            process.set_terminal(Some(false)).set_console_size(None);
            process
        }
    };
    if !args.args.is_empty() {
        process.set_args(Some(args.args.clone()));
    }
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(Failure::exec(
            "no program: give --process FILE, or PROGRAM ARGS after the id",
        ));
    }
    if args.tty {
        process.set_terminal(Some(true));
    }
    if let Some((uid, gid)) = args.user {
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !args.additional_gids.is_empty() {
        let mut gids = process.user().additional_gids().clone().unwrap_or_default();
        gids.extend(&args.additional_gids);
        process.user_mut().set_additional_gids(Some(gids));
    }
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    if !args.env.is_empty() {
        let mut env = process.env().clone().unwrap_or_default();
        env.extend(args.env.iter().cloned());
        process.set_env(Some(env));
    }
    if !args.cap.is_empty() {
        add_capabilities(&mut process, &args.cap)?;
    }
    if let Some(profile) = &args.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(label) = &args.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    Ok((process, unknown))
}

fn read(path: &Path) -> Result<Asked, Failure> {
    let failed =
        |why: String| Failure::exec(format!("can't read the process {}: {why}", path.display()));
    let mut text = Vec::new();
    // A FIFO in the file's place must not block us.
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .and_then(|file| file.take(MAX_CONFIG + 1).read_to_end(&mut text))
        .map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(failed(format!("it may have at most {MAX_CONFIG} bytes")));
    }
    let parse = |text: &[u8]| serde_json::from_slice(text).map_err(|e| failed(e.to_string()));
    parse(&text)
        .map(|process| (process, Vec::new()))
        .or_else(|error| {
            let (text, unknown) = without_unknown_capabilities(&text, "").ok_or(error)?;
            Ok((parse(&text)?, unknown))
        })
}

fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), Failure> {
    let mut added = Vec::new();
    for name in names {
        let cap: Capability = serde_json::from_value(name.as_str().into())
            .map_err(|_| Failure::exec(format!("--cap {name:?}: no such capability")))?;
        added.push(cap);
    }
    let own = process.capabilities().as_ref();
    let set = |of: fn(&LinuxCapabilities) -> &Option<Capabilities>| {
        own.and_then(|own| of(own).clone()).unwrap_or_default()
    };
    let with = |of| {
        let mut set = set(of);
        set.extend(added.iter().copied());
        set
    };
    // All five are said: oci-spec's own defaults are three capabilities that nobody asked for.
    let all = LinuxCapabilitiesBuilder::default()
        .bounding(with(LinuxCapabilities::bounding))
        .effective(with(LinuxCapabilities::effective))
        .permitted(with(LinuxCapabilities::permitted))
        .inheritable(set(LinuxCapabilities::inheritable))
        .ambient(set(LinuxCapabilities::ambient))
        .build()
        .map_err(|e| Failure::exec(e.to_string()))?;
    process.set_capabilities(Some(all));
    Ok(())
}
