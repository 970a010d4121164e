//! Cgroups on this machine's kernel: made, entered, obeyed, read back, killed, removed.
//!
//! Needs root and a writable hierarchy; otherwise each test prints SKIP and why (REQUIRE=root or all: fails).

use cofferdam::cgroup::{Cgroup, CgroupError, CgroupRecord, Entered};
use cofferdam::host::{Host, Privilege, disk_behind};
use cofferdam::plan::limits::{CgroupVersion, DeviceFilter, LimitPlan, plan_limits};
use cofferdam::policy::{CgroupPlace, DeviceRule, Limits};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Counting descriptors and directories needs a quiet process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

macro_rules! need {
    (Root) => {
        match ready() {
            Ok(host) => host,
            Err(why) => {
                let required = std::env::var("REQUIRE").unwrap_or_default();
                let forced = required.split(',').any(|r| r == "root" || r == "all");
                assert!(!forced, "REQUIRE={required}, but {why}");
                println!("SKIP: {why}");
                return;
            }
        }
    };
}

/// Read once: a test that waits for its turn opens no file beside the one that counts them.
fn ready() -> Result<Host, String> {
    static HOST: OnceLock<Result<Host, String>> = OnceLock::new();
    HOST.get_or_init(look).clone()
}

fn look() -> Result<Host, String> {
    let host = Host::probe().map_err(|e| e.to_string())?;
    if host.privilege != Privilege::Root {
        return Err("not root: run with sudo".into());
    }
    let plan = plan(&host, "probe", &limits());
    plan.check(&[]).map_err(|e| e.to_string())?;
    Ok(host)
}

fn limits() -> Limits {
    Limits {
        memory: Some(64 << 20),
        swap: Some(0),
        pids: Some(32),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        cpu_shares: Some(512),
        ..Limits::default()
    }
}

fn name(what: &str) -> String {
    format!("test-{}-{what}", std::process::id())
}

fn plan(host: &Host, what: &str, grant: &Limits) -> LimitPlan {
    plan_limits(grant, &[], &CgroupPlace::default(), &name(what), host, &[]).unwrap()
}

/// On one processor, where this host has the controller.
fn with_cpuset(host: &Host) -> Limits {
    let mut grant = limits();
    grant.cpuset_cpus = Some("0".into());
    if plan(host, "x", &grant).check(&[]).is_err() {
        grant.cpuset_cpus = None;
    }
    grant
}

fn paths(plan: &LimitPlan) -> Vec<PathBuf> {
    plan.dirs
        .iter()
        .map(|d| d.mount.as_path().join(&d.path))
        .collect()
}

