//! What engines and runtimes leave for others to read: state files, and the command lines of shim and conmon.
//!
//! Bounded reads of regular files, never through a link at the end; a file that makes no sense is passed over.

use super::containers::Engine;
use super::proc::ProcDir;
use super::scan::Process;
use serde_json::Value;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most that is read of a file, in bytes.
const MOST: u64 = 8 << 20;
/// The most containers that are read of one folder.
const MANY: usize = 4096;

/// What one source tells of a process.
#[derive(Clone, Debug)]
pub struct Told {
    /// The first process.
    pub pid: i32,
    /// Who tells.
    pub engine: Engine,
    /// The container's id.
    pub id: Option<String>,
    /// The name that people use.
    pub name: Option<String>,
    /// The folder with config.json.
    pub bundle: Option<PathBuf>,
    /// The folder of ours.
    pub own: Option<PathBuf>,
    /// When the process was made, in clock ticks since boot.
    pub started: Option<u64>,
}

impl Told {
    /// Whether the process is the one that was meant: a state that was left behind names a pid that others get.
    fn is_of_now(&self) -> bool {
        let started = ProcDir::open(self.pid).ok().and_then(|dir| dir.started());
        started.is_some() && (self.started.is_none() || self.started == started)
    }
}

/// Folders in which runtimes keep one folder a container; a last * stands for every folder there.
const STATES: [&str; 6] = [
    "/run/cofferdam",
    "/run/runc",
    "/run/crun",
    "/run/containerd/runc/*",
    "/run/docker/runtime-runc/*",
    "/run/docker/runtime-cofferdam/*",
];

/// Everything that runtimes' state folders tell; `root` is looked into as well.
pub fn states(root: &Path) -> Vec<Told> {
    let mut folders = vec![root.to_path_buf()];
    for pattern in STATES {
        match pattern.strip_suffix("/*") {
            Some(above) => folders.extend(subfolders(Path::new(above))),
            None => folders.push(pattern.into()),
        }
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    for own in ["runc", "crun", "cofferdam"] {
        folders.extend(runtime.as_ref().map(|r| r.join(own)));
    }
    folders.sort();
    folders.dedup();
    let containers = folders.iter().flat_map(|f| subfolders(f));
    let told = containers.filter_map(|dir| state(&dir));
    told.filter(Told::is_of_now).collect()
}

fn subfolders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    folders.map(|e| e.path()).take(MANY).collect()
}

fn state(dir: &Path) -> Option<Told> {
    let id = dir.file_name()?.to_str()?.to_string();
    let told = |pid: &Value, started: &Value, engine, bundle: Option<&str>| {
        let pid = i32::try_from(pid.as_i64()?).ok().filter(|p| *p > 0)?;
        Some(Told {
            pid,
            engine,
            id: Some(id.clone()),
            name: None,
            bundle: bundle.filter(|b| b.starts_with('/')).map(PathBuf::from),
            own: (engine == Engine::Cofferdam).then(|| dir.to_path_buf()),
            started: started.as_u64(),
        })
    };
    if let Some(status) = json(&dir.join("status")) {
        let started = &status["process-start-time"];
        return told(
            &status["pid"],
            started,
            Engine::Crun,
            status["bundle"].as_str(),
        );
    }
    let state = json(&dir.join("state.json"))?;
    if state["layout"].is_u64() {
        let started = &state["startTime"];
        return told(
            &state["pid"],
            started,
            Engine::Cofferdam,
            state["bundle"].as_str(),
        );
    }
    let labels = state["config"]["labels"].as_array();
    let bundle = labels.into_iter().flatten().filter_map(Value::as_str);
    let bundle = bundle.filter_map(|l| l.strip_prefix("bundle=")).next();
    let started = &state["init_process_start"];
    told(&state["init_process_pid"], started, Engine::Runc, bundle)
}

/// What the parent of a container's first process says of it.
pub fn of_parent(parent: &Process, pid: i32) -> Option<Told> {
    let dir = ProcDir::open(parent.pid).ok()?;
    let words = dir.text("cmdline").ok()?;
    let words: Vec<&str> = words.split('\0').collect();
    let program = dir.link("exe").ok()?;
    let program = Path::new(&program).file_name()?.to_str()?;
    let mut told = match program {
        p if p.starts_with("containerd-shim") => shim(&words, &dir, pid),
        "conmon" => conmon(&words),
        "cofferdam" | "runc" | "crun" => {
            let root = after(&words, &["root"]).filter(|r| r.starts_with('/'))?;
            let told = subfolders(Path::new(root));
            told.iter().filter_map(|d| state(d)).find(|t| t.pid == pid)
        }
        _ => None,
    }?;
    told.pid = pid;
    Some(told)
}

