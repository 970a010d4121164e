//! Plans for made-up hosts, and an interpreter for the device program.

use super::*;
use crate::host::{CallerIds, CgroupLayout, Privilege, V1Hierarchy, V2Hierarchy};

pub(super) fn host(cgroups: CgroupLayout, privilege: Privilege) -> Host {
    Host {
        release: "6.12.0".into(),
        kernel: (6, 12),
        landlock_abi: 6,
        missing_calls: Vec::new(),
        privilege,
        caller: CallerIds {
            real_uid: 0,
            uid: 0,
            gid: 0,
            login: None,
        },
        bounding: 0,
        rlimits: Vec::new(),
        may_raise_limits: false,
        cgroups,
        taken_ids: Vec::new(),
        delegated: Default::default(),
        submounts: Vec::new(),
        lsm: Vec::new(),
        apparmor: Default::default(),
        memory: 0,
        now: 0,
    }
}

fn v1(controllers: &str, own: &str) -> V1Hierarchy {
    V1Hierarchy {
        controllers: controllers.split(',').map(str::to_string).collect(),
        mount: HostPath::trusted(format!("/sys/fs/cgroup/{controllers}")),
        own: own.into(),
    }
}

fn v2(mount: &str, own: &str, controllers: &str, parent: Option<&str>) -> Option<V2Hierarchy> {
    Some(V2Hierarchy {
        mount: HostPath::trusted(mount),
        own: own.into(),
        controllers: controllers.split_whitespace().map(str::to_string).collect(),
        parent: parent.map(str::to_string),
    })
}

pub(super) fn pure_v2() -> Host {
    let all = "cpuset cpu io memory pids";
    let layout = CgroupLayout {
        v1: Vec::new(),
        v2: v2("/sys/fs/cgroup", "/", all, Some("")),
        user_manager: None,
    };
    host(layout, Privilege::Root)
}

fn legacy() -> CgroupLayout {
    let names = [
        "cpu,cpuacct",
        "memory",
        "pids",
        "devices",
        "freezer",
        "blkio",
        "cpuset",
    ];
    let mut all: Vec<V1Hierarchy> = names.iter().map(|n| v1(n, "/")).collect();
    all[1].own = "/outer".into();
    CgroupLayout {
        v1: all,
        ..CgroupLayout::default()
    }
}

pub(super) fn usual() -> Limits {
    Limits {
        memory: Some(256 << 20),
        swap: Some(0),
        pids: Some(64),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        cpu_shares: Some(1024),
        io_bps: Some(10 << 20),
        ..Limits::default()
    }
}

fn plan_for(host: &Host, grant: &Limits) -> LimitPlan {
    let place = CgroupPlace::default();
    plan_limits(grant, &[], &place, "web", host, &[(254, 0)]).unwrap()
}

fn told(plan: &LimitPlan) -> Vec<String> {
    let one = |w: &LimitWrite| {
        let dir = &plan.dirs[w.dir];
        let text = match &w.value {
            Value::Text(text) => text.as_str(),
            Value::Inherited => "(inherited)",
        };
        format!("{}/{}/{} = {text}", dir.mount, dir.path, w.file)
    };
    plan.writes.iter().map(one).collect()
}

#[test]
pub(super) fn pure_v2_as_root() {
    let plan = plan_for(&pure_v2(), &usual());
    assert_eq!(
        told(&plan),
        [
            "/sys/fs/cgroup/cofferdam-web/memory.max = 268435456",
            "/sys/fs/cgroup/cofferdam-web/memory.swap.max = 0",
            "/sys/fs/cgroup/cofferdam-web/memory.oom.group = 1",
            "/sys/fs/cgroup/cofferdam-web/pids.max = 64",
            "/sys/fs/cgroup/cofferdam-web/cpu.max = 50000 100000",
            "/sys/fs/cgroup/cofferdam-web/cpu.weight = 100",
            "/sys/fs/cgroup/cofferdam-web/io.max = 254:0 rbps=10485760 wbps=10485760 riops=max wiops=max",
        ]
    );
    assert_eq!(plan.enable.len(), 1);
    assert_eq!(plan.enable[0].path, "");
    assert_eq!(plan.enable[0].controllers, ["memory", "pids", "cpu", "io"]);
    assert!(matches!(plan.filter, DeviceFilter::V2 { dir: 0, .. }));
    assert!(plan.lacks.is_empty() && plan.step_aside.is_none() && plan.freezer.is_none());
}

#[test]
fn an_engines_path_enables_every_ancestor() {
    let place = CgroupPlace {
        path: Some("/kubepods/pod1/abc".into()),
        scope: None,
    };
    let plan = plan_limits(&usual(), &[], &place, "x", &pure_v2(), &[]).unwrap();
    assert_eq!(plan.dirs[0].path, "kubepods/pod1/abc");
    let paths: Vec<&str> = plan.enable.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["", "kubepods", "kubepods/pod1"]);
}

