//! Plans as they are printed, for hosts that are made up. No privilege needed: everything up to the plan is data.
//!
//! Golden files are in tests/plan/: `UPDATE=1 cargo test --test plan` rewrites them.

use cofferdam::bundle::{Bundle, DescriptorKind, Extras};
use cofferdam::host::{CallerIds, CgroupLayout, Host, Privilege, V1Hierarchy, V2Hierarchy};
use cofferdam::paths::{GuestPath, HostPath};
use cofferdam::plan::{Plan, PlanError};
use cofferdam::policy::{Caller, Decision, Policy, Source};
use cofferdam::request::{self, RunRequest, openings};
use cofferdam::survey::Survey;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A root with one program that names a loader.
fn root(dir: &Path) {
    for sub in ["proc", "dev", "etc", "srv", "lib", "bin"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    fs::write(dir.join("bin/service"), elf("/lib/loader.so")).unwrap();
    fs::set_permissions(dir.join("bin/service"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The smallest 64-bit ELF header with a PT_INTERP.
fn elf(loader: &str) -> Vec<u8> {
    let mut out = vec![0u8; 64 + 56];
    out[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let machine: u16 = if cfg!(target_arch = "x86_64") {
        62
    } else {
        183
    };
    out[18..20].copy_from_slice(&machine.to_le_bytes());
    out[32..40].copy_from_slice(&64u64.to_le_bytes());
    out[54..56].copy_from_slice(&56u16.to_le_bytes());
    out[56..58].copy_from_slice(&1u16.to_le_bytes());
    out[64..68].copy_from_slice(&3u32.to_le_bytes());
    out[72..80].copy_from_slice(&120u64.to_le_bytes());
    out[96..104].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
    out.extend_from_slice(loader.as_bytes());
    out.push(0);
    out
}

fn host(kernel: (u32, u32), landlock_abi: u32, cgroups: CgroupLayout) -> Host {
    Host {
        release: format!("{}.{}.0", kernel.0, kernel.1),
        kernel,
        landlock_abi,
        missing_calls: Vec::new(),
        privilege: Privilege::Root,
        caller: CallerIds {
            uid: 0,
            real_uid: 0,
            gid: 0,
            login: None,
        },
        bounding: (1 << 41) - 1,
        rlimits: vec![
            ("nofile".into(), 1024, 524_288),
            ("core".into(), 0, u64::MAX),
        ],
        may_raise_limits: true,
        cgroups,
        taken_ids: vec![(100_000, 65_536)],
        delegated: Default::default(),
        submounts: Vec::new(),
        lsm: Vec::new(),
        apparmor: Default::default(),
        memory: 8 << 30,
        now: 1_795_320_000,
    }
}

fn v2() -> CgroupLayout {
    let all = ["cpuset", "cpu", "io", "memory", "pids"];
    CgroupLayout {
        v1: Vec::new(),
        v2: Some(V2Hierarchy {
            mount: HostPath::trusted("/sys/fs/cgroup"),
            own: "/".into(),
            controllers: all.map(String::from).to_vec(),
            parent: Some(String::new()),
        }),
        user_manager: None,
    }
}

fn v1() -> CgroupLayout {
    let all = ["memory", "pids", "cpu", "devices", "blkio", "freezer"];
    let one = |name: &str| V1Hierarchy {
        controllers: vec![name.into()],
        mount: HostPath::trusted(format!("/sys/fs/cgroup/{name}")),
        own: "/".into(),
    };
    CgroupLayout {
        v1: all.map(one).to_vec(),
        ..CgroupLayout::default()
    }
}

/// `run --rootfs DIR` with flags of every kind.
fn request(dir: &Path) -> RunRequest {
    RunRequest {
        name: "web".into(),
        source: request::Source::Rootfs(HostPath::trusted(dir)),
        volumes: vec![request::volume("/usr/share:/srv").unwrap()],
        tmpfs: vec![(GuestPath::parse("/var/cache").unwrap(), 1 << 20)],
        env: vec!["A=b".into()],
        expose: vec![8080],
        memory: Some(64 << 20),
        cpus: Some(500),
        args: vec!["/bin/service".into(), "--all".into()],
        ..RunRequest::default()
    }
}

fn plan(bundle: &Bundle, host: &Host) -> Result<Plan, PlanError> {
    plan_under(&Policy::built_in().unwrap(), bundle, host)
}

fn plan_under(policy: &Policy, bundle: &Bundle, host: &Host) -> Result<Plan, PlanError> {
    let Decision::Granted(grant) = cofferdam::policy::decide(bundle, policy, host) else {
        panic!("refused");
    };
    // Which file system the temporary folder lies on is not the plan's doing.
    let mut survey = Survey::take(&grant).unwrap();
    survey.disks = vec![(8, 0)];
    if let Some(root) = &mut survey.root {
        root.magic = 0xEF53;
    }
    for source in survey.sources.values_mut() {
        if let cofferdam::survey::Source::Present(node) = source {
            node.magic = 0xEF53;
        }
    }
    cofferdam::plan::plan(&grant, host, &survey)
}

#[track_caller]
fn golden(name: &str, dir: &Path, plan: &Plan) {
    let shown = plan.to_string().replace(dir.to_str().unwrap(), "ROOT");
    let path = format!("{}/tests/plan/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &shown).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    for (number, (want, is)) in wanted.lines().zip(shown.lines()).enumerate() {
        assert_eq!(want, is, "{path}:{} (UPDATE=1 rewrites it)", number + 1);
    }
    assert_eq!(wanted.lines().count(), shown.lines().count(), "{path}");
}

fn standalone(name: &str, host: &Host) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    root(&dir);
    let bundle = Bundle::standalone(&request(&dir)).unwrap();
    golden(name, &dir, &plan(&bundle, host).unwrap());
}

#[test]
fn a_new_kernel_with_cgroup_v2() {
    standalone("v2", &host((6, 18), 7, v2()));
}

#[test]
fn a_new_kernel_with_cgroup_v1() {
    standalone("v1", &host((6, 18), 7, v1()));
}

#[test]
fn an_old_kernel_says_what_is_lost() {
    standalone("old-kernel", &host((5, 15), 1, v2()));
}

#[test]
fn an_ordinary_user_says_what_is_weaker() {
    let mut host = host((6, 18), 7, CgroupLayout::default());
    host.privilege = Privilege::User;
    host.caller = CallerIds {
        uid: 1000,
        real_uid: 1000,
        gid: 1000,
        login: Some(1000),
    };
    standalone("user", &host);
}

#[test]
fn an_engine_is_clamped() {
    of_an_engine("engine", None);
}

#[test]
fn systemd_makes_the_cgroup() {
    let path = "kubepods-burstable-pod1.slice:cri-containerd:c1";
    of_an_engine("systemd", Some(path));
}

/// With `scope`, under --systemd-cgroup.
fn of_an_engine(name: &str, scope: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let rootfs = dir.join("rootfs");
    root(&rootfs);
    let mut spec = cofferdam::bundle::hardened_spec();
    spec["process"]["args"] = serde_json::json!(["/bin/service"]);
    spec["process"]["user"] = serde_json::json!({ "uid": 33, "gid": 33, "additionalGids": [4] });
    spec["process"]["capabilities"]["bounding"] = serde_json::json!(["CAP_NET_RAW", "CAP_CHOWN"]);
    spec["root"]["readonly"] = false.into();
    spec["linux"]["maskedPaths"] = serde_json::json!(["/etc"]);
    if let Some(path) = scope {
        spec["linux"]["cgroupsPath"] = path.into();
    }
    fs::write(dir.join("config.json"), spec.to_string()).unwrap();
    let extras = Extras {
        systemd_cgroup: scope.is_some(),
        ..Extras::default()
    };
    let bundle = Bundle::load(&HostPath::trusted(&dir), "c1", Caller::Engine, extras).unwrap();
    let plan = plan(&bundle, &host((6, 18), 7, v2())).unwrap();
    golden(name, &dir, &plan);
}

/// Hooks of every kind, a terminal, a listener, descriptors: what an engine can ask beside the program itself.
#[test]
fn compat_gives_an_engine_what_it_asks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let rootfs = dir.join("rootfs");
    root(&rootfs);
    std::os::unix::fs::symlink("../run/stub.conf", rootfs.join("etc/resolv.conf")).unwrap();
    let mut spec = cofferdam::bundle::hardened_spec();
    spec["process"]["args"] = serde_json::json!(["/bin/service"]);
    spec["process"]["terminal"] = true.into();
    spec["process"]["consoleSize"] = serde_json::json!({ "height": 24, "width": 80 });
    let (pts, bind) = (["newinstance", "ptmxmode=0666", "mode=0620"], ["bind"]);
    spec["mounts"].as_array_mut().unwrap().extend([
        serde_json::json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts }),
        serde_json::json!({ "destination": "/etc/resolv.conf", "type": "bind", "source": "/etc/hosts", "options": bind }),
    ]);
    let hook = |path: &str| serde_json::json!([{ "path": path, "args": ["x"], "env": ["SECRET=word"], "timeout": 5 }]);
    spec["hooks"] = serde_json::json!({
        "poststop": hook("/usr/libexec/last"), "prestart": hook("/usr/libexec/first"),
        "createContainer": hook("/usr/libexec/third"), "startContainer": [{ "path": "/inside" }],
        "createRuntime": hook("/usr/libexec/second"), "poststart": hook("/usr/libexec/after"),
    });
    spec["linux"]["seccomp"] = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{ "names": ["mount"], "action": "SCMP_ACT_NOTIFY" }]
    });
    fs::write(dir.join("config.json"), spec.to_string()).unwrap();
    let extras = Extras {
        descriptors: vec![(3, DescriptorKind::Other)],
        ..Extras::default()
    };
    let bundle = Bundle::load(&HostPath::trusted(&dir), "c1", Caller::Engine, extras).unwrap();
    let compat = Source {
        name: "compat.toml".into(),
        text: include_str!("../profiles/compat.toml").into(),
    };
    let policy = Policy::layered(None, &[compat]).unwrap();
    let plan = plan_under(&policy, &bundle, &host((6, 18), 7, v2())).unwrap();
    golden("compat", &dir, &plan);
    assert!(!serde_json::to_string(&plan).unwrap().contains("word"));
}

