//! A host of its own: mount, pid, network and cgroup namespaces with empty /run, /var/lib and /var/tmp, and an /etc
//! that can be written without the real one changing.
//!
//! Its first process is the test binary as a reaper. It dies with the test; with it dies everything inside, and the
//! mounts go with the last of them. Only the cgroup subtree that it lived in is left to be removed.

use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long one call of a client may take.
const CALL: &str = "100";

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/// The Debian package of a program, for whoever lacks it.
const PACKAGES: [(&str, &str); 10] = [
    ("dockerd", "docker.io"),
    ("containerd", "containerd"),
    ("podman", "podman conmon"),
    ("buildah", "buildah"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("busybox", "busybox-static"),
    (
        "protoc",
        "protobuf-compiler python3-grpcio python3-protobuf",
    ),
    ("rsyslogd", "rsyslog rsyslog-relp"),
    ("cni/bridge", "containernetworking-plugins"),
];

/// Why a program can't be used, if it can't.
pub fn absent(program: &str) -> Option<String> {
    let there = PATH
        .split(':')
        .chain(["/usr/lib"])
        .any(|p| Path::new(p).join(program).exists());
    let package = PACKAGES.iter().find(|(name, _)| *name == program);
    let package = package.map_or(program, |(_, package)| package);
    (!there).then(|| format!("no {program}; apt-get install {package}"))
}

/// The first process of a host: collects whatever is handed to it, for ever.
pub fn reap(verb: &str, _: &[String]) -> Option<i32> {
    if verb != "reap" {
        return None;
    }
    loop {
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
        match waitpid(None, Some(WaitPidFlag::empty())) {
            Ok(WaitStatus::StillAlive) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(_) => {}
        }
    }
}

/// Run by sh in the new namespaces; then it becomes the reaper.
const SETUP: &str = r#"
set -e
read -r pid rest < /proc/self/stat        # of the outer pid namespace: /proc is still that one's
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t overlay -o "lowerdir=/etc,upperdir=$H/etc,workdir=$H/work" overlay /etc
mount --bind "$H/lib" /var/lib
mount --bind "$H/tmp" /var/tmp
mount -t tmpfs -o mode=755 tmpfs /var/log
if [ -d /opt ]; then mount -t tmpfs -o mode=755 tmpfs /opt; fi     # containerd makes a folder there
umount -R /sys/fs/cgroup
if [ -n "$V1" ]; then
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for c in $V1; do
        mkdir /sys/fs/cgroup/${c#name=}
        case $c in name=*) o=none,$c;; *) o=$c;; esac
        mount -t cgroup -o $o cgroup /sys/fs/cgroup/${c#name=}
    done
    if [ -n "$V2" ]; then mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; fi
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir /sys/fs/cgroup/init
    echo $$ > /sys/fs/cgroup/init/cgroup.procs
    for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c > /sys/fs/cgroup/cgroup.subtree_control; done
fi
ip link set lo up
echo $pid > "$H/ready"
exec "$H/payload" reap
"#;

/// Goes into the host's cgroups, so that what it starts is where the host's own services are.
const ENTER: &str = r#"
for g in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/init/cgroup.procs; do
    [ -e $g ] && case $g in */init/*) echo $$ > $g;; *) [ -e /sys/fs/cgroup/cgroup.controllers ] || echo $$ > $g;; esac
done
exec "$@"
"#;

/// A host.
pub struct Host {
    dir: TempDir,
    path: String,
    outer: Child,
    /// Its first process, as the tests' own pid namespace counts.
    pub init: i32,
    groups: Vec<PathBuf>,
}

/// The hierarchies that are mounted: (v1 by option, v2's place).
fn hierarchies() -> (Vec<(String, PathBuf)>, Option<PathBuf>) {
    let (mut v1, mut v2) = (Vec::new(), None);
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let dash = words.iter().position(|w| *w == "-").unwrap();
        let (place, kind) = (PathBuf::from(words[4]), words[dash + 1]);
        match kind {
            "cgroup2" => v2 = Some(place),
            "cgroup" => {
                let options = words[dash + 3].split(',');
                let own = options.filter(|o| !["rw", "ro", "xattr", "clone_children"].contains(o));
                let own: Vec<&str> = own.filter(|o| !o.contains("release_agent")).collect();
                v1.push((own.join(","), place));
            }
            _ => {}
        }
    }
    (v1, v2)
}

impl Host {
    /// Boots one. The binary under test is at `runtime()`, the site's policy the shipped one for engines.
    pub fn boot() -> Self {
        Self::boot_with(None)
    }

    /// The same, with the programs below this folder before those that are installed.
    pub fn boot_with(programs: Option<&Path>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("cofferdam-host-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["etc", "work", "lib", "tmp"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        for sub in ["docker", "containerd", "containers", "cni"] {
            fs::create_dir(dir.path().join("lib").join(sub)).unwrap();
        }
        let me = std::env::current_exe().unwrap();
        fs::copy(me, dir.path().join("payload")).unwrap();
        // Beside the policies: a copy, since engines find it by an absolute path that must stay.
        fs::copy(
            env!("CARGO_BIN_EXE_cofferdam"),
            dir.path().join("cofferdam"),
        )
        .unwrap();
        let name = unique("engines");
        let (v1, v2) = hierarchies();
        let places = v1.iter().map(|(_, place)| place).chain(&v2);
        let groups: Vec<PathBuf> = places.map(|place| place.join(&name)).collect();
        for group in &groups {
            make_group(group);
        }
        let options: Vec<&str> = v1.iter().map(|(option, _)| option.as_str()).collect();
        let joins: String = groups
            .iter()
            .map(|g| format!("echo $$ > {}/cgroup.procs\n", text(g)))
            .collect();
        // The reaper dies with unshare, unshare with the thread that runs the test.
        let boot = format!(
            "set -e\n{joins}exec setpriv --pdeathsig KILL unshare -m -n -p -C -f --kill-child --propagation private sh -c \"$SETUP\""
        );
        let log = fs::File::create(dir.path().join("boot.log")).unwrap();
        let outer = Command::new("sh")
            .args(["-c", &boot])
            .env("SETUP", SETUP)
            .env("H", dir.path())
            .env("V1", options.join(" "))
            .env("V2", if v2.is_some() { "yes" } else { "" })
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let first = programs.map(|p| format!("{0}/usr/sbin:{0}/usr/bin:", text(p)));
        let mut host = Self {
            dir,
            path: first.unwrap_or_default() + PATH,
            outer,
            init: 0,
            groups,
        };
        host.init = host.until("the host boots", |h| {
            fs::read_to_string(h.dir.path().join("ready"))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        host.write("/etc/cofferdam/policy.toml", STRICT);
        host
    }

    /// The binary under test, as the engines' configuration names it.
    pub fn runtime(&self) -> String {
        text(&self.dir.path().join("cofferdam")).into()
    }

    /// A place that is the same inside and outside.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file below its /etc.
    pub fn write(&self, path: &str, content: &str) {
        let make = format!(
            "umask 022; mkdir -p \"$(dirname {path})\"; cat > {path} <<'END_OF_FILE'\n{content}\nEND_OF_FILE"
        );
        self.call(&["sh", "-c", &make]).ok();
    }

    /// A command inside.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-n", "-p", "-C", "--"]);
        command.args(["sh", "-c", ENTER, "sh"]).args(words);
        command.env_clear();
        command.env("PATH", &self.path);
        command.env("HOME", "/root").current_dir("/");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a client to its end; after [`CALL`] seconds it is killed (137).
    pub fn call(&self, words: &[&str]) -> Ran {
        finish(self.command(&[&["timeout", "-s", "KILL", CALL], words].concat()))
    }

    /// Runs a client, words split at blanks.
    pub fn line(&self, line: &str) -> Ran {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a shell script inside.
    pub fn script(&self, script: &str) -> Ran {
        self.call(&["sh", "-c", script])
    }

    /// Starts a daemon; what it prints goes to /run/NAME.log inside, its pid (inside) to /run/NAME.daemon.
    pub fn daemon(&self, name: &str, command: &str) {
        let script = format!("echo $$ > /run/{name}.daemon; exec {command} > /run/{name}.log 2>&1");
        let mut start = self.command(&["setsid", "-f", "sh", "-c", &script]);
        start.stdout(Stdio::null()).stderr(Stdio::null());
        assert!(start.status().unwrap().success(), "{command}");
        self.until(name, |h| {
            h.script(&format!("[ -s /run/{name}.daemon ]")).ended()
        });
    }

    /// Sends a daemon a signal and waits for its end.
    pub fn end(&self, name: &str, signal: &str) {
        let script = format!(
            "p=$(cat /run/{name}.daemon); kill -{signal} $p; rm /run/{name}.daemon; while kill -0 $p 2>/dev/null; do sleep 0.05; done"
        );
        self.script(&script).ok();
    }

    /// Asks again until there is an answer.
    #[track_caller]
    pub fn until<T>(&self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if begin.elapsed() > PATIENCE {
                let boot = fs::read_to_string(self.dir.path().join("boot.log"));
                let logs = match self.init {
                    0 => String::new(),
                    _ => self.script("tail -n 20 /run/*.log").out,
                };
                panic!("not within {PATIENCE:?}: {what}\n{boot:?}\n{logs}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What containers have left: cgroups below the engines' parents, state of the runtime, stray processes.
    pub fn residue(&self) -> Vec<String> {
        let mut out = Vec::new();
        for group in &self.groups {
            deep(group, 0, &mut out);
        }
        let find = "find /run/cofferdam /run/docker/runtime-* /run/containerd/runc -mindepth 1 -name state.json 2>/dev/null";
        out.extend(self.script(find).out.lines().map(|l| format!("state {l}")));
        out
    }

    /// Fails unless containers have left nothing; waits for what is on its way out.
    #[track_caller]
    pub fn assert_clean(&self) {
        let begin = Instant::now();
        while !self.residue().is_empty() {
            let left = self.residue();
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "left behind: {left:#?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The site policy that the hosts start with.
pub const STRICT: &str = include_str!("../../profiles/engines/strict.toml");

/// The same with logs.
pub fn logged() -> String {
    format!("{STRICT}\n[logs]\nspool = \"/var/log/cofferdam-spool\"\n")
}

/// The one for the time of moving.
pub const TRANSITION: &str = include_str!("../../profiles/engines/transition.toml");

fn make_group(group: &Path) {
    fs::create_dir(group).unwrap();
    let above = group.parent().unwrap();
    // v1: a cpuset without processors takes no process, and what is made below it has none either.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if group.join("cgroup.clone_children").exists()
            && let Ok(set) = fs::read_to_string(above.join(file))
        {
            fs::write(group.join(file), set).unwrap();
            let _ = fs::write(group.join("cgroup.clone_children"), "1");
        }
    }
}

/// Cgroups at the second level and deeper: the first are the engines' own parents.
fn deep(dir: &Path, level: u32, out: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if level > 0 && entry.file_name() != "conmon" {
                out.push(format!("cgroup {}", entry.path().display()));
            }
            deep(&entry.path(), level + 1, out);
        }
    }
}

fn remove_groups(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    // A process that has just been killed is in its cgroup a little longer.
    for _ in 0..250 {
        match fs::remove_dir(dir) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // unshare --kill-child: the kernel ends all of the pid namespace with its first process.
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        for group in &self.groups {
            remove_groups(group);
        }
    }
}

impl Ran {
    /// `Some` when it ended with 0.
    pub fn ended(&self) -> Option<()> {
        (self.code == 0).then_some(())
    }

    /// Fails unless it ended with `code`, saying each of `parts` somewhere.
    #[track_caller]
    pub fn said(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let all = format!("{}\n{}", self.out, self.err);
        for part in parts {
            assert!(all.contains(part), "no {part:?} in {self:#?}");
        }
    }
}
