//! Hooks: programs that run outside, with the launcher's rights. Only those that policy names, by exact path.

use super::case::Case;
use super::strings::shorten;
use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::policy::{Hook, HookPoint};
use std::path::Path;

/// Seconds that a hook gets that asks for no limit: one that hangs must not hang the engine.
const TIMEOUT: u64 = 60;

/// All six points.
#[allow(deprecated)]
pub(super) fn all(case: &mut Case<'_>) {
    let Some(hooks) = case.spec().hooks() else {
        return;
    };
    for point in HookPoint::ALL {
        let list = match point {
            HookPoint::Prestart => hooks.prestart(),
            HookPoint::CreateRuntime => hooks.create_runtime(),
            HookPoint::CreateContainer => hooks.create_container(),
            HookPoint::StartContainer => hooks.start_container(),
            HookPoint::Poststart => hooks.poststart(),
            HookPoint::Poststop => hooks.poststop(),
        };
        for (at, hook) in list.iter().flatten().enumerate() {
            one(case, point, &format!("/hooks/{}/{at}", point.name()), hook);
        }
    }
}

fn one(case: &mut Case<'_>, point: HookPoint, pointer: &str, hook: &oci_spec::runtime::Hook) {
    let path = hook.path().to_string_lossy();
    let Some(file) = permitted(case, point, pointer, hook) else {
        return;
    };
    let climbs = path.split('/').any(|part| part == "..");
    let (Ok(parsed), false) = (HostPath::parse(&path), climbs) else {
        case.refuse(
            ControlId::S8_2_1,
            pointer,
            format!("the hook {:?}", shorten(&path)),
            "give an absolute path without '..'",
        );
        return;
    };
    let timeout = timeout(case, pointer, hook.timeout());
    let env = hook.env().clone().unwrap_or_default();
    if env
        .iter()
        .any(|entry| entry.find('=').is_none_or(|at| at == 0))
    {
        case.refuse(
            ControlId::S8_2_1,
            &format!("{pointer}/env"),
            "an entry without a name and '='",
            "write it as NAME=VALUE",
        );
    }
    case.grant.hooks.push(Hook {
        point,
        path: parsed,
        file: file.0,
        args: hook.args().clone().unwrap_or_default(),
        env,
        timeout,
    });
}

/// What a permitted hook's path leads to, where that is not the path itself.
struct File(Option<HostPath>);

fn permitted(
    case: &mut Case<'_>,
    point: HookPoint,
    pointer: &str,
    hook: &oci_spec::runtime::Hook,
) -> Option<File> {
    let path = hook.path().to_string_lossy();
    let found = format!("the hook {:?}", shorten(&path));
    if point == HookPoint::StartContainer {
        // The image's own code, before its program and beside it: what "one exec" is there to prevent.
        if !case.compat() {
            case.refuse(
                ControlId::S8_2_1,
                pointer,
                found,
                "startContainer would execute a second program of the image (SS-011/8.4.3): only the template compat runs it; use another point, or leave it out",
            );
            return None;
        }
        return Some(File(None));
    }
    let file = case.bundle.hook_files.get(hook.path()).cloned();
    let is_link = is_running_program(&path);
    // What runs in /proc/PID/exe's place is only known by the file behind it.
    let judged = match &file {
        Some(file) if is_link => Some(file.at.to_string_lossy().into_owned()),
        None if is_link => None,
        _ => Some(path.to_string()),
    };
    let args = hook.args().clone().unwrap_or_default();
    let listed = |list: &[String]| {
        judged
            .as_deref()
            .is_some_and(|program| list.iter().any(|entry| names(entry, program, &args)))
    };
    if !listed(&case.policy.ceilings.hooks) && !case.waived(pointer, &found, |g| listed(&g.hooks)) {
        let remedy = match judged.filter(|j| *j != path) {
            None => "have the policy list exactly this path under hooks, or leave it out".into(),
            Some(at) => format!(
                "it leads to {at:?}: have the policy list that under hooks, or leave it out"
            ),
        };
        case.refuse(ControlId::S8_2_1, pointer, found, remedy);
        return None;
    }
    if let Some(who) = file.as_ref().and_then(|f| f.writable_by.as_ref())
        && !case.compat()
    {
        let remedy = "a hook runs with the launcher's rights: give it, and every folder above it, to root, writable by nobody else";
        case.refuse(
            ControlId::S8_2_1,
            pointer,
            format!("{found}: {who}"),
            remedy,
        );
        return None;
    }
    Some(File(
        file.filter(|_| is_link).map(|f| HostPath::trusted(f.at)),
    ))
}

/// `/proc/PID/exe` or `/proc/self/exe`: how an engine names its own program.
fn is_running_program(path: &str) -> bool {
    let mut parts = Path::new(path).strip_prefix("/proc").into_iter().flatten();
    let process = parts.next().and_then(|p| p.to_str()).unwrap_or_default();
    (process == "self" || process.parse::<u32>().is_ok())
        && parts.next().is_some_and(|p| p == "exe")
        && parts.next().is_none()
}

/// An entry is a path, or a path and the first word that the program must be called with.
fn names(entry: &str, program: &str, args: &[String]) -> bool {
    entry == program
        || entry.split_once(' ').is_some_and(|(path, word)| {
            path == program && args.first().is_some_and(|first| first == word)
        })
}

fn timeout(case: &mut Case<'_>, pointer: &str, asked: Option<i64>) -> Option<u64> {
    match asked {
        None => (!case.compat()).then_some(TIMEOUT),
        Some(seconds) if (1..=3600).contains(&seconds) => Some(seconds as u64),
        Some(seconds) => {
            case.refuse(
                ControlId::S8_2_1,
                &format!("{pointer}/timeout"),
                format!("{seconds} seconds"),
                "give 1 to 3600",
            );
            None
        }
    }
}
