//! A running service: started by the binary under test, reached in its own network, looked at from outside.

use crate::support::*;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A launch that is put together.
pub struct Launch {
    /// Its folders.
    pub rig: Rig,
    /// The container's name.
    pub name: String,
    root: PathBuf,
    flags: Vec<String>,
    exceptions: Vec<(String, String)>,
}

impl Launch {
    /// Of a service in this root.
    pub fn of(what: &str, root: impl AsRef<Path>) -> Self {
        Self {
            rig: Rig::new(),
            name: unique(what),
            root: root.as_ref().to_path_buf(),
            flags: Vec::new(),
            exceptions: Vec::new(),
        }
    }

    /// With this flag.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_string(), value.to_string()]);
        self
    }

    /// With a file of this content at `target`, read-only.
    pub fn file(self, target: &str, content: &str) -> Self {
        let source = self.rig.path(&unique("file"));
        fs::write(&source, content).unwrap();
        let volume = format!("{}:{target}", text(&source));
        self.flag("--volume", &volume)
    }

    /// With a permission for this launch alone: control, and the TOML of what is granted.
    pub fn excepted(mut self, control: &str, grant: &str) -> Self {
        self.exceptions.push((control.into(), grant.into()));
        self
    }

    /// The exceptions, beside the policy that the rig has.
    fn write_exceptions(&self) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let day = |seconds| cofferdam::clock::rfc3339(seconds, 0)[..10].to_string();
        let (today, tomorrow) = (day(now), day(now + 86_400));
        let mut entries = String::from("version = 1\n");
        for (index, (control, grant)) in self.exceptions.iter().enumerate() {
            entries.push_str(&format!(
                "[[exception]]\nid = \"{0}-{index}\"\ncontrol = \"{control}\"\ngrant = {grant}\n\
                 scope = {{ name = \"{0}\" }}\nreason = \"it can't work without\"\napprover = \"the tests\"\n\
                 reference = \"tests/services\"\napproved = {today}\nexpires = {tomorrow}\n",
                self.name
            ));
        }
        fs::create_dir_all(self.rig.path("exceptions.d")).unwrap();
        fs::write(self.rig.path("exceptions.d/test.toml"), entries).unwrap();
    }

    /// The command line.
    pub fn command(&self, program: &[&str]) -> std::process::Command {
        self.write_exceptions();
        let mut command = self.rig.command();
        command.arg("run").arg("--rootfs").arg(&self.root);
        command.arg("--record").arg(self.rig.path("record.json"));
        command
            .args(&self.flags)
            .arg(&self.name)
            .arg("--")
            .args(program);
        command
    }

    /// Runs it to its end.
    pub fn ended(&self, program: &[&str]) -> Ran {
        finish(self.command(program))
    }

    /// Starts it.
    pub fn start(self, program: &[&str]) -> Service {
        let command = self.command(program);
        let granted = self.exceptions.iter().map(|(c, _)| c.clone()).collect();
        Service::of(self.rig, self.name, command, granted)
    }
}

/// A service that runs.
pub struct Service {
    /// Its folders.
    pub rig: Rig,
    /// The container's name.
    pub name: String,
    /// Its first process, as the host sees it.
    pub pid: i32,
    granted: Vec<String>,
    launcher: Child,
}

impl Service {
    /// Starts a command that launches `name`.
    pub fn of(
        rig: Rig,
        name: String,
        mut command: std::process::Command,
        granted: Vec<String>,
    ) -> Self {
        // Files: nobody has to read them for the service to go on.
        command.stdout(File::create(rig.path("out")).unwrap());
        command.stderr(File::create(rig.path("err")).unwrap());
        let launcher = command.stdin(Stdio::null()).spawn().unwrap();
        let mut service = Self {
            rig,
            name,
            pid: 0,
            granted,
            launcher,
        };
        service.pid = service.until("it runs", |s| {
            let state = s.rig.call(&["state", &s.name]);
            let state: Value = serde_json::from_str(&state.out).ok()?;
            (state["status"] == "running").then(|| state["pid"].as_i64().unwrap() as i32)
        });
        service
    }

