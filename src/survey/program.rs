//! Finds the program as execve would, and looks at its first bytes: ELF (with which loader) or `#!`.
//!
//! `#!` is resolved here, since a close-on-exec program descriptor can't be a script (execveat(2), ENOENT).

use super::{Kind, View, home};
use crate::paths::GuestPath;
use crate::policy::{Exec, Grant};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The program that will be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The ELF file, without symbolic links.
    pub path: GuestPath,
    /// argv as the kernel will get it (longer than asked for a script).
    pub args: Vec<String>,
    /// What it is.
    pub shape: Shape,
    /// The home of its user, where the request names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
}

/// ELF, alone or with a loader, reached directly or through `#!`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// The dynamic loader (PT_INTERP).
    pub loader: Option<GuestPath>,
    /// The script whose `#!` line named this program.
    pub script: Option<GuestPath>,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum ProgramError {
    /// Nothing of that name (exit code 127).
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotInPath(String),
    /// No such file (exit code 127).
    #[error("exec: {path:?}: stat {path}: {why}")]
    NotFound {
        /// As asked.
        path: String,
        /// What the kernel said.
        why: String,
    },
    /// There, but not executable (exit code 126).
    #[error("exec: {path:?}: {why}: permission denied")]
    NotExecutable {
        /// As asked.
        path: String,
        /// Why not.
        why: String,
    },
    /// No arguments at all.
    #[error("process.args is empty: name the program to run")]
    Empty,
}

const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else {
    243
};

/// Finds `process.args[0]`.
pub(super) fn find(
    grant: &Grant,
    view: &View<'_>,
    hidden: &[(GuestPath, Kind)],
) -> Result<Program, ProgramError> {
    let args = &grant.process.args;
    let first = args
        .first()
        .filter(|a| !a.is_empty())
        .ok_or(ProgramError::Empty)?;
    if matches!(grant.root.source, crate::policy::RootSource::Embedded) {
        return Ok(embedded(args));
    }
    let mut last = None;
    for candidate in candidates(grant, first)? {
        match inspect(view, hidden, &candidate, args.clone(), 0) {
            Ok(program) => {
                let home = home::of_user(grant, view);
                return listed(grant, view, Program { home, ..program });
            }
            Err(ProgramError::NotFound { .. }) if !first.contains('/') => {}
            Err(other) => last = last.or(Some(other)),
        }
    }
    Err(last.unwrap_or_else(|| ProgramError::NotInPath(first.clone())))
}

/// Under a template that lists what may be executed, the first program is no exception from the list.
fn listed(grant: &Grant, view: &View<'_>, program: Program) -> Result<Program, ProgramError> {
    let Exec::Listed(list) = &grant.exec else {
        return Ok(program);
    };
    let is = |path: &GuestPath| view.lookup(path).is_ok_and(|(_, at)| at == program.path);
    if list.iter().any(is) {
        return Ok(program);
    }
    let list: Vec<&str> = list.iter().map(GuestPath::as_str).collect();
    Err(ProgramError::NotExecutable {
        path: program.path.to_string(),
        why: format!(
            "not among the programs that its exception lets be executed ({})",
            list.join(" ")
        ),
    })
}

/// The sample service: the launcher's own file, mounted read-only in a root of its own.
fn embedded(args: &[String]) -> Program {
    Program {
        path: crate::sample::path(),
        args: args.to_vec(),
        shape: Shape {
            loader: None,
            script: None,
        },
        home: None,
    }
}

fn candidates(grant: &Grant, first: &str) -> Result<Vec<GuestPath>, ProgramError> {
    let not_found = |why: String| ProgramError::NotFound {
        path: first.into(),
        why,
    };
    if first.contains('/') {
        let full = if first.starts_with('/') {
            first.to_string()
        } else {
            format!("{}/{first}", grant.process.cwd)
        };
        return GuestPath::parse(&full)
            .map(|p| vec![p])
            .map_err(|e| not_found(e.to_string()));
    }
    let path = grant
        .process
        .env
        .iter()
        .find_map(|e| e.strip_prefix("PATH="))
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(path
        .split(':')
        .filter_map(|dir| GuestPath::parse(dir).ok())
        .map(|dir| dir.join(first))
        .collect())
}

