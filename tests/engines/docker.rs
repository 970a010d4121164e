//! Docker: dockerd with containerd and its shim, the runtime in daemon.json as the default one.

use crate::engines;
use crate::host::{Host, TRANSITION};
use crate::images::{BUSYBOX, busybox, import};
use crate::need;
use crate::support::*;
use std::time::Duration;

/// A host with Docker and the image.
fn boot() -> Host {
    let host = Host::boot();
    start(&host);
    import(
        &host,
        BUSYBOX,
        &busybox(&host),
        &["CMD [\"/bin/sh\"]", "ENV PATH=/bin"],
    );
    host
}

/// Starts both daemons.
pub fn start(host: &Host) {
    host.write("/etc/docker/daemon.json", "{\"live-restore\": true}");
    let runtime = host.runtime();
    host.call(&[&runtime, "install", "--engine", "docker", "--default"])
        .ok();
    host.daemon("containerd", "containerd");
    host.until("containerd answers", |h| h.line("ctr version").ended());
    start_dockerd(host);
}

/// From now on, exceptions beside the policy for every launch: control and grant.
pub fn except(host: &Host, exceptions: &[(&str, &str)]) {
    let entries = exceptions
        .iter()
        .map(|(control, grant)| exception(&unique("x"), control, grant));
    let entries: String = entries.collect();
    host.write(
        "/etc/cofferdam/exceptions.d/test.toml",
        &format!("version = 1\n{entries}"),
    );
}

fn start_dockerd(host: &Host) {
    host.daemon(
        "dockerd",
        "dockerd --containerd /run/containerd/containerd.sock",
    );
    host.until("dockerd answers", |h| h.line("docker version").ended());
}

/// `docker run FLAGS IMAGE ARGS`.
fn run(host: &Host, flags: &str, args: &[&str]) -> Ran {
    let mut words = vec!["docker", "run"];
    words.extend(flags.split_whitespace());
    words.push(BUSYBOX);
    words.extend(args);
    host.call(&words)
}

/// One field of `docker inspect`.
fn inspect(host: &Host, name: &str, field: &str) -> String {
    let format = format!("{{{{{field}}}}}");
    host.call(&["docker", "inspect", name, "--format", &format])
        .out
        .trim()
        .into()
}

#[track_caller]
fn until_it_is(host: &Host, name: &str, field: &str, wanted: &str) {
    host.until(&format!("{name} is {wanted}"), |h| {
        (inspect(h, name, field) == wanted).then_some(())
    });
}

#[test]
fn a_container_runs_and_its_output_and_exit_code_come_back() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    assert_eq!(run(&host, "--rm", &["echo", "hello"]).ok(), "hello\n");
    assert_eq!(
        run(&host, "--rm --network none", &["echo", "hello"]).ok(),
        "hello\n"
    );
    assert_eq!(run(&host, "--rm", &["sh", "-c", "exit 7"]).code, 7);
    run(&host, "--rm", &["nothing"]).said(127, &["executable file not found in $PATH"]);
    run(&host, "--rm", &["/etc"]).said(126, &["is a directory: permission denied"]);
    let info = host.line("docker info --format {{.DefaultRuntime}}");
    assert_eq!(info.ok().trim(), "cofferdam");
    host.assert_clean();
}

