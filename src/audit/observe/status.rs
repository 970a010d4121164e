//! /proc/PID/status (proc_pid_status(5)): the lines that say what a thread may do. A parser, nothing else.

/// One thread's, or a process's first thread's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The name that it gave itself.
    pub name: String,
    /// "R", "S", "Z" …
    pub state: char,
    /// Its process.
    pub tgid: i32,
    /// The process that waits for it.
    pub ppid: i32,
    /// Who traces it; 0: nobody.
    pub tracer: i32,
    /// Real, effective, saved and file-system user id, as the reader's user namespace counts.
    pub uids: Vec<u32>,
    /// The same of groups.
    pub gids: Vec<u32>,
    /// Its ids, outermost pid namespace first.
    pub ns_pids: Vec<i32>,
    /// Inheritable, permitted, effective, bounding, ambient.
    pub capabilities: Option<[u64; 5]>,
    /// no_new_privs.
    pub no_new_privs: Option<bool>,
    /// Seccomp mode: 0, 1, 2.
    pub seccomp: Option<u8>,
    /// How many filters.
    pub filters: Option<u32>,
    /// Whether it has an address space: kernel threads and zombies have none.
    pub has_memory: bool,
}

/// The names of the capability sets in /proc/PID/status, in the order of [`Status::capabilities`].
pub const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

impl Status {
    /// Lines that make no sense are left out.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        let mut sets = [None; 5];
        for (key, value) in text.lines().filter_map(|l| l.split_once(':')) {
            let value = value.trim();
            match key {
                "Name" => out.name = value.into(),
                "State" => out.state = value.chars().next().unwrap_or('?'),
                "Tgid" => out.tgid = value.parse().unwrap_or(0),
                "PPid" => out.ppid = value.parse().unwrap_or(0),
                "TracerPid" => out.tracer = value.parse().unwrap_or(0),
                "Uid" => out.uids = numbers(value),
                "Gid" => out.gids = numbers(value),
                "NSpid" => out.ns_pids = numbers(value),
                "NoNewPrivs" => out.no_new_privs = Some(value == "1"),
                "Seccomp" => out.seccomp = value.parse().ok(),
                "Seccomp_filters" => out.filters = value.parse().ok(),
                "VmSize" => out.has_memory = true,
                _ => {
                    if let Some(at) = SETS.iter().position(|s| *s == key) {
                        sets[at] = u64::from_str_radix(value, 16).ok();
                    }
                }
            }
        }
        if let [Some(a), Some(b), Some(c), Some(d), Some(e)] = sets {
            out.capabilities = Some([a, b, c, d, e]);
        }
        out
    }

    /// Whether it has ended and waits to be collected.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let status = Status::parse(
            "Name:\tsh\nState:\tS (sleeping)\nTgid:\t7\nPPid:\t1\nUid:\t1\t2\t3\t4\nNSpid:\t7\t1\nVmSize:\t1 kB\n\
             CapInh:\t0\nCapPrm:\t1\nCapEff:\t2\nCapBnd:\t000001ffffffffff\nCapAmb:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n",
        );
        assert_eq!((status.tgid, status.ppid, status.state), (7, 1, 'S'));
        assert_eq!(status.uids, [1, 2, 3, 4]);
        assert_eq!(status.ns_pids, [7, 1]);
        assert_eq!(status.capabilities, Some([0, 1, 2, 0x1ff_ffff_ffff, 0]));
        assert_eq!(status.no_new_privs, Some(true));
        assert_eq!((status.seccomp, status.filters), (Some(2), None));
        assert!(status.has_memory && !status.is_zombie());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = Status::parse(&text);
        }
    }
}
