//! The contestants, one run of each, and the table.

use crate::docker::{self, Docker};
use crate::lab::{self, Lab, until};
use crate::meter::{Meter, Used};
use crate::python::{self, Python};
use crate::receivers::{Rsyslog, Running};
use crate::speaker::LINE;
use cofferdam::policy::{Protocol, Target, Transport};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run has shown.
pub struct Run {
    bytes: f64,
    lines: u64,
    took: Duration,
    writing: Duration,
    used: Used,
    lost: u64,
    twice: u64,
    disordered: u64,
}

impl Run {
    /// Of a logger that keeps nothing.
    fn unlogged(lines: u64, took: Duration, used: Used) -> Self {
        Self {
            bytes: (lines * LINE as u64) as f64,
            lines,
            took,
            writing: Duration::ZERO,
            used,
            lost: 0,
            twice: 0,
            disordered: 0,
        }
    }
}

/// The receivers, a root with the service, and this program under the service's name.
pub struct Bench {
    lab: Lab,
    rsyslog: Rsyslog,
    otlp: Option<Python>,
    docker: Option<Docker>,
    running: Vec<Running>,
}

impl Bench {
    pub fn new() -> Self {
        let lab = Lab::new();
        let rsyslog = Rsyslog::new(&lab);
        let mut running = vec![rsyslog.start()];
        let otlp = python::missing().is_none().then(|| Python::otlp(&lab, &[]));
        running.extend(otlp.iter().map(Python::start));
        for folder in ["root/proc", "root/dev"] {
            fs::create_dir_all(lab.path(folder)).expect("a root");
        }
        let me = std::env::current_exe().expect("this program");
        fs::copy(me, lab.path("root/service")).expect("the service");
        // Its receiver has a network and a folder of its own.
        let docker = docker::missing().is_none().then(|| Docker::new(&lab));
        Self {
            lab,
            rsyslog,
            otlp,
            docker,
            running,
        }
    }

    pub fn one(&self, name: &str, mode: &str, lines: u64) -> Result<Run, String> {
        let out = self.lab.path("out");
        let _ = fs::remove_file(&out);
        let began = Instant::now();
        let (used, stored) = match name {
            "cat" => (self.cat(mode, lines, &out), out),
            "conmon" => (self.conmon(mode, lines, &out)?, out),
            "dnone" | "djson" | "dsyslog" => {
                let docker = self.docker.as_ref();
                let docker = docker.ok_or_else(|| docker::missing().unwrap_or_default())?;
                match docker.one(name, mode, lines)? {
                    (used, Some(stored)) => (used, stored),
                    (used, None) => return Ok(Run::unlogged(lines, began.elapsed(), used)),
                }
            }
            _ => self.ours(name, mode, lines)?,
        };
        let took = began.elapsed();
        let text = fs::read(&stored).map_err(|e| format!("{}: {e}", stored.display()))?;
        let text = if name == "conmon" {
            joined(&text)
        } else {
            text
        };
        let mut run = counted(&text, lines);
        (run.took, run.used) = (took, used);
        // Receivers append: the next run begins with nothing.
        let file = fs::OpenOptions::new().write(true).open(&stored);
        let _ = file.and_then(|f| f.set_len(0));
        Ok(run)
    }

    fn service(&self, mode: &str, lines: u64) -> Command {
        let mut command = Command::new(self.lab.path("root/service"));
        command.args(["speak", mode, &lines.to_string()]);
        command
    }

    fn cat(&self, mode: &str, lines: u64, out: &Path) -> Used {
        let mut service = self.service(mode, lines);
        let mut service = service.stdout(Stdio::piped()).spawn().expect("the service");
        let mut cat = Command::new("cat")
            .stdin(service.stdout.take().expect("its pipe"))
            .stdout(fs::File::create(out).expect("a file"))
            .spawn()
            .expect("cat");
        let meter = Meter::start(cat.id(), true);
        let _ = (service.wait(), wait_until_last_look(&mut cat));
        meter.end()
    }

