//! Puts the launcher into an engine's configuration, and takes it out again; likewise its AppArmor template.
//!
//! A drop-in file where the engine reads such; otherwise the smallest edit of its one file, which keeps every other
//! byte, with the old file beside it. A file that can't be parsed is not touched. [`changes`] only reads;
//! [`Change::apply`] writes. The texts are those of profiles/engines.

pub mod apparmor;
mod containerd;
mod docker;
mod json;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An engine that can be told to use another runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Docker, and Swarm with it.
    Docker,
    /// containerd's CRI plugin (Kubernetes).
    Containerd,
    /// podman and buildah.
    Podman,
    /// CRI-O (Kubernetes).
    Crio,
}

/// Put in or take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Put in.
    Install,
    /// Take out.
    Uninstall,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which engine.
    pub engine: Engine,
    /// Put in or take out.
    pub direction: Direction,
    /// Also what the engine uses when nothing is said.
    pub default: bool,
    /// Our binary.
    pub program: PathBuf,
    /// The engine's file; `None`: where it looks by itself.
    pub file: Option<PathBuf>,
}

/// One file that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub path: PathBuf,
    /// What it says; `None`: there is none.
    pub before: Option<String>,
    /// What it will say; `None`: it goes.
    pub after: Option<String>,
    /// Whether the old text is kept beside it.
    pub keep: bool,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file.
    #[error("can't {tried} {}: {why}", path.display())]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        why: std::io::Error,
    },
    /// Not in its language: whatever is in it, somebody needs it.
    #[error("{} is left alone, since it can't be parsed: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
    /// Its parts are not what the engine expects.
    #[error("{} is left alone: {why}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The program that loads AppArmor profiles is not there.
    #[error(
        "no apparmor_parser in /usr/sbin or /sbin, which loads AppArmor profiles: install it (apt-get install apparmor; zypper install apparmor-parser), nothing was changed"
    )]
    NoParser,
    /// It would not.
    #[error("{command}: {why}; are you root, and may this machine's AppArmor policy be changed?")]
    Parser {
        /// The command.
        command: String,
        /// What it said.
        why: String,
    },
    /// The binary can't be given to an engine.
    #[error("{}: {why}", path.display())]
    Program {
        /// Which binary.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
}

/// The binary's place in the texts of profiles/engines.
const PLACE: &str = "/usr/local/sbin/cofferdam";

const PODMAN: &str = include_str!("../../profiles/engines/podman.conf");
const CRIO: &str = include_str!("../../profiles/engines/crio.conf");

impl Engine {
    /// Where it looks for its configuration.
    pub fn file(self) -> &'static Path {
        Path::new(match self {
            Self::Docker => "/etc/docker/daemon.json",
            Self::Containerd => "/etc/containerd/config.toml",
            Self::Podman => "/etc/containers/containers.conf.d/50-cofferdam.conf",
            Self::Crio => "/etc/crio/crio.conf.d/50-cofferdam.conf",
        })
    }

    /// What makes it read the file.
    pub fn reload(self) -> &'static str {
        match self {
            Self::Docker => "systemctl reload docker",
            Self::Containerd => "systemctl restart containerd",
            Self::Podman => "nothing: it is read at each start",
            Self::Crio => "systemctl restart crio",
        }
    }

    /// How a container asks for it.
    pub fn use_it(self) -> &'static str {
        match self {
            Self::Docker => "docker run --runtime cofferdam ...",
            Self::Containerd | Self::Crio => {
                "runtimeClassName: cofferdam (profiles/engines/kubernetes/runtimeclass.yaml)"
            }
            Self::Podman => "podman --runtime cofferdam run ...",
        }
    }
}

/// Everything that would change; empty: it is already so.
pub fn changes(wish: &Wish) -> Result<Vec<Change>, InstallError> {
    if wish.direction == Direction::Install {
        trusted(&wish.program)?;
    }
    let path = wish
        .file
        .clone()
        .unwrap_or_else(|| wish.engine.file().into());
    let before = read(&path)?;
    let (after, keep) = match wish.engine {
        Engine::Docker => (docker::edited(wish, &path, before.as_deref())?, true),
        Engine::Containerd => (containerd::edited(wish, &path, before.as_deref())?, true),
        Engine::Podman => (drop_in(wish, PODMAN, "[engine]\n", "runtime"), false),
        Engine::Crio => (
            drop_in(wish, CRIO, "", "[crio.runtime]\ndefault_runtime"),
            false,
        ),
    };
    if after == before {
        return Ok(Vec::new());
    }
    Ok(vec![Change {
        keep: keep && before.is_some(),
        path,
        before,
        after,
    }])
}

