//! Runs a filter as the kernel would, without a kernel: to ask of a program, ours or another's, what it does with a call.
//! Must refuse what the kernel would refuse (a jump out of the program, an unknown operation). Called by tests, the plan and the audit.

use super::compile::Program;
use super::emit::Insn;
use super::model::{Action, Arch};

/// What a filter sees of a call (`struct seccomp_data`, without the instruction pointer, which reads as 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The call's number, as the process passes it.
    pub number: u32,
    /// The `AUDIT_ARCH_*` value of the ABI it came by.
    pub audit_arch: u32,
    /// Its arguments.
    pub args: [u64; 6],
}

/// The end of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the kernel would do.
    pub action: Action,
    /// Whether anything but number and architecture was read: if not, the kernel can know the verdict beforehand.
    pub read_args: bool,
    /// Instructions executed.
    pub steps: usize,
}

/// A program the kernel would not have loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ran past its end.
    #[error(
        "running the seccomp filter: instruction {at} does not exist; the program must end in a return"
    )]
    OutOfProgram {
        /// Where it went.
        at: usize,
    },
    /// It read outside `struct seccomp_data` or its own memory.
    #[error(
        "running the seccomp filter: instruction {at} reads or writes at {offset}, outside what a filter has; correct the program"
    )]
    OutOfData {
        /// Which instruction.
        at: usize,
        /// The offset.
        offset: u32,
    },
    /// An operation seccomp does not have.
    #[error(
        "running the seccomp filter: instruction {at} has the operation {code:#06x}, which seccomp does not know; correct the program"
    )]
    UnknownOperation {
        /// Which instruction.
        at: usize,
        /// The operation.
        code: u16,
    },
}

#[derive(Default)]
struct Machine {
    a: u32,
    x: u32,
    memory: [u32; 16],
    read_args: bool,
}

/// Runs a filter on one call.
///
/// # Errors
/// If the program is one that the kernel would not load.
pub fn run(filter: &[Insn], call: &Call) -> Result<Outcome, Fault> {
    let mut machine = Machine::default();
    let (mut at, mut steps) = (0, 0);
    loop {
        // Jumps go forward only, so this ends.
        let insn = *filter.get(at).ok_or(Fault::OutOfProgram { at })?;
        steps += 1;
        match insn.code & 0x07 {
            0x05 => at += machine.jump(insn, at)?,
            0x06 => {
                let value = match insn.code {
                    0x06 => insn.k,
                    0x16 => machine.a,
                    code => return Err(Fault::UnknownOperation { at, code }),
                };
                let action = Action::from_ret(value);
                return Ok(Outcome {
                    action,
                    read_args: machine.read_args,
                    steps,
                });
            }
            _ => machine.compute(insn, at, call)?,
        }
        at += 1;
    }
}

impl Machine {
    /// How many instructions are skipped.
    fn jump(&self, insn: Insn, at: usize) -> Result<usize, Fault> {
        let right = if insn.code & 0x08 == 0 {
            insn.k
        } else {
            self.x
        };
        let holds = match insn.code & !0x08 {
            0x05 if insn.code == 0x05 => return Ok(insn.k as usize),
            0x15 => self.a == right,
            0x25 => self.a > right,
            0x35 => self.a >= right,
            0x45 => self.a & right != 0,
            _ => {
                return Err(Fault::UnknownOperation {
                    at,
                    code: insn.code,
                });
            }
        };
        Ok(usize::from(if holds { insn.jt } else { insn.jf }))
    }

    fn compute(&mut self, insn: Insn, at: usize, call: &Call) -> Result<(), Fault> {
        let slot = |k: u32| -> Result<usize, Fault> {
            let outside = Fault::OutOfData { at, offset: k };
            usize::try_from(k).ok().filter(|&s| s < 16).ok_or(outside)
        };
        match insn.code {
            0x20 => self.a = self.word(insn.k, at, call)?,
            0x00 => self.a = insn.k,
            0x01 => self.x = insn.k,
            0x60 => self.a = self.memory[slot(insn.k)?],
            0x61 => self.x = self.memory[slot(insn.k)?],
            0x02 => self.memory[slot(insn.k)?] = self.a,
            0x03 => self.memory[slot(insn.k)?] = self.x,
            // BPF_LD|BPF_LEN and BPF_LDX|BPF_LEN: the kernel puts the size of struct seccomp_data.
            0x80 => self.a = 64,
            0x81 => self.x = 64,
            0x07 => self.x = self.a,
            0x87 => self.a = self.x,
            code if code & 0x07 == 0x04 => self.arithmetic(insn, at)?,
            code => return Err(Fault::UnknownOperation { at, code }),
        }
        Ok(())
    }

