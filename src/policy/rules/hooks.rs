//! Hooks: programs that run outside, with the launcher's rights. Only those that policy names, by exact path.

use super::case::Case;
use super::strings::shorten;
use crate::controls::ControlId;
use crate::paths::HostPath;
use crate::policy::Hook;

/// All six points.
#[allow(deprecated)]
pub(super) fn all(case: &mut Case<'_>) {
    let Some(hooks) = case.spec().hooks() else {
        return;
    };
    let points = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (point, list) in points {
        for (at, hook) in list.iter().flatten().enumerate() {
            one(case, point, &format!("/hooks/{point}/{at}"), hook);
        }
    }
}

fn one(case: &mut Case<'_>, point: &str, pointer: &str, hook: &oci_spec::runtime::Hook) {
    let path = hook.path().to_string_lossy();
    let listed = case.policy.ceilings.hooks.iter().any(|p| *p == path);
    if !listed
        && !case.waived(pointer, format!("the hook {}", shorten(&path)), |g| {
            g.hooks.iter().any(|p| *p == path)
        })
    {
        let found = format!("the hook {:?}", shorten(&path));
        case.refuse(
            ControlId::S8_2_1,
            pointer,
            found,
            "have the policy list exactly this path under hooks, or leave it out",
        );
        return;
    }
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
    let timeout = match hook.timeout() {
        None => None,
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
    };
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
        point: point.into(),
        path: parsed,
        args: hook.args().clone().unwrap_or_default(),
        env,
        timeout,
    });
}