    /// conmon with a runtime that only starts the service.
    fn conmon(&self, mode: &str, lines: u64, out: &Path) -> Result<Used, String> {
        if !there("conmon") {
            return Err("not installed (apt-get install conmon)".into());
        }
        let (runtime, pid) = (self.lab.path("runtime"), self.lab.path("conmon.pid"));
        let service = self.lab.path("root/service");
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = --pid-file ] && f=$2; shift; done\n\
             {} speak {mode} {lines} &\nprintf %s $! > \"$f\"\n",
            service.display()
        );
        fs::write(&runtime, script).expect("a script");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&runtime, mode).expect("chmod");
        let _ = fs::remove_file(&pid);
        let mut conmon = Command::new("conmon");
        conmon.args(["--cid", "bench", "--cuuid", "bench", "--name", "bench"]);
        conmon.arg("--runtime").arg(&runtime);
        conmon.arg("--bundle").arg(self.lab.path("root"));
        conmon.arg("--socket-dir-path").arg(self.lab.path("root"));
        conmon
            .arg("--container-pidfile")
            .arg(self.lab.path("container.pid"));
        conmon.arg("--conmon-pidfile").arg(&pid);
        conmon
            .arg("--log-path")
            .arg(format!("k8s-file:{}", out.display()));
        let started = conmon.stdin(Stdio::null()).output();
        let started = started.map_err(|e| e.to_string())?;
        let number = fs::read_to_string(&pid).unwrap_or_default();
        let Ok(number) = number.trim().parse() else {
            return Err(String::from_utf8_lossy(&started.stderr).into_owned());
        };
        let meter = Meter::start(number, true);
        until("conmon's end", || !is_running(number));
        Ok(meter.end())
    }

    /// The launcher with a spool, and a collector if one is named; and where the lines are in the end.
    fn ours(&self, name: &str, mode: &str, lines: u64) -> Result<(Used, PathBuf), String> {
        let target = match name {
            "tls" => vec![self.target(name, Protocol::Syslog, Transport::Tls, lab::TLS)],
            "relp" => vec![self.target(name, Protocol::Relp, Transport::Tcp, lab::RELP)],
            "otlp" if self.otlp.is_none() => return Err(python::missing().unwrap_or_default()),
            "otlp" => vec![self.target(name, Protocol::Otlp, Transport::Tcp, lab::OTLP)],
            _ => Vec::new(),
        };
        let spool = self.lab.path("spools");
        let _ = fs::remove_dir_all(&spool);
        let policy = serde_json::json!({ "version": 1, "logs": {
            "spool": spool, "quota": "8GiB", "copy": "none", "target": target
        }});
        let path = self.lab.path("policy.toml");
        let text = toml::to_string(&policy).map_err(|e| e.to_string())?;
        fs::write(&path, text).expect("a policy");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.arg("--root").arg(self.lab.path("state"));
        command.arg("--policy").arg(path).args(["run", "--rootfs"]);
        command.arg(self.lab.path("root"));
        command.args(["bench", "--", "/service", "speak", mode, &lines.to_string()]);
        let mut run = command.stdin(Stdio::null()).spawn().expect("the launcher");
        let mut monitor = None;
        until("the monitor", || {
            monitor = child_named(run.id(), "cofferdam-mon");
            monitor.is_some() || !is_running(run.id())
        });
        let meter = Meter::start(monitor.unwrap_or(0), true);
        let status = run.wait().expect("wait");
        // It goes on until everything is shipped, or for half a minute.
        let works = |pid| child_named(pid, "cofferdam-").is_some();
        until("the workers' end", || !monitor.is_some_and(works));
        let used = meter.end();
        if !status.success() {
            return Err(format!("run ended with {status}"));
        }
        let stored = match name {
            "spool" => self.unpacked(&spool.join("bench")),
            "otlp" => self.lab.path("otlp.out"),
            kind => self.rsyslog.file(kind),
        };
        Ok((used, stored))
    }

    fn target(&self, name: &str, protocol: Protocol, transport: Transport, port: u16) -> Target {
        self.lab.target(name, protocol, transport, port)
    }

    /// The lines of a spool, in a file.
    fn unpacked(&self, spool: &Path) -> PathBuf {
        use cofferdam::logs::spool::{Position, Reader};
        let mut reader = Reader::open(lab::open(spool), Position::default());
        let mut all = Vec::new();
        while let Ok(Some(frame)) = reader.read() {
            for record in frame.records() {
                all.extend_from_slice(record.bytes);
                all.push(b'\n');
            }
        }
        let path = self.lab.path("out");
        fs::write(&path, all).expect("a file");
        path
    }
}