#[test]
fn a_container_is_looked_at_changed_stopped_and_removed() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    run(&host, "-d --name aa", &["sleep", "1000"]).ok();
    assert_eq!(inspect(&host, "aa", ".State.Status"), "running");
    assert!(host.line("docker ps").ok().contains("Up "));
    let stats = host.line("docker stats --no-stream --format {{.Name}}:{{.PIDs}} aa");
    assert_eq!(stats.ok().trim(), "aa:1");
    host.line("docker top aa").said(0, &["sleep 1000"]);
    host.line("docker pause aa").ok();
    assert_eq!(inspect(&host, "aa", ".State.Status"), "paused");
    host.line("docker unpause aa").ok();
    host.line("docker update --memory 64m --memory-swap 64m --pids-limit 10 aa")
        .ok();
    let limit = "cat /sys/fs/cgroup/memory/docker/*/memory.limit_in_bytes /sys/fs/cgroup/docker/*/memory.max 2>/dev/null";
    assert_eq!(host.script(limit).out.trim(), "67108864");
    host.line("docker stop -t 1 aa").ok();
    assert_eq!(inspect(&host, "aa", ".State.ExitCode"), "137");
    host.line("docker start aa").ok();
    assert_eq!(inspect(&host, "aa", ".State.Status"), "running");
    host.line("docker restart -t 1 aa").ok();
    host.line("docker kill aa").ok();
    host.line("docker rm -f aa").ok();
    run(&host, "--name bb", &["echo", "to the log"]).ok();
    assert_eq!(host.line("docker logs bb").ok(), "to the log\n");
    host.line("docker rm bb").ok();
    host.assert_clean();
}

#[test]
fn a_restart_policy_starts_it_again() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    run(&host, "-d --restart on-failure:2 --name aa", &["false"]).ok();
    host.until("two more tries", |h| {
        (inspect(h, "aa", ".RestartCount") == "2").then_some(())
    });
    until_it_is(&host, "aa", ".State.Status", "exited");
    assert_eq!(inspect(&host, "aa", ".State.ExitCode"), "1");
    host.line("docker rm -f aa").ok();
    host.assert_clean();
}

#[test]
fn rights_that_are_asked_for_are_cut_to_the_ceiling() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    let capabilities = |flags: &str, left: &str| {
        let status = run(&host, flags, &["cat", "/proc/self/status"]);
        let status = status.ok();
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert!(
                status.contains(&format!("{set}:\t{left}")),
                "{flags}: {status}"
            );
        }
        for none in [
            "CapInh:\t0000000000000000",
            "CapAmb:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.contains(none), "{flags}: {status}");
        }
    };
    let all = [
        "--rm",
        "--rm --privileged",
        "--rm --cap-add ALL --security-opt seccomp=unconfined",
    ];
    for flags in all {
        capabilities(flags, "0000000000000000");
    }
    run(&host, "--rm", &["touch", "/x"]).said(1, &["Read-only file system"]);
    run(
        &host,
        "--rm --privileged",
        &["mount", "-t", "tmpfs", "none", "/tmp"],
    )
    .said(1, &["denied"]);
    run(&host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    run(&host, "--rm --network host", &["echo"]).said(126, &["SS-011/8.1.3", "permission denied"]);
    run(&host, "--rm -v /:/data", &["ls"]).said(126, &["SS-011/8.5.1"]);
    run(&host, "--rm -v /var/run/docker.sock:/data/s", &["ls"]).said(126, &["SS-011/8.5.1"]);
    // In transition the capabilities that images start with are left; not one more, whatever is asked.
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    for flags in all {
        capabilities(flags, "00000000000004fb");
    }
    run(&host, "--rm", &["sh", "-c", "touch /x && ls /x"]).said(0, &["/x"]);
    run(&host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    run(&host, "--rm --network host", &["echo"]).said(126, &["SS-011/8.1.3"]);
    host.assert_clean();
}

#[test]
fn volumes_are_shown_and_written() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    host.line("docker volume create data").ok();
    run(&host, "--rm -v data:/data", &["touch", "/data/written"]).ok();
    assert_eq!(
        run(&host, "--rm -v data:/data:ro", &["ls", "/data"]).ok(),
        "written\n"
    );
    run(&host, "--rm -v data:/data:ro", &["touch", "/data/x"]).said(1, &["Read-only"]);
    run(&host, "--rm --tmpfs /data:size=1m", &["touch", "/data/x"]).ok();
    host.assert_clean();
}