fn inspect(
    view: &View<'_>,
    hidden: &[(GuestPath, Kind)],
    path: &GuestPath,
    args: Vec<String>,
    depth: u32,
) -> Result<Program, ProgramError> {
    let not_found = |errno: Errno| ProgramError::NotFound {
        path: path.to_string(),
        why: errno.desc().to_lowercase(),
    };
    let refused = |why: String| ProgramError::NotExecutable {
        path: path.to_string(),
        why,
    };
    let (fd, at) = view.lookup(path).map_err(|errno| match errno {
        Errno::ELOOP => refused("the path leads through a magic link or a loop of links".into()),
        Errno::EACCES => refused("a folder on the way can't be searched".into()),
        errno => not_found(errno),
    })?;
    if hidden.iter().any(|(h, _)| at.is_at_or_below(h)) && !covered(view, &at) {
        return Err(not_found(Errno::ENOENT));
    }
    let stat = fstat(&fd).map_err(not_found)?;
    match super::view::kind_of(stat.st_mode) {
        Kind::Dir => return Err(refused("is a directory".into())),
        Kind::Special => return Err(refused("not a regular file".into())),
        Kind::File if stat.st_mode & 0o111 == 0 => {
            return Err(refused("no execute permission is set on the file".into()));
        }
        Kind::File => {}
    }
    let Some(file) = reopen(&fd) else {
        // Executable but not readable: nothing can be said of its loader.
        return Ok(plain(at, args));
    };
    let mut head = Vec::with_capacity(4096);
    file.try_clone()
        .and_then(|f| f.take(4096).read_to_end(&mut head))
        .map_err(|e| refused(format!("the file can't be read ({e})")))?;
    if head.starts_with(b"#!") {
        return script(view, hidden, (path, &at), &head, args, depth);
    }
    let loader = elf_loader(&file, &head).map_err(refused)?;
    let mut program = plain(at, args);
    program.shape.loader = loader;
    Ok(program)
}

/// Whether a bind mount of the grant lies over a hidden folder and shows `at` after all.
fn covered(view: &View<'_>, at: &GuestPath) -> bool {
    view.grant
        .mounts
        .iter()
        .any(|m| at.is_at_or_below(&m.target))
}

fn plain(path: GuestPath, args: Vec<String>) -> Program {
    Program {
        path,
        args,
        shape: Shape {
            loader: None,
            script: None,
        },
        home: None,
    }
}

fn reopen(fd: &OwnedFd) -> Option<File> {
    File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
}

/// `#!interpreter [argument]`, nested at most four deep as in the kernel (binfmt_script.c).
fn script(
    view: &View<'_>,
    hidden: &[(GuestPath, Kind)],
    (asked, at): (&GuestPath, &GuestPath),
    head: &[u8],
    args: Vec<String>,
    depth: u32,
) -> Result<Program, ProgramError> {
    let refused = |why: &str| ProgramError::NotExecutable {
        path: asked.to_string(),
        why: why.into(),
    };
    if depth >= 4 {
        return Err(refused("more than four interpreters in a row"));
    }
    let line = head[2..].split(|b| *b == b'\n').next().unwrap_or_default();
    if line.len() > 253 {
        return Err(refused("its #! line is longer than 255 bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| refused("its #! line is not UTF-8"))?;
    let line = line.trim_matches([' ', '\t', '\r']);
    let (interpreter, argument) = match line.split_once([' ', '\t']) {
        Some((i, a)) => (i, Some(a.trim())),
        None => (line, None),
    };
    let path = GuestPath::parse(interpreter)
        .map_err(|_| refused("its #! line does not name an absolute path"))?;
    let mut longer = vec![interpreter.to_string()];
    longer.extend(argument.filter(|a| !a.is_empty()).map(String::from));
    longer.push(asked.to_string());
    longer.extend(args.into_iter().skip(1));
    let mut program = inspect(view, hidden, &path, longer, depth + 1)?;
    program.shape.script = Some(at.clone());
    Ok(program)
}

/// PT_INTERP of an ELF file for this machine.
fn elf_loader(file: &File, head: &[u8]) -> Result<Option<GuestPath>, String> {
    let bad = || "exec format error: not a program for this machine".to_string();
    let u16_at = |at: usize| {
        head.get(at..at + 2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    if head.get(..6) != Some(b"\x7fELF\x02\x01") || u16_at(18) != Some(MACHINE) {
        return Err(bad());
    }
    let u64_of = |b: &[u8], at: usize| -> Option<u64> {
        b.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
    };
    let table = u64_of(head, 32).ok_or_else(bad)?;
    let count = u16_at(56).ok_or_else(bad)?.min(256);
    if u16_at(54) != Some(56) {
        return Err(bad());
    }
    let mut entries = vec![0u8; usize::from(count) * 56];
    file.read_exact_at(&mut entries, table).map_err(|_| bad())?;
    let entries = entries.as_chunks::<56>().0;
    if let Some(entry) = entries.iter().find(|entry| entry[..4] == [3, 0, 0, 0]) {
        let (at, size) = (
            u64_of(entry, 8).ok_or_else(bad)?,
            u64_of(entry, 32).ok_or_else(bad)?,
        );
        let mut text = vec![0u8; usize::try_from(size.min(4096)).map_err(|_| bad())?];
        file.read_exact_at(&mut text, at).map_err(|_| bad())?;
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        return GuestPath::parse(text).map(Some).map_err(|_| bad());
    }
    Ok(None)
}
