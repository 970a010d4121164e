//! The device filter: ordered OCI rules made into "deny all, but these", as v1 lines or as an eBPF program.
//!
//! Deny-all always comes first (GHSA-g54h-m393-cpwq), and both forms are made from the same table, so that they
//! can't differ. What the table can't express is denied, never allowed.

use super::place::Site;
use super::program::BpfInstruction;
use super::{CgroupVersion, Lack, LimitLine, LimitPlan, Purpose};
use crate::controls::ControlId;
use crate::host::{Host, Privilege};
use crate::policy::DeviceRule;
use serde::Serialize;

const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
pub(super) const ALL: u8 = MKNOD | READ | WRITE;

/// null, zero, full, random, urandom.
const HARMLESS: [(u32, u32); 5] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)];

/// How device access is filtered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceFilter {
    /// Not at all (the plan's lacks or lines say why).
    #[default]
    None,
    /// Lines for the v1 devices controller.
    V1 {
        /// Index into [`LimitPlan::dirs`].
        dir: usize,
        /// (file, line), in order: "devices.deny" "a" first.
        lines: Vec<(String, String)>,
        /// What "devices.list" says afterwards, in any order.
        expected: Vec<String>,
    },
    /// A program of type BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15) for the v2 cgroup.
    V2 {
        /// Index into [`LimitPlan::dirs`].
        dir: usize,
        /// The program.
        program: Vec<BpfInstruction>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub kind: char,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: u8,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub allow_by_default: bool,
    pub exceptions: Vec<Exception>,
}

pub(super) fn plan(plan: &mut LimitPlan, site: &Site, rules: &[DeviceRule], host: &Host) {
    let mut table = Table::default();
    for rule in rules {
        table.apply(rule);
    }
    for (major, minor) in HARMLESS {
        table.apply(&DeviceRule {
            allow: true,
            kind: 'c',
            major: Some(major),
            minor: Some(minor),
            access: "rwm".into(),
        });
    }
    let mut text = table.describe();
    if let Some(dir) = site.enter(plan, "devices", Purpose::Limit) {
        plan.filter = table.v1(dir);
    } else if host.privilege == Privilege::User {
        // No device node can be made in a user namespace and no mount but /dev takes any: nothing is lost.
        text = "no filter without privilege; nodev mounts and the user namespace stand in for it"
            .into();
    } else if let Some(dir) = plan
        .dirs
        .iter()
        .position(|d| d.version == CgroupVersion::V2)
    {
        plan.dirs[dir].purpose = Purpose::Limit;
        plan.filter = DeviceFilter::V2 {
            dir,
            program: table.program(),
        };
    } else {
        plan.lacks.push(Lack {
            control: ControlId::S8_5_1,
            what: site.absent(host, "devices"),
            lost: "device nodes are guarded by nodev mounts and capabilities only".into(),
        });
        return;
    }
    plan.lines.push(LimitLine {
        control: ControlId::S8_5_1,
        name: "devices".into(),
        text,
    });
}

impl Table {
    /// Later rules win, as in runtime-spec.
    fn apply(&mut self, rule: &DeviceRule) {
        let access = bits(&rule.access);
        let everything = rule.kind == 'a' && rule.major.is_none() && rule.minor.is_none();
        if everything && (access == ALL || (!rule.allow && access == 0)) {
            self.allow_by_default = rule.allow;
            self.exceptions.clear();
            return;
        }
        let kinds: &[char] = match rule.kind {
            'a' => &['c', 'b'],
            'b' => &['b'],
            'c' | 'u' => &['c'],
            _ => &[],
        };
        for kind in kinds {
            let entry = Exception {
                kind: *kind,
                major: rule.major,
                minor: rule.minor,
                access,
            };
            if rule.allow == self.allow_by_default {
                self.take_back(&entry);
            } else {
                self.add(entry);
            }
        }
    }

    fn add(&mut self, entry: Exception) {
        let same = |e: &&mut Exception| {
            (e.kind, e.major, e.minor) == (entry.kind, entry.major, entry.minor)
        };
        match self.exceptions.iter_mut().find(same) {
            Some(known) => known.access |= entry.access,
            None if entry.access != 0 => self.exceptions.push(entry),
            None => {}
        }
    }

    /// A rule that goes back to the default for some devices. An exception that is wider than the rule can't be cut
    /// in two: if it allows, it goes as a whole; if it denies, it stays as a whole.
    fn take_back(&mut self, rule: &Exception) {
        for e in &mut self.exceptions {
            let gone = if self.allow_by_default {
                rule.covers(e)
            } else {
                rule.overlaps(e)
            };
            if gone {
                e.access &= !rule.access;
            }
        }
        self.exceptions.retain(|e| e.access != 0);
    }

    fn v1(&self, dir: usize) -> DeviceFilter {
        let mut lines = vec![("devices.deny".to_string(), "a".to_string())];
        let file = if self.allow_by_default {
            lines.push(("devices.allow".into(), "a".into()));
            "devices.deny"
        } else {
            "devices.allow"
        };
        let entries: Vec<String> = self.exceptions.iter().map(Exception::line).collect();
        lines.extend(entries.iter().map(|e| (file.to_string(), e.clone())));
        let expected = if self.allow_by_default {
            vec!["a *:* rwm".into()]
        } else {
            entries
        };
        DeviceFilter::V1 {
            dir,
            lines,
            expected,
        }
    }

    fn describe(&self) -> String {
        let all: Vec<String> = self
            .exceptions
            .iter()
            .filter(|e| !e.harmless())
            .map(Exception::line)
            .collect();
        let rest = if all.is_empty() {
            "nothing else".to_string()
        } else {
            all.join(", ")
        };
        match self.allow_by_default {
            false => format!("null zero full random urandom, {rest}"),
            true => format!("all, except: {rest}"),
        }
    }
}

impl Exception {
    fn covers(&self, other: &Exception) -> bool {
        let wider = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind == other.kind && wider(self.major, other.major) && wider(self.minor, other.minor)
    }

    fn overlaps(&self, other: &Exception) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }

    fn harmless(&self) -> bool {
        let is = |(a, b): &(u32, u32)| self.major == Some(*a) && self.minor == Some(*b);
        self.kind == 'c' && HARMLESS.iter().any(is)
    }

    /// As the v1 controller writes and prints it.
    fn line(&self) -> String {
        let n = |n: Option<u32>| n.map_or("*".to_string(), |n| n.to_string());
        let mut access = String::new();
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if self.access & bit != 0 {
                access.push(letter);
            }
        }
        format!("{} {}:{} {access}", self.kind, n(self.major), n(self.minor))
    }
}

fn bits(access: &str) -> u8 {
    access.chars().fold(0, |bits, letter| match letter {
        'r' => bits | READ,
        'w' => bits | WRITE,
        'm' => bits | MKNOD,
        _ => bits,
    })
}
