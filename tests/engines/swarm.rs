//! Docker Swarm on two hosts that a wire joins, each with the newest Docker and cofferdam as its default runtime.
//!
//! Swarm hands no runtime to a service: every task on every node goes through the default one. Kernels without IP_VS
//! have neither virtual addresses nor the routing mesh, so ports are published on the nodes themselves.

use crate::docker::{except, start_with, take_image};
use crate::engines;
use crate::host::Host;
use crate::images::BUSYBOX;
use crate::need;
use crate::release::{Release, boot};
use crate::support::*;
use std::process::Command;

const MANAGER: &str = "10.77.0.1";
const WORKER: &str = "10.77.0.2";

/// Tasks of a service that run on a node.
fn tasks(node: &Host, service: &str) -> usize {
    let label = format!("label=com.docker.swarm.service.name={service}");
    let running = node.call(&["docker", "ps", "-q", "--filter", &label]);
    running.out.lines().count()
}

fn until_tasks(service: &str, wanted: &[(&Host, usize)]) {
    wanted[0]
        .0
        .until(&format!("{service} runs as {:?}", counts(wanted)), |_| {
            let there = wanted.iter().all(|(node, n)| tasks(node, service) == *n);
            there.then_some(())
        });
}

fn counts(wanted: &[(&Host, usize)]) -> Vec<usize> {
    wanted.iter().map(|(_, n)| *n).collect()
}

/// Docker with the image, and what strict.toml wants for busybox' httpd, which forks and whose port nobody declares.
fn node(host: &Host) {
    start_with(host, "{}");
    take_image(host);
    let workers = "template = \"workers\"";
    except(host, &[("8.2.4", "ports_any = true"), ("8.5.2", workers)]);
}

/// A wire between the network namespaces of two hosts.
fn wire(one: &Host, other: &Host) {
    // Numbers of this pid namespace, so in none of theirs.
    let (from, to) = (one.init.to_string(), other.init.to_string());
    let mut link = Command::new("nsenter");
    link.args(["-t", &from, "-n", "ip", "link", "add", "wire", "type"]);
    link.args(["veth", "peer", "name", "wire", "netns", &to]);
    finish(link).ok();
    for (host, address) in [(one, MANAGER), (other, WORKER)] {
        let up = format!("ip address add {address}/24 dev wire && ip link set wire up");
        host.script(&up).ok();
    }
}

/// Joins the manager's swarm; the node's id.
fn join(manager: &Host, node: &Host) -> String {
    let token = manager.line("docker swarm join-token -q worker");
    let join = format!(
        "docker swarm join --token {} --advertise-addr {WORKER} --listen-addr {WORKER}:2377 {MANAGER}:2377",
        token.ok().trim()
    );
    node.line(&join).ok();
    let id = node.line("docker info --format {{.Swarm.NodeID}}");
    let id = id.ok().trim().to_string();
    manager.until("the node is ready", |h| {
        let state = h.line(&format!(
            "docker node inspect {id} --format {{{{.Status.State}}}}"
        ));
        (state.out.trim() == "ready").then_some(())
    });
    id
}

/// The port that every node publishes answers at these addresses.
fn answers(from: &Host, address: &str) {
    let get = format!("timeout 5 busybox wget -q -O - http://{address}:8088/group");
    from.until(&format!("{address} answers"), |h| h.line(&get).ended());
    assert_eq!(from.line(&get).ok(), "root:x:0:\n");
}

/// Fails unless a node that has left has nothing of the swarm.
fn assert_left(node: &Host) {
    node.until("its containers are gone", |h| {
        h.line("docker ps -aq").out.is_empty().then_some(())
    });
    node.assert_clean();
    let left = "grep /merged /proc/mounts; pgrep containerd-shim; pgrep -x sleep; pgrep -x httpd; \
                ls /run/docker/netns | grep -v default; ls /run/docker/swarm 2>/dev/null";
    node.until("nothing is left", |h| {
        let left = h.script(left).out;
        left.is_empty().then_some(())
    });
}

#[test]
fn services_move_between_two_nodes() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let manager = boot!(Release::Newest);
    let worker = boot!(Release::Newest);
    std::thread::scope(|scope| {
        scope.spawn(|| node(&manager));
        scope.spawn(|| node(&worker));
    });
    wire(&manager, &worker);
    let init = format!(
        "docker swarm init --advertise-addr {MANAGER} --listen-addr {MANAGER}:2377 --dispatcher-heartbeat 1s"
    );
    manager.line(&init).ok();
    let id = join(&manager, &worker);

    // As its own first process, neither program has a handler for TERM.
    let create = "docker service create --detach --no-resolve-image --stop-grace-period 1s";
    let idle = format!("{create} --name idle --replicas 4 {BUSYBOX} sleep 1000");
    manager.line(&idle).ok();
    let publish = "--mode global --publish mode=host,target=80,published=8088";
    let web = format!("{create} --name web {publish} {BUSYBOX} httpd -f -p 80 -h /etc");
    manager.line(&web).ok();
    until_tasks("idle", &[(&manager, 2), (&worker, 2)]);
    until_tasks("web", &[(&manager, 1), (&worker, 1)]);
    answers(&manager, WORKER);
    answers(&worker, MANAGER);
    for node in [&manager, &worker] {
        let records = node.line("cat /var/log/cofferdam/launches.jsonl");
        assert_eq!(records.ok().lines().count(), 3, "one record a task");
    }

    let update = |what: &str| manager.line(&format!("docker {what}")).ok().to_string();
    update(&format!("node update --availability drain {id}"));
    until_tasks("idle", &[(&manager, 4), (&worker, 0)]);
    until_tasks("web", &[(&manager, 1), (&worker, 0)]);
    update(&format!("node update --availability active {id}"));
    until_tasks("web", &[(&manager, 1), (&worker, 1)]);
    update("service update --detach --force --update-parallelism 0 idle");
    until_tasks("idle", &[(&manager, 2), (&worker, 2)]);

    // Its power fails: every process of the host is killed at once, and the wire is cut.
    drop(worker);
    until_tasks("idle", &[(&manager, 4)]);
    update(&format!("node rm --force {id}"));

    // Another one takes its place, and leaves as it should.
    let worker = boot!(Release::Newest);
    node(&worker);
    wire(&manager, &worker);
    join(&manager, &worker);
    until_tasks("web", &[(&manager, 1), (&worker, 1)]);
    answers(&manager, WORKER);
    worker.line("docker swarm leave").ok();
    assert_left(&worker);

    update("service rm idle web");
    manager.line("docker swarm leave --force").ok();
    assert_left(&manager);
}
