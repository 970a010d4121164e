//! Pods as kubelet runs them: sandboxes, containers that join them, probes, limits, security contexts.

use crate::cri::{self, Node, Pod};
use crate::engines;
use crate::host::TRANSITION;
use crate::need;
use crate::release::{Release, boot};
use crate::support::*;
use serde_json::{Value, json};

const FOREVER: [&str; 2] = ["sleep", "1000"];

/// The test's node, or a skip.
macro_rules! node {
    ($release:ident) => {{
        engines!("containerd", "cni/bridge", "protoc", "ip", "busybox");
        if let Some(why) = cri::absent() {
            fn here() {}
            let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
            return skip(test, "engines", &why);
        }
        Node::of(boot!(Release::$release))
    }};
}

impl Node {
    fn ns(&self, pid: i64, kind: &str) -> String {
        self.host
            .script(&format!("readlink /proc/{pid}/ns/{kind}"))
            .ok()
            .into()
    }

    fn pause(&self, pod: &Pod) -> i64 {
        self.pid("PodSandboxStatus", "pod_sandbox_id", &pod.id)
    }

    fn first(&self, id: &str) -> i64 {
        self.pid("ContainerStatus", "container_id", id)
    }

    /// The content of a file of a process's cgroup, on v1 (controller, file) or v2 (file).
    fn cgroup(&self, pid: i64, v1: (&str, &str), v2: &str) -> String {
        let (controller, file) = v1;
        let script = format!(
            "g=$(sed -n 's/^[0-9]*:\\([^:]*,\\)\\?{controller}\\(,[^:]*\\)\\?://p' /proc/{pid}/cgroup); \
             if [ -n \"$g\" ]; then cat /sys/fs/cgroup/{controller}$g/{file}; \
             else cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/{pid}/cgroup)/{v2}; fi"
        );
        self.host.script(&script).ok().trim().into()
    }
}

/// What both releases of containerd ask of the runtime.
fn a_life(node: &Node) {
    node.host.write("/etc/cofferdam/policy.toml", TRANSITION);
    let pod = node.pod("life", json!({}));
    let status = node.ask("PodSandboxStatus", json!({"pod_sandbox_id": pod.id}));
    let ip = status["status"]["network"]["ip"].as_str().unwrap();
    assert!(ip.starts_with("10.88.0."), "{status}");
    let serve = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    let web = node.run(
        &pod,
        "web",
        &serve,
        json!({"resources": {"oom_score_adj": 999}}),
    );
    // One network for the pod: by its address from the node, by the loopback from a neighbour.
    let get = format!("busybox wget -q -O - http://{ip}/group");
    node.host.until("the pod answers", |h| h.line(&get).ended());
    assert_eq!(node.host.line(&get).ok(), "root:x:0:\n");
    let local = ["wget", "-q", "-O", "-", "http://127.0.0.1/group"];
    let peer = node.through(&pod, "peer", &local, json!({}));
    assert_eq!(peer, (0, "root:x:0:\n".into()));
    let (pause, first) = (node.pause(&pod), node.first(&web));
    for (kind, one) in [
        ("net", true),
        ("ipc", true),
        ("uts", true),
        ("pid", false),
        ("mnt", false),
    ] {
        let same = node.ns(pause, kind) == node.ns(first, kind);
        assert_eq!(same, one, "{kind}");
        assert_ne!(node.ns(pause, kind), node.ns(1, kind), "{kind}");
    }
    // -998 was asked: no container outlives the host's own services. 999 is granted.
    let score = |pid: i64| {
        node.host
            .line(&format!("cat /proc/{pid}/oom_score_adj"))
            .out
    };
    assert_eq!((score(pause).trim(), score(first).trim()), ("0", "999"));
    let records = node.host.line("cat /var/log/cofferdam/launches.jsonl");
    assert!(records.ok().contains("/process/oomScoreAdj"), "{records:?}");
    // Its end is asked for, then forced.
    node.ask("StopContainer", json!({"container_id": web, "timeout": 1}));
    assert_eq!(node.status(&web).0, "CONTAINER_EXITED");
    node.ask("RemoveContainer", json!({"container_id": web}));
    node.run(&pod, "again", &FOREVER, json!({}));
    node.remove(&pod);
    // As profiles/engines/kubernetes/runtimeclass.yaml names it.
    let pod = node.try_pod("classed", "cofferdam", json!({})).unwrap();
    node.remove(&pod);
    let unknown = node.try_pod("unknown", "other", json!({}));
    assert!(unknown.is_err_and(|why| why.contains("no runtime for")));
    node.assert_clean();
}

#[test]
fn a_pod_is_one_network_and_its_containers_join_it() {
    let node = node!(Installed);
    a_life(&node);
}

#[test]
fn a_pod_of_the_newest_containerd() {
    let node = node!(Newest);
    a_life(&node);
    probes(&node);
    limits(&node);
}

