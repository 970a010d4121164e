//! Which containers run here, whoever started them: the first processes of pid namespaces, and what engines tell of them.
//!
//! The kernel's list is the truth, engines' files (state, bundle, command lines of shim and conmon) only add names.
//! Reads; enters nothing and asks no daemon.

use super::engines::{self, Told};
use super::scan::{Process, Scan};
use std::path::{Path, PathBuf};

/// Who started a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Engine {
    /// Docker.
    Docker,
    /// containerd: Kubernetes, ctr.
    Containerd,
    /// podman.
    Podman,
    /// CRI-O.
    Crio,
    /// runc by itself.
    Runc,
    /// crun by itself.
    Crun,
    /// `cofferdam run`.
    Cofferdam,
    /// Something else that makes pid namespaces.
    Unknown,
}

impl Engine {
    /// As `--engine` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Podman => "podman",
            Self::Crio => "crio",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Cofferdam => "cofferdam",
            Self::Unknown => "unknown",
        }
    }
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its first process.
    pub pid: i32,
    /// Its id, if somebody says it.
    pub id: Option<String>,
    /// The name that people use.
    pub name: Option<String>,
    /// The image, as the engine writes it.
    pub image: Option<String>,
    /// Who started it.
    pub engine: Engine,
    /// The folder with its config.json.
    pub bundle: Option<PathBuf>,
    /// cofferdam's own folder about it, if that was the runtime.
    pub own: Option<PathBuf>,
}

/// Why none, or not one, is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Nothing of this id.
    #[error("no container {0:?} runs here; `cofferdam audit --all` lists those that do")]
    None(String),
    /// More than one.
    #[error("{count} containers are called {id:?}: {who}; say which with --engine or --pid")]
    Many {
        /// What was asked for.
        id: String,
        /// How many.
        count: usize,
        /// Engines and pids.
        who: String,
    },
}

/// All of them, by pid. `root` is a state folder of ours beside the usual ones.
pub fn all(scan: &Scan, root: &Path) -> Vec<Container> {
    let known = engines::states(root);
    let first = |p: &&Process| is_first(p, scan, &known);
    let firsts = scan.processes.iter().filter(first);
    firsts.map(|p| describe(p, scan, &known)).collect()
}

/// The container that a process belongs to; for a process in none, the process itself.
pub fn of_pid(pid: i32, scan: &Scan, root: &Path) -> Container {
    let pid = scan.first_of(pid).unwrap_or(pid);
    let known = engines::states(root);
    let own = Process {
        pid,
        inner: pid,
        ..Process::default()
    };
    describe(scan.get(pid).unwrap_or(&own), scan, &known)
}

/// The one that is called so: by id, by name, or by the first letters of its id (at least four).
pub fn called<'a>(
    id: &str,
    engine: Option<Engine>,
    all: &'a [Container],
) -> Result<&'a Container, Unclear> {
    let of_engine = |c: &&Container| engine.is_none_or(|e| e == c.engine);
    let exact = |c: &&Container| c.id.as_deref() == Some(id) || c.name.as_deref() == Some(id);
    let begins =
        |c: &&Container| id.len() >= 4 && c.id.as_deref().is_some_and(|i| i.starts_with(id));
    let mut found: Vec<&Container> = all.iter().filter(of_engine).filter(exact).collect();
    if found.is_empty() {
        found = all.iter().filter(of_engine).filter(begins).collect();
    }
    let quoted = super::super::shown::quoted(id);
    match found.as_slice() {
        [] => Err(Unclear::None(quoted)),
        [one] => Ok(one),
        many => {
            let who = many
                .iter()
                .map(|c| format!("{} (pid {})", c.engine.as_str(), c.pid));
            Err(Unclear::Many {
                id: quoted,
                count: many.len(),
                who: who.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// The first of a pid namespace below the reader's own, or a process that an engine's state names.
fn is_first(process: &Process, scan: &Scan, known: &[Told]) -> bool {
    if process.zombie {
        return false;
    }
    let apart = process.pid_ns.is_some() && process.pid_ns != scan.own_pid_ns;
    (apart && process.inner == 1) || known.iter().any(|k| k.pid == process.pid)
}

fn describe(process: &Process, scan: &Scan, known: &[Told]) -> Container {
    let told = known.iter().filter(|k| k.pid == process.pid);
    let mut told: Vec<Told> = told.cloned().collect();
    // Only a process outside may speak for it: inside, anybody can be called conmon.
    let parent = scan.get(process.ppid);
    let parent = parent.filter(|p| p.pid_ns.is_some() && p.pid_ns == scan.own_pid_ns);
    told.extend(parent.and_then(|p| engines::of_parent(p, process.pid)));
    let own = told.iter().find_map(|t| t.own.clone());
    let mut container = Container {
        pid: process.pid,
        id: told.iter().find_map(|t| t.id.clone()),
        name: told.iter().find_map(|t| t.name.clone()),
        image: None,
        engine: told
            .iter()
            .map(|t| t.engine)
            .min()
            .unwrap_or(Engine::Unknown),
        bundle: told.iter().find_map(|t| t.bundle.clone()),
        own,
    };
    if container.engine == Engine::Docker
        && let Some(id) = &container.id
        && let Some((name, image)) = engines::docker_names(id)
    {
        container.name = Some(name);
        container.image = Some(image);
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(pid: i32, id: &str, engine: Engine) -> Container {
        Container {
            pid,
            id: Some(id.into()),
            name: None,
            image: None,
            engine,
            bundle: None,
            own: None,
        }
    }

    #[test]
    fn an_id_that_two_engines_have() {
        let all = [
            container(1, "abcdef", Engine::Docker),
            container(2, "abcdef", Engine::Podman),
            container(3, "xyz", Engine::Runc),
        ];
        let error = called("abcdef", None, &all).unwrap_err().to_string();
        assert_eq!(
            error,
            "2 containers are called \"abcdef\": docker (pid 1), podman (pid 2); say which with --engine or --pid"
        );
        let one = called("abcdef", Some(Engine::Podman), &all).map(|c| c.pid);
        assert_eq!(one, Ok(2));
        assert_eq!(called("xyz", None, &all).map(|c| c.pid), Ok(3));
        assert!(called("xy", None, &all).is_err());
        assert!(called("abcd", None, &all).is_err());
        let hostile = called("\x1b[2J\n", None, &all).unwrap_err().to_string();
        assert!(!hostile.chars().any(char::is_control), "{hostile}");
    }
}
