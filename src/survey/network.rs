//! A CNI network as the site has described it: its conf list, and the programs that carry it out.
//!
//! They run as root in front of the container's program, so nobody but root may be able to change any of them. Reads,
//! and runs nothing; `container::network` does.

use crate::bundle::writable_by;
use crate::policy::NetworkFolders;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the interface is called inside.
pub const IFNAME: &str = "eth0";
/// A conf list has so many bytes at most, and so many plugins.
const MOST: u64 = 16 << 10;
const MOST_PLUGINS: usize = 16;

/// A network that a container can be attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its conf list.
    pub file: String,
    /// The version of CNI that it is written in.
    pub version: String,
    /// Whether its plugins may be asked whether all is as it should be.
    pub check: bool,
    /// Folders of plugins, for those that run others.
    pub folders: Vec<String>,
    /// Carried out in this order, and taken back in the other.
    pub plugins: Vec<Plugin>,
}

/// One plugin of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name.
    pub kind: String,
    /// Its program.
    pub path: String,
    /// What the list says for it.
    pub config: Map<String, Value>,
}

/// What a runtime hands to plugins that map ports (CNI, CONVENTIONS.md).
const PORT_MAPPINGS: &str = "portMappings";

impl Plugin {
    /// Whether it maps ports of the host, as its list says.
    pub fn maps_ports(&self) -> bool {
        let capabilities = self.config.get("capabilities");
        let wants = capabilities.and_then(|c| c.get(PORT_MAPPINGS));
        wants.and_then(Value::as_bool) == Some(true)
    }
}

impl Network {
    /// Whether one of its plugins maps ports of the host.
    pub fn maps_ports(&self) -> bool {
        self.plugins.iter().any(Plugin::maps_ports)
    }

    /// The plugins' names.
    pub fn kinds(&self) -> String {
        let kinds: Vec<&str> = self.plugins.iter().map(|p| p.kind.as_str()).collect();
        kinds.join(", ")
    }
}

/// The conf list of that name, and its programs; or why it can't be used.
pub(super) fn find(folders: &NetworkFolders, name: &str) -> Result<Network, String> {
    let lists = Path::new(&folders.lists);
    let entries = std::fs::read_dir(lists).map_err(|e| format!("{}: {e}", lists.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "conflist"))
        .collect();
    files.sort();
    let mut damaged = Vec::new();
    for file in &files {
        match read(file) {
            Ok(list) if list.get("name").and_then(Value::as_str) == Some(name) => {
                return network(file, &list, &folders.plugins, name)
                    .map_err(|why| format!("{}: {why}", file.display()));
            }
            Ok(_) => {}
            // It may have been the one.
            Err(why) => damaged.push(format!("; {}: {why}", file.display())),
        }
    }
    Err(format!(
        "no conf list in {} has the name {name:?}{}",
        lists.display(),
        damaged.concat()
    ))
}

fn read(file: &Path) -> Result<Value, String> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).bits();
    let mut options = std::fs::OpenOptions::new();
    let opened = options.read(true).custom_flags(flags).open(file);
    let opened = opened.map_err(|e| e.to_string())?;
    let mut text = Vec::new();
    let read = opened.take(MOST + 1).read_to_end(&mut text);
    read.map_err(|e| e.to_string())?;
    if text.len() as u64 > MOST {
        return Err(format!("more than {MOST} bytes"));
    }
    serde_json::from_slice(&text).map_err(|e| format!("not JSON: {e}"))
}

fn roots(path: &Path) -> Result<(), String> {
    match writable_by(path, 0) {
        None => Ok(()),
        Some(who) => Err(format!(
            "{who}: what runs as root must be root's, and closed to others (chown root, chmod go-w)"
        )),
    }
}

fn network(file: &Path, list: &Value, programs: &[String], name: &str) -> Result<Network, String> {
    roots(file)?;
    let word = |key: &str| list.get(key).and_then(Value::as_str);
    let plugins = list.get("plugins").and_then(Value::as_array);
    let plugins = plugins
        .filter(|all| (1..=MOST_PLUGINS).contains(&all.len()))
        .ok_or_else(|| format!("\"plugins\" must be a list of 1 to {MOST_PLUGINS}"))?;
    let version = word("cniVersion").unwrap_or_default();
    if !["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"].contains(&version) {
        return Err(format!(
            "cniVersion {version:?}: known are 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0"
        ));
    }
    let disabled = list.get("disableCheck").and_then(Value::as_bool);
    Ok(Network {
        name: name.into(),
        file: file.display().to_string(),
        version: version.into(),
        check: disabled != Some(true) && !version.starts_with("0.3."),
        folders: programs.to_vec(),
        plugins: plugins
            .iter()
            .map(|p| plugin(p, programs))
            .collect::<Result<_, _>>()?,
    })
}

fn plugin(config: &Value, programs: &[String]) -> Result<Plugin, String> {
    let config = config.as_object().ok_or("a plugin must be an object")?;
    let kind = config.get("type").and_then(Value::as_str);
    let kind = kind.ok_or("a plugin has no \"type\"")?;
    let path = program(kind, programs)?;
    // The plugin runs it, and looks for it where we do.
    let ipam = config.get("ipam").and_then(|i| i.get("type"));
    if let Some(ipam) = ipam.and_then(Value::as_str) {
        program(ipam, programs)?;
    }
    Ok(Plugin {
        kind: kind.into(),
        path,
        config: config.clone(),
    })
}

fn program(kind: &str, programs: &[String]) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if kind.is_empty() || kind.starts_with('.') || !kind.chars().all(plain) {
        return Err(format!("type {kind:?} is not the name of a program"));
    }
    let candidates = programs.iter().map(|dir| Path::new(dir).join(kind));
    let found = candidates.filter_map(|path| std::fs::canonicalize(path).ok());
    let mut found = found.filter(|path| path.is_file());
    let Some(path) = found.next() else {
        let folders = programs.join(" or ");
        return Err(format!("the plugin {kind:?} is not in {folders}"));
    };
    roots(&path)?;
    Ok(path.display().to_string())
}
