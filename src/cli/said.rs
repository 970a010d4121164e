//! What argv says, read at the price of the verb that it names: clap hands each global option to each verb, which takes
//! longer than a plan does.
//!
//! Decides nothing and prints nothing. Called by `main` of this module's parent.

use super::{Cli, CreateArgs, DeleteArgs, Global, IdArgs, KillArgs, Later, RunArgs, Verb};
use clap::{Args, Command, Error, FromArgMatches, Parser, Subcommand};

/// The verb, as far as can be told before anything is read.
pub(super) fn verb(argv: &[String]) -> Option<&str> {
    let mut words = argv.iter().skip(1).map(String::as_str);
    words.find(|word| Verb::has_subcommand(word))
}

/// The command line. What can't be read with the verb alone (help, a mistake) is read again with all of them, which
/// has the words to show; what can be, would be read the same way: a part of a grammar understands nothing else.
pub(super) fn parse(argv: &[String]) -> Result<Cli, Error> {
    let alone = verb(argv)
        .and_then(alone)
        .and_then(|command| command.try_get_matches_from(argv).ok())
        .and_then(|matches| Cli::from_arg_matches(&matches).ok());
    match alone {
        Some(cli) => Ok(cli),
        None => Cli::try_parse_from(argv),
    }
}

/// The command with one verb. The verbs of a container's life are not looked for among all: what their help says is
/// not needed to read them.
fn alone(verb: &str) -> Option<Command> {
    let verb = match verb {
        "run" => Later::<RunArgs>::augment_args(Command::new("run")),
        "create" => Later::<CreateArgs>::augment_args(Command::new("create")),
        "start" => Later::<IdArgs>::augment_args(Command::new("start")),
        "state" => Later::<IdArgs>::augment_args(Command::new("state")),
        "kill" => Later::<KillArgs>::augment_args(Command::new("kill")),
        "delete" => Later::<DeleteArgs>::augment_args(Command::new("delete")),
        _ => {
            let mut verbs = Verb::augment_subcommands(Command::new("verbs"));
            std::mem::take(verbs.find_subcommand_mut(verb)?)
        }
    };
    let command = Global::augment_args(Command::new("cofferdam"));
    Some(command.disable_help_subcommand(true).subcommand(verb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// As `{:?}` shows it: every field of what was read.
    fn both(line: &str) -> (String, String) {
        let argv: Vec<String> = line.split(' ').map(String::from).collect();
        let whole = Cli::try_parse_from(&argv);
        (format!("{:?}", parse(&argv)), format!("{whole:?}"))
    }

    #[test]
    fn a_verb_alone_is_read_as_among_all() {
        let lines = [
            "cofferdam",
            "cofferdam run",
            "cofferdam run --help",
            "cofferdam --root /x --log-format json run --rootfs / -m 1g name -- run state",
            "cofferdam run --rootfs / name --root /x --policy run -- /bin/true",
            "cofferdam --root run state name",
            "cofferdam --root run --log state",
            "cofferdam --root state run state",
            "cofferdam state run",
            "cofferdam state a b",
            "cofferdam kill -a run KILL",
            "cofferdam nothing run",
            "cofferdam policy check --json",
            "cofferdam policy run",
            "cofferdam features run",
            "cofferdam create --bundle /b --preserve-fds 2 id",
            "cofferdam run --memory lots name",
        ];
        for line in lines {
            let (alone, whole) = both(line);
            assert_eq!(alone, whole, "{line}");
        }
    }

    #[test]
    fn every_verb_is_found() {
        for verb in Cli::command().get_subcommands() {
            assert!(alone(verb.get_name()).is_some(), "{}", verb.get_name());
        }
    }
}