/// The text of a file that is ours alone; `default` stands behind `head`.
fn drop_in(wish: &Wish, text: &str, head: &str, default: &str) -> Option<String> {
    if wish.direction == Direction::Uninstall {
        return None;
    }
    let mut text = placed(text, &wish.program);
    if wish.default {
        let line = format!("{default} = \"cofferdam\"\n");
        let at = match head {
            "" => text.find("[").unwrap_or(0),
            head => text.find(head).map_or(0, |n| n + head.len()),
        };
        let gap = if head.is_empty() { "\n" } else { "" };
        text.insert_str(at, &(line + gap));
    }
    Some(text)
}

/// A text of profiles/engines with the binary's own place.
fn placed(text: &str, program: &Path) -> String {
    text.replace(PLACE, &program.display().to_string())
}

fn read(path: &Path) -> Result<Option<String>, InstallError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(InstallError::Io {
            tried: "read",
            path: path.into(),
            why,
        }),
    }
}

/// An engine executes it as root: only root may be able to change it, or a folder on the way to it.
fn trusted(program: &Path) -> Result<(), InstallError> {
    let refuse = |why| {
        Err(InstallError::Program {
            path: program.into(),
            why,
        })
    };
    if !program.is_absolute()
        || program
            .to_str()
            .is_none_or(|p| p.contains(['"', '\\', '\n']))
    {
        return refuse("an engine needs an absolute path without quotes");
    }
    for place in program.ancestors() {
        let meta = fs::metadata(place).map_err(|why| InstallError::Io {
            tried: "look at",
            path: place.into(),
            why,
        })?;
        // A sticky folder lets others add files, not replace this one.
        let writable = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
        if meta.uid() != 0 || writable {
            return refuse(
                "others than root could replace it: install -o root -m 755 it to /usr/local/sbin first",
            );
        }
    }
    Ok(())
}

impl Change {
    /// Where the old text is kept.
    pub fn kept(&self) -> Option<PathBuf> {
        let name = self.path.file_name()?.to_string_lossy().into_owned();
        self.keep
            .then(|| self.path.with_file_name(format!("{name}.before-cofferdam")))
    }

    /// The change that takes this one back.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self {
            before: self.after,
            after: self.before,
            keep: false,
            ..self
        }
    }

    /// Makes it so: the old text is kept first, the new one put in its place whole.
    pub fn apply(&self) -> Result<(), InstallError> {
        let failed = |tried, path: &Path| {
            let path = path.to_path_buf();
            move |why| InstallError::Io { tried, path, why }
        };
        let Some(after) = &self.after else {
            return fs::remove_file(&self.path).map_err(failed("remove", &self.path));
        };
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(failed("make", dir))?;
        let meta = fs::metadata(&self.path);
        let mode = meta.map_or(0o644, |m| m.mode() & 0o7777);
        if let (Some(kept), Some(before)) = (self.kept(), &self.before) {
            write(&kept, before, mode).map_err(failed("keep the old text in", &kept))?;
        }
        let beside = self.path.with_extension("cofferdam-new");
        write(&beside, after, mode)
            .and_then(|()| fs::rename(&beside, &self.path))
            .map_err(failed("write", &self.path))
    }

    /// Lines that go and lines that come, each with what stands around it.
    pub fn diff(&self) -> String {
        let lines = |text: &Option<String>| -> Vec<String> {
            text.iter()
                .flat_map(|t| t.lines())
                .map(String::from)
                .collect()
        };
        let (old, new) = (lines(&self.before), lines(&self.after));
        let same =
            |a: &mut dyn Iterator<Item = (&String, &String)>| a.take_while(|(x, y)| x == y).count();
        let head = same(&mut old.iter().zip(&new));
        let room = old.len().min(new.len()) - head;
        let tail = same(&mut old.iter().rev().zip(new.iter().rev())).min(room);
        let mut out = format!("--- {0}\n+++ {0}\n", self.path.display());
        let mut put = |sign: char, lines: &[String]| {
            for line in lines {
                out += &format!("{sign}{line}\n");
            }
        };
        put(' ', &old[head.saturating_sub(3)..head]);
        put('-', &old[head..old.len() - tail]);
        put('+', &new[head..new.len() - tail]);
        put(
            ' ',
            &old[old.len() - tail..(old.len() - tail + 3).min(old.len())],
        );
        out
    }
}

fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?
        .write_all(text.as_bytes())
}

/// What the kept file said, for taking a default back.
fn kept_text(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    read(&path.with_file_name(format!("{name}.before-cofferdam"))).ok()?
}