#[test]
fn v2_user_without_delegation_is_told_how() {
    let own = "/user.slice/user-1000.slice/session-3.scope";
    let layout = CgroupLayout {
        v1: Vec::new(),
        v2: v2("/sys/fs/cgroup", own, "", None),
        user_manager: None,
    };
    let plan = plan_for(&host(layout, Privilege::User), &usual());
    assert!(plan.dirs.is_empty() && plan.writes.is_empty());
    assert!(
        plan.lacks[0]
            .what
            .contains("systemd-run --user --scope -p Delegate=yes")
    );
    assert_eq!(plan.filter, DeviceFilter::None);
    assert!(plan.check(&[]).is_err());
    assert!(plan.check(&[ControlId::S8_1_4]).is_ok());
}

#[test]
fn v2_user_in_its_own_scope_steps_aside() {
    let scope = "user.slice/user@1000.service/run-1.scope";
    let layout = CgroupLayout {
        v1: Vec::new(),
        v2: v2(
            "/sys/fs/cgroup",
            &format!("/{scope}"),
            "memory pids",
            Some(scope),
        ),
        user_manager: None,
    };
    let mut grant = usual();
    (
        grant.cpu_quota,
        grant.cpu_period,
        grant.cpu_shares,
        grant.io_bps,
    ) = (None, None, None, None);
    let plan = plan_for(&host(layout, Privilege::User), &grant);
    assert_eq!(plan.dirs[0].path, format!("{scope}/cofferdam-web"));
    assert_eq!(
        plan.step_aside.as_ref().unwrap().path,
        format!("{scope}/cofferdam-launcher")
    );
    assert_eq!(plan.enable.len(), 1, "nothing above the scope is touched");
    assert_eq!(plan.enable[0].path, scope);
    assert!(plan.lacks.is_empty());
}

#[test]
fn hybrid_finds_processes_on_v2_and_limits_on_v1() {
    let mut layout = legacy();
    layout.v2 = v2("/sys/fs/cgroup/unified", "/", "hugetlb", Some(""));
    let plan = plan_for(&host(layout, Privilege::Root), &usual());
    let dirs: Vec<String> = plan
        .dirs
        .iter()
        .map(|d| format!("{} {}", d.mount, d.path))
        .collect();
    assert_eq!(
        dirs,
        [
            "/sys/fs/cgroup/unified cofferdam-web",
            "/sys/fs/cgroup/memory outer/cofferdam-web",
            "/sys/fs/cgroup/pids cofferdam-web",
            "/sys/fs/cgroup/cpu,cpuacct cofferdam-web",
            "/sys/fs/cgroup/blkio cofferdam-web",
            "/sys/fs/cgroup/devices cofferdam-web",
        ]
    );
    assert_eq!(plan.dirs[0].purpose, Purpose::Track);
    assert!(plan.enable.is_empty() && plan.freezer.is_none());
}

#[test]
fn co_mounted_v1() {
    let mut grant = usual();
    grant.cpuset_cpus = Some("0-1".into());
    let plan = plan_for(&host(legacy(), Privilege::Root), &grant);
    assert_eq!(
        told(&plan),
        [
            "/sys/fs/cgroup/memory/outer/cofferdam-web/memory.limit_in_bytes = 268435456",
            "/sys/fs/cgroup/memory/outer/cofferdam-web/memory.memsw.limit_in_bytes = 268435456",
            "/sys/fs/cgroup/memory/outer/cofferdam-web/memory.swappiness = 0",
            "/sys/fs/cgroup/pids/cofferdam-web/pids.max = 64",
            "/sys/fs/cgroup/cpu,cpuacct/cofferdam-web/cpu.cfs_period_us = 100000",
            "/sys/fs/cgroup/cpu,cpuacct/cofferdam-web/cpu.cfs_quota_us = 50000",
            "/sys/fs/cgroup/cpu,cpuacct/cofferdam-web/cpu.shares = 1024",
            "/sys/fs/cgroup/cpuset/cofferdam-web/cpuset.cpus = (inherited)",
            "/sys/fs/cgroup/cpuset/cofferdam-web/cpuset.mems = (inherited)",
            "/sys/fs/cgroup/cpuset/cofferdam-web/cpuset.cpus = 0-1",
            "/sys/fs/cgroup/blkio/cofferdam-web/blkio.throttle.read_bps_device = 254:0 10485760",
            "/sys/fs/cgroup/blkio/cofferdam-web/blkio.throttle.write_bps_device = 254:0 10485760",
        ]
    );
    let DeviceFilter::V1 {
        lines, expected, ..
    } = &plan.filter
    else {
        panic!("{:?}", plan.filter)
    };
    assert_eq!(lines[0], ("devices.deny".to_string(), "a".to_string()));
    assert_eq!(expected.len(), 5);
    assert_eq!(plan.freezer.as_ref().unwrap().path, "cofferdam-web");
    assert!(
        !plan
            .dirs
            .iter()
            .any(|d| d.controllers.contains(&"freezer".to_string()))
    );
}

