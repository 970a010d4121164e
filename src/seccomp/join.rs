//! Two programs as one: what the first lets through, the second decides.
//!
//! A filter that is loaded takes the seccomp call away from the next one, unless it happens to allow it; and one program
//! is looked at once, not twice. The kernel's rule for two filters (the stricter answer wins) holds, but for a call
//! that both refuse: there the first says how.

use super::compile::{MAX_INSTRUCTIONS, Program};
use super::emit::{JUMP, RETURN};
use super::error::Error;
use super::model::Action;

impl Program {
    /// This program, and `next` behind everything that it allows.
    ///
    /// # Errors
    /// If this one does more than allow and refuse (`next` could not be stricter then), if they are for two
    /// architectures, or if both together are longer than the kernel takes.
    pub fn then(&self, next: &Program) -> Result<Program, Error> {
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
