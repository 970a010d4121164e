//! Which engine called, told by the program that is our parent and the words that it was started with.
//!
//! Annotations of config.json are the engine's users' to write under some engines; this is not. Reads, and judges
//! nothing but that only root could have put the program there. Called by `create`.

use super::hook_files::writable_by;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An engine that calls an OCI runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CallingEngine {
    /// Docker: containerd's shim in Docker's namespace, or with its folder of state.
    Docker,
    /// containerd's shim for anybody else: Kubernetes, ctr.
    Containerd,
    /// conmon whose end podman wants to hear of.
    Podman,
    /// conmon for CRI-O.
    Crio,
    /// buildah by itself.
    Buildah,
}

impl CallingEngine {
    /// By the parent process; `None`: none of them, or a program that others than root could have written.
    pub fn of_parent(state: Option<&Path>) -> Option<Self> {
        let parent = format!("/proc/{}", nix::unistd::getppid());
        let program = std::fs::read_link(format!("{parent}/exe")).ok()?;
        let words = std::fs::read(format!("{parent}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words);
        let words: Vec<&str> = words.split('\0').collect();
        let engine = Self::named(&program, &words, state)?;
        writable_by(&program, 0).is_none().then_some(engine)
    }

    fn named(program: &Path, words: &[&str], state: Option<&Path>) -> Option<Self> {
        // "--name value" or "--name=value", with one dash or two.
        let after = |name: &str| {
            words.iter().enumerate().find_map(|(at, word)| {
                let rest = word.trim_start_matches('-').strip_prefix(name)?;
                match rest.strip_prefix('=') {
                    Some(value) => Some(value),
                    None if rest.is_empty() && word.starts_with('-') => words.get(at + 1).copied(),
                    None => None,
                }
            })
        };
        let has = |path: &Path, name: &str| path.iter().any(|part| part == name);
        match program.file_name()?.to_str()? {
            "containerd-shim-runc-v2" => {
                let docker = after("namespace") == Some("moby")
                    || state.is_some_and(|state| has(state, "runtime-runc"));
                Some(if docker {
                    Self::Docker
                } else {
                    Self::Containerd
                })
            }
            "conmon" => {
                let podman =
                    after("exit-command").is_some_and(|p| Path::new(p).ends_with("podman"));
                let crio = after("exit-dir").is_some_and(|dir| has(Path::new(dir), "crio"));
                (podman || crio).then_some(if podman { Self::Podman } else { Self::Crio })
            }
            "buildah" => Some(Self::Buildah),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_told_by_program_and_words() {
        let of = |program: &str, words: &str, state: Option<&str>| {
            let words: Vec<&str> = words.split(' ').collect();
            CallingEngine::named(Path::new(program), &words, state.map(Path::new))
        };
        let shim = "/usr/bin/containerd-shim-runc-v2";
        let docker = Some(CallingEngine::Docker);
        assert_eq!(of(shim, "shim -namespace moby -id x", None), docker);
        // Docker may be given a namespace of another name; its folder has the same one.
        let state = Some("/var/run/docker/runtime-runc/other");
        assert_eq!(of(shim, "shim -namespace other -id x", state), docker);
        let containerd = Some(CallingEngine::Containerd);
        assert_eq!(
            of(shim, "shim -namespace k8s.io -id moby", None),
            containerd
        );
        let (conmon, podman) = ("/usr/bin/conmon", "--exit-command /usr/bin/podman");
        assert_eq!(of(conmon, podman, None), Some(CallingEngine::Podman));
        let crio = "conmon --exit-dir=/var/run/crio/exits -n podman";
        assert_eq!(of(conmon, crio, None), Some(CallingEngine::Crio));
        assert_eq!(of(conmon, "conmon -c x --exit-command", None), None);
        let buildah = of("/usr/bin/buildah", "buildah-oci-runtime", None);
        assert_eq!(buildah, Some(CallingEngine::Buildah));
        assert_eq!(of("/usr/bin/bash", podman, None), None);
    }

    #[test]
    fn the_test_runner_is_no_engine() {
        assert_eq!(CallingEngine::of_parent(None), None);
    }
}
