//! Where a site keeps its CNI networks: the folder of their conf lists, and those of the programs that carry them out.
//!
//! Which folders these are is the site's to say; that each file in them is root's alone is looked at when one is used
//! (`survey::network`). Types and checks only; read by `ceilings`, laid over by `tightening`.

use super::document::{Diagnostic, Document};
use serde::{Deserialize, Serialize};

/// More folders than these make nothing easier to find.
const MOST: usize = 8;

/// The table `[networks]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkTable {
    /// The folder of the conf lists: an absolute path.
    pub lists: Option<String>,
    /// Folders of the plugins, in the order in which they are looked through: absolute paths.
    pub plugins: Option<Vec<String>>,
}

/// The folders in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetworkFolders {
    /// Of the conf lists.
    pub lists: String,
    /// Of the plugins, in order.
    pub plugins: Vec<String>,
}

impl NetworkFolders {
    /// These, but for what a table says.
    #[must_use]
    pub(super) fn with(&self, table: &NetworkTable) -> Self {
        Self {
            lists: table.lists.clone().unwrap_or_else(|| self.lists.clone()),
            plugins: table
                .plugins
                .clone()
                .unwrap_or_else(|| self.plugins.clone()),
        }
    }
}

impl NetworkTable {
    /// Folders that can't be meant.
    pub(super) fn check(&self, doc: &Document<'_>, problems: &mut Vec<Diagnostic>) {
        let mut wrong = |path: &[&str], message: String| {
            let path = [&["networks"], path].concat();
            problems.push(doc.problem(&path, message));
        };
        if let Some(folder) = self.lists.as_ref().filter(|folder| !is_plain(folder)) {
            wrong(&["lists"], not_plain(folder));
        }
        let Some(plugins) = &self.plugins else { return };
        if !(1..=MOST).contains(&plugins.len()) {
            let message = format!("plugins must name 1 to {MOST} folders");
            wrong(&["plugins"], message);
        }
        for (at, folder) in plugins.iter().enumerate() {
            let at = at.to_string();
            if !is_plain(folder) {
                wrong(&["plugins", &at], not_plain(folder));
            } else if folder.contains(':') {
                let message = format!("{folder:?} has a ':', which parts folders in CNI_PATH");
                wrong(&["plugins", &at], message);
            }
        }
    }
}

/// Whether a path is absolute and says nothing twice.
pub(super) fn is_plain(path: &str) -> bool {
    let doubled = path.len() > 1 && (path.contains("//") || path.ends_with('/'));
    path.starts_with('/') && !doubled && !path.split('/').any(|p| p == "." || p == "..")
}

pub(super) fn not_plain(path: &str) -> String {
    format!("{path:?} is not an absolute path without '.', '..' and doubled slashes")
}