    /// What it has printed on both streams.
    pub fn printed(&self) -> String {
        let read = |f| fs::read(self.rig.path(f)).unwrap();
        String::from_utf8_lossy(&[read("out"), read("err")].concat()).into_owned()
    }

    /// Waits until there is an answer; fails when the service ends before.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut answer: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(answer) = answer(self) {
                return answer;
            }
            let ended = self.launcher.try_wait().unwrap();
            let why = format!("{} before {what}:\n{}", self.name, self.printed());
            assert!(ended.is_none(), "{ended:?}: {why}");
            assert!(begin.elapsed() < PATIENCE, "patience ended: {why}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A connection from inside its network namespace, once the port is served.
    #[track_caller]
    pub fn connect(&mut self, port: u16) -> TcpStream {
        self.until(&format!("port {port} is served"), |s| {
            s.try_connect(port).ok()
        })
    }

    /// A thread of its own enters the namespace; the socket stays there, the thread ends.
    pub fn try_connect(&self, port: u16) -> std::io::Result<TcpStream> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid))?;
        let connect = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        std::thread::spawn(connect).join().unwrap()
    }

    /// `GET path`, the whole answer.
    #[track_caller]
    pub fn get(&mut self, port: u16, path: &str) -> String {
        let mut stream = self.connect(port);
        let question = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        // In one piece, and a server may close before it has read it.
        let _ = stream.write_all(question.as_bytes());
        let mut answer = Vec::new();
        // A server that closes with our bytes unread resets the connection after its answer.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The launch record.
    pub fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.rig.path("record.json")).unwrap()).unwrap()
    }

    /// Every process in its cgroup.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut dirs = Vec::new();
        cgroups(Path::new("/sys/fs/cgroup"), &self.name, &mut dirs);
        assert!(!dirs.is_empty(), "no cgroup of {}", self.name);
        let lists = dirs
            .iter()
            .map(|d| fs::read_to_string(d.join("cgroup.procs")).unwrap());
        lists
            .flat_map(|l| l.lines().map(|p| p.parse().unwrap()).collect::<Vec<i32>>())
            .collect()
    }

    /// The attacks that every service must withstand while it serves, with so many processes.
    #[track_caller]
    pub fn assert_contained(&self, port: u16, processes: std::ops::RangeInclusive<usize>) {
        self.assert_recorded();
        let all = self.processes();
        assert!(processes.contains(&all.len()), "{all:?}");
        assert!(all.contains(&self.pid));
        for pid in all {
            self.assert_powerless(pid);
        }
        self.assert_read_only();
        self.assert_mounts();
        self.assert_network(port);
        // Only a program on the host's own root could be one that the host runs too.
        let exe = File::options()
            .write(true)
            .open(format!("/proc/{}/exe", self.pid));
        let errno = errno(exe.map(drop));
        assert!([Errno::EROFS, Errno::ETXTBSY].contains(&errno), "{errno}");
    }

    #[track_caller]
    fn assert_recorded(&self) {
        let record = self.record();
        assert_eq!(record["result"], "verified", "{record:#}");
        assert_eq!(
            record["verification"]["differences"],
            serde_json::json!([]),
            "{record:#}"
        );
        assert!(
            record["verification"]["checked"].as_u64() > Some(40),
            "{record:#}"
        );
        let used = record["exceptions"].as_array().unwrap().iter();
        let used: BTreeSet<String> = used
            .map(|e| e["control"].as_str().unwrap().to_string())
            .collect();
        assert_eq!(used, self.granted.iter().cloned().collect(), "{record:#}");
    }

    #[track_caller]
    fn assert_powerless(&self, pid: i32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {status}"))
                .trim()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}\n{status}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("Seccomp:"), "2");
        // A user of its own on the host too: the default 65532 is shifted into a range of the container.
        let uids: BTreeSet<&str> = field("Uid:").split_whitespace().collect();
        assert_eq!(uids.len(), 1, "{uids:?}");
        assert!(
            uids.first().unwrap().parse::<u32>().unwrap() >= 524_288,
            "{uids:?}"
        );
        assert_eq!(field("Groups:"), "", "{status}");
    }

    /// What the service would meet: the mounts of its view, not the rights of its user.
    #[track_caller]
    fn assert_read_only(&self) {
        let view = PathBuf::from(format!("/proc/{}/root", self.pid));
        let writable = self.writable();
        let tops = fs::read_dir(&view).unwrap().flatten();
        let mut dirs: Vec<String> = tops
            .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
            .map(|e| format!("/{}", e.file_name().to_string_lossy()))
            .filter(|dir| dir != "/proc" && !writable.contains(dir))
            .collect();
        dirs.push("/".into());
        assert!(dirs.contains(&"/dev".to_string()), "{dirs:?}");
        for dir in dirs {
            let path = view.join(dir.trim_start_matches('/')).join(&self.name);
            let made = File::create_new(&path);
            if made.is_ok() {
                let _ = fs::remove_file(&path);
            }
            assert_eq!(errno(made.map(drop)), Errno::EROFS, "{}", path.display());
        }
    }

    /// Mount points that take writes.
    fn writable(&self) -> Vec<String> {
        self.mounts()
            .into_iter()
            .filter(|(_, options)| options.iter().any(|o| o == "rw"))
            .map(|(target, _)| target)
            .collect()
    }

    fn mounts(&self) -> Vec<(String, Vec<String>)> {
        let text = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid)).unwrap();
        let words = text.lines().map(|l| l.split(' ').collect::<Vec<_>>());
        words
            .map(|w| {
                (
                    w[4].to_string(),
                    w[5].split(',').map(str::to_string).collect(),
                )
            })
            .collect()
    }

    #[track_caller]
    fn assert_mounts(&self) {
        for (target, options) in self.mounts() {
            let has = |o: &str| options.iter().any(|x| x == o);
            assert!(has("nosuid"), "{target} {options:?}");
            assert!(has("nodev") || target == "/dev", "{target} {options:?}");
            assert!(has("ro") || has("noexec"), "{target} {options:?}");
        }
    }

    /// Loopback and nothing else, and nothing listens but on the declared port.
    #[track_caller]
    fn assert_network(&self, port: u16) {
        let read = |f: &str| fs::read_to_string(format!("/proc/{}/net/{f}", self.pid)).unwrap();
        let devices: Vec<String> = read("dev")
            .lines()
            .skip(2)
            .map(|l| l.split(':').next().unwrap().trim().to_string())
            .collect();
        assert_eq!(devices, ["lo"]);
        let listening: BTreeSet<u16> = (read("tcp") + &read("tcp6"))
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>())
            .filter(|w| w.get(3) == Some(&"0A"))
            .map(|w| u16::from_str_radix(w[1].rsplit(':').next().unwrap(), 16).unwrap())
            .collect();
        assert_eq!(listening, BTreeSet::from([port]));
    }

    /// Signals the launcher, waits for the end, and looks for what is left; the exit code.
    #[track_caller]
    pub fn stop(mut self, signal: Signal) -> (i32, String) {
        kill(Pid::from_raw(self.launcher.id() as i32), signal).unwrap();
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.launcher.try_wait().unwrap() {
                break status;
            }
            let why = format!("{} goes on after {signal}:\n{}", self.name, self.printed());
            assert!(begin.elapsed() < PATIENCE, "{why}");
            std::thread::sleep(Duration::from_millis(10));
        };
        self.rig.assert_clean(&self.name);
        (
            status.code().expect("the launcher itself is not killed"),
            self.printed(),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

fn errno(result: std::io::Result<()>) -> Errno {
    result.map_or_else(
        |e| Errno::from_raw(e.raw_os_error().unwrap_or(0)),
        |()| Errno::UnknownErrno,
    )
}

fn cgroups(dir: &Path, name: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if entry.file_name().to_string_lossy().contains(name) {
                out.push(entry.path());
            }
            cgroups(&entry.path(), name, out);
        }
    }
}
