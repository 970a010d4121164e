//! The rig that the privileged tests share: folders, fixture roots and bundles, the binary under test, what it left.
//!
//! A test crate says `mod support;` and, once, `support::payload!(extra)`: from then on the test binary, which is
//! static, is also the program inside the fixtures (`/payload VERB ARGS`, see payload.rs). Nothing here asserts a
//! time; a command that hangs is killed after [`PATIENCE`] and the test fails.
#![allow(dead_code, unused_macros, unused_imports)]

pub mod events;
pub mod payload;
pub mod schema;
pub mod terminal;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How long one command may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a test can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The host's root, and a cgroup hierarchy that it can write.
    Root,
    /// Landlock with TCP rules (ABI 4) or newer.
    Landlock,
    /// The AppArmor template, where AppArmor is in force: a launch without it is a finding (8.4.14).
    Template,
    /// An x86_64 processor (inline assembly).
    X86,
    /// 32-bit system calls in the kernel.
    Ia32,
}

impl Need {
    /// Its name in `REQUIRE`.
    pub fn name(self) -> &'static str {
        match self {
            Need::Root => "root",
            Need::Landlock => "landlock",
            Need::Template => "apparmor",
            Need::X86 => "x86",
            Need::Ia32 => "ia32",
        }
    }

    /// Why it is not there, and what to do.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::Root => root_missing(),
            Need::Landlock => landlock_missing(),
            Need::Template => template_missing(),
            Need::X86 => (!cfg!(target_arch = "x86_64"))
                .then(|| "not an x86_64 processor; run it on one".to_string()),
            Need::Ia32 => (!ia32()).then(|| {
                "the kernel has no 32-bit system calls; boot one with CONFIG_IA32_EMULATION, without ia32_emulation=0"
                    .to_string()
            }),
        }
    }
}

fn root_missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root; run the tests with sudo".into());
    }
    let host = cofferdam::host::Host::probe().ok()?;
    (host.cgroups.v1.is_empty() && host.cgroups.v2.is_none())
        .then(|| "no cgroup hierarchy; mount -t cgroup2 none /sys/fs/cgroup".into())
}

fn landlock_missing() -> Option<String> {
    let lsm = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_else(|_| "landlock".into());
    (!lsm.contains("landlock")).then(|| "no landlock; boot with lsm=landlock,...".into())
}

fn template_missing() -> Option<String> {
    let apparmor = cofferdam::host::Host::probe().ok()?.apparmor;
    (apparmor == cofferdam::host::AppArmor::NoTemplate)
        .then(|| "AppArmor is in force without our profile; cofferdam install --apparmor".into())
}

/// A 32-bit static program is not needed to find out: the kernel says so in its own way.
fn ia32() -> bool {
    cfg!(target_arch = "x86_64") && payload::int80_works()
}

/// Skips the test, with the reason, where something is missing; `REQUIRE=all` or `REQUIRE=root,...` fails instead.
#[macro_export]
macro_rules! need {
    ($($need:ident),+) => {
        $(
            if let Some(why) = $crate::support::Need::$need.missing() {
                fn here() {}
                let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
                $crate::support::skip(test, $crate::support::Need::$need.name(), &why);
                return;
            }
        )+
    };
}

/// What `need!` does; also for a component that only one test needs (`what` is its name in `REQUIRE`).
pub fn skip(test: &str, what: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    let forced = required.split(',').any(|r| r == "all" || r == what);
    assert!(!forced, "REQUIRE={required}, but {test} can't run: {why}");
    // Past libtest, which hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {why}");
}

/// Whether the kernel is older than this release: what it lacks, the plan says in a line `not here`.
pub fn older_than(major: u32, minor: u32) -> bool {
    cofferdam::host::Host::probe().unwrap().kernel < (major, minor)
}

