//! Resource limits of the process and its place in the queue of the OOM killer.

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::{Count, Rlimit};

/// Fewer descriptors than this leave no room for the program's own fd and its libraries.
const LEAST_NOFILE: u64 = 16;

/// core and nofile always; the others as asked, within what the launcher itself may give.
pub(super) fn all(case: &mut Case<'_>) {
    let asked = asked(case);
    case.grant.process.rlimits = match case.compat() {
        // The request's own.
        true => asked
            .into_iter()
            .map(|(at, l)| held(case, &at, l))
            .collect(),
        false => by_default(case, asked),
    };
}

/// What the request says that can stand, with its place.
fn asked(case: &mut Case<'_>) -> Vec<(String, Rlimit)> {
    let process = case.spec().process().as_ref();
    let all = process.and_then(|p| p.rlimits().as_ref());
    let mut out: Vec<(String, Rlimit)> = Vec::new();
    for (at, limit) in all.into_iter().flatten().enumerate() {
        let pointer = format!("/process/rlimits/{at}");
        let name = limit.typ().to_string();
        let limit = Rlimit {
            kind: name.trim_start_matches("RLIMIT_").to_ascii_lowercase(),
            soft: limit.soft(),
            hard: limit.hard(),
        };
        if out.iter().any(|(_, l)| l.kind == limit.kind) || limit.soft > limit.hard {
            let found = format!("{} {}:{}", limit.kind, limit.soft, limit.hard);
            let remedy = "give each limit once, and a soft one not above the hard one";
            case.refuse(ControlId::S8_1_4, &pointer, found, remedy);
            continue;
        }
        out.push((pointer, limit));
    }
    out
}

fn by_default(case: &mut Case<'_>, asked: Vec<(String, Rlimit)>) -> Vec<Rlimit> {
    // 1 and not 0: with 0 a piped core_pattern still dumps, with 1 the kernel never does (core(5)).
    let mut out = vec![Rlimit {
        kind: "core".into(),
        soft: 1,
        hard: 1,
    }];
    let mut nofile = None;
    for (pointer, limit) in asked {
        match limit.kind.as_str() {
            "core" if limit.hard > 1 => case.cut(
                ControlId::S8_4_13,
                &pointer,
                show(limit.soft, limit.hard),
                "1:1 (no core dumps)",
            ),
            "core" => {}
            "nofile" => nofile = Some((pointer, limit)),
            _ => out.push(held(case, &pointer, limit)),
        }
    }
    out.push(descriptors(case, nofile));
    out
}

fn show(soft: u64, hard: u64) -> String {
    format!("{}:{}", Count(soft), Count(hard))
}

/// The one-shot exec needs its descriptor to be the first that can't exist again: that is the hard limit, and a lower
/// soft one stays as it is asked.
fn descriptors(case: &mut Case<'_>, asked: Option<(String, Rlimit)>) -> Rlimit {
    let range = case.policy.ceilings.limits.nofile;
    let (soft, hard) = match asked {
        None => (range.default.0, range.default.0),
        Some((pointer, limit)) => {
            for (which, n) in [("", limit.hard), (" at first", limit.soft)] {
                if n < LEAST_NOFILE {
                    let found = format!("{n} file descriptors{which}");
                    let remedy = format!("give at least {LEAST_NOFILE}");
                    case.refuse(ControlId::S8_1_4, &pointer, found, remedy);
                }
            }
            let bounded = case.bounded(&pointer, Count(limit.hard), range.max, |c| c.nofile);
            let within = Rlimit {
                soft: limit.soft.min(bounded.0),
                hard: bounded.0,
                ..limit
            };
            let held = held(case, &pointer, within);
            (held.soft, held.hard)
        }
    };
    let most = host_hard(case, "nofile");
    Rlimit {
        kind: "nofile".into(),
        soft: soft.min(most),
        hard: hard.min(most),
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
fn held(case: &mut Case<'_>, pointer: &str, limit: Rlimit) -> Rlimit {
    let Rlimit { kind, soft, hard } = limit;
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
