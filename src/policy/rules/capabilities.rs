//! The five capability sets: what is asked, cut to the whitelist.
//!
//! Inheritable and ambient stay empty unless excepted by name: non-empty ones gave exec its rights back in
//! CVE-2016-8867, CVE-2022-24769, CVE-2022-29162, CVE-2022-27650 and CVE-2025-27612.

use super::case::Case;
use super::strings::{escape, shorten};
use crate::controls::ControlId;
use crate::policy::{CapabilitySets, capability};
use oci_spec::runtime::Capabilities;

/// All five.
pub(super) fn sets(case: &mut Case<'_>) {
    for unknown in &case.bundle.extras.unknown_capabilities {
        let pointer = format!("/process/capabilities/{}", shorten(&escape(&unknown.set)));
        let names = unknown.names.join(" ").escape_debug().to_string();
        let given = "nothing: this launcher knows no such capability";
        case.cut(ControlId::S8_1_5, &pointer, shorten(&names), given);
    }
    let asked = case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.capabilities().as_ref());
    let Some(asked) = asked else { return };
    let bounding = whitelisted(case, "bounding", asked.bounding().as_ref());
    let permitted = whitelisted(case, "permitted", asked.permitted().as_ref());
    let effective = whitelisted(case, "effective", asked.effective().as_ref());
    let inheritable = ambient(case, "inheritable", asked.inheritable().as_ref());
    let ambient = ambient(case, "ambient", asked.ambient().as_ref());
    // capabilities(7): effective is a part of permitted; ambient of permitted and inheritable.
    let effective = within(case, "effective", effective, ("permitted", &permitted));
    let ambient = within(case, "ambient", ambient, ("permitted", &permitted));
    // No kernel adds to inheritable what bounding lacks, so what goes here must not stay in ambient.
    let inheritable = within(case, "inheritable", inheritable, ("bounding", &bounding));
    let ambient = within(case, "ambient", ambient, ("inheritable", &inheritable));
    case.grant.capabilities = CapabilitySets {
        bounding,
        permitted,
        effective,
        inheritable,
        ambient,
    };
}

/// What the kernel would not take is noted, not lost.
fn within(
    case: &mut Case<'_>,
    which: &str,
    set: Vec<String>,
    (name, outer): (&str, &[String]),
) -> Vec<String> {
    let (kept, beyond): (Vec<String>, Vec<String>) =
        set.into_iter().partition(|one| outer.contains(one));
    if !beyond.is_empty() {
        let pointer = format!("/process/capabilities/{which}");
        let given = format!("not these: they are not {name}");
        case.cut(ControlId::S8_1_5, &pointer, beyond.join(" "), given);
    }
    kept
}

fn names(set: Option<&Capabilities>) -> Vec<String> {
    let mut names: Vec<String> = set.into_iter().flatten().map(ToString::to_string).collect();
    names.sort();
    names
}

fn whitelisted(case: &mut Case<'_>, which: &str, set: Option<&Capabilities>) -> Vec<String> {
    cut(case, which, names(set), |case, pointer, name| {
        let listed = case
            .policy
            .ceilings
            .capabilities
            .iter()
            .any(|c| c.name == name);
        listed || case.waived(pointer, name, |g| g.capabilities.iter().any(|c| c == name))
    })
}

fn ambient(case: &mut Case<'_>, which: &str, set: Option<&Capabilities>) -> Vec<String> {
    cut(case, which, names(set), |case, pointer, name| {
        let what = format!("{name} inheritable and ambient");
        case.waived(pointer, what, |g| g.ambient.iter().any(|c| c == name))
    })
}

fn cut(
    case: &mut Case<'_>,
    which: &str,
    asked: Vec<String>,
    allowed: impl Fn(&mut Case<'_>, &str, &str) -> bool,
) -> Vec<String> {
    let pointer = format!("/process/capabilities/{which}");
    let mut kept = Vec::new();
    let (mut over, mut beyond) = (Vec::new(), Vec::new());
    for name in asked {
        let bit = capability::number(&name).map_or(0, |n| 1u64 << n);
        if !allowed(case, &pointer, &name) {
            over.push(name);
        } else if case.host.bounding & bit == 0 {
            beyond.push(name);
        } else {
            kept.push(name);
        }
    }
    let list = |names: &[String]| match names.is_empty() {
        true => "none".to_string(),
        false => names.join(" "),
    };
    if !over.is_empty() {
        case.over(ControlId::S8_1_5, &pointer, list(&over), list(&kept));
    }
    if !beyond.is_empty() {
        let given = format!("{}; the launcher itself has no more", list(&kept));
        case.cut(ControlId::S8_1_5, &pointer, list(&beyond), given);
    }
    kept
}