/// A shell that waits for a line before it does anything.
fn waiting(script: &str) -> Child {
    Command::new("/bin/sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn go(child: &mut Child) {
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// With all its limits, as if there was a first process.
fn made(plan: &LimitPlan) -> Result<Cgroup, CgroupError> {
    let mut cgroup = Cgroup::create(plan)?;
    match cgroup.take_in(Pid::this()).and_then(|()| cgroup.limit()) {
        Ok(()) => Ok(cgroup),
        Err(error) => {
            let _ = cgroup.remove();
            Err(error)
        }
    }
}

/// A cgroup that does not outlive its test.
struct Held(Cgroup, LimitPlan);

impl Held {
    fn new(plan: LimitPlan) -> Self {
        Self(made(&plan).unwrap(), plan)
    }

    fn run(&self, script: &str) -> Child {
        let mut child = waiting(script);
        self.0.attach(pid(&child), Entered::Nowhere).unwrap();
        go(&mut child);
        child
    }

    fn read(&self, controller: &str, v1: &str, v2: &str) -> String {
        let dir = self
            .1
            .dirs
            .iter()
            .find(|d| d.controllers.iter().any(|c| c == controller))
            .unwrap();
        let file = if dir.version == CgroupVersion::V1 {
            v1
        } else {
            v2
        };
        std::fs::read_to_string(dir.mount.as_path().join(&dir.path).join(file)).unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.remove();
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn written_entered_read_back_killed_removed() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let mut grant = with_cpuset(&host);
    let disk = std::fs::metadata("/").unwrap().dev();
    let disk = disk_behind((
        nix::sys::stat::major(disk) as u32,
        nix::sys::stat::minor(disk) as u32,
    ));
    let disks: Vec<(u32, u32)> = disk.into_iter().collect();
    grant.io_bps = Some(64 << 20);
    grant.io_iops = Some(5000);
    let plan = plan_limits(
        &grant,
        &[],
        &CgroupPlace::default(),
        &name("all"),
        &host,
        &disks,
    )
    .unwrap();
    let held = Held::new(plan);
    let mut child = held.run("exec sleep 100");
    assert_eq!(
        held.0.missing_from(pid(&child)).unwrap(),
        [] as [PathBuf; 0]
    );
    assert_eq!(held.0.read_back(&held.1).unwrap(), []);
    assert_eq!(held.0.procs().unwrap(), [child.id() as i32]);
    assert_eq!(held.0.stats_oom(), Some(0));
    assert!(held.0.missing_from(Pid::this()).unwrap().len() == held.1.dirs.len());

    held.0.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    held.0.remove().unwrap();
    held.0.remove().unwrap();
    assert!(paths(&held.1).iter().all(|p| !p.exists()));
}

/// The child opens its terminal, and asks for nodes, while the rest is written.
#[test]
fn devices_and_nodes_are_whole_before_a_process_enters() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let grant = with_cpuset(&host);
    let plan = plan(&host, "early", &grant);
    let mut cgroup = Cgroup::create(&plan).unwrap();
    cgroup.take_in(Pid::this()).unwrap();
    let missing = cgroup.read_back(&plan).unwrap();
    cgroup.limit().unwrap();
    let at_last = cgroup.read_back(&plan).unwrap();
    cgroup.remove().unwrap();
    assert_eq!(at_last, []);
    let names = |file: &str| missing.iter().any(|d| d.file.contains(file));
    assert!(names("pids.max"), "{missing:?}");
    // A v2 filter is one program: it is there or not.
    let whole = matches!(plan.filter, DeviceFilter::V1 { .. });
    assert!(!names("cpuset."), "{missing:?}");
    assert!(!(whole && names("devices.list")), "{missing:?}");
}

#[test]
fn a_changed_limit_is_noticed() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "changed", &limits()));
    let dir = held
        .1
        .dirs
        .iter()
        .find(|d| d.controllers.iter().any(|c| c == "pids"))
        .unwrap();
    std::fs::write(dir.mount.as_path().join(&dir.path).join("pids.max"), "max").unwrap();
    let differences = held.0.read_back(&held.1).unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(
        (
            differences[0].expected.as_str(),
            differences[0].found.as_str()
        ),
        ("32", "max")
    );
}

#[test]
fn too_much_memory_kills() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "oom", &limits()));
    // No newline ever comes, so tail keeps everything.
    let mut child = held.run("exec tail /dev/zero");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(held.0.stats_oom().unwrap() >= 1);
}

#[test]
fn too_many_processes_get_eagain_and_all_can_be_killed() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "pids", &limits()));
    // A shell that forks for ever and does not end when fork fails.
    let mut child = held.run("while :; do (while :; do sleep 100 & done) & done");
    let limit_hit = || held.read("pids", "pids.events", "pids.events").trim() != "max 0";
    eventually("pids.events counts a refusal", limit_hit);
    assert!(held.0.procs().unwrap().len() <= 32);
    held.0.kill().unwrap();
    assert!(held.0.procs().unwrap().is_empty());
    child.wait().unwrap();
}

#[test]
fn cpu_time_is_throttled() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "cpu", &limits()));
    let mut child = held.run("while :; do :; done");
    let throttled = || {
        !held
            .read("cpu", "cpu.stat", "cpu.stat")
            .contains("nr_throttled 0\n")
    };
    eventually("cpu.stat counts a throttled period", throttled);
    held.0.kill().unwrap();
    child.wait().unwrap();
}

/// Opens null, then tries to make and open a device that no rule names.
const DEVICES: &str = ": </dev/null || exit 3; : >/dev/zero || exit 4; \
    mknod $T/fuse c 10 229 && exit 5; (: <$T/mem) && exit 6; exit 0";