#[test]
fn what_the_host_cannot_give_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path());
    let bundle = Bundle::standalone(&request(dir.path())).unwrap();
    let refused = |host: &Host| plan(&bundle, host).map(drop).unwrap_err().to_string();
    let none = refused(&host((6, 18), 7, CgroupLayout::default()));
    assert!(
        none.contains("SS-011/8.1.4") && none.contains("degraded"),
        "{none}"
    );
    let old = refused(&host((5, 10), 0, v2()));
    assert!(old.contains("5.12"), "{old}");
}

#[test]
fn the_same_request_has_the_same_digest_and_another_has_not() {
    let dir = tempfile::tempdir().unwrap();
    root(dir.path());
    let host = host((6, 18), 7, v2());
    let digest = |request: &RunRequest| {
        plan(&Bundle::standalone(request).unwrap(), &host)
            .unwrap()
            .digest()
    };
    let first = request(dir.path());
    let mut second = first.clone();
    second.memory = Some(65 << 20);
    assert_eq!(digest(&first), digest(&first));
    assert_ne!(digest(&first), digest(&second));
}

/// A request for port 80 at 8080, and what is asked beside it.
fn published(dir: &Path, beside: &[(&str, &str)]) -> RunRequest {
    let mut all = request::Openings {
        publish: vec![openings::publish("8080:80").unwrap()],
        ..Default::default()
    };
    for (flag, word) in beside {
        match *flag {
            "publish" => all.publish = vec![openings::publish(word).unwrap()],
            "and" => all.publish.push(openings::publish(word).unwrap()),
            "mode" => all.mode = openings::mode(word).unwrap(),
            "from" => all.from = vec![openings::cidr(word).unwrap()],
            "link" => all.links = vec![openings::link(word).unwrap()],
            "listen" => {
                all.publish.clear();
                all.listen = vec![openings::listen(word).unwrap()];
            }
            other => panic!("{other}"),
        }
    }
    RunRequest {
        volumes: Vec::new(),
        expose: Vec::new(),
        openings: all,
        ..request(dir)
    }
}

