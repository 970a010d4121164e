//! Which release of an engine: the one that is installed, or the newest that Debian serves.
//!
//! The newest is fetched by an apt of its own (lists, status and cache in a folder of the tests) and unpacked there:
//! nothing is installed, and what is installed is not looked at.

use crate::host::Host;
use crate::roots::{kept, run, unpack};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Newest first; of the last ones at least one is linked to a libc that is here.
const SUITES: [&str; 3] = ["sid", "testing", "trixie"];

/// Docker with what it runs.
const DOCKER: [&str; 3] = ["docker.io", "docker-cli", "containerd"];

/// A release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The one that is installed.
    Installed,
    /// The newest that Debian serves and that runs here.
    Newest,
}

impl Release {
    /// A host with it, or why there is none.
    pub fn boot(self) -> Result<Host, String> {
        match self {
            Self::Installed => Ok(Host::boot()),
            Self::Newest => Ok(Host::boot_with(Some(&newest()?))),
        }
    }
}

/// Boots a host with a release, or skips the test with the reason.
macro_rules! boot {
    ($release:expr) => {
        match $release.boot() {
            Ok(host) => host,
            Err(why) => {
                fn here() {}
                let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
                return $crate::support::skip(test, "packages", &why);
            }
        }
    };
}
pub(crate) use boot;

/// Its programs are below usr/bin and usr/sbin of this folder.
fn newest() -> Result<PathBuf, String> {
    static ONCE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let recipe = format!("{SUITES:?}{DOCKER:?}");
    ONCE.get_or_init(|| {
        kept("newest-docker", &recipe, |tree, debs| {
            let mut why = String::new();
            for suite in SUITES {
                match fetch(suite, debs).and_then(|()| fill(tree, debs)) {
                    Ok(()) => return Ok(()),
                    Err(error) => why += &format!("{suite}: {error}; "),
                }
            }
            Err(format!(
                "no newer Docker could be had: {why}give it network to Debian's servers"
            ))
        })
    })
    .clone()
}

fn fill(tree: &Path, debs: &Path) -> Result<(), String> {
    let again = |e: std::io::Error| format!("can't make {}: {e}", tree.display());
    fs::remove_dir_all(tree).map_err(again)?;
    fs::create_dir_all(tree).map_err(again)?;
    unpack(&debs.join("got"), tree)?;
    for program in ["usr/sbin/dockerd", "usr/bin/docker", "usr/bin/containerd"] {
        run(Command::new(tree.join(program)).arg("--version"))
            .map_err(|_| format!("its {program} does not run on this release's libc"))?;
    }
    Ok(())
}

/// The archive that this machine's own apt uses.
fn mirror() -> Result<String, String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(SITE)", "Origin: Debian"]);
    let sites = run(&mut command)?;
    let main = sites.lines().map(|site| site.trim_end_matches('/'));
    main.into_iter()
        .find(|site| site.ends_with("/debian"))
        .map(String::from)
        .ok_or_else(|| "apt knows no archive of Debian; apt-get update".into())
}

/// The packages of a suite, into debs/got.
fn fetch(suite: &str, debs: &Path) -> Result<(), String> {
    let apt = debs.join(suite);
    let got = debs.join("got");
    let _ = fs::remove_dir_all(&got);
    for sub in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(apt.join(sub)).map_err(|e| e.to_string())?;
    }
    fs::create_dir_all(&got).map_err(|e| e.to_string())?;
    let mirror = mirror()?;
    let source = format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror}");
    let dir = apt.display();
    // A mirror that is kept as of a day serves lists whose date has passed; they are signed all the same.
    let config = format!(
        "Dir \"{dir}\"; Dir::State \"{dir}/state\"; Dir::State::status \"{dir}/status\"; Dir::Cache \"{dir}/cache\";\n\
         Dir::Etc \"{dir}/etc\"; Dir::Etc::sourcelist \"{dir}/sources.list\"; APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\"; Acquire::Check-Valid-Until \"false\"; Acquire::Retries \"1\";\n\
         Acquire::http::Timeout \"20\";\n"
    );
    let files = [
        ("sources.list", format!("{source} {suite} main\n")),
        ("status", String::new()),
        ("apt.conf", config),
    ];
    for (name, content) in files {
        fs::write(apt.join(name), content).map_err(|e| e.to_string())?;
    }
    let call = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").args(words).current_dir(&got);
        command.env("APT_CONFIG", apt.join("apt.conf"));
        run(command.stdin(Stdio::null())).map(drop)
    };
    call(&["update"])?;
    call(&[&["download"], &DOCKER[..]].concat())
}