fn devices_are_filtered(plan: LimitPlan) {
    let folder = tempfile::tempdir().unwrap();
    let node = format!("mknod {}/mem c 1 1", folder.path().display());
    assert!(
        Command::new("/bin/sh")
            .args(["-c", &node])
            .status()
            .unwrap()
            .success()
    );
    let held = Held::new(plan);
    assert_eq!(held.0.read_back(&held.1).unwrap(), []);
    let mut child = held.run(&format!("T={}; {DEVICES}", folder.path().display()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn devices_outside_the_list_are_refused() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    devices_are_filtered(plan(&host, "dev", &limits()));
}

#[test]
fn devices_outside_the_list_are_refused_by_the_program_too() {
    let mut host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    host.cgroups.v1.clear();
    let plan = plan(&host, "bpf", &Limits::default());
    if !matches!(plan.filter, DeviceFilter::V2 { .. }) {
        println!(
            "SKIP: no cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
        );
        return;
    }
    devices_are_filtered(plan);
}

#[test]
fn the_program_follows_the_rules() {
    let mut host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    host.cgroups.v1.clear();
    let fuse = DeviceRule {
        allow: true,
        kind: 'c',
        major: Some(10),
        minor: Some(229),
        access: "m".into(),
    };
    let place = CgroupPlace::default();
    let plan = plan_limits(
        &Limits::default(),
        &[fuse],
        &place,
        &name("rule"),
        &host,
        &[],
    )
    .unwrap();
    if !matches!(plan.filter, DeviceFilter::V2 { .. }) {
        println!(
            "SKIP: no cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let held = Held::new(plan);
    let script =
        "mknod $T/a c 10 229 || exit 3; mknod $T/b c 10 200 && exit 4; (: <$T/a) && exit 5; exit 0";
    let mut child = held.run(&format!("T={}; {script}", folder.path().display()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn one_in_use_is_refused_and_untouched() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "twice", &limits()));
    let mut child = held.run("exec sleep 100");
    match made(&held.1) {
        Err(CgroupError::Occupied { pids, .. }) => assert_eq!(pids, [child.id() as i32]),
        other => panic!("{other:?}"),
    }
    assert_eq!(held.0.read_back(&held.1).unwrap(), []);
    assert_eq!(
        held.0.missing_from(pid(&child)).unwrap(),
        [] as [PathBuf; 0]
    );
    held.0.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_empty_leftover_is_replaced() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let plan = plan(&host, "left", &limits());
    for path in paths(&plan).iter().skip(1) {
        std::fs::create_dir(path).unwrap();
    }
    let held = Held::new(plan);
    assert_eq!(held.0.read_back(&held.1).unwrap(), []);
}

#[test]
fn a_limit_that_the_kernel_refuses_leaves_nothing() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let mut grant = limits();
    grant.cpu_period = Some(1);
    let plan = plan(&host, "bad", &grant);
    let error = made(&plan).unwrap_err().to_string();
    assert!(
        error.contains("cpu.") && error.contains("Invalid argument"),
        "{error}"
    );
    assert!(paths(&plan).iter().all(|p| !p.exists()));
}

#[test]
fn a_later_process_finishes_what_a_dead_launcher_left() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let plan = plan(&host, "janitor", &limits());
    let cgroup = made(&plan).unwrap();
    let stored = serde_json::to_string(&cgroup.record()).unwrap();
    // The launcher dies after the first of its writes into cgroup.procs.
    let mut child = waiting("exec sleep 100");
    std::fs::write(paths(&plan)[0].join("cgroup.procs"), child.id().to_string()).unwrap();
    drop(cgroup);

    let record: CgroupRecord = serde_json::from_str(&stored).unwrap();
    let again = Cgroup::open(&record).unwrap();
    assert_eq!(again.record(), record);
    again.kill().unwrap();
    again.remove().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(paths(&plan).iter().all(|p| !p.exists()));

    // Somebody else takes the name: the old record must not reach it.
    let other = Held::new(plan);
    let mut bystander = other.run("exec sleep 100");
    let stale = Cgroup::open(&record).unwrap();
    assert!(stale.procs().unwrap().is_empty());
    stale.kill().unwrap();
    stale.remove().unwrap();
    assert!(bystander.try_wait().unwrap().is_none());
    assert_eq!(other.0.read_back(&other.1).unwrap(), []);
    other.0.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_launcher_that_dies_while_making_leaves_only_what_the_janitor_removes() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let plan = plan(&host, "middle", &limits());
    let planned = CgroupRecord::planned(&plan);
    drop(made(&plan).unwrap());
    let janitor = Cgroup::open(&planned).unwrap();
    janitor.kill().unwrap();
    janitor.remove().unwrap();
    assert!(paths(&plan).iter().all(|p| !p.exists()));

    // What is in use by then belongs to somebody else.
    let held = Held::new(plan);
    let mut child = held.run("exec sleep 100");
    let janitor = Cgroup::open(&planned).unwrap();
    janitor.kill().unwrap();
    janitor.remove().unwrap();
    assert!(child.try_wait().unwrap().is_none());
    assert_eq!(
        held.0.missing_from(pid(&child)).unwrap(),
        [] as [PathBuf; 0]
    );
    held.0.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn parents_are_made_and_only_ours_removed() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let top = format!("/cofferdam-{}", name("parent"));
    let at = |rest: &str| {
        let place = CgroupPlace {
            path: Some(format!("{top}/{rest}")),
            scope: None,
        };
        plan_limits(&limits(), &[], &place, "x", &host, &[]).unwrap()
    };
    let (one, two) = (at("a/one"), at("a/two"));
    let tops: Vec<PathBuf> = one
        .dirs
        .iter()
        .map(|d| d.mount.as_path().join(top.trim_start_matches('/')))
        .collect();
    let first = Held::new(one);
    let second = Held::new(two);
    first.0.remove().unwrap();
    assert!(
        tops.iter()
            .all(|t| t.join("a/two").exists() && !t.join("a/one").exists())
    );
    second.0.remove().unwrap();
    assert!(
        tops.iter().all(|t| t.join("a").exists()),
        "the second did not make it"
    );
    first.0.remove().unwrap();
    assert!(tops.iter().all(|t| !t.exists()));
}

#[test]
fn a_child_enters_by_itself() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let held = Held::new(plan(&host, "door", &limits()));
    let doors = held.0.v1_doors().unwrap();
    let v1 = held
        .1
        .dirs
        .iter()
        .filter(|d| d.version == CgroupVersion::V1);
    assert_eq!(doors.len(), v1.clone().count());
    assert_eq!(held.0.v2_fd().is_some(), held.1.v2_dir().is_some());
    let enter: Vec<String> = v1
        .map(|d| format!("echo 0 >{}/{}/tasks || exit 3; ", d.mount, d.path))
        .collect();
    let mut child = waiting(&format!("{} exec sleep 100", enter.concat()));
    go(&mut child);
    eventually("entered", || {
        let missing = held.0.missing_from(pid(&child)).unwrap();
        missing.len() == usize::from(held.0.v2_fd().is_some())
    });
    held.0.kill().unwrap();
    if doors.is_empty() {
        // v2 alone is entered by clone3: this child is in nothing of ours.
        child.kill().unwrap();
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

fn freezes(plan: LimitPlan) {
    let mut held = Held::new(plan);
    let mut child = held.run("while :; do sleep 0.01; done");
    held.0.freeze().unwrap();
    let parked = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let fields: Vec<&str> = stat.split(' ').collect();
        (
            fields[13].to_string(),
            fields[14].to_string(),
            fields[15].to_string(),
        )
    };
    let before = parked();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(before, parked());
    held.0.thaw().unwrap();
    held.0.freeze().unwrap();
    let record = held.0.record();
    // A frozen one must still be killable, by a process that knows only the record.
    Cgroup::open(&record).unwrap().kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    held.0.remove().unwrap();
    for dir in record.dirs {
        assert!(!dir.place.mount.as_path().join(&dir.place.path).exists());
    }
}

#[test]
fn freezes_thaws_and_dies_frozen() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    freezes(plan(&host, "freeze", &limits()));
}

#[test]
fn freezes_on_v1_alone() {
    let mut host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    host.cgroups.v2 = None;
    let plan = plan(&host, "freeze1", &limits());
    if plan.freezer.is_none() {
        println!(
            "SKIP: no v1 freezer is mounted: mount -t cgroup -o freezer none /sys/fs/cgroup/freezer"
        );
        return;
    }
    freezes(plan);
}

#[test]
fn a_hundred_cycles_and_two_at_once_leave_nothing() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let before = open_files();
    std::thread::scope(|scope| {
        for side in ["a", "b"] {
            let host = &host;
            scope.spawn(move || {
                for _ in 0..50 {
                    let held = Held::new(plan(host, side, &limits()));
                    let mut child = held.run("exit 7");
                    assert_eq!(child.wait().unwrap().code(), Some(7));
                    held.0.remove().unwrap();
                }
            });
        }
    });
    assert_eq!(open_files(), before);
    let ours = format!("cofferdam-test-{}", std::process::id());
    for dir in plan(&host, "x", &limits()).dirs {
        let above = dir.mount.as_path().join(&dir.path);
        let left = std::fs::read_dir(above.parent().unwrap()).unwrap();
        let mut names = left.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        assert!(!names.any(|n| n.starts_with(&ours)));
    }
}

#[test]
fn a_mount_that_is_no_cgroup_is_refused() {
    let host = need!(Root);
    let _turn = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(&host, "fake", &limits());
    plan.dirs[0].mount = cofferdam::paths::HostPath::trusted(folder.path());
    assert!(matches!(made(&plan), Err(CgroupError::NotCgroup { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
