//! `controls` and `oscal`: the catalogue with what is done about each line, for people and for tools.

use super::Global;
use super::launch::policy_owner;
use super::output;
use crate::audit::coverage::Coverage;
use crate::audit::formats::oscal;
use crate::audit::table;
use crate::controls::{CIS_EDITION, Control, ControlId, Kind, SS011_MAPPING_NOTE, catalogue};
use crate::report::{self, Failure};
use crate::site;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `controls`.
#[derive(Args, Debug)]
pub struct ControlsArgs {
    /// One of them: SS-011/8.4.7
    #[arg(value_name = "ID", value_parser = control)]
    id: Option<ControlId>,
    /// As data
    #[arg(long)]
    json: bool,
}

/// `oscal`.
#[derive(Subcommand, Debug)]
pub enum OscalVerb {
    /// SS-011 and the OSG policy
    Catalog(Place),
    /// cofferdam as a component: what it does about each control
    Component(Place),
    /// The site's exceptions as a plan of action and milestones
    Poam(Place),
}

/// Where it goes.
#[derive(Args, Debug)]
pub struct Place {
    /// Write it here instead of standard output (mode 0600)
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

/// With or without the name of the document.
fn control(text: &str) -> Result<ControlId, String> {
    let upper = text.to_ascii_uppercase();
    let whole = [
        upper.clone(),
        format!("SS-011/{upper}"),
        format!("OSG/{upper}"),
    ];
    let found = whole.iter().find_map(|t| t.parse().ok());
    found.ok_or_else(|| format!("no control {text:?}; `cofferdam controls` lists them"))
}

pub(super) fn controls(args: &ControlsArgs) -> Result<u8, Failure> {
    let wanted = |c: &&Control| args.id.is_none_or(|id| id == c.id);
    let all: Vec<&Control> = catalogue().filter(wanted).collect();
    if args.json {
        let all: Vec<Value> = all.iter().map(|c| data(c)).collect();
        report::print_json(&json!({
            "controls": all,
            "cisEdition": CIS_EDITION,
            "note": SS011_MAPPING_NOTE,
        }));
    } else if let Some(id) = args.id {
        report::line(one(id.control()).trim_end());
    } else {
        report::line(list(&all).trim_end());
    }
    Ok(0)
}

fn data(control: &Control) -> Value {
    let mut value = serde_json::to_value(control).unwrap_or_default();
    value["coverage"] = serde_json::to_value(Coverage::of(control.id)).unwrap_or_default();
    value
}

fn kinds(control: &Control) -> String {
    let coverage = Coverage::of(control.id);
    let done = |kind: &Kind| match kind {
        Kind::Enforce => ("enforced", !coverage.enforced.is_empty()),
        Kind::Verify => ("verified", !coverage.verified.is_empty()),
        Kind::Record => ("recorded", !coverage.recorded.is_empty()),
    };
    let all = [Kind::Enforce, Kind::Verify, Kind::Record];
    let words = all.iter().map(done).filter(|(_, done)| *done);
    let words: Vec<&str> = words.map(|(word, _)| word).collect();
    match words.is_empty() {
        true => "nothing yet".into(),
        false => words.join(", "),
    }
}

fn list(all: &[&Control]) -> String {
    let head = ["CONTROL", "TITLE", "WHAT IS DONE", "NIST 800-190; CIS; PSS"];
    let rows: Vec<[String; 4]> = all
        .iter()
        .map(|c| {
            let maps = [c.nist.join(" "), c.cis.join(" "), c.pss.join(", ")];
            let maps: Vec<String> = maps.into_iter().filter(|m| !m.is_empty()).collect();
            [c.text.into(), c.title.into(), kinds(c), maps.join("; ")]
        })
        .collect();
    let mut out = table::columns(
        &head.map(String::from),
        &rows,
        [13, 34, 30, 0],
        output::width(),
    );
    out.push_str(&format!("\nCIS: {CIS_EDITION}.\n"));
    for line in table::wrap_hanging(SS011_MAPPING_NOTE, output::width(), 0) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn one(control: &Control) -> String {
    let coverage = Coverage::of(control.id);
    let none = |list: &[&str]| match list.is_empty() {
        true => "none".to_string(),
        false => list.join(", "),
    };
    let code = |list: &[String]| match list.is_empty() {
        true => "nothing".to_string(),
        false => list.join(", "),
    };
    let loosened: Vec<String> = control.loosenings.iter().map(ToString::to_string).collect();
    let rows = [
        ("asks", control.source.to_string()),
        ("enforced by", code(&coverage.enforced)),
        ("verified by", code(&coverage.verified)),
        ("recorded in", code(&coverage.recorded)),
        (
            "loosened by",
            match loosened.is_empty() {
                true => "nothing: no exception can".into(),
                false => loosened.join(", "),
            },
        ),
        ("NIST 800-190", none(control.nist)),
        ("CIS Docker", none(control.cis)),
        ("Kubernetes PSS", none(control.pss)),
    ];
    let mut out = format!("{}  {}\n", control.text, control.title);
    for (name, text) in rows {
        let row = [[name.to_string(), text]];
        out.push_str(&table::pairs(&row, output::width()));
    }
    out
}

pub(super) fn oscal(global: &Global, verb: OscalVerb) -> Result<u8, Failure> {
    let time = crate::container::now();
    let (value, place) = match verb {
        OscalVerb::Catalog(place) => (oscal::catalog(&time), place),
        OscalVerb::Component(place) => (oscal::component(&time), place),
        OscalVerb::Poam(place) => (poam(global)?, place),
    };
    let text = crate::audit::formats::pretty(&value);
    output::put(&text, place.output.as_deref())?;
    Ok(0)
}

fn poam(global: &Global) -> Result<Value, Failure> {
    let policy =
        site::load(global.policy.as_deref(), policy_owner()).map_err(Failure::from_error)?;
    let name = nix::unistd::gethostname();
    let name = name
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |d| d.as_secs());
    oscal::poam(&policy, &name, now).ok_or_else(|| {
        Failure::new(
            "the policy has no exception: there is nothing to plan, and OSCAL has no empty plan",
        )
    })
}
