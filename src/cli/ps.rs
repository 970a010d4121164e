//! `ps`: the processes of a container, as numbers for engines or as ps(1) shows them.

use super::Global;
use super::launch::store;
use crate::container;
use crate::report::{self, Failure};
use clap::Args;
use std::process::Command;

/// `ps`.
#[derive(Args, Debug)]
pub struct PsArgs {
    /// table or json
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// The container's id
    id: String,
    /// Options of ps(1) [default: -ef]
    #[arg(
        value_name = "PS OPTIONS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<String>,
}

/// Where ps(1) is looked for: never in a folder that the caller's environment names.
const PLACES: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

pub(super) fn ps(global: &Global, args: &PsArgs) -> Result<u8, Failure> {
    let pids = container::processes(&store(global), &args.id).map_err(Failure::from_engine)?;
    if args.format == "json" {
        // runc prints null for none, and engines have learnt to expect it.
        let list = (!pids.is_empty()).then_some(pids);
        report::line(&serde_json::to_string(&list).unwrap_or_default());
        return Ok(0);
    }
    let default = ["-ef".to_string()];
    let options = match args.options.is_empty() {
        true => &default[..],
        false => &args.options[..],
    };
    let mut command = Command::new("ps");
    command.args(options).env_clear().env("PATH", PLACES);
    let output = command
        .output()
        .map_err(|e| Failure::engine(format!("can't run ps(1): {e}; use --format json")))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::engine(format!(
            "ps {}: {}",
            options.join(" "),
            why.trim()
        )));
    }
    for line in of_pids(&String::from_utf8_lossy(&output.stdout), &pids)? {
        report::line(line);
    }
    Ok(0)
}

/// The head, and the lines whose column PID is one of these.
fn of_pids<'a>(text: &'a str, pids: &[i32]) -> Result<Vec<&'a str>, Failure> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head
        .split_whitespace()
        .position(|word| word == "PID")
        .ok_or_else(|| {
            Failure::engine("the output of ps has no column PID: choose other options")
        })?;
    let ours = |line: &&str| {
        let word = line.split_whitespace().nth(column);
        word.and_then(|w| w.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
    };
    Ok(std::iter::once(head).chain(lines.filter(ours)).collect())
}

#[cfg(test)]
mod tests {
    use super::of_pids;

    #[test]
    fn lines_are_chosen_by_their_pid_column() {
        let text = "UID PID CMD\nroot 12 twelve\nroot 13 12\n";
        assert_eq!(
            of_pids(text, &[12]).ok(),
            Some(vec!["UID PID CMD", "root 12 twelve"])
        );
        assert!(of_pids("UID CMD\n", &[1]).is_err());
    }
}
