//! The controls that no look at a running container can answer, and why: they are reported as not assessed.

use super::super::allowed::Judge;
use crate::audit::Verdict;
use crate::controls::{ControlId, ControlId::*, catalogue};

const IMAGE: &str =
    "the image is not seen through a running container; it takes the image and its records";
const PROCESS: &str = "what people do and decide is not to be seen from a machine";

fn why(control: ControlId) -> &'static str {
    match control {
        S8_1_1 => "the host is looked at by `cofferdam check host`",
        S8_1_2 => "no label says which classification a container has",
        S8_2_1 | S8_2_3 => "who may call the engine is looked at by `cofferdam check host`",
        S8_3_1 | S8_5_6 => "the CMDB is not asked",
        S8_3_2 | S8_3_3 | S8_3_5 | S8_3_6 | S8_3_9 | Osg2 => IMAGE,
        S8_4_9 | S8_4_10 | S8_4_11 | S8_4_12 => IMAGE,
        S8_3_4 => "whether events reach a collector is seen there",
        S8_4_3 => "landlock leaves no trace in /proc; `cofferdam audit` tries it from inside",
        S8_5_4 => "what is linked with what is the engine's to say",
        S3_1 | S5_2 | S6_1 | Osg2_1 | Osg3 => PROCESS,
        _ => "nothing of it shows from outside",
    }
}

/// Those that always have a part which can't be seen, whatever else was found.
const PARTLY: [ControlId; 5] = [S8_2_1, S8_2_3, S8_4_3, S8_3_8, Osg3];

pub(super) fn judge(judge: &mut Judge<'_>) {
    exceptions(judge);
    for control in catalogue() {
        let seen = judge
            .findings
            .iter()
            .any(|f| f.controls.contains(&control.id));
        if seen && !PARTLY.contains(&control.id) {
            continue;
        }
        let name = control
            .text
            .to_ascii_lowercase()
            .replace("ss-011/", "")
            .replace("osg/", "osg-");
        let why = match control.id {
            S8_3_8 => "whether tools examine each change is not to be seen from a machine",
            id => why(id),
        };
        judge.unread(&format!("unseen/{name}"), &[control.id], control.title, why);
    }
}

/// Exceptions in use are dated and approved, or they would not have loaded.
fn exceptions(judge: &mut Judge<'_>) {
    let all: Vec<_> = judge.allowed.exceptions().collect();
    let lapsed = judge.allowed.lapsed.clone();
    let controls = [S3_1, Osg2_1];
    let tried = "exceptions for it";
    let answer = match all.is_empty() {
        true => "none in force".to_string(),
        false => {
            let each = all
                .iter()
                .map(|e| format!("{} until {}", e.exception, e.expires));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let verdict = match (all.is_empty(), lapsed.is_empty()) {
        (true, true) => Verdict::not_applicable("there is no exception for it"),
        (_, true) => Verdict::Pass,
        (_, false) => Verdict::Fail,
    };
    let answer = match lapsed.is_empty() {
        true => answer,
        false => format!("{answer}; {}", lapsed.join("; ")),
    };
    let mut entry = judge.add(
        "exceptions",
        &controls,
        tried,
        ("approved, and not lapsed", answer),
        verdict,
    );
    for e in &all {
        entry = entry.seen(&e.exception, e.to_string());
    }
    entry.mend("have it reviewed, or take away what it allowed");
}
