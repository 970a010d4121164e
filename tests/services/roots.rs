//! Roots made of Debian packages: fetched with apt-get, unpacked with dpkg, kept below the target folder.
//!
//! No maintainer script runs, so nothing is configured: no passwd, no /tmp, no /proc to mount on. That is the point:
//! a launcher that needs any of it fails here. `COFFERDAM_TEST_CACHE` names another place to keep them.

use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What packages of a service's closure only their maintainer scripts, or other features than ours, need.
const LEFT_OUT: &[&str] = &[
    "adduser",
    "ca-certificates",
    "ca-certificates-java",
    "debconf",
    "debianutils",
    "dpkg",
    "gcc-12-base",
    "init-system-helpers",
    "install-info",
    "iproute2",
    "java-common",
    "libasound2",
    "libasound2t64",
    "libcups2",
    "libcups2t64",
    "libfontconfig1",
    "libfreetype6",
    "libharfbuzz0b",
    "libjson-perl",
    "libllvm14",
    "libllvm19",
    "libpam-modules",
    "libpam-modules-bin",
    "libpcsclite1",
    "locales",
    "lsb-base",
    "netbase",
    "openssl",
    "passwd",
    "perl",
    "perl-base",
    "postgresql-client-15",
    "postgresql-common",
    "readline-common",
    "sensible-utils",
    "ssl-cert",
    "sysvinit-utils",
    "tar",
    "tzdata",
    "ucf",
    "usr-is-merged",
    "usrmerge",
    "util-linux",
    "x11-common",
];

static TRIED: Mutex<BTreeMap<&'static str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());

/// The root with these packages, or why there is none. Made once, also by processes beside this one.
pub fn root(name: &'static str, packages: &[&str]) -> Result<PathBuf, String> {
    // Held while fetching: two tests of one service wait for one download, and apt-get is not asked in parallel.
    let mut tried = TRIED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    tried
        .entry(name)
        .or_insert_with(|| make(name, packages))
        .clone()
}

/// Skips the test, with the reason, where the root can't be made.
macro_rules! packages {
    ($name:expr, $($package:expr),+) => {
        match $crate::roots::root($name, &[$($package),+]) {
            Ok(dir) => dir,
            Err(why) => {
                fn here() {}
                let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
                return $crate::support::skip(test, "packages", &why);
            }
        }
    };
}
pub(crate) use packages;

fn make(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    // Another list of packages is another root.
    let recipe = format!("{packages:?}{LEFT_OUT:?}");
    kept(name, &recipe, |tree, debs| {
        fetch(packages, debs)?;
        unpack(debs, tree)
    })
}

/// The folder that `fill` makes (given the folder and one for what it fetches); made once for each recipe, and kept.
pub fn kept(
    name: &str,
    recipe: &str,
    fill: impl FnOnce(&Path, &Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let text = |e: std::io::Error| format!("can't keep the root of {name}: {e}");
    let cache = std::env::var_os("COFFERDAM_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-roots"),
        PathBuf::from,
    );
    fs::create_dir_all(&cache).map_err(text)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(text)?;
    let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, e)| text(e.into()))?;
    let digest = cofferdam::digest::sha256_hex(recipe.as_bytes());
    let done = cache.join(format!("{name}-{}", &digest[..12]));
    if done.exists() {
        return Ok(done);
    }
    let partial = cache.join(format!("{name}.partial"));
    let _ = fs::remove_dir_all(&partial);
    let (debs, tree) = (partial.join("debs"), partial.join("root"));
    fs::create_dir_all(&debs).map_err(text)?;
    fs::create_dir_all(&tree).map_err(text)?;
    fill(&tree, &debs)?;
    fs::rename(&tree, &done).map_err(text)?;
    fs::remove_dir_all(&partial).map_err(text)?;
    Ok(done)
}

/// Every package in a folder, without its maintainer scripts.
pub fn unpack(debs: &Path, tree: &Path) -> Result<(), String> {
    for deb in fs::read_dir(debs).into_iter().flatten().flatten() {
        run(Command::new("dpkg").arg("-x").arg(deb.path()).arg(tree))?;
    }
    Ok(())
}

fn fetch(packages: &[&str], into: &Path) -> Result<(), String> {
    let mut wanted = BTreeSet::new();
    for package in packages {
        wanted.extend(closure(package)?);
    }
    let mut words: Vec<String> = wanted.into_iter().collect();
    let plain: Vec<&str> = words.iter().map(String::as_str).collect();
    // A version that is installed from elsewhere may be on no server; then the newest that is on one, of all.
    if apt(
        "apt-get",
        &[&["download", "--print-uris"], &plain[..]].concat(),
    )
    .is_err()
    {
        let served = apt("apt-cache", &[&["madison"], &plain[..]].concat())?;
        words = plain
            .iter()
            .map(|package| newest(package, &served))
            .collect();
    }
    let mut command = Command::new("apt-get");
    command.args([
        "-qq",
        "-o",
        "Acquire::Retries=1",
        "-o",
        "Acquire::http::Timeout=20",
    ]);
    command.args(["-o", "APT::Sandbox::User=root", "download"]);
    run(command.args(words).current_dir(into)).map(drop)
}

/// `madison` prints "package | version | where", the newest of each first.
fn newest(package: &str, served: &str) -> String {
    let lines = served
        .lines()
        .map(|l| l.split('|').map(str::trim).collect::<Vec<_>>());
    lines
        .filter(|words| words[0] == package && words.len() > 1)
        .map(|words| format!("{package}={}", words[1]))
        .next()
        .unwrap_or_else(|| package.to_string())
}

/// A package and what it depends on, the first of alternatives, without what is left out.
fn closure(package: &str) -> Result<BTreeSet<String>, String> {
    let mut words = vec!["depends", "--recurse"];
    words.extend([
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
    ]);
    words.extend(["--no-replaces", "--no-enhances", package]);
    let text = apt("apt-cache", &words)?;
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut of, mut alternative) = ("", false);
    for line in text.lines() {
        if !line.starts_with(' ') {
            (of, alternative) = (line, false);
        } else if let Some((_, on)) = line.split_once("Depends: ") {
            if !alternative {
                graph.entry(of).or_default().push(on);
            }
            alternative = line.starts_with(" |");
        }
    }
    let mut found = BTreeSet::new();
    let mut next = vec![package];
    while let Some(one) = next.pop() {
        let real = !one.starts_with('<') && !LEFT_OUT.contains(&one);
        if real && found.insert(one.to_string()) {
            next.extend(graph.get(one).into_iter().flatten());
        }
    }
    Ok(found)
}

fn apt(program: &str, words: &[&str]) -> Result<String, String> {
    run(Command::new(program).args(words))
}

/// A program of Debian's, to its end; its output.
pub fn run(command: &mut Command) -> Result<String, String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            format!("can't run {what} ({e}); the roots need Debian's or Ubuntu's apt and dpkg")
        })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "{what} can't fetch packages ({}); give it network and run: apt-get update",
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .last()
                .unwrap_or_default()
        )),
    }
}
