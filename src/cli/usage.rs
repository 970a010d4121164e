//! What argv asked wrongly, or asked for itself (help, version): the words for it, and the code.
//!
//! Called by `main` of this module's parent where clap has no command to give.

use super::args::version;
use super::said;
use crate::report::{self, Failure, Sink};
use crate::sys::output::Output;
use clap::error::ErrorKind;
use std::io::{IsTerminal, Write};

/// runc's, for a verb that it does not have.
const NO_SUCH_VERB: u8 = 3;

/// runc's verbs fail with 1, as runc's do.
const ENGINES: [&str; 16] = [
    "create",
    "start",
    "state",
    "kill",
    "delete",
    "list",
    "ps",
    "exec",
    "pause",
    "resume",
    "update",
    "events",
    "spec",
    "features",
    "checkpoint",
    "restore",
];

/// A failure that is no verb's own, with the code of the one that was asked for: 125, or 1 for runc's and for none.
pub(super) fn failure(argv: &[String], text: impl Into<String>) -> Failure {
    match said::verb(argv) {
        Some(verb) if !ENGINES.contains(&verb) => Failure::new(text),
        _ => Failure::engine(text),
    }
}

/// The standard library's words for what is no number, which do not say what would be one.
const NO_NUMBER: [&str; 2] = [
    "invalid digit found in string",
    "cannot parse integer from empty string",
];

/// Help and version on standard output with 0; a wrong word is told as every other failure.
pub(super) fn usage(error: &clap::Error, argv: &[String], sink: &Sink) -> u8 {
    if error.exit_code() == 0 {
        if argv.iter().skip(1).any(|a| a == "--version" || a == "-V") {
            report::line(&format!("cofferdam version {}", version()));
        } else if std::io::stdout().is_terminal() {
            // In colours.
            let _ = error.print();
        } else {
            let _ = Output.write_all(error.render().to_string().as_bytes());
        }
        return 0;
    }
    if argv.len() < 2 {
        let _ = error.print();
        return 1;
    }
    let failure = failure(argv, format!("{}; see --help", sentence(error, argv)));
    sink.report(&match (error.kind(), said::verb(argv)) {
        (ErrorKind::InvalidSubcommand, None) => failure.with_code(NO_SUCH_VERB),
        _ => failure,
    })
}

/// One sentence, as every other error: clap's usage and hints go on for several lines.
fn sentence(error: &clap::Error, argv: &[String]) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Its text is the whole help.
        let verb = said::verb(argv).unwrap_or_default();
        return format!("'{verb}' needs another word that says what to do");
    }
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.split("\n\nFor more").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let one_line = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<String> = text.split("\n  tip: ").map(one_line).collect();
    let said = parts.join("; ");
    match NO_NUMBER.iter().find_map(|words| said.strip_suffix(words)) {
        Some(before) => format!("{before}expected a whole number"),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::{CommandFactory, Parser};

    fn said(line: &str) -> String {
        let argv: Vec<String> = line.split(' ').map(String::from).collect();
        sentence(&Cli::try_parse_from(&argv).unwrap_err(), &argv)
    }

    #[test]
    fn hints_are_parts_of_the_sentence() {
        assert_eq!(
            said("cofferdam lst"),
            "unrecognized subcommand 'lst'; a similar subcommand exists: 'list'"
        );
        assert_eq!(
            said("cofferdam run --rootf / x"),
            "unexpected argument '--rootf' found; a similar argument exists: '--rootfs'; \
             to pass '--rootf' as a value, use '-- --rootf'"
        );
        assert_eq!(
            said("cofferdam update --cpu-period x y"),
            "invalid value 'x' for '--cpu-period <N>': expected a whole number"
        );
        assert_eq!(
            said("cofferdam policy"),
            "'policy' needs another word that says what to do"
        );
    }

    #[test]
    fn every_verb_of_runc_s_is_one_of_ours() {
        for verb in ENGINES {
            assert!(Cli::command().find_subcommand(verb).is_some(), "{verb}");
        }
    }
}
