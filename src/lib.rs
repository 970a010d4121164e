//! cofferdam: a hardened container launcher.
//!
//! A **Request** (a command line or an OCI config.json) names a **Bundle**. **Policy** says whether it *may* run,
//! **Plan** says *what exactly* will be done on this **Host**, the **Sandbox** *does* it, **Verify** checks from
//! outside that it *was done*, and the **Outcome** says what became of it. Everything up to Plan is plain data without
//! side effects and can be printed. Everything after Plan takes no decisions.
//!
//! ```text
//! argv / config.json ──▶ request ──▶ bundle ─┐            reads files, checks shape
//! site policy + exceptions.d ──▶ site ───────┤            reads files, unknown keys are errors
//! kernel facts ──▶ host ─────────────────────┤            a value that tests can make up
//!   policy::decide ─▶ Granted(Grant) | Refused(all violations)                  PURE
//!   survey::take   ─▶ Survey: what the root and the sources look like           reads, decides nothing
//!   plan::plan     ─▶ Plan: Display + JSON, each line with its controls         PURE
//!   sandbox::prepare ─▶ Prepared: every allocation and every failure of ours
//!   sandbox::launch  ─▶ Created: one clone3; set up, sealed, waiting in front of execve
//!   verify::observe  ─▶ Verification: any difference, and it is killed
//!   Created::start   ─▶ Running, or hold: waits for the OCI `start`
//!   container        ─▶ the lifecycle on disk; outcome: the exit code
//! ```
//!
//! # Where things are
//! Arrows point down only: `main` > [`cli`], [`report`] > [`container`] > [`ports`], [`verify`] > [`sandbox`] > [`plan`] >
//! [`survey`] > [`policy`] > [`bundle`], [`host`], [`request`], [`site`], [`controls`] > [`paths`], [`sys`].
//! [`monitor`] is what stands beside a container while it runs, only where the plan asks for it: a process that starts
//! jailed [`worker`]s again when they die. [`logs`] holds the spool that output goes to, and what reads it.
//! [`events`] is what launcher, monitor and workers tell: everybody may send, nobody waits. Its watcher answers the calls
//! that a watched filter refuses, with the errno that the unwatched one gives.
//! [`cgroup`] and [`seccomp`] stand beside: the first carries out its part of the plan (over [`dbus`] where systemd
//! makes the cgroups), the second is pure and shared with the build script. [`sys`] alone has unsafe code, one system call a function.
//!
//! [`audit`] stands at the top, above [`container`]: it looks at what runs, whoever started it, and changes nothing;
//! `audit::inside` launches containers of its own, whose program is `audit::tester` and tries what `audit::probes` lists.
//! `audit::observe` reads running containers from outside, `audit::host` the machine, `audit::config` asks
//! `policy::decide` about a request that does not run; `audit::formats` prints the one model in every form.
//!
//! # Where a new control goes
//! Its id in [`controls`], its ceiling in `policy/ceilings.rs`, its rule in `policy/rules`, its struct in [`plan`],
//! its deed in [`sandbox`] (a line of `child.rs`'s recipe), its read-back in [`verify`], its attack in [`audit::probes`].
//!
//! # Decisions that are not obvious
//! - The mounts that need the host's rights (id-mapped trees, device nodes, `noswap`) are made by the launcher as
//!   detached trees and sent to the child as descriptors; the child attaches them. So a user namespace costs no right.
//! - Nothing is created inside an image: missing mount points come from a read-only overlay on top of it.
//! - A seccomp profile with several actions becomes *one* program, a search tree whose plainly allowed calls read no
//!   argument: the kernel finds them constant when it loads the program, which takes a sixth of the time that the
//!   same rules take as a linear list.
//! - Namespaces are joined by a process aside (`sandbox/aside.rs`), which makes the child in them and ends: nobody
//!   comes back from a user namespace, and what the launcher joined would be shown to all that it starts later.
//! - The janitor (`container/janitor.rs`) is told what is to be made before it is made; the kernel closing a pipe is what
//!   wakes it, so KILL at any moment leaves nothing. Until then it shares the launcher's memory instead of copying it
//!   (`sys::companion`), and it cleans up as a program of its own.
//! - v1 cgroups are entered by the child itself through descriptors: moving another process waits for the kernel's
//!   thread-group lock, up to 15 ms. They and all limits are made around the child while it makes its network, which
//!   takes as long; a limit that is not in force by the time of verification ends the launch.
#![deny(unsafe_code)]

pub mod audit;
pub mod bundle;
pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod container;
pub mod controls;
pub mod dbus;
pub mod digest;
pub mod events;
pub mod host;
pub mod install;
pub mod logs;
pub mod monitor;
pub mod outcome;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod report;
pub mod request;
pub mod sample;
pub mod sandbox;
pub mod seccomp;
pub mod site;
pub mod survey;
pub mod sys;
pub mod verify;
pub mod worker;