#[test]
fn no_cgroups_at_all() {
    let plan = plan_for(&host(CgroupLayout::default(), Privilege::Root), &usual());
    assert!(plan.dirs.is_empty());
    // memory, pids, cpu, io, devices, and finding the processes.
    assert_eq!(plan.lacks.len(), 6);
    let text = plan.check(&[]).unwrap_err().to_string();
    assert!(text.contains("no cgroup file system is mounted"), "{text}");
}

#[test]
fn unified_keys_need_v2_and_are_names() {
    let mut grant = usual();
    let refused =
        |g: &Limits, h: &Host| plan_limits(g, &[], &CgroupPlace::default(), "x", h, &[]).is_err();
    grant.unified = vec![("memory.high".into(), "1048576".into())];
    let plan = plan_for(&pure_v2(), &grant);
    assert!(
        told(&plan)
            .iter()
            .any(|w| w.ends_with("memory.high = 1048576"))
    );
    assert!(refused(&grant, &host(legacy(), Privilege::Root)));
    for key in ["cgroup.procs", "../x.y", "memory", "memory.max/x", ""] {
        grant.unified = vec![(key.into(), "1".into())];
        assert!(refused(&grant, &pure_v2()), "{key}");
    }
}

#[test]
fn long_names_are_cut_to_a_file_name_and_stay_apart() {
    let place = CgroupPlace::default();
    let of = |name: &str| {
        let plan = plan_limits(&usual(), &[], &place, name, &pure_v2(), &[]).unwrap();
        let path = &plan.v2_dir().unwrap().path;
        path.rsplit('/').next().unwrap().to_string()
    };
    let long = "a".repeat(245);
    assert_eq!(of(&long), format!("cofferdam-{long}"));
    let (one, other) = (of(&"a".repeat(255)), of(&format!("{}b", "a".repeat(254))));
    assert_eq!((one.len(), other.len()), (255, 255));
    assert_ne!(one, other);
    assert_eq!(one, of(&"a".repeat(255)));
}

#[test]
fn paths_that_climb_are_refused() {
    for path in ["/../x", "a/../b", "/", "", "./x", "a\nb", &"x/".repeat(80)] {
        let place = CgroupPlace {
            path: Some(path.into()),
            scope: None,
        };
        assert!(
            plan_limits(&usual(), &[], &place, "x", &pure_v2(), &[]).is_err(),
            "{path:?}"
        );
    }
    let none = CgroupPlace::default();
    assert!(plan_limits(&usual(), &[], &none, "a/../../b", &pure_v2(), &[]).is_err());
}

#[test]
fn shares_become_weights_that_keep_the_ends_and_the_middle() {
    let pairs = [
        (0, 1),
        (2, 1),
        (1024, 100),
        (262_144, 10_000),
        (u64::MAX, 10_000),
        (512, 59),
    ];
    for (shares, weight) in pairs {
        assert_eq!(units::weight_of_shares(shares), weight, "{shares}");
    }
}

#[test]
fn read_back_allows_only_the_kernels_own_spelling() {
    assert!(Expect::Bytes(1_000_000).holds("999424\n"));
    assert!(!Expect::Bytes(1_000_000).holds("1003520"));
    assert!(!Expect::Bytes(1_000_000).holds("max"));
    assert!(Expect::List("0,1,2".into()).holds("0-2\n"));
    assert!(!Expect::List("0-1".into()).holds("0-2"));
    assert!(Expect::Line("8:0 5".into()).holds("7:0 1\n8:0 5\n"));
    assert!(!Expect::Text("0".into()).holds("60"));
}

#[test]
fn the_screen() {
    let text = plan_for(&pure_v2(), &usual()).to_string();
    assert_eq!(
        text,
        "memory     256 MiB, no swap  [SS-011/8.1.4]\n\
         pids       64 threads and processes  [SS-011/8.1.4]\n\
         cpu        50 % of one CPU (50000 µs in each 100000 µs), shares 1024  [SS-011/8.1.4]\n\
         io         10 MiB/s each way on 254:0  [SS-011/8.1.4]\n\
         devices    null zero full random urandom, nothing else  [SS-011/8.5.1]\n"
    );
}

fn rule(
    allow: bool,
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: &str,
) -> DeviceRule {
    DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: access.into(),
    }
}

