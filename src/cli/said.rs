//! What argv says, read at the price of the verb that it names: clap hands each global option to each verb, which takes
//! longer than a plan does.
//!
//! Decides nothing and prints nothing. Called by `main` of this module's parent.

use super::{Cli, CreateArgs, DeleteArgs, Global, IdArgs, KillArgs, Later, RunArgs, Verb};
use crate::report::Sink;
use clap::{ArgAction, Args, Command, Error, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

/// The verb, as far as can be told before anything is read.
pub(super) fn verb(argv: &[String]) -> Option<&str> {
    place(argv).map(|at| argv[at].as_str())
}

fn place(argv: &[String]) -> Option<usize> {
    let found = argv.iter().skip(1).position(|w| Verb::has_subcommand(w));
    found.map(|at| at + 1)
}

/// The command line. What can't be read with the verb alone (help, a mistake) is read again with all of them, which
/// has the words to show; what can be, would be read the same way: a part of a grammar understands nothing else.
pub(super) fn parse(argv: &[String]) -> Result<Cli, Error> {
    let at = place(argv);
    match at.and_then(|at| flat(argv, at).or_else(|| alone(argv, at))) {
        Some(cli) => Ok(cli),
        None => Cli::try_parse_from(argv),
    }
}

/// Where a command line that can't be read wants its errors: as far as the options for that are there and right.
pub(super) fn sink(argv: &[String]) -> Sink {
    let value = |name: &str| {
        let mut words = argv.iter().skip(1).take_while(|w| *w != "--");
        while let Some(word) = words.next() {
            match word.strip_prefix(name) {
                Some("") => return words.next().map(String::as_str),
                Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
                _ => {}
            }
        }
        None
    };
    Sink::new(
        value("--log").map(PathBuf::from),
        value("--log-format") == Some("json"),
    )
}

/// A verb of a container's life, with the options that stand around it: one command without verbs.
fn flat(argv: &[String], at: usize) -> Option<Cli> {
    match argv[at].as_str() {
        "run" => flat_as::<RunArgs>(argv, at, Verb::Run),
        "create" => flat_as::<CreateArgs>(argv, at, Verb::Create),
        "start" => flat_as::<IdArgs>(argv, at, Verb::Start),
        "state" => flat_as::<IdArgs>(argv, at, Verb::State),
        "kill" => flat_as::<KillArgs>(argv, at, Verb::Kill),
        "delete" => flat_as::<DeleteArgs>(argv, at, Verb::Delete),
        _ => None,
    }
}

fn flat_as<T: Args>(argv: &[String], at: usize, verb: fn(Later<T>) -> Verb) -> Option<Cli> {
    // Options "for all verbs" would be copied to each.
    let global = Global::augment_args(Command::new("cofferdam")).mut_args(|arg| arg.global(false));
    if !are_global(&global, &argv[1..at]) {
        return None;
    }
    let words = argv[..at].iter().chain(&argv[at + 1..]);
    let mut matches = T::augment_args(global).try_get_matches_from(words).ok()?;
    Some(Cli {
        global: Global::from_arg_matches_mut(&mut matches).ok()?,
        verb: verb(Later(T::from_arg_matches_mut(&mut matches).ok()?)),
    })
}

/// Whether these are global options with their values, and nothing else: the verb's own may not stand in front of it.
fn are_global(global: &Command, words: &[String]) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(word) = word.strip_prefix("--") else {
            return false;
        };
        let (name, has_value) = match word.split_once('=') {
            Some((name, _)) => (name, true),
            None => (word, false),
        };
        let mut known = global.get_arguments();
        let Some(option) = known.find(|arg| arg.get_long() == Some(name)) else {
            return false;
        };
        let takes_one = matches!(option.get_action(), ArgAction::Set);
        if takes_one && !has_value && words.next().is_none() {
            return false;
        }
    }
    true
}

/// Another verb, and the others not.
fn alone(argv: &[String], at: usize) -> Option<Cli> {
    let mut verbs = Verb::augment_subcommands(Command::new("verbs"));
    let verb = std::mem::take(verbs.find_subcommand_mut(&argv[at])?);
    let command = Global::augment_args(Command::new("cofferdam"));
    let command = command.disable_help_subcommand(true).subcommand(verb);
    let matches = command.try_get_matches_from(argv).ok()?;
    Cli::from_arg_matches(&matches).ok()
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
            "cofferdam --rootfs / run name -- /bin/true",
            "cofferdam run --root /a --log b --log-format=text name",
            "cofferdam --root /a run --root /b name",
            "cofferdam --root=/a --systemd-cgroup --debug kill -a name",
            "cofferdam --systemd-cgroup=yes kill name",
            "cofferdam --log-format lines delete --force name",
            "cofferdam --root --log x start name",
            "cofferdam --version run name",
            "cofferdam run --version name",
            "cofferdam -h create",
            "cofferdam x run name",
            "cofferdam -- run name",
            "cofferdam run -- run",
            "cofferdam run run -- run run",
            "cofferdam run --tty --once -e A=b -e C=d -m 1g --volume /a:/b:rw name -- /bin/sh -c run",
        ];
        for line in lines {
            let (alone, whole) = both(line);
            assert_eq!(alone, whole, "{line}");
        }
    }

    /// Words that mean something to one grammar or the other, and some that do to neither.
    const WORDS: &[&str] = &[
        "run",
        "create",
        "start",
        "state",
        "kill",
        "delete",
        "list",
        "policy",
        "name",
        "/x",
        "--",
        "-",
        "",
        "--root",
        "--root=/x",
        "--root=",
        "--log",
        "--log-format",
        "--log-format=json",
        "text",
        "--systemd-cgroup",
        "--systemd-cgroup=1",
        "--debug",
        "--rootless",
        "--rootfs",
        "--bundle=/b",
        "-b",
        "-a",
        "--all",
        "-it",
        "--tty",
        "--once",
        "-m",
        "1g",
        "--memory=lots",
        "KILL",
        "-9",
        "--force",
        "-f",
        "--help",
        "-h",
        "-V",
        "--version",
        "help",
        "--rootf",
        "--stop-timeout",
        "never",
    ];

    proptest::proptest! {
        #[test]
        fn any_words_are_read_as_among_all(
            words in proptest::collection::vec(proptest::sample::select(WORDS), 0..7),
        ) {
            let (alone, whole) = both(&["cofferdam", &words.join(" ")].join(" "));
            proptest::prop_assert_eq!(alone, whole);
        }
    }

    #[test]
    fn a_verb_s_help_says_what_the_list_of_verbs_says() {
        let mut whole = Cli::command();
        let listed: Vec<_> = whole
            .get_subcommands()
            .map(|v| v.get_about().cloned())
            .collect();
        whole.build();
        let shown = whole.get_subcommands().map(|v| v.get_about().cloned());
        assert_eq!(shown.collect::<Vec<_>>(), listed);
    }

    #[test]
    fn every_verb_is_read_by_itself() {
        let argv = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        for line in ["cofferdam --root /x list", "cofferdam policy check --json"] {
            assert!(
                alone(&argv(line), place(&argv(line)).unwrap()).is_some(),
                "{line}"
            );
        }
        for verb in ["run", "create", "start", "state", "kill", "delete"] {
            let argv = argv(&format!("cofferdam --root /x {verb} --log /y name"));
            assert!(flat(&argv, 3).is_some(), "{verb}");
        }
        for verb in Cli::command().get_subcommands() {
            assert!(Verb::has_subcommand(verb.get_name()), "{}", verb.get_name());
        }
    }
}
