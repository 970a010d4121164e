//! The device filter as an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15). Pure: instructions as data.
//!
//! Called by `filter` with its table; loaded by `cgroup::device`.

use super::filter::{ALL, Exception, Table};
use serde::Serialize;

/// One eBPF instruction (linux/bpf.h, `struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BpfInstruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source in the high.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Constant.
    pub constant: i32,
}

impl Table {
    /// `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`, access in the high half of the first.
    pub(super) fn program(&self) -> Vec<BpfInstruction> {
        let (load, mov, exit) = (0x61, 0xb7, 0x95);
        let mut out = vec![
            insn(load, 2, 1, 0, 0),
            insn(0x54, 2, 0, 0, 0xffff),
            insn(load, 3, 1, 0, 0),
            insn(0x74, 3, 0, 0, 16),
            insn(load, 4, 1, 4, 0),
            insn(load, 5, 1, 8, 0),
        ];
        let verdict = i32::from(!self.allow_by_default);
        for e in &self.exceptions {
            let tests = e.tests(self.allow_by_default);
            let total = tests.iter().map(Vec::len).sum::<usize>() + 2;
            let mut done = 0;
            for test in tests {
                for mut step in test {
                    done += 1;
                    if step.code & 0x07 == 0x05 {
                        step.offset = (total - done) as i16;
                    }
                    out.push(step);
                }
            }
            out.push(insn(mov, 0, 0, 0, verdict));
            out.push(insn(exit, 0, 0, 0, 0));
        }
        out.push(insn(mov, 0, 0, 0, 1 - verdict));
        out.push(insn(exit, 0, 0, 0, 0));
        out
    }
}

impl Exception {
    /// Groups of instructions, each ending in a jump to the next exception when it does not apply. An exception that
    /// allows must cover the whole access asked for, one that denies any part of it.
    fn tests(&self, allow_by_default: bool) -> Vec<Vec<BpfInstruction>> {
        let (jump_if_equal, jump_unless_equal) = (0x15, 0x55);
        let kind = if self.kind == 'b' { 1 } else { 2 };
        let mut tests = vec![vec![insn(jump_unless_equal, 2, 0, 0, kind)]];
        if self.access != ALL {
            let (mask, jump) = if allow_by_default {
                (self.access, jump_if_equal)
            } else {
                (ALL & !self.access, jump_unless_equal)
            };
            tests.push(vec![
                insn(0xbf, 1, 3, 0, 0),
                insn(0x54, 1, 0, 0, i32::from(mask)),
                insn(jump, 1, 0, 0, 0),
            ]);
        }
        for (register, number) in [(4, self.major), (5, self.minor)] {
            if let Some(n) = number {
                // Device numbers have 12 and 20 bits; a larger one matches nothing either way.
                let n = i32::try_from(n).unwrap_or(i32::MAX);
                tests.push(vec![insn(jump_unless_equal, register, 0, 0, n)]);
            }
        }
        tests
    }
}

impl BpfInstruction {
    /// As the kernel reads it on this machine.
    pub fn encode(self) -> u64 {
        let [o0, o1] = self.offset.to_ne_bytes();
        let [c0, c1, c2, c3] = self.constant.to_ne_bytes();
        u64::from_ne_bytes([self.code, self.registers, o0, o1, c0, c1, c2, c3])
    }
}

fn insn(code: u8, to: u8, from: u8, offset: i16, constant: i32) -> BpfInstruction {
    BpfInstruction {
        code,
        registers: to | (from << 4),
        offset,
        constant,
    }
}
