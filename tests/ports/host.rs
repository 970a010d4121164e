//! A host of a test's own, and containers on it that are waited for.

use crate::support::{Rig, unique};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long something that has to happen may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Puts this thread, and all that it starts, into a network namespace with nothing but `lo`.
pub fn alone() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    cofferdam::sys::fs::loopback_up().unwrap();
}

/// Waits until something is so.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A container in the background; dropping it ends it.
pub struct Running {
    /// Its name.
    pub name: String,
    /// The launcher.
    pub child: Child,
    lines: Receiver<String>,
    /// What it has said so far, both streams.
    pub said: Vec<String>,
}

impl Running {
    /// `run FLAGS NAME -- /payload ARGS`, until the payload says "ready".
    pub fn start(rig: &Rig, flags: &[&str], args: &[&str]) -> Self {
        let name = unique("p");
        let command = rig.run_command(&name, flags, args);
        Self::named(name, command).ready("ready")
    }

    /// Any command.
    pub fn named(name: String, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, lines) = channel();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let to = to.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if to.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self {
            name,
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for a line that has this in it.
    #[track_caller]
    pub fn ready(mut self, word: &str) -> Self {
        self.wait_for(word);
        self
    }

    /// Waits for a line that has this in it; the line.
    #[track_caller]
    pub fn wait_for(&mut self, word: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(word) {
                        return line;
                    }
                }
                Err(why) => panic!("never said {word:?} ({why}): {:#?}", self.said),
            }
        }
    }

    /// Waits for a line that has this in it, if it was not said before.
    #[track_caller]
    pub fn wait_until_said(&mut self, word: &str) {
        if !self.said.iter().any(|line| line.contains(word)) {
            self.wait_for(word);
        }
    }

    /// What it has said by now, if that is a line with this in it.
    pub fn heard(&mut self, word: &str) -> Option<String> {
        while let Ok(line) = self.lines.try_recv() {
            self.said.push(line.clone());
            if line.contains(word) {
                return Some(line);
            }
        }
        None
    }

    /// Writes a line to its standard input, which must be a pipe.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// All that it says until it ends by itself, and its exit code.
    pub fn finish(mut self) -> (i32, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push(line);
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, std::mem::take(&mut self.said))
    }

    /// Processes of ours whose command line has the container's name: (pid, name).
    pub fn processes(&self, called: &str) -> Vec<i32> {
        let all = crate::support::processes_with(&[&self.name]);
        let is = |pid: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == called
        };
        all.into_iter().filter(is).collect()
    }

    /// Forwarders (which have a filter), or keepers (which have none).
    pub fn forwarders(&self) -> Vec<i32> {
        let jailed = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains("Seccomp:\t2")
        };
        self.processes("cofferdam-ports")
            .into_iter()
            .filter(jailed)
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
        // What kept its ports ends a moment later.
        let own = format!("\0{}\0--", self.name);
        until("all of it gone", || {
            crate::support::processes_with(&[&own])
                .is_empty()
                .then_some(())
        });
    }
}

/// Connects; a port that is published accepts at once.
#[track_caller]
pub fn connect(at: &str) -> TcpStream {
    let at: SocketAddr = at.parse().unwrap();
    let stream = TcpStream::connect_timeout(&at, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends, ends sending, and reads to the end.
#[track_caller]
pub fn ask(at: &str, text: &str) -> String {
    let mut stream = connect(at);
    stream.write_all(text.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends a line and reads one.
#[track_caller]
pub fn line(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

/// Whether a connection is reset before anything comes back.
#[track_caller]
pub fn is_reset(at: &str) -> bool {
    let at: SocketAddr = at.parse().unwrap();
    let mut stream = match TcpStream::connect_timeout(&at, PATIENCE) {
        Ok(stream) => stream,
        Err(why) => {
            use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
            return matches!(why.kind(), ConnectionRefused | ConnectionReset);
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    if stream.write_all(b"who\n").is_err() {
        return true;
    }
    match stream.read(&mut [0; 64]) {
        Err(why) => why.kind() == std::io::ErrorKind::ConnectionReset,
        Ok(count) => count == usize::MAX,
    }
}