fn program(rules: &[DeviceRule]) -> Vec<BpfInstruction> {
    let place = CgroupPlace::default();
    let plan = plan_limits(&usual(), rules, &place, "x", &pure_v2(), &[]).unwrap();
    match plan.filter {
        DeviceFilter::V2 { program, .. } => program,
        other => panic!("{other:?}"),
    }
}

/// What the kernel would answer: just the instructions that are used.
fn run(program: &[BpfInstruction], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
    let context = [access << 16 | kind, major, minor];
    let mut r = [0u64; 6];
    let mut at = 0;
    loop {
        let i = program[at];
        at += 1;
        let (to, from) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
        match i.code {
            0x61 => r[to] = u64::from(context[i.offset as usize / 4]),
            0x54 => r[to] = u64::from(r[to] as u32 & i.constant as u32),
            0x74 => r[to] = u64::from(r[to] as u32 >> i.constant),
            0xbf => r[to] = r[from],
            0xb7 => r[to] = i.constant as u64,
            0x15 if r[to] == i.constant as u64 => at += i.offset as usize,
            0x55 if r[to] != i.constant as u64 => at += i.offset as usize,
            0x15 | 0x55 => {}
            0x95 => return r[0],
            other => panic!("instruction {other:#x}"),
        }
    }
}

#[test]
fn deny_all_first_then_the_list() {
    let p = program(&[
        rule(true, 'c', Some(136), None, "rw"),
        rule(true, 'b', Some(8), Some(0), "r"),
    ]);
    assert_eq!(run(&p, 2, 7, 1, 3), 1, "null");
    assert_eq!(run(&p, 2, 7, 1, 1), 0, "mem");
    assert_eq!(run(&p, 2, 6, 136, 9), 1, "pts");
    assert_eq!(run(&p, 2, 1, 136, 9), 0, "no mknod of it");
    assert_eq!(run(&p, 1, 2, 8, 0), 1);
    assert_eq!(run(&p, 1, 6, 8, 0), 0, "read and write is more than read");
    assert_eq!(run(&p, 1, 2, 8, 1), 0);
    assert_eq!(run(&p, 2, 2, 8, 0), 0, "other kind");
}

#[test]
fn later_rules_win_and_what_cannot_be_cut_is_denied() {
    let p = program(&[
        rule(true, 'a', None, None, "rwm"),
        rule(false, 'b', None, None, "rwm"),
    ]);
    assert_eq!(run(&p, 2, 7, 10, 229), 1);
    assert_eq!(run(&p, 1, 2, 8, 0), 0);
    let p = program(&[
        rule(true, 'c', Some(5), None, "rwm"),
        rule(false, 'c', Some(5), Some(1), "w"),
    ]);
    assert_eq!(run(&p, 2, 2, 5, 1), 1);
    assert_eq!(run(&p, 2, 4, 5, 1), 0);
    assert_eq!(run(&p, 2, 4, 5, 0), 0, "goes with it");
    let p = program(&[
        rule(true, 'c', Some(10), Some(200), "rwm"),
        rule(false, 'a', None, None, "rwm"),
    ]);
    assert_eq!(run(&p, 2, 2, 10, 200), 0);
    assert_eq!(run(&p, 2, 7, 1, 9), 1, "the harmless five stay");
}

proptest::proptest! {
    /// Whatever the rules, the program ends, and never allows what no allow rule (or the five) covers.
    #[test]
    fn nothing_unasked_is_allowed(
        rules in proptest::collection::vec(
            (proptest::bool::ANY, 0..3usize, proptest::option::of(0..3u32), proptest::option::of(0..3u32), "[rwm]{0,3}"), 0..8),
        major in 0..3u32, minor in 0..3u32, access in 1..8u32, block in proptest::bool::ANY,
    ) {
        let rules: Vec<DeviceRule> = rules.into_iter()
            .map(|(allow, k, a, b, access)| rule(allow, ['a', 'b', 'c'][k], a, b, &access)).collect();
        let kind = if block { 'b' } else { 'c' };
        let p = program(&rules);
        if run(&p, if block { 1 } else { 2 }, access, major, minor) == 1 {
            let five = kind == 'c' && major == 1 && minor == 3;
            let asked = rules.iter().any(|r| r.allow && (r.kind == 'a' || r.kind == kind)
                && r.major.is_none_or(|m| m == major) && r.minor.is_none_or(|m| m == minor));
            assert!(five || asked);
        }
    }

    #[test]
    fn no_path_panics(path in ".*", name in ".*") {
        let place = CgroupPlace { path: Some(path), scope: None };
        let _ = plan_limits(&usual(), &[], &place, &name, &pure_v2(), &[]);
        let _ = plan_limits(&usual(), &[], &CgroupPlace::default(), &name, &pure_v2(), &[]);
        let _ = (Expect::List(name.clone())).holds(&name);
    }
}