/// An entry of an exceptions file that is in force today, for every launch.
pub fn exception(id: &str, control: &str, grant: &str) -> String {
    let day = |seconds| cofferdam::clock::rfc3339(seconds, 0)[..10].to_string();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (approved, expires) = (day(now - 86_400), day(now + 86_400));
    format!(
        "[[exception]]\nid = \"{id}\"\ncontrol = \"SS-011/{control}\"\ngrant = {{ {grant} }}\n\
         scope = {{ name = \"*\" }}\nreason = \"test\"\napprover = \"test\"\nreference = \"test\"\n\
         approved = {approved}\nexpires = {expires}\n"
    )
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other test, and no other run of the tests, uses.
pub fn unique(what: &str) -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{count}", std::process::id())
}

/// Folders of one test: a state folder, a fixture root, bundles. Dropping it ends and removes everything.
pub struct Rig {
    dir: TempDir,
}

impl Rig {
    /// A rig with `rootfs/` = payload, empty proc dev tmp etc, and a passwd that lies.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("cofferdam-test-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(dir.path().join("state"))
            .unwrap();
        // A policy of its own, so that the site's does not decide the tests.
        fs::write(dir.path().join("policy.toml"), "version = 1\n").unwrap();
        let rig = Self { dir };
        rig.make_rootfs(&rig.rootfs());
        rig
    }

    /// Fills `dir` as a root: the payload and the places that mounts go to.
    pub fn make_rootfs(&self, dir: &Path) {
        for sub in ["", "proc", "dev", "tmp", "etc", "data"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        // A numeric user must never be looked up here (CVE-2016-3697).
        fs::write(
            dir.join("etc/passwd"),
            "65532:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n",
        )
        .unwrap();
        let me = std::env::current_exe().unwrap();
        let program = dir.join("payload");
        if fs::hard_link(&me, &program).is_err() {
            fs::copy(&me, &program).unwrap();
        }
    }

    /// The rig's own folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path below it.
    pub fn path(&self, rest: &str) -> PathBuf {
        self.dir().join(rest)
    }

    /// The fixture root.
    pub fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// The state folder (`--root`).
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// `cofferdam spec` for `/payload ARGS` with the fixture root.
    pub fn spec(&self, args: &[&str]) -> Value {
        let mut spec = cofferdam::bundle::hardened_spec();
        spec["root"]["path"] = json!(self.rootfs());
        let mut words = vec!["/payload"];
        words.extend(args);
        spec["process"]["args"] = json!(words);
        spec
    }

    /// A bundle folder with this config.
    pub fn bundle(&self, spec: &Value) -> PathBuf {
        self.raw_bundle(serde_json::to_vec_pretty(spec).unwrap().as_slice())
    }

    /// A bundle folder with these bytes as config.json.
    pub fn raw_bundle(&self, config: &[u8]) -> PathBuf {
        let dir = self.path(&unique("bundle"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("config.json"), config).unwrap();
        dir
    }

    /// From now on an exception is in force for every launch of the rig: `except("8.4.14", "template = \"compat\"")`.
    pub fn except(&self, control: &str, grant: &str) {
        let id = unique("x");
        let _ = fs::DirBuilder::new()
            .mode(0o700)
            .create(self.path("exceptions.d"));
        let entry = format!("version = 1\n{}", exception(&id, control, grant));
        fs::write(self.path(&format!("exceptions.d/{id}.toml")), entry).unwrap();
    }

    /// The binary under test with the rig's state folder, no input, and an environment of its own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.arg("--root").arg(self.state());
        command.arg("--policy").arg(self.path("policy.toml"));
        command.env_clear().stdin(Stdio::null());
        command
    }

    /// Runs the binary under test with these arguments.
    pub fn call<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Ran {
        let mut command = self.command();
        command.args(args);
        finish(command)
    }

    /// `run --rootfs ROOTFS FLAGS NAME -- /payload ARGS`.
    pub fn run(&self, flags: &[&str], args: &[&str]) -> Ran {
        finish(self.run_command(&unique("t"), flags, args))
    }

    /// The command of [`Rig::run`], to be changed or spawned.
    pub fn run_command(&self, name: &str, flags: &[&str], args: &[&str]) -> Command {
        let mut command = self.command();
        command.arg("run").arg("--rootfs").arg(self.rootfs());
        command
            .args(flags)
            .arg(name)
            .args(["--", "/payload"])
            .args(args);
        command
    }

    /// `run --bundle BUNDLE NAME`.
    pub fn run_bundle(&self, spec: &Value) -> Ran {
        let bundle = self.bundle(spec);
        self.call(&["run", "--bundle", text(&bundle), &unique("b")])
    }

    /// `create --bundle BUNDLE ID`: as an engine asks.
    pub fn create(&self, spec: &Value, id: &str) -> Ran {
        let bundle = self.bundle(spec);
        self.call(&["create", "--bundle", text(&bundle), id])
    }

    /// `create` and `start`, then waits for the program's end; what it printed.
    pub fn through(&self, spec: &Value) -> Ran {
        let (id, bundle) = (unique("c"), self.bundle(spec));
        let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.command();
        command.args(["create", "--bundle", text(&bundle), &id]);
        command
            .stdout(out.try_clone().unwrap())
            .stderr(err.try_clone().unwrap());
        let mut code = command.status().unwrap().code().unwrap_or(-1);
        if code == 0 {
            let pidfd = cofferdam::sys::process::pidfd_open(self.pid(&id)).unwrap();
            code = self.call(&["start", &id]).code;
            assert!(wait_fd(pidfd.as_fd()), "the program of {id} does not end");
            self.call(&["delete", "--force", &id]).ok();
        }
        Ran {
            code,
            out: contents(out),
            err: contents(err),
        }
    }

    /// The first process of a container, as the host sees it.
    pub fn pid(&self, id: &str) -> i32 {
        let state = self.call(&["state", id]);
        let state: Value = serde_json::from_str(state.ok()).unwrap();
        state["pid"].as_i64().unwrap() as i32
    }

    /// Everything of this rig that is still there: state, cgroups and processes of `id`, mounts.
    pub fn leftovers(&self, id: &str) -> Vec<String> {
        let mut out = Vec::new();
        for entry in fs::read_dir(self.state()).into_iter().flatten().flatten() {
            out.push(format!("state {}", entry.path().display()));
        }
        cgroups_of(Path::new("/sys/fs/cgroup"), id, &mut out);
        for pid in processes_with(&[id, text(&self.state())]) {
            out.push(format!("process {pid}"));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mine = mounts.lines().filter(|l| l.contains(text(self.dir())));
        out.extend(mine.map(|l| format!("mount {l}")));
        out
    }

    /// Fails unless nothing is left; waits for what is on its way out.
    pub fn assert_clean(&self, id: &str) {
        for _ in 0..500 {
            if self.leftovers(id).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("left behind: {:#?}", self.leftovers(id));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let entries = fs::read_dir(self.state()).into_iter().flatten().flatten();
        for id in entries.filter_map(|e| e.file_name().into_string().ok()) {
            let _ = self.command().args(["delete", "--force", &id]).output();
        }
    }
}

/// A path as text; the rig's are.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn cgroups_of(dir: &Path, id: &str, out: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if entry.file_name().to_string_lossy().contains(id) {
                out.push(format!("cgroup {}", entry.path().display()));
            }
            cgroups_of(&entry.path(), id, out);
        }
    }
}

