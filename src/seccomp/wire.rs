//! A program as bytes, eight an instruction, to be handed to another process of ours. Pure.

use super::compile::{MAX_INSTRUCTIONS, Program};
use super::emit::Insn;
use super::model::Arch;

impl Program {
    /// Its instructions as the kernel reads them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.filter.len() * 8);
        for i in &self.filter {
            bytes.extend_from_slice(&i.code.to_le_bytes());
            bytes.extend_from_slice(&[i.jt, i.jf]);
            bytes.extend_from_slice(&i.k.to_le_bytes());
        }
        bytes
    }

    /// The instructions that [`Program::bytes`] made, for the architecture this program was built for; `None` for
    /// anything else. Good for asking it about calls.
    pub fn from_bytes(bytes: &[u8]) -> Option<Program> {
        let (all, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || all.is_empty() || all.len() > MAX_INSTRUCTIONS {
            return None;
        }
        let insn = |b: &[u8; 8]| Insn {
            code: u16::from_le_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        };
        Some(Program {
            filter: all.iter().map(insn).collect(),
            exec_fd_at: Vec::new(),
            unknown: Vec::new(),
            arch: Arch::NATIVE,
        })
    }
}
