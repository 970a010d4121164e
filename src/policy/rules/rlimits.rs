//! Resource limits of the process and its place in the queue of the OOM killer.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{Count, Rlimit};

/// Fewer descriptors than this leave no room for the program's own fd and its libraries.
const LEAST_NOFILE: u64 = 16;

/// core and nofile always; the others as asked, within what the launcher itself may give.
pub(super) fn all(case: &mut Case<'_>) {
    if case.compat() {
        return as_asked(case);
    }
    // 1 and not 0: with 0 a piped core_pattern still dumps, with 1 the kernel never does (core(5)).
    let mut out = vec![Rlimit {
        kind: "core".into(),
        soft: 1,
        hard: 1,
    }];
    let mut nofile = None;
    let asked = case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.rlimits().as_ref());
    let mut seen = Vec::new();
    for (at, limit) in asked.into_iter().flatten().enumerate() {
        let pointer = format!("/process/rlimits/{at}");
        let kind = limit
            .typ()
            .to_string()
            .trim_start_matches("RLIMIT_")
            .to_ascii_lowercase();
        if seen.contains(&kind) || limit.soft() > limit.hard() {
            let found = format!("{kind} {}:{}", limit.soft(), limit.hard());
            case.refuse(
                ControlId::S8_1_4,
                &pointer,
                found,
                "give each limit once, and a soft one not above the hard one",
            );
            continue;
        }
        seen.push(kind.clone());
        match kind.as_str() {
            "core" if limit.hard() > 1 => case.cut(
                ControlId::S8_4_13,
                &pointer,
                show(limit.soft(), limit.hard()),
                "1:1 (no core dumps)",
            ),
            "core" => {}
            "nofile" => nofile = Some((pointer, limit.hard())),
            _ => out.push(held(case, &pointer, kind, limit.soft(), limit.hard())),
        }
    }
    out.push(descriptors(case, nofile));
    case.grant.process.rlimits = out;
}

/// Under compat: the request's own, within what the launcher may give.
fn as_asked(case: &mut Case<'_>) {
    let asked = case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.rlimits().as_ref());
    for (at, limit) in asked.into_iter().flatten().enumerate() {
        let kind = limit
            .typ()
            .to_string()
            .trim_start_matches("RLIMIT_")
            .to_ascii_lowercase();
        let held = held(
            case,
            &format!("/process/rlimits/{at}"),
            kind,
            limit.soft(),
            limit.hard(),
        );
        case.grant.process.rlimits.push(held);
    }
}

fn show(soft: u64, hard: u64) -> String {
    format!("{}:{}", Count(soft), Count(hard))
}

/// The soft limit equals the hard one: the one-shot exec needs its descriptor to be the first that can't exist again.
fn descriptors(case: &mut Case<'_>, asked: Option<(String, u64)>) -> Rlimit {
    let range = case.policy.ceilings.limits.nofile;
    let limit = match asked {
        None => range.default.0,
        Some((pointer, hard)) => {
            if hard < LEAST_NOFILE {
                let found = format!("{hard} file descriptors");
                case.refuse(
                    ControlId::S8_1_4,
                    &pointer,
                    found,
                    format!("give at least {LEAST_NOFILE}"),
                );
            }
            let bounded = case.bounded(&pointer, Count(hard), range.max, |c| c.nofile);
            held(case, &pointer, "nofile".into(), bounded.0, bounded.0).hard
        }
    };
    let limit = limit.min(host_hard(case, "nofile"));
    Rlimit {
        kind: "nofile".into(),
        soft: limit,
        hard: limit,
    }
}

fn host_hard(case: &Case<'_>, kind: &str) -> u64 {
    let own = case.host.rlimits.iter().find(|(name, _, _)| name == kind);
    match own {
        Some((_, _, hard)) if !case.host.may_raise_limits => *hard,
        _ => u64::MAX,
    }
}

/// Not above the launcher's own hard limit where it can't raise that: noted, and no reason to fail.
fn held(case: &mut Case<'_>, pointer: &str, kind: String, soft: u64, hard: u64) -> Rlimit {
    let most = host_hard(case, &kind);
    if hard > most {
        let given = format!(
            "{}; the launcher's own hard limit",
            show(soft.min(most), most)
        );
        case.cut(
            ControlId::S8_1_4,
            pointer,
            format!("{kind} {}", show(soft, hard)),
            given,
        );
    }
    Rlimit {
        kind,
        soft: soft.min(most),
        hard: hard.min(most),
    }
}

/// Never negative: a container is not to outlive the host's own services.
pub(super) fn oom_score(case: &mut Case<'_>) {
    let at = "/process/oomScoreAdj";
    match case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.oom_score_adj())
    {
        None => {}
        Some(n) if !(-1000..=1000).contains(&n) => {
            case.refuse(ControlId::S8_1_4, at, n, "the kernel takes -1000 to 1000")
        }
        Some(n) if n < 0 && !case.compat() => {
            case.over(ControlId::S8_1_4, at, n, 0);
            case.grant.process.oom_score_adj = Some(0);
        }
        Some(n) => case.grant.process.oom_score_adj = Some(n),
    }
}
