//! Environment and secrets: no secret in the environment, and no value in any message.
//!
//! A variable that looks like a secret is refused on a command line and taken out for an engine (a note that it was
//! "kept" would be no cut at all; under `on_excess = "refuse"` it is refused there too).

use super::case::Case;
use crate::controls::ControlId;
use crate::policy::exceptions::matches;
use crate::policy::is_name;
use std::collections::HashMap;

/// Each entry is NAME=VALUE.
pub(super) fn variables(case: &mut Case<'_>) {
    let env = case
        .spec()
        .process()
        .as_ref()
        .and_then(|p| p.env().as_ref());
    let names = env.into_iter().flatten().enumerate();
    // The last of a name, as runc and crun have it: getenv(3) would take the first.
    let last: HashMap<&str, usize> = names
        .filter_map(|(at, entry)| Some((entry.split_once('=')?.0, at)))
        .collect();
    for (at, entry) in env.into_iter().flatten().enumerate() {
        let pointer = format!("/process/env/{at}");
        let Some((name, value)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            case.refuse(
                ControlId::S8_2_2,
                &pointer,
                "an entry without a name and '='",
                "write it as NAME=VALUE",
            );
            continue;
        };
        if last.get(name) != Some(&at) {
            continue;
        }
        if is_secret(name, value)
            && !case.waived(&pointer, format!("the variable {name}"), |g| {
                g.env.iter().any(|n| matches(n, name))
            })
        {
            let found = format!("{name}, which looks like a secret (its value is not shown)");
            case.over(
                ControlId::S8_2_2,
                &pointer,
                found,
                "no such variable; hand it in as a file (--secret)",
            );
            continue;
        }
        case.grant.process.env.push(entry.clone());
    }
}

const WORDS: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
    "PRIVATEKEY",
];
const PAIRS: [(&str, &str); 5] = [
    ("API", "KEY"),
    ("ACCESS", "KEY"),
    ("PRIVATE", "KEY"),
    ("SECRET", "KEY"),
    ("ENCRYPTION", "KEY"),
];
const ENDINGS: [&str; 4] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN"];

/// Whether a variable looks like a secret.
pub fn is_secret(name: &str, value: &str) -> bool {
    if value.contains("-----BEGIN") && value.contains("PRIVATE KEY") {
        return true;
    }
    let name = name.to_ascii_uppercase();
    // A name of a file or a switch is not the secret itself.
    let pointer = ["_FILE", "_PATH", "_DIR", "_URL_FILE"]
        .iter()
        .any(|end| name.ends_with(end));
    let switch =
        ["", "yes", "no", "true", "false", "0", "1"].contains(&value.to_ascii_lowercase().as_str());
    if pointer || switch {
        return false;
    }
    // The second of two is no less a secret: DB_PASSWORD2.
    let words: Vec<&str> = name
        .split(['_', '-', '.'])
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .iter()
        .any(|word| WORDS.contains(word) || ENDINGS.iter().any(|end| word.ends_with(end)))
        || words
            .windows(2)
            .any(|pair| PAIRS.contains(&(pair[0], pair[1])))
}

/// Secrets become files below /run/secrets.
pub(super) fn secrets(case: &mut Case<'_>) {
    let secrets = &case.bundle.extras.secrets;
    for (at, secret) in secrets.iter().enumerate() {
        let again = secrets[..at].iter().any(|other| other.name == secret.name);
        if again || !is_name(&secret.name) {
            let found = format!(
                "the secret's name {:?}",
                super::strings::shorten(&secret.name)
            );
            case.refuse(
                ControlId::S8_2_2,
                "--secret",
                found,
                "give each secret a name of its own of letters, digits and _ + . -",
            );
        }
    }
    case.grant.secrets.clone_from(secrets);
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_that_look_like_secrets() {
        for name in [
            "POSTGRES_PASSWORD",
            "PGPASSWORD",
            "aws_secret_access_key",
            "API_KEY",
            "GITHUB_TOKEN",
            "DB_PASSWD",
            "AUTHTOKEN",
            "DB_PASSWORD2",
            "API_TOKEN_1",
            "API_KEY1",
        ] {
            assert!(is_secret(name, "x7"), "{name}");
        }
        for name in [
            "GPG_KEY",
            "PATH",
            "POSTGRES_PASSWORD_FILE",
            "TOKENIZERS_PARALLELISM",
            "KEYBOARD",
            "PWD",
            "MONKEY",
        ] {
            assert!(!is_secret(name, "x7"), "{name}");
        }
        assert!(!is_secret("MYSQL_ALLOW_EMPTY_PASSWORD", "yes"));
        assert!(is_secret("TLS", "-----BEGIN RSA PRIVATE KEY-----\nabc"));
    }
}