#[test]
fn a_published_port_and_a_network_of_its_own_reach_the_service() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    host.line("docker network create inner").ok();
    let serve = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    run(&host, "-d --name web --network inner -p 8080:80", &serve).ok();
    let get = |h: &Host| h.line("busybox wget -q -O - http://127.0.0.1:8080/group");
    host.until("the published port answers", |h| get(h).ended());
    assert_eq!(get(&host).ok(), "root:x:0:\n");
    let peer = run(
        &host,
        "--rm --network inner",
        &["wget", "-q", "-O", "-", "http://web/group"],
    );
    assert_eq!(peer.ok(), "root:x:0:\n");
    let stranger = run(
        &host,
        "--rm",
        &["wget", "-T", "2", "-q", "-O", "-", "http://web/group"],
    );
    assert_ne!(stranger.code, 0, "{stranger:#?}");
    host.line("docker rm -f web").ok();
    host.assert_clean();
}

#[test]
fn health_checks_run_by_exception_and_exec_is_refused_without_it() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    let flags = "-d --name aa --health-cmd true --health-interval 1s --health-retries 1";
    run(&host, flags, &["sleep", "1000"]).ok();
    host.line("docker exec aa echo")
        .said(126, &["SS-011/8.4.1", "permission denied"]);
    until_it_is(&host, "aa", ".State.Health.Status", "unhealthy");
    assert_eq!(inspect(&host, "aa", ".State.Status"), "running");
    host.line("docker rm -f aa").ok();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    run(&host, flags, &["sleep", "1000"]).ok();
    until_it_is(&host, "aa", ".State.Health.Status", "healthy");
    assert_eq!(host.line("docker exec aa echo inside").ok(), "inside\n");
    assert_eq!(host.line("docker exec aa false").code, 1);
    host.line("docker exec -t aa echo")
        .said(126, &["SS-011/8.4.1", "permission denied"]);
    host.line("docker rm -f aa").ok();
    host.assert_clean();
}

#[test]
fn daemons_come_back_to_their_containers() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    run(&host, "-d --name aa", &["sleep", "1000"]).ok();
    let pid = inspect(&host, "aa", ".State.Pid");
    host.end("dockerd", "TERM");
    start_dockerd(&host);
    assert_eq!(inspect(&host, "aa", ".State.Pid"), pid);
    host.end("dockerd", "KILL");
    host.end("containerd", "KILL");
    host.script("rm -f /run/docker.pid").ok();
    start(&host);
    assert_eq!(inspect(&host, "aa", ".State.Status"), "running");
    assert_eq!(inspect(&host, "aa", ".State.Pid"), pid);
    host.line("docker stop -t 1 aa").ok();
    host.line("docker rm aa").ok();
    host.assert_clean();
}

#[test]
fn a_daemon_that_is_killed_while_it_starts_containers_loses_none() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    let burst = format!(
        "seq 8 | xargs -P 4 -I @ timeout 60 docker run -d --name burst-@ {BUSYBOX} sleep 1000 > /run/burst.log 2>&1"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| host.script(&burst));
        std::thread::sleep(Duration::from_millis(900));
        host.end("dockerd", "KILL");
    });
    host.script("rm -f /run/docker.pid").ok();
    start_dockerd(&host);
    // Each is running or was never made; none is anything else, and each can be removed.
    host.script("docker ps -aq | xargs -r docker rm -f").ok();
    assert_eq!(host.line("docker ps -aq").ok(), "");
    // Docker forgets a task that had begun but was not yet written down; containerd and the runtime have not.
    host.script("ctr -n moby task ls -q | xargs -r -n 1 ctr -n moby task rm -f")
        .ok();
    host.script("ctr -n moby container ls -q | xargs -r ctr -n moby container rm")
        .ok();
    assert_eq!(run(&host, "--rm", &["echo", "on"]).ok(), "on\n");
    host.assert_clean();
}

#[test]
fn fifty_containers_at_once_come_and_go() {
    engines!("dockerd", "containerd", "ip", "iptables", "busybox");
    let host = boot();
    let script =
        format!("seq 50 | xargs -P 8 -I @ timeout 100 docker run --rm {BUSYBOX} echo number @");
    let mut lines: Vec<String> = host.script(&script).ok().lines().map(Into::into).collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 50, "{lines:#?}");
    host.assert_clean();
}
