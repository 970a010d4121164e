//! The words between launcher and child, over one SOCK_SEQPACKET pair.
//!
//! ```text
//! launcher                              child
//!    |-- Mounts + descriptors --------->|   as often as needed; the last ones are the doors of v1 cgroups
//!    |-- Go ---------------------------->|   ids mapped, cgroups made; limits follow
//!    |<--- Report::Terminal + descriptor |   with a terminal only: its master
//!    |<------------------- Report::Built |   with hooks only: the mounts stand, the host's root is still there
//!    |-- Pivot ------------------------->|   prestart, createRuntime and createContainer hooks have run
//!    |<--- Report::Listener + descriptor |   with a seccomp listener only
//!    |<------------------- Report::Ready |   locked down; or the step that failed
//!    |   reads /proc/PID, compares       |
//!    |-- Exec -------------------------->|   run: executes; the socket closes by itself
//!    |-- Hold -------------------------->|   create: waits at the gate (a FIFO) until `start`
//!    |<-------------------- Report::Held |
//! ```
//! The launcher's end closing at any point ends the child.

use nix::errno::Errno;

/// Launcher to child.
pub const MOUNTS: u8 = b'M';
/// Everything outside is done.
pub const GO: u8 = b'G';
/// The hooks in front of the pivot have run.
pub const PIVOT: u8 = b'P';
/// Execute.
pub const EXEC: u8 = b'X';
/// Wait at the gate.
pub const HOLD: u8 = b'H';

/// Child to launcher: eight bytes, no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it was doing.
    pub step: Step,
    /// Which of several (a mount, a limit).
    pub index: u16,
    /// What the kernel said; 0 when it went well.
    pub errno: i32,
}

macro_rules! steps {
    ($($name:ident = $text:literal,)*) => {
        /// Where the child is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Step { $(#[doc = $text] $name,)* }

        impl Step {
            const ALL: &'static [Step] = &[$(Step::$name,)*];

            /// What was tried, for the sentence.
            pub fn tried(self) -> &'static str {
                match self { $(Step::$name => $text,)* }
            }
        }
    };
}

steps! {
    Ready = "locked down and waiting",
    Held = "waiting at the gate",
    Enter = "join a namespace (setns)",
    Clocks = "shift the clocks of a new time namespace (unshare, write timens_offsets)",
    CloneAside = "make the child in the joined namespaces (clone3)",
    Network = "make a network namespace (unshare)",
    Receive = "receive the mounts from the launcher (recvmsg)",
    Mark = "become non-dumpable, leave the session, reset signals (prctl, setsid, signal)",
    Cgroup = "enter its cgroup and a cgroup namespace (write, unshare)",
    Join = "join the container's namespaces (setns)",
    JoinRoot = "stand in the container's root: its first process has another one",
    Sysctl = "set a kernel parameter (openat2, write)",
    BecomeRoot = "take id 0 of the new user namespace (setresuid)",
    Mount = "make or attach a mount",
    Built = "standing in front of the pivot",
    Pivot = "make the new root the root (pivot_root)",
    OldRoot = "detach the host's root (umount2)",
    Hostname = "set the host name (sethostname)",
    Loopback = "bring the loopback interface up (SIOCSIFFLAGS)",
    Personality = "set the execution domain (personality)",
    MemoryPolicy = "set the memory policy (set_mempolicy); are its nodes among those of the cpuset?",
    Affinity = "choose its CPUs (sched_setaffinity); are they among those of the host?",
    Classes = "set the scheduling or I/O class (sched_setattr, ioprio_set)",
    Limit = "set a resource limit (setrlimit)",
    Keyring = "take a session keyring of its own (keyctl)",
    Program = "open the program",
    ProgramFd = "put the program at its descriptor (dup3)",
    Cwd = "enter the working directory (fchdir)",
    CwdOutside = "check the working directory: it lies outside the root",
    AppArmor = "ask for the AppArmor profile at exec (write to /proc/thread-self/attr; aa-status says which are loaded)",
    Landlock = "restrict itself with landlock",
    Bounding = "drop a capability from the bounding set (prctl)",
    Securebits = "lock the securebits (prctl)",
    Groups = "set the supplementary groups (setgroups)",
    Gid = "set the group id (setresgid)",
    Uid = "set the user id (setresuid)",
    Capabilities = "set the capability sets (capset)",
    NoNewPrivs = "set no_new_privs (prctl)",
    Mdwe = "deny memory that is writable and executable (prctl PR_SET_MDWE)",
    ParentDeath = "tie itself to the launcher (prctl PR_SET_PDEATHSIG)",
    Stdio = "connect the standard streams (dup2)",
    Close = "close what it no longer needs (close_range)",
    Seccomp = "load the system call filter (seccomp)",
    Listener = "send the listener of its system calls to the launcher (sendmsg)",
    Wait = "wait for the word to start",
    StartHook = "run a startContainer hook",
    Exec = "execute the program (execveat)",
    Terminal = "make a terminal in the container's own devpts (open /dev/pts/ptmx, ioctl)",
    Console = "bind the terminal on /dev/console (open_tree, move_mount)",
}

impl Report {
    /// All went well, up to `step`.
    pub fn at(step: Step) -> Self {
        Self {
            step,
            index: 0,
            errno: 0,
        }
    }

    /// A descriptor for the launcher came with it, and the child goes on.
    pub fn is_gift(self) -> bool {
        matches!(self.step, Step::Terminal | Step::Listener) && self.errno == 0
    }

    /// As sent.
    pub fn bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..2].copy_from_slice(&(self.step as u16).to_le_bytes());
        out[2..4].copy_from_slice(&self.index.to_le_bytes());
        out[4..].copy_from_slice(&self.errno.to_le_bytes());
        out
    }

    /// From what was received.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 8] = bytes.try_into().ok()?;
        let step = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        Some(Self {
            step: *Step::ALL.get(step)?,
            index: u16::from_le_bytes([bytes[2], bytes[3]]),
            errno: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
    }

    /// The kernel's answer.
    pub fn errno(self) -> Errno {
        Errno::from_raw(self.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_wire() {
        for (number, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, number);
            let report = Report {
                step: *step,
                index: 513,
                errno: libc::EPERM,
            };
            assert_eq!(Report::parse(&report.bytes()), Some(report));
        }
        assert_eq!(Report::parse(&[0xff; 8]), None);
        assert_eq!(Report::parse(&[0; 7]), None);
    }
}