/// Exec probes: refused by strict, run in transition.
fn probes(node: &Node) {
    node.host
        .write("/etc/cofferdam/policy.toml", crate::host::STRICT);
    let pod = node.pod("probed", json!({}));
    let id = node.run(&pod, "strict", &FOREVER, json!({}));
    let refused = node.exec(&id, &["true"], 10).unwrap_err();
    assert!(
        refused.contains("SS-011/8.4.1") && refused.contains("permission denied"),
        "{refused}"
    );
    assert_eq!(node.status(&id).0, "CONTAINER_RUNNING");
    node.host.write("/etc/cofferdam/policy.toml", TRANSITION);
    let id = node.run(&pod, "eased", &FOREVER, json!({}));
    assert_eq!(
        node.exec(&id, &["echo", "alive"], 10),
        Ok((0, "alive\n".into()))
    );
    assert_eq!(
        node.exec(&id, &["sh", "-c", "exit 3"], 10),
        Ok((3, String::new()))
    );
    let missing = node.exec(&id, &["nothing"], 10).unwrap_err();
    assert!(missing.contains("executable file not found"), "{missing}");
    // A probe that does not answer is ended, the container goes on.
    let late = node.exec(&id, &["sleep", "777"], 1).unwrap_err();
    assert!(
        late.contains("DEADLINE_EXCEEDED") || late.contains("timeout"),
        "{late}"
    );
    assert_eq!(node.host.script("pgrep -xf 'sleep 777'").out, "");
    assert_eq!(node.status(&id).0, "CONTAINER_RUNNING");
    node.remove(&pod);
    node.assert_clean();
}

#[test]
fn probes_need_the_exception() {
    let node = node!(Installed);
    probes(&node);
}

