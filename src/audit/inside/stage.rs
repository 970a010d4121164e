//! One container after the other with the tester in it, until every attack has its answer.
//!
//! An attack that ends the tester is answered by how it ended; the rest is tried by a fresh one.

use crate::audit::probes::{Field, Probe};
use crate::audit::tester;
use crate::cgroup::Cgroup;
use crate::container::{self, ContainerError, Context, Store};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::sandbox::Running;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// How long nothing may be heard before the tester counts as hung, in milliseconds.
const PATIENCE: u16 = 60_000;

/// What each attack was answered, by its id.
pub(super) type Answers = BTreeMap<&'static str, String>;

/// What a container is looked at with before its tester tries anything.
pub(super) type Look<'a> = &'a mut dyn FnMut(&Running, &Cgroup);

/// Where audited containers are made.
#[derive(Clone, Copy)]
pub(super) struct Stage<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) store: &'a Store,
    pub(super) field: &'a Field,
}

impl Stage<'_> {
    /// Tries all of them under this plan.
    pub(super) fn play(
        &self,
        plan: &Plan,
        probes: &[&'static Probe],
        look: Look<'_>,
    ) -> Result<Answers, ContainerError> {
        let mut answers = Answers::new();
        loop {
            let left = || probes.iter().filter(|p| !answers.contains_key(p.id));
            let left: Vec<&Probe> = left().copied().collect();
            let Some(first) = left.first() else {
                return Ok(answers);
            };
            let before = answers.len();
            self.once(plan, &left, &mut answers, look)?;
            if answers.len() == before {
                answers.insert(first.id, "no answer".into());
            }
        }
    }

    fn once(
        &self,
        plan: &Plan,
        left: &[&'static Probe],
        answers: &mut Answers,
        look: Look<'_>,
    ) -> Result<(), ContainerError> {
        let ((theirs, input), (output, into)) = (pipe()?, pipe()?);
        let null = File::options().write(true).open("/dev/null");
        let streams = [Some(theirs), Some(into), null.ok().map(OwnedFd::from)];
        let script = self.script(left);
        container::attended(
            plan,
            self.context,
            self.store,
            streams,
            |running, cgroup| {
                let mut talk = Talk::new(left, answers, File::from(output));
                let mut input = File::from(input);
                if talk.listen(running) == Heard::Last {
                    // Before it has tried anything: what works leaves traces.
                    look(running, cgroup);
                    let _ = input.write_all(script.as_bytes());
                }
                if talk.listen(running) == Heard::Last {
                    talk.judge_load(cgroup);
                } else if let Some(current) = talk.unanswered() {
                    let ended = container::ended(running);
                    let answer = ended.map_or_else(|e| e.to_string(), |o| ending(o, cgroup));
                    talk.answers.insert(current, answer);
                }
            },
        )
    }

    fn script(&self, left: &[&Probe]) -> String {
        let facts = self.field.facts.iter();
        let facts = facts.map(|(name, value)| format!("fact {name} {value}\n"));
        let tries = left.iter().map(|p| format!("try {}\n", p.id));
        facts.chain(tries).chain(["go\n".to_string()]).collect()
    }
}

/// For a conversation with a tester.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), ContainerError> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|why| ContainerError::Store {
        tried: "make a pipe (pipe2) for",
        path: "the tester".into(),
        why: why.into(),
    })
}

/// How an attack ended its process. A kill counts as the limit's only if the kernel says so.
fn ending(outcome: Outcome, cgroup: &Cgroup) -> String {
    match outcome {
        Outcome::Signaled(libc::SIGKILL) if cgroup.stats_oom().is_none_or(|n| n == 0) => {
            "SIGKILL, not by the limit".into()
        }
        Outcome::Signaled(signal) => {
            Signal::try_from(signal).map_or_else(|_| signal.to_string(), |s| s.as_str().into())
        }
        Outcome::Exited(i) if i32::from(i) == tester::ALTERED => "OK".into(),
        Outcome::Exited(code) => format!("it ended with {code}"),
    }
}

#[derive(PartialEq, Eq)]
enum Heard {
    /// The tester waits: to be told what to try, or with all of it tried.
    Last,
    /// It has gone, or is hung.
    Gone,
}

/// What has been heard so far.
struct Talk<'a> {
    wanted: &'a [&'static Probe],
    answers: &'a mut Answers,
    current: Option<&'static str>,
    from: File,
    rest: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn new(wanted: &'a [&'static Probe], answers: &'a mut Answers, from: File) -> Self {
        let _ = fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        Self {
            wanted,
            answers,
            current: None,
            from,
            rest: Vec::new(),
        }
    }

    fn listen(&mut self, running: &Running) -> Heard {
        loop {
            let mut fds = [
                PollFd::new(self.from.as_fd(), PollFlags::POLLIN),
                PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN),
            ];
            let heard = poll(&mut fds, PollTimeout::from(PATIENCE));
            if heard == Ok(0) {
                return Heard::Gone;
            }
            let gone = fds[1].revents().is_some_and(|r| !r.is_empty());
            if self.hear() {
                return Heard::Last;
            }
            if gone {
                return Heard::Gone;
            }
        }
    }

    /// Whatever has come; whether the last word was among it.
    fn hear(&mut self) -> bool {
        let mut buffer = [0u8; 4096];
        while let Ok(n @ 1..) = self.from.read(&mut buffer) {
            self.rest.extend_from_slice(&buffer[..n]);
        }
        let mut end = false;
        while let Some(at) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=at).collect();
            end |= self.line(String::from_utf8_lossy(&line).trim_end());
        }
        end
    }

    fn line(&mut self, line: &str) -> bool {
        if let Some(id) = line.strip_prefix("? ") {
            self.current = self.wanted.iter().map(|p| p.id).find(|p| *p == id);
        } else if let (Some(answer), Some(id)) = (line.strip_prefix("= "), self.current) {
            // Bounded: what stands here comes from inside.
            let answer = answer.chars().take(64).collect();
            self.answers.entry(id).or_insert(answer);
        }
        line == "ready" || line == "end"
    }

    fn unanswered(&self) -> Option<&'static str> {
        self.current.filter(|id| !self.answers.contains_key(id))
    }

    /// The quota is what holds this bomb, whatever the load of the machine: did it?
    fn judge_load(&mut self, cgroup: &Cgroup) {
        if let Some(answer) = self.answers.get_mut("bomb/cpu")
            && answer == "OK"
        {
            let cpu = &cgroup.stats()["cpu"]["throttling"]["throttledPeriods"];
            if cpu.as_u64().is_some_and(|n| n > 0) {
                *answer = "throttled".into();
            }
        }
    }
}
