//! Writes BPF instructions from the last to the first, so that every jump's target is already there and its distance known.
//! Knows nothing of profiles; must never make a jump that does not reach. Called by compile.rs only.

use std::collections::BTreeMap;

use super::model::Action;

/// One instruction of classic BPF, the layout of `struct sock_filter` (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if the test holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JA`.
pub(super) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const IF_EQ: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(super) const IF_GT: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const IF_GE: u16 = 0x35;

/// An instruction already written, by its distance from the end.
pub(super) type Label = usize;

/// The program under construction, last instruction first.
#[derive(Default)]
pub(super) struct Emitter {
    backwards: Vec<Insn>,
    /// The nearest return of each value: returns are shared while a jump reaches them and repeated when not.
    returns: BTreeMap<u32, Label>,
    exec_fd: Vec<Label>,
}

impl Emitter {
    pub(super) fn len(&self) -> usize {
        self.backwards.len()
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.backwards.push(Insn { code, jt, jf, k });
        self.backwards.len() - 1
    }

    /// A return of this action.
    pub(super) fn ret(&mut self, action: Action) -> Label {
        let value = action.to_ret();
        if let Some(&label) = self.returns.get(&value) {
            return label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// How far a jump standing `ahead` instructions before the next one has to go to `target`.
    fn distance(&self, target: Label, ahead: usize) -> usize {
        self.backwards.len() + ahead - target - 1
    }

    /// `target`, or a stand-in for it (a second return, a long jump) if a conditional jump does not reach that far.
    fn within_reach(&mut self, target: Label, ahead: usize) -> Label {
        if self.distance(target, ahead) <= usize::from(u8::MAX) {
            return target;
        }
        let there = self.backwards[target];
        if there.code == RETURN {
            let label = self.push(RETURN, 0, 0, there.k);
            self.returns.insert(there.k, label);
            return label;
        }
        let k = self.distance(target, 0) as u32;
        self.push(JUMP, 0, 0, k)
    }

    /// A test of the accumulator against `k`.
    pub(super) fn test(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        // One instruction ahead, since the second stand-in may come between.
        let yes = self.within_reach(yes, 1);
        let no = self.within_reach(no, 0);
        let (jt, jf) = (self.distance(yes, 0) as u8, self.distance(no, 0) as u8);
        self.push(code, jt, jf, k)
    }

    /// The same for an operand that is the entrypoint's fd number: its place is remembered.
    pub(super) fn test_exec_fd(&mut self, code: u16, fd: u32, yes: Label, no: Label) -> Label {
        let label = self.test(code, fd, yes, no);
        if yes != no {
            self.exec_fd.push(label);
        }
        label
    }

    /// Something without a jump that goes on with `next`.
    fn then(&mut self, code: u16, k: u32, next: Label) -> Label {
        if next + 1 != self.backwards.len() {
            let skip = self.distance(next, 0) as u32;
            self.push(JUMP, 0, 0, skip);
        }
        self.push(code, 0, 0, k)
    }

    /// Load a word of `struct seccomp_data`, then `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD, offset, next)
    }

    /// Mask the accumulator, then `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.then(AND, mask, next)
    }

    /// The program in its right order, and the places of the entrypoint's fd number in it.
    pub(super) fn finish(mut self) -> (Vec<Insn>, Vec<usize>) {
        let last = self.backwards.len() - 1;
        self.backwards.reverse();
        let places = self.exec_fd.into_iter().map(|label| last - label).collect();
        (self.backwards, places)
    }
}