/// Limits of the pod (its cgroup, made by kubelet) and of the container, changed while it runs.
fn limits(node: &Node) {
    node.host.write("/etc/cofferdam/policy.toml", TRANSITION);
    let pods = "for g in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup; do \
                [ -e $g/cgroup.procs ] && mkdir -p $g/pod-limited; done; true";
    node.host.script(pods).ok();
    let set = "cd /sys/fs/cgroup; if [ -d memory ]; then echo 50331648 > memory/pod-limited/memory.limit_in_bytes; \
               else echo +memory +pids > cgroup.subtree_control; echo 50331648 > pod-limited/memory.max; fi";
    node.host.script(set).ok();
    let pod = node.pod("limited", json!({}));
    let own = |bytes: u64| json!({"resources": {"memory_limit_in_bytes": bytes}});
    // The container's own limit is far above the pod's.
    let eater = node.run(&pod, "eater", &["tail", "/dev/zero"], own(1 << 30));
    assert_eq!(node.ended(&eater).0, 137);
    let own_limit = node.run(&pod, "own", &["tail", "/dev/zero"], own(16 << 20));
    assert_eq!(node.ended(&own_limit), (137, "OOMKilled".into()));
    let id = node.run(&pod, "resized", &FOREVER, own(32 << 20));
    let first = node.first(&id);
    let memory = || node.cgroup(first, ("memory", "memory.limit_in_bytes"), "memory.max");
    assert_eq!(memory(), (32 << 20).to_string());
    let resize = json!({"container_id": id,
        "linux": {"memory_limit_in_bytes": 24 << 20, "cpu_period": 100_000, "cpu_quota": 20_000, "cpu_shares": 512}});
    node.ask("UpdateContainerResources", resize);
    assert_eq!(memory(), (24 << 20).to_string());
    let cpu = node.cgroup(first, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert!(cpu.starts_with("20000"), "{cpu}");
    // The update came with a bare "no device at all": the default ones are still there, and no others.
    let use_it = "echo x > /dev/null && head -c 4 /dev/urandom | wc -c";
    assert_eq!(
        node.exec(&id, &["sh", "-c", use_it], 10),
        Ok((0, "4\n".into()))
    );
    node.remove(&pod);
    let empty = "find /sys/fs/cgroup -depth -type d -name pod-limited -exec rmdir {} ;";
    node.host.line(empty).ok();
    node.assert_clean();
}

#[test]
fn limits_of_pod_and_container_hold_and_change() {
    let node = node!(Installed);
    limits(&node);
}

#[test]
fn security_contexts_are_cut_to_the_ceiling() {
    let node = node!(Installed);
    let pod = node.pod("contexts", json!({}));
    let context = |context: Value| json!({"security_context": context});
    let show = ["cat", "/proc/self/status"];
    let status = |name: &str, context: Value, wanted: &[&str]| {
        let (code, out) = node.through(&pod, name, &show, context);
        assert_eq!(code, 0, "{name}: {out}");
        for line in wanted {
            assert!(out.contains(line), "{name}: no {line:?} in {out}");
        }
    };
    let none = "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000";
    let held = ["NoNewPrivs:\t1", "Seccomp:\t2", none];
    // "restricted", the pod security standard's word for it.
    let restricted = json!({"run_as_user": {"value": 1000}, "run_as_group": {"value": 1001},
        "supplemental_groups": [1002], "readonly_rootfs": true, "no_new_privs": true,
        "capabilities": {"drop_capabilities": ["ALL"]}, "seccomp": {"profile_type": "RuntimeDefault"}});
    let ids = [
        "Uid:\t1000\t1000\t1000\t1000",
        "Gid:\t1001\t1001\t1001\t1001",
        "Groups:\t1001 1002",
    ];
    status(
        "restricted",
        context(restricted.clone()),
        &[&ids[..], &held[..]].concat(),
    );
    status("nothing-said", json!({}), &held);
    let all = json!({"capabilities": {"add_capabilities": ["ALL"]}});
    status("all-added", context(all), &held);
    let touch = node.through(&pod, "touch", &["touch", "/x"], context(restricted));
    assert_eq!(touch.0, 1);
    let touch = node.through(&pod, "touch-unasked", &["touch", "/x"], json!({}));
    assert!(
        touch.0 == 1 && touch.1.contains("Read-only file system"),
        "{touch:?}"
    );
    node.remove(&pod);
    // Privileged: no capability, no device, no writable kernel file comes of it.
    let privileged = json!({"privileged": true});
    let pod = node.pod("privileged", context(privileged.clone()));
    let run = |name: &str, command: &[&str]| {
        node.through(&pod, name, command, context(privileged.clone()))
    };
    let (_, out) = run("status", &show);
    for line in held {
        assert!(out.contains(line), "no {line:?} in {out}");
    }
    let (_, devices) = run("devices", &["ls", "/dev"]);
    let usual = [
        "core",
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "termination-log",
        "tty",
        "urandom",
        "zero",
    ];
    assert!(devices.lines().all(|d| usual.contains(&d)), "{devices}");
    assert_eq!(run("mount", &["mount", "-t", "tmpfs", "none", "/tmp"]).0, 1);
    assert_ne!(
        run("proc", &["sh", "-c", "echo 1 > /proc/sys/vm/swappiness"]).0,
        0
    );
    node.remove(&pod);
    // The node's own namespaces: asked for, never given.
    for (kind, short) in [("network", "net"), ("pid", "pid"), ("ipc", "ipc")] {
        let mut options = json!({"network": "POD", "pid": "CONTAINER", "ipc": "POD"});
        options[kind] = "NODE".into();
        let asked = context(json!({"namespace_options": options}));
        let pod = node.pod(&format!("host-{kind}"), asked.clone());
        let id = node.run(&pod, "inside", &FOREVER, asked);
        for pid in [node.pause(&pod), node.first(&id)] {
            assert_ne!(node.ns(pid, short), node.ns(1, short), "{kind}");
        }
        node.remove(&pod);
        let records = node.host.line("cat /var/log/cofferdam/launches.jsonl").out;
        assert!(
            records.contains(&format!("the host's {kind} namespace")),
            "{kind}"
        );
    }
    node.assert_clean();
}

#[test]
fn processes_shared_in_a_pod_end_with_their_container() {
    let node = node!(Installed);
    node.host.write("/etc/cofferdam/policy.toml", TRANSITION);
    let shared = json!({"security_context": {"namespace_options": {"pid": "POD"}}});
    let pod = node.pod("shared", shared.clone());
    let family = ["sh", "-c", "sleep 888 & sleep 888"];
    let id = node.run(&pod, "family", &family, shared.clone());
    let neighbour = node.run(&pod, "neighbour", &FOREVER, shared);
    assert_eq!(
        node.ns(node.pause(&pod), "pid"),
        node.ns(node.first(&id), "pid")
    );
    let seen = node.exec(&neighbour, &["ps", "-o", "args"], 10).unwrap();
    assert!(
        seen.1.contains("sleep 1000000") && seen.1.contains("sleep 888"),
        "{seen:?}"
    );
    // A debugger's container joins the processes of another one.
    let target =
        json!({"security_context": {"namespace_options": {"pid": "TARGET", "target_id": id}}});
    let debug = node.through(&pod, "debug", &["ps", "-o", "args"], target);
    assert!(debug.1.contains("sleep 888"), "{debug:?}");
    // Its first process is nobody's first process: no kernel ends the others with it.
    node.ask("StopContainer", json!({"container_id": id, "timeout": 1}));
    assert_eq!(node.host.script("pgrep -xf 'sleep 888'").out, "");
    assert_eq!(node.status(&neighbour).0, "CONTAINER_RUNNING");
    node.remove(&pod);
    node.assert_clean();
}

#[test]
fn a_killed_containerd_finds_its_pods_again() {
    let node = node!(Installed);
    let pod = node.pod("kept", json!({}));
    let id = node.run(&pod, "one", &FOREVER, json!({}));
    let (pause, first) = (node.pause(&pod), node.first(&id));
    node.host.end("containerd", "KILL");
    node.start();
    assert_eq!((node.pause(&pod), node.first(&id)), (pause, first));
    assert_eq!(node.status(&id).0, "CONTAINER_RUNNING");
    // What ends while nobody looks is seen afterwards.
    node.host.end("containerd", "KILL");
    node.host.script(&format!("kill -KILL {first}")).ok();
    node.start();
    assert_eq!(node.ended(&id).0, 137);
    node.run(&pod, "two", &FOREVER, json!({}));
    node.remove(&pod);
    node.assert_clean();
}