/// Processes whose command line or cgroup has one of these texts, the caller aside.
pub fn processes_with(texts: &[&str]) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id() as i32)
        .filter(|pid| {
            let read = |f: &str| fs::read(format!("/proc/{pid}/{f}")).unwrap_or_default();
            let all = [read("cmdline"), read("cgroup")].concat();
            let all = String::from_utf8_lossy(&all).into_owned();
            texts.iter().any(|t| all.contains(t))
        })
        .collect()
}

/// What a finished command said.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; 128 and the number for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Fails unless it ended with 0; the output.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:#?}");
        &self.out
    }

    /// Fails unless it ended with `code` and one sentence that has each of `parts` in it.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(
            self.err.trim_end().lines().count(),
            1,
            "not one line: {self:#?}"
        );
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in {self:#?}");
        }
        assert!(!self.err.contains("panicked"), "{self:#?}");
    }
}

impl Ran {
    /// Fails unless the command line was not understood, for a reason that has each of `parts` in it.
    #[track_caller]
    pub fn refused_as_usage(&self, parts: &[&str]) {
        assert_eq!(self.code, 125, "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in {self:#?}");
        }
    }
}

/// Waits for a command; kills it when it hangs.
pub fn finish(mut command: Command) -> Ran {
    // Files and not pipes: a created container keeps its creator's streams, and a pipe would not end.
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(out.try_clone().unwrap());
    command.stderr(err.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    if !ends(&child) {
        let _ = child.kill();
        let _ = child.wait();
        panic!("hung: {command:?}");
    }
    let status = child.wait().unwrap();
    Ran {
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        out: contents(out),
        err: contents(err),
    }
}

fn contents(mut file: fs::File) -> String {
    use std::io::{Seek, SeekFrom};
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a child ends within [`PATIENCE`].
fn ends(child: &Child) -> bool {
    match cofferdam::sys::process::pidfd_open(child.id() as i32) {
        Ok(fd) => wait_fd(fd.as_fd()),
        Err(_) => true,
    }
}

/// Waits until a pidfd says that its process has ended.
pub fn wait_fd(fd: std::os::fd::BorrowedFd<'_>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], patience).unwrap_or(0) > 0
}

/// A command that goes on; dropping it kills it (and so its container).
pub struct Alive {
    /// The launcher.
    pub child: Child,
    lines: BufReader<ChildStdout>,
}

impl Alive {
    /// Starts it, and waits for the line `ready`.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut alive = Self { child, lines };
        loop {
            let line = alive.line();
            assert!(!line.is_empty(), "ended before it was ready: {command:?}");
            if line == "ready\n" {
                return alive;
            }
        }
    }

    /// The next line of its output; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Waits for the launcher's end; its exit code.
    pub fn end(mut self) -> i32 {
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One hash over a tree: names, kinds, modes, owners, contents, link targets. Equal = untouched.
pub fn tree_hash(dir: &Path) -> String {
    let mut text = String::new();
    describe(dir, &mut text);
    cofferdam::digest::sha256_hex(text.as_bytes())
}

fn describe(path: &Path, out: &mut String) {
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let what = if kind.is_symlink() {
        format!("-> {}", fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        cofferdam::digest::sha256_hex(&fs::read(path).unwrap())
    } else {
        format!("rdev {}", meta.rdev())
    };
    let (mode, uid, gid) = (meta.mode(), meta.uid(), meta.gid());
    out.push_str(&format!("{} {mode:o} {uid}:{gid} {what}\n", path.display()));
    if kind.is_dir() {
        let mut names: Vec<PathBuf> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        for name in names {
            describe(&name, out);
        }
    }
}

/// A tree on the host that no container may touch or see, and the hash of the binary under test.
pub struct Canary {
    /// Where it is.
    pub dir: PathBuf,
    tree: String,
    binary: String,
}

/// What stands in the canary's file.
pub const SECRET: &str = "the canary is alive";

impl Canary {
    /// Plants it in a rig.
    pub fn plant(rig: &Rig) -> Self {
        let dir = rig.path(&unique("canary"));
        for sub in ["", "sub", "pts"] {
            fs::create_dir(dir.join(sub)).unwrap();
        }
        // Names that launchers are known to have deleted, replaced or written.
        for file in [
            "secret",
            "ptmx",
            "null",
            "console",
            "sub/file",
            "resolv.conf",
            "core_pattern",
        ] {
            fs::write(dir.join(file), SECRET).unwrap();
        }
        let tree = tree_hash(&dir);
        Self {
            dir,
            tree,
            binary: binary_hash(),
        }
    }

    /// Fails unless both are as they were.
    #[track_caller]
    pub fn assert_alive(&self) {
        assert_eq!(
            tree_hash(&self.dir),
            self.tree,
            "{:?} was touched",
            self.dir
        );
        assert_eq!(
            binary_hash(),
            self.binary,
            "the launcher's binary was changed"
        );
    }
}

fn binary_hash() -> String {
    // Size, times and inode stand for the contents of a hundred megabytes; a write changes mtime and ctime.
    let meta = fs::metadata(env!("CARGO_BIN_EXE_cofferdam")).unwrap();
    format!(
        "{} {} {}.{}",
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    )
}