    fn arithmetic(&mut self, insn: Insn, at: usize) -> Result<(), Fault> {
        let right = if insn.code & 0x08 == 0 {
            insn.k
        } else {
            self.x
        };
        self.a = match insn.code & 0xf0 {
            0x00 => self.a.wrapping_add(right),
            0x10 => self.a.wrapping_sub(right),
            0x20 => self.a.wrapping_mul(right),
            0x30 => self.a.checked_div(right).unwrap_or(0),
            0x40 => self.a | right,
            0x50 => self.a & right,
            0x60 => self.a.wrapping_shl(right),
            0x70 => self.a.wrapping_shr(right),
            0x80 => self.a.wrapping_neg(),
            0xa0 => self.a ^ right,
            _ => {
                return Err(Fault::UnknownOperation {
                    at,
                    code: insn.code,
                });
            }
        };
        Ok(())
    }

    fn word(&mut self, offset: u32, at: usize, call: &Call) -> Result<u32, Fault> {
        self.read_args |= offset > 4;
        match offset {
            0 => Ok(call.number),
            4 => Ok(call.audit_arch),
            8 | 12 => Ok(0),
            16..64 if offset.is_multiple_of(4) => {
                let arg = call.args[(offset as usize - 16) / 8];
                Ok(if offset.is_multiple_of(8) {
                    arg as u32
                } else {
                    (arg >> 32) as u32
                })
            }
            _ => Err(Fault::OutOfData { at, offset }),
        }
    }
}

impl Program {
    /// What the program does with a call of its own architecture.
    ///
    /// # Errors
    /// Never for a program of ours; if its instructions were altered, as [`run`].
    pub fn verdict(&self, number: u32, args: [u64; 6]) -> Result<Action, Fault> {
        let audit_arch = self.arch.audit_arch();
        run(
            &self.filter,
            &Call {
                number,
                audit_arch,
                args,
            },
        )
        .map(|outcome| outcome.action)
    }

    /// Whether a call by name is carried out with these arguments; `false` too for a name this architecture does not have.
    ///
    /// # Errors
    /// As [`Program::verdict`].
    pub fn allows(&self, name: &str, args: [u64; 6]) -> Result<bool, Fault> {
        match super::syscalls::number(self.arch, name) {
            Some(number) => Ok(matches!(
                self.verdict(number, args)?,
                Action::Allow | Action::Log
            )),
            None => Ok(false),
        }
    }
}

impl Call {
    /// A call of that architecture's own ABI.
    pub fn native(arch: Arch, number: u32, args: [u64; 6]) -> Call {
        Call {
            number,
            audit_arch: arch.audit_arch(),
            args,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::native(Arch::X86_64, 5, [0x1_0000_0002, 0, 0, 0, 0, 0])
    }

    fn program(insns: &[(u16, u8, u8, u32)]) -> Vec<Insn> {
        insns
            .iter()
            .map(|&(code, jt, jf, k)| Insn { code, jt, jf, k })
            .collect()
    }

    #[test]
    fn words_of_an_argument_are_low_then_high() {
        for (offset, word) in [(0, 5), (4, 0xC000_003E), (16, 2), (20, 1), (24, 0)] {
            let filter = program(&[
                (0x20, 0, 0, offset),
                (0x15, 0, 1, word),
                (0x06, 0, 0, 0x7fff_0000),
                (0x06, 0, 0, 0),
            ]);
            let outcome = run(&filter, &call()).unwrap();
            assert_eq!(outcome.action, Action::Allow, "offset {offset}");
            assert_eq!(outcome.read_args, offset >= 16);
        }
    }

    #[test]
    fn what_the_kernel_would_not_load_is_a_fault() {
        assert_eq!(run(&[], &call()), Err(Fault::OutOfProgram { at: 0 }));
        assert_eq!(
            run(&program(&[(0x05, 0, 0, 9)]), &call()),
            Err(Fault::OutOfProgram { at: 10 })
        );
        let odd = program(&[(0x20, 0, 0, 17)]);
        assert_eq!(
            run(&odd, &call()),
            Err(Fault::OutOfData { at: 0, offset: 17 })
        );
        let packet = program(&[(0x30, 0, 0, 0)]);
        assert_eq!(
            run(&packet, &call()),
            Err(Fault::UnknownOperation { at: 0, code: 0x30 })
        );
    }

    #[test]
    fn an_unknown_return_value_kills() {
        let outcome = run(&program(&[(0x06, 0, 0, 0x1234_0000)]), &call()).unwrap();
        assert_eq!(outcome.action, Action::KillProcess);
    }
}
