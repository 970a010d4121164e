//! The AppArmor template: its file below /etc/apparmor.d, from where it is loaded at boot, and in the kernel now.

use super::{Change, Direction, InstallError, read};
use crate::host::{AppArmor, Host};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it lies.
pub const FILE: &str = "/etc/apparmor.d/cofferdam-default";

const TEXT: &str = include_str!("../../profiles/apparmor/cofferdam-default");

/// Executed as root, so not searched for in PATH.
const PARSERS: [&str; 2] = ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"];

/// What is wanted of the kernel, and by which program.
#[must_use]
#[derive(Debug)]
pub struct Load {
    direction: Direction,
    parser: PathBuf,
    file: PathBuf,
}

/// The file that would change; empty: it is already so.
pub fn changes(direction: Direction, file: &Path) -> Result<Vec<Change>, InstallError> {
    let before = read(file)?;
    let after = (direction == Direction::Install).then(|| TEXT.to_string());
    if before == after {
        return Ok(Vec::new());
    }
    Ok(vec![Change {
        path: file.into(),
        keep: false,
        before,
        after,
    }])
}

impl Load {
    /// What is to be done now; `None`: AppArmor is not in force, or it is so already. Fails where it can't be done,
    /// before anything is.
    pub fn needed(
        host: &Host,
        direction: Direction,
        file: &Path,
        changed: bool,
    ) -> Result<Option<Self>, InstallError> {
        let loaded = match host.apparmor {
            AppArmor::Absent => return Ok(None),
            AppArmor::Template => true,
            AppArmor::NoTemplate | AppArmor::Confined { .. } => false,
        };
        let wanted = match direction {
            Direction::Install => !loaded || changed,
            Direction::Uninstall => loaded,
        };
        if !wanted {
            return Ok(None);
        }
        let parser = PARSERS.iter().map(Path::new).find(|p| p.exists());
        let parser = parser.ok_or(InstallError::NoParser)?.into();
        let file = file.into();
        Ok(Some(Self {
            direction,
            parser,
            file,
        }))
    }

    /// The command, as one types it.
    pub fn command(&self) -> String {
        let (parser, file) = (self.parser.display(), self.file.display());
        format!("{parser} {} {file}", self.flag())
    }

    fn flag(&self) -> &'static str {
        match self.direction {
            Direction::Install => "--replace",
            Direction::Uninstall => "--remove",
        }
    }

    /// Does it: after the file is there, before it goes.
    pub fn run(&self) -> Result<(), InstallError> {
        let failed = |why: String| InstallError::Parser {
            command: self.command(),
            why,
        };
        let mut command = Command::new(&self.parser);
        command.arg(self.flag()).arg(&self.file).env_clear();
        let done = command.output().map_err(|why| failed(why.to_string()))?;
        match done.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&done.stderr);
                Err(failed(said.trim().escape_debug().to_string()))
            }
        }
    }
}
