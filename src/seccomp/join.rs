//! Two programs as one: what the first lets through, the second decides.
//!
//! A filter that is loaded takes the seccomp call away from the next one, unless it happens to allow it; and one program
//! is looked at once, not twice. The kernel's rule for two filters (the stricter answer wins) holds, but for a call
//! that both refuse: there the first says how.

use super::compile::{MAX_INSTRUCTIONS, Program};
use super::emit::{JUMP, RETURN};
use super::error::Error;
use super::interpret::{Call, run};
use super::model::Action;

const EPERM: u16 = 1;
/// The highest errno that the kernel takes from a filter.
const MAX_ERRNO: u16 = 4095;

/// What a first program may say that is neither yes nor no.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undecided {
    /// Nothing.
    Nothing,
    /// It asks its watcher, who refuses.
    Watched,
}

impl Program {
    /// This program, and `next` behind everything that it allows.
    ///
    /// # Errors
    /// If this one does more than allow and refuse (`next` could not be stricter then), if they are for two
    /// architectures, or if both together are longer than the kernel takes.
    pub fn then(&self, next: &Program) -> Result<Program, Error> {
        self.joined(next, Undecided::Nothing)
    }

    /// The same where both are watched: what the first asks its watcher about is refused, so the second has no part in it.
    ///
    /// # Errors
    /// As [`Program::then`].
    pub fn then_watched(&self, next: &Program) -> Result<Program, Error> {
        self.joined(&next.told(), Undecided::Watched)
    }

    /// Every errno of it becomes a question to the watcher.
    #[must_use]
    pub fn told(&self) -> Program {
        let mut all = self.clone();
        for insn in all.filter.iter_mut().filter(|i| i.code == RETURN) {
            if let Action::Errno(_) = Action::from_ret(insn.k) {
                insn.k = Action::Notify.to_ret();
            }
        }
        all
    }

    /// The errno that this program refuses a call with, if that is what it does.
    pub fn refusal(&self, call: &Call) -> Option<u16> {
        match run(&self.filter, call).map(|outcome| outcome.action) {
            // As the kernel does.
            Ok(Action::Errno(errno)) => Some(errno.min(MAX_ERRNO)),
            _ => None,
        }
    }

    /// What the watcher answers for this (unwatched) program. A call that it doesn't refuse has no business with the
    /// watcher, and is refused.
    pub fn errno(&self, call: &Call) -> u16 {
        self.refusal(call).unwrap_or(EPERM)
    }

    fn joined(&self, next: &Program, undecided: Undecided) -> Result<Program, Error> {
        let length = self.filter.len();
        if self.arch != next.arch || length + next.filter.len() > MAX_INSTRUCTIONS {
            return Err(Error::TooLong {
                arch: self.arch,
                limit: MAX_INSTRUCTIONS,
            });
        }
        let mut filter = self.filter.clone();
        for (at, insn) in filter.iter_mut().enumerate() {
            if insn.code != RETURN {
                continue;
            }
            match Action::from_ret(insn.k) {
                Action::Allow => {
                    insn.code = JUMP;
                    insn.k = (length - at - 1) as u32;
                }
                Action::Notify if undecided == Undecided::Watched => {}
                Action::Log | Action::Trace(_) | Action::Notify => {
                    return Err(Error::UndecidedFirst);
                }
                _ => {}
            }
        }
        filter.extend(&next.filter);
        let moved = next.exec_fd_at.iter().map(|at| at + length);
        let mut unknown = [self.unknown.as_slice(), &next.unknown].concat();
        unknown.sort();
        unknown.dedup();
        Ok(Program {
            filter,
            exec_fd_at: self.exec_fd_at.iter().copied().chain(moved).collect(),
            unknown,
            arch: self.arch,
        })
    }
}
