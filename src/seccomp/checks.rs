//! The argument checks behind the search: a set of alternatives, each an AND of conditions, as a decision tree in BPF.
//! Conditions that begin alike are tested once, equalities on one argument share one load. Called by compile.rs only.

use super::emit::{Emitter, IF_EQ, IF_GE, IF_GT, Label};
use super::model::{Cond, Op, Value, Width};

/// Offset of `args[0]` in `struct seccomp_data`; each argument has eight bytes, low word first.
const OFFSET_ARGS: u32 = 16;

/// What is still to be checked once the conditions above hold.
#[derive(Default)]
struct Node {
    /// An alternative ends here: nothing more to check.
    complete: bool,
    branches: Vec<(Cond, Node)>,
}

/// Emits checks that go to `hit` if any alternative holds, else to `miss`.
pub(super) fn emit(
    emitter: &mut Emitter,
    alternatives: &[&[Cond]],
    exec_fd: u32,
    hit: Label,
    miss: Label,
) -> Label {
    let mut root = Node::default();
    for conds in alternatives {
        let mut conds: Vec<Cond> = conds.iter().map(|cond| simplest(*cond)).collect();
        conds.sort_by_key(|cond| cond.index);
        root.insert(&conds);
    }
    Walk {
        emitter,
        exec_fd,
        hit,
    }
    .node(&root, miss)
}

/// Equal sense, fewest instructions: 64-bit masks that leave the high word alone become 32-bit comparisons.
fn simplest(mut cond: Cond) -> Cond {
    let low = u64::from(u32::MAX);
    if let (Op::MaskedEq { mask }, Value::Is(value), Width::Qword) =
        (cond.op, cond.value, cond.width)
        && mask <= low
        && value <= low
    {
        cond.width = Width::Dword;
    }
    if cond.width == Width::Dword {
        // What a 32-bit comparison doesn't see must not make two equal conditions look different: those that share
        // a load are taken to exclude each other.
        if let Value::Is(value) = cond.value {
            cond.value = Value::Is(value & low);
        }
        if let Op::MaskedEq { mask } = cond.op {
            cond.op = match mask & low {
                mask if mask == low => Op::Eq,
                mask => Op::MaskedEq { mask },
            };
        }
    }
    cond
}

impl Node {
    fn insert(&mut self, conds: &[Cond]) {
        let Some((first, rest)) = conds.split_first() else {
            self.complete = true;
            return;
        };
        let at = match self.branches.iter().position(|(cond, _)| cond == first) {
            Some(at) => at,
            None => {
                self.branches.push((*first, Node::default()));
                self.branches.len() - 1
            }
        };
        self.branches[at].1.insert(rest);
    }
}

/// The word and mask a 32-bit equality looks at: conditions of one key exclude each other and share a load.
fn key(cond: &Cond) -> Option<(u8, u32)> {
    match (cond.width, cond.op) {
        (Width::Dword, Op::Eq) => Some((cond.index, u32::MAX)),
        (Width::Dword, Op::MaskedEq { mask }) => Some((cond.index, mask as u32)),
        _ => None,
    }
}

fn low_word(index: u8) -> u32 {
    OFFSET_ARGS + 8 * u32::from(index)
}

struct Walk<'a> {
    emitter: &'a mut Emitter,
    exec_fd: u32,
    hit: Label,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, miss: Label) -> Label {
        if node.complete {
            return self.hit;
        }
        let mut groups: Vec<Vec<&(Cond, Node)>> = Vec::new();
        for branch in &node.branches {
            let wanted = key(&branch.0);
            match groups
                .iter_mut()
                .find(|g| wanted.is_some() && key(&g[0].0) == wanted)
            {
                Some(group) => group.push(branch),
                None => groups.push(vec![branch]),
            }
        }
        let mut next = miss;
        for group in groups.iter().rev() {
            next = self.group(group, next);
        }
        next
    }

    fn group(&mut self, group: &[&(Cond, Node)], miss: Label) -> Label {
        let below: Vec<Label> = group
            .iter()
            .map(|(_, node)| self.node(node, miss))
            .collect();
        let Some((index, mask)) = key(&group[0].0) else {
            return self.alone(&group[0].0, below[0], miss);
        };
        let mut next = miss;
        for ((cond, _), yes) in group.iter().zip(below).rev() {
            next = self.low_test(IF_EQ, cond.value, yes, next);
        }
        if mask != u32::MAX {
            next = self.emitter.and(mask, next);
        }
        self.emitter.load(low_word(index), next)
    }

    /// A condition that shares its load with no other.
    fn alone(&mut self, cond: &Cond, yes: Label, no: Label) -> Label {
        let high = match cond.value {
            Value::Is(value) => (value >> 32) as u32,
            Value::ExecFd => 0,
        };
        let (yes, no, code) = match cond.op {
            Op::Eq | Op::MaskedEq { .. } => (yes, no, IF_EQ),
            Op::Ne => (no, yes, IF_EQ),
            Op::Gt => (yes, no, IF_GT),
            Op::Le => (no, yes, IF_GT),
            Op::Ge => (yes, no, IF_GE),
            Op::Lt => (no, yes, IF_GE),
        };
        let mask = match cond.op {
            Op::MaskedEq { mask } => mask,
            _ => u64::MAX,
        };
        let offset = low_word(cond.index);
        let at_low = self.low_test(code, cond.value, yes, no);
        let at_low = self.masked_load(offset, mask as u32, at_low);
        if cond.width == Width::Dword {
            return at_low;
        }
        let mut at_high = self.emitter.test(IF_EQ, high, at_low, no);
        if code != IF_EQ {
            at_high = self.emitter.test(IF_GT, high, yes, at_high);
        }
        self.masked_load(offset + 4, (mask >> 32) as u32, at_high)
    }

    fn low_test(&mut self, code: u16, value: Value, yes: Label, no: Label) -> Label {
        match value {
            Value::Is(value) => self.emitter.test(code, value as u32, yes, no),
            Value::ExecFd => self.emitter.test_exec_fd(code, self.exec_fd, yes, no),
        }
    }

    fn masked_load(&mut self, offset: u32, mask: u32, next: Label) -> Label {
        let next = match mask {
            u32::MAX => next,
            mask => self.emitter.and(mask, next),
        };
        self.emitter.load(offset, next)
    }
}