fn shim(words: &[&str], dir: &ProcDir, pid: i32) -> Option<Told> {
    let namespace = after(words, &["namespace"])?;
    let engine = match namespace {
        "moby" => Engine::Docker,
        _ => Engine::Containerd,
    };
    // One shim for a whole pod: its own id is the first container's.
    let said = after(words, &["id"]).map(String::from);
    let id = id_of_cgroup(pid).or(said);
    let bundle = dir.link("cwd").ok().map(PathBuf::from);
    let sibling = bundle
        .as_ref()
        .and_then(|b| Some(b.parent()?.join(id.as_ref()?)));
    Some(Told {
        pid,
        engine,
        id,
        name: None,
        bundle: sibling.filter(|s| s.is_dir()).or(bundle),
        own: None,
        started: None,
    })
}

fn conmon(words: &[&str]) -> Option<Told> {
    let podman = after(words, &["exit-command"]).is_some_and(|p| Path::new(p).ends_with("podman"));
    Some(Told {
        pid: 0,
        engine: if podman { Engine::Podman } else { Engine::Crio },
        id: after(words, &["c", "cid"]).map(String::from),
        name: after(words, &["n", "name"]).map(String::from),
        bundle: after(words, &["b", "bundle"]).map(PathBuf::from),
        own: None,
        started: None,
    })
}

/// The value behind an option that is written with one dash or two, with "=" or as the next word.
fn after<'a>(words: &[&'a str], names: &[&str]) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let option = word.strip_prefix('-')?;
        let option = option.strip_prefix('-').unwrap_or(option);
        match option.split_once('=') {
            Some((name, value)) => names.contains(&name).then_some(value),
            None => names
                .contains(&option)
                .then(|| words.get(at + 1).copied())?,
        }
    })
}

/// The 64 hexadecimal digits in a cgroup's path.
fn id_of_cgroup(pid: i32) -> Option<String> {
    let text = ProcDir::open(pid).ok()?.text("cgroup").ok()?;
    let parts: Vec<&str> = text.split(['/', '-', '.', ':', '\n']).collect();
    let id = |p: &&&str| p.len() == 64 && p.bytes().all(|b| b.is_ascii_hexdigit());
    parts.iter().rev().find(id).map(|p| p.to_string())
}

/// Docker's own file about a container: (name, image).
pub fn docker_names(id: &str) -> Option<(String, String)> {
    if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let file = format!("/var/lib/docker/containers/{id}/config.v2.json");
    let config = json(Path::new(&file))?;
    let name = config["Name"].as_str()?.trim_start_matches('/');
    let image = config["Config"]["Image"].as_str()?;
    Some((name.into(), image.into()))
}

/// Whether only root, or whoever audits, could have written a file.
pub fn is_trusted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|m| (m.uid() == 0 || m.uid() == own) && m.mode() & 0o022 == 0 && !m.is_symlink())
}

/// A file of JSON; anything else is nothing.
pub fn json(path: &Path) -> Option<Value> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path);
    let file = file
        .ok()
        .filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let words = [
            "conmon",
            "-c",
            "abc",
            "-n",
            "web",
            "-b",
            "/b",
            "--exit-command",
            "/usr/bin/podman",
        ];
        let told = conmon(&words).unwrap();
        assert_eq!(told.engine, Engine::Podman);
        assert_eq!(
            (told.id.as_deref(), told.name.as_deref()),
            (Some("abc"), Some("web"))
        );
        assert_eq!(after(&["x", "--id=7"], &["id"]), Some("7"));
        assert_eq!(after(&["x", "-id"], &["id"]), None);
        assert_eq!(after(&["id", "7"], &["id"]), None);
    }

    #[test]
    fn states_of_the_three_runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, file: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join(file), text).unwrap();
        };
        write("a", "state.json", r#"{"layout":1,"pid":7,"bundle":"/b"}"#);
        write(
            "b",
            "state.json",
            r#"{"init_process_pid":8,"config":{"labels":["bundle=/c"]}}"#,
        );
        write("c", "status", r#"{"pid":9,"bundle":"/d"}"#);
        write("d", "state.json", "{");
        write("e", "state.json", r#"{"init_process_pid":-8}"#);
        std::fs::create_dir_all(dir.path().join("f")).unwrap();
        let mut all: Vec<Told> = subfolders(dir.path())
            .iter()
            .filter_map(|d| state(d))
            .collect();
        all.sort_by_key(|t| t.pid);
        let seen: Vec<_> = all.iter().map(|t| (t.pid, t.engine)).collect();
        assert_eq!(
            seen,
            [(7, Engine::Cofferdam), (8, Engine::Runc), (9, Engine::Crun)]
        );
        assert_eq!(all[0].own.as_deref(), Some(dir.path().join("a").as_path()));
        assert_eq!(all[1].bundle.as_deref(), Some(Path::new("/c")));
    }
}
