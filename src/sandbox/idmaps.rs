//! Writes the id maps of the child's user namespace: the launcher itself, or set-uid programs for an ordinary user.

use super::error::LaunchError;
use super::prepare::Maps;
use crate::paths::HostPath;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

/// Runs newuidmap or newgidmap, by absolute path and with nothing of the caller's environment.
fn help(program: &HostPath, pid: i32, words: &[String]) -> Result<(), LaunchError> {
    let failed = |why: String| LaunchError::Helper {
        tried: format!("{program} {pid} {}", words.join(" ")),
        why,
    };
    let ran = std::process::Command::new(program.as_path())
        .arg(pid.to_string())
        .args(words)
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(failed(
            String::from_utf8_lossy(&ran.stderr)
                .trim()
                .replace('\n', "; "),
        )),
    }
}

/// The namespace, with its maps.
pub(super) fn map_ids(pid: i32, maps: &Maps) -> Result<OwnedFd, LaunchError> {
    match maps {
        Maps::Joined => {}
        Maps::Written {
            uids,
            gids,
            deny_setgroups,
        } => {
            if *deny_setgroups {
                write_proc(pid, "setgroups", "deny")?;
            }
            write_proc(pid, "uid_map", uids)?;
            write_proc(pid, "gid_map", gids)?;
        }
        Maps::Helped(helpers) => {
            for (program, words) in helpers {
                help(program, pid, words)?;
            }
        }
    }
    let path = format!("/proc/{pid}/ns/user");
    std::fs::File::open(&path)
        .map(OwnedFd::from)
        .map_err(|e| LaunchError::Launcher {
            tried: format!("open {path}"),
            errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
        })
}

/// Writes one of the child's files below /proc.
pub(super) fn write_proc(pid: i32, file: &str, text: &str) -> Result<(), LaunchError> {
    std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|e| LaunchError::Launcher {
        tried: format!("write {:?} to /proc/{pid}/{file}", text.trim()),
        errno: Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
    })
}
