//! Which template is in force, what it implies, and which controls may be missing on this host.

use super::case::Case;
use crate::controls::ControlId;
use crate::host::Privilege;
use crate::paths::GuestPath;
use crate::policy::exceptions::ANY_PROGRAM;
use crate::policy::{Exec, Template, WriteExecute};

/// Asked by flag or annotation, else granted by an exception in force, else the default.
pub(super) fn choose(case: &mut Case<'_>) {
    let asked = asked(case);
    let excepted = case.in_force().filter_map(|e| e.grant.template);
    // In audit mode the compat exception only lifts the clamps of the second pass.
    let audit = case.policy.ceilings.audit;
    let chosen = excepted
        .filter(|t| !(audit && *t == Template::Compat))
        .max();
    // Only the second pass of audit mode is open before a template is chosen.
    let wanted = match case.compat() {
        true => Template::Compat,
        false => asked.or(chosen).unwrap_or(Template::Default),
    };
    case.grant.template = admit(case, wanted);
    case.grant.seccomp.template = Some(case.grant.template);
    match case.grant.template {
        Template::Default | Template::Workers => {}
        Template::Script => {
            case.grant.exec = match any_program(case) {
                true => Exec::Any,
                false => Exec::Listed(programs(case)),
            }
        }
        Template::Compat => {
            case.grant.exec = Exec::Any;
            case.grant.write_execute = WriteExecute::Waived;
            case.grant.seccomp.template = None;
        }
    }
    if case.grant.write_execute == WriteExecute::Denied
        && case.waived("", "memory that is writable and executable (jit)", |g| {
            g.jit
        })
    {
        case.grant.write_execute = WriteExecute::Waived;
    }
}

fn asked(case: &mut Case<'_>) -> Option<Template> {
    if case.bundle.extras.template.is_some() {
        return case.bundle.extras.template;
    }
    let annotations = case.spec().annotations().as_ref()?;
    match annotations.get("org.cofferdam.template")?.as_str() {
        "default" => Some(Template::Default),
        "workers" => Some(Template::Workers),
        "script" => Some(Template::Script),
        "compat" => Some(Template::Compat),
        other => {
            case.refuse(
                ControlId::S8_4_14,
                "/annotations/org.cofferdam.template",
                format!("{other:?}"),
                "the templates are default, workers, script and compat",
            );
            None
        }
    }
}

/// The wanted template if an exception allows it.
fn admit(case: &mut Case<'_>, wanted: Template) -> Template {
    let (control, name) = match wanted {
        Template::Default => return wanted,
        Template::Workers => (ControlId::S8_5_2, "workers"),
        Template::Script => (ControlId::S8_4_3, "script"),
        Template::Compat => (ControlId::S8_4_14, "compat"),
    };
    if case.waived("--profile", format!("template {name}"), |g| {
        g.template == Some(wanted)
    }) {
        return wanted;
    }
    case.refuse(
        control,
        "--profile",
        format!("the template {name}"),
        format!("an exception for {control} with grant = {{ template = {name:?} }} must cover this launch"),
    );
    Template::Default
}

fn any_program(case: &mut Case<'_>) -> bool {
    // Not under audit's second pass, whose template is another.
    case.in_force().any(|e| lists_any(&e.grant))
        && case.waived("--profile", "exec of any program of the image", lists_any)
}

fn lists_any(grant: &crate::policy::Loosened) -> bool {
    matches!(grant.programs.as_slice(), [one] if one == ANY_PROGRAM)
}

/// The programs that exceptions list, in their order, without doubles.
fn programs(case: &mut Case<'_>) -> Vec<GuestPath> {
    let mut all: Vec<GuestPath> = Vec::new();
    for exception in case.in_force() {
        for program in &exception.grant.programs {
            let Ok(path) = GuestPath::parse(program) else {
                continue;
            };
            if !all.contains(&path) {
                case.waived("--profile", format!("exec of {path}"), |g| {
                    g.programs.contains(program)
                });
                all.push(path);
            }
        }
    }
    all
}

/// Controls that may be missing: by exception, and the cgroup controllers of an ordinary user.
pub(super) fn degraded(case: &mut Case<'_>) {
    let mut allowed: Vec<ControlId> = Vec::new();
    for exception in case.in_force().filter(|e| e.grant.degraded) {
        let control = exception.control;
        case.waived(
            "",
            format!("a host without the mechanisms of {control}"),
            |g| g.degraded && g == &exception.grant,
        );
        allowed.push(control);
    }
    if case.host.privilege == Privilege::User {
        allowed.push(ControlId::S8_1_4);
    }
    if case.compat() {
        allowed.extend(
            crate::controls::catalogue()
                .filter(|c| c.loosenings.contains(&crate::controls::Loosening::Degraded))
                .map(|c| c.id),
        );
    }
    allowed.sort();
    allowed.dedup();
    case.grant.degraded_allowed = allowed;
}