/// conmon cuts lines at 8 KiB: `TIME STREAM P` is a piece, `F` the last.
fn joined(text: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let mut words = line.splitn(4, |b| *b == b' ').skip(2);
        let is_piece = words.next() == Some(b"P");
        all.extend_from_slice(words.next().unwrap_or_default());
        if !is_piece {
            all.push(b'\n');
        }
    }
    all
}

fn child_named(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let mut children = children.split_whitespace().filter_map(|c| c.parse().ok());
    children.find(|pid: &u32| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
        comm.is_ok_and(|comm| comm.starts_with(name))
    })
}

/// Waits for a child without collecting it first, so that the last look sees all of its time.
fn wait_until_last_look(child: &mut std::process::Child) {
    until("the logger's end", || !is_running(child.id()));
    let _ = child.wait();
}

fn is_running(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = text
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

pub fn there(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin"]);
    folders.any(|dir| Path::new(dir).join(program).exists())
}

/// Whatever wrote the lines around them: `#` and ten digits are a line.
fn counted(text: &[u8], lines: u64) -> Run {
    let mut seen = vec![false; usize::try_from(lines).expect("a number") + 1];
    let (mut last, mut twice, mut disordered) = (0, 0, 0);
    for (at, _) in text.iter().enumerate().filter(|(_, b)| **b == b'#') {
        let digits = text.get(at + 1..at + 11).unwrap_or_default();
        let number = std::str::from_utf8(digits).unwrap_or_default().parse();
        let Some(place) = number.ok().and_then(|n: usize| Some((n, seen.get_mut(n)?))) else {
            continue;
        };
        if std::mem::replace(place.1, true) {
            twice += 1;
        } else if place.0 < last {
            disordered += 1;
        }
        last = last.max(place.0);
    }
    let told = |word: &[u8]| {
        let at = text.windows(word.len()).rposition(|w| w == word);
        let rest = at.map_or(&[][..], |at| &text[at + word.len()..]);
        let digits: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(u8::is_ascii_digit)
            .collect();
        let number = String::from_utf8_lossy(&digits).parse().unwrap_or(0);
        Duration::from_micros(number)
    };
    Run {
        bytes: (lines * LINE as u64) as f64,
        lines,
        took: Duration::ZERO,
        writing: told(b" writing "),
        used: Used::default(),
        lost: seen[1..].iter().filter(|s| !**s).count() as u64,
        twice,
        disordered,
    }
}

/// Medians, and `logs/MODE/NAME_to_cat RATIO` of CPU.
pub fn report(mode: &str, all: &mut [(&str, Vec<Run>)]) {
    println!(
        "{mode:<8}{:>10}{:>7}{:>11}{:>9}{:>12}{:>10}{:>9}{:>7}{:>7}{:>7}",
        "CPU-s/GB",
        "x cat",
        "lines/s",
        "s",
        "in write s",
        "peak KiB",
        "anon KiB",
        "lost",
        "twice",
        "order"
    );
    let mut base = None;
    for (name, runs) in all.iter_mut() {
        runs.sort_by(|a, b| a.used.cpu.total_cmp(&b.used.cpu));
        let Some(run) = runs.get(runs.len() / 2) else {
            continue;
        };
        let cost = run.used.cpu / run.bytes * 1e9;
        let ratio = cost / *base.get_or_insert(cost);
        let sum = |f: fn(&Run) -> u64| runs.iter().map(f).sum::<u64>();
        println!(
            "{name:<8}{cost:>10.2}{ratio:>7.2}{:>11.0}{:>9.2}{:>12.2}{:>10}{:>9}{:>7}{:>7}{:>7}",
            run.lines as f64 / run.took.as_secs_f64(),
            run.took.as_secs_f64(),
            run.writing.as_secs_f64(),
            runs.iter().map(|r| r.used.resident_kib).max().unwrap_or(0),
            runs.iter().map(|r| r.used.anonymous_kib).max().unwrap_or(0),
            sum(|r| r.lost),
            sum(|r| r.twice),
            sum(|r| r.disordered)
        );
        println!("logs/{mode}/{name}_to_cat {ratio:.3}");
    }
}