/// A socket of the host's stands inside only where nothing can be made of it.
#[test]
fn a_published_port_is_native_only_where_that_is_no_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    root(&dir);
    let planned = |abi, beside: &[(&str, &str)]| {
        let bundle = Bundle::standalone(&published(&dir, beside)).unwrap();
        plan(&bundle, &host((6, 18), abi, v2()))
    };
    for (abi, beside, native) in [
        (4, &[][..], true),
        // Landlock can't deny connections there.
        (3, &[], false),
        // The program may connect to a port: also through a socket of the host's.
        (7, &[("link", "db:1=x:2")], false),
        (7, &[("publish", "53:53/udp")], false),
        (7, &[("from", "10.0.0.0/8")], false),
        (7, &[("and", "8081:80")], false),
    ] {
        let planned = planned(abi, beside).unwrap();
        assert_eq!(planned.openings.host_sockets(), native, "{abi} {beside:?}");
        let way = match native {
            true => "by the service's own socket",
            false => "inside, forwarded",
        };
        assert!(planned.to_string().contains(way), "{planned}");
    }
    for (abi, beside, part) in [
        (3, ("mode", "native"), "ABI 4"),
        (3, ("listen", "tcp://127.0.0.1:81"), "ABI 4"),
    ] {
        let why = planned(abi, &[beside]).unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
}
