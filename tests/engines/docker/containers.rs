//! One container: what its user sees of it, and what it may not.

use super::{except, inspect, run, until_it_is};
use crate::host::{Host, TRANSITION, logged};
use crate::scope::assert_told_apart;

pub(super) fn a_container_runs_and_its_output_and_exit_code_come_back(host: &Host) {
    assert_eq!(run(host, "--rm", &["echo", "hello"]).ok(), "hello\n");
    assert_eq!(
        run(host, "--rm --network none", &["echo", "hello"]).ok(),
        "hello\n"
    );
    assert_eq!(run(host, "--rm", &["sh", "-c", "exit 7"]).code, 7);
    run(host, "--rm", &["nothing"]).said(127, &["executable file not found in $PATH"]);
    run(host, "--rm", &["/etc"]).said(126, &["is a directory: permission denied"]);
    let info = host.line("docker info --format {{.DefaultRuntime}}");
    assert_eq!(info.ok().trim(), "cofferdam");
    assert_told_apart(host, "docker", || run(host, "--rm", &["touch", "/x"]));
    host.assert_clean();
}

pub(super) fn a_container_is_looked_at_changed_stopped_and_removed(host: &Host) {
    run(host, "-d --name aa", &["sleep", "1000"]).ok();
    assert_eq!(inspect(host, "aa", ".State.Status"), "running");
    assert!(host.line("docker ps").ok().contains("Up "));
    let stats = host.line("docker stats --no-stream --format {{.Name}}:{{.PIDs}} aa");
    assert_eq!(stats.ok().trim(), "aa:1");
    host.line("docker top aa").said(0, &["sleep 1000"]);
    host.line("docker pause aa").ok();
    assert_eq!(inspect(host, "aa", ".State.Status"), "paused");
    host.line("docker unpause aa").ok();
    host.line("docker update --memory 64m --memory-swap 64m --pids-limit 10 aa")
        .ok();
    let limit = "cat /sys/fs/cgroup/memory/docker/*/memory.limit_in_bytes /sys/fs/cgroup/docker/*/memory.max 2>/dev/null";
    assert_eq!(host.script(limit).out.trim(), "67108864");
    host.line("docker stop -t 1 aa").ok();
    assert_eq!(inspect(host, "aa", ".State.ExitCode"), "137");
    host.line("docker start aa").ok();
    assert_eq!(inspect(host, "aa", ".State.Status"), "running");
    host.line("docker restart -t 1 aa").ok();
    host.line("docker kill aa").ok();
    host.line("docker rm -f aa").ok();
    run(host, "--name bb", &["echo", "to the log"]).ok();
    assert_eq!(host.line("docker logs bb").ok(), "to the log\n");
    host.line("docker rm bb").ok();
    host.assert_clean();
}

pub(super) fn rights_that_are_asked_for_are_cut_to_the_ceiling(host: &Host) {
    let capabilities = |flags: &str, left: &str| {
        let status = run(host, flags, &["cat", "/proc/self/status"]);
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
    run(host, "--rm", &["touch", "/x"]).said(1, &["Read-only file system"]);
    run(
        host,
        "--rm --privileged",
        &["mount", "-t", "tmpfs", "none", "/tmp"],
    )
    .said(1, &["denied"]);
    run(host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    no_host_network(host);
    run(host, "--rm -v /:/data", &["ls"]).said(126, &["SS-011/8.5.1"]);
    run(host, "--rm -v /var/run/docker.sock:/data/s", &["ls"]).said(126, &["SS-011/8.5.1"]);
    // In transition the capabilities that images start with are left; not one more, whatever is asked.
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    for flags in all {
        capabilities(flags, "00000000000004fb");
    }
    run(host, "--rm", &["sh", "-c", "touch /x && ls /x"]).said(0, &["/x"]);
    run(host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    no_host_network(host);
    host.assert_clean();
}

/// Old ones name it by path, which is refused; newer ones leave the entry out, and that becomes an empty network.
fn no_host_network(host: &Host) {
    let asked = run(
        host,
        "--rm --network host",
        &["grep", "-c", ":", "/proc/self/net/dev"],
    );
    match asked.code {
        0 => assert_eq!(asked.out, "1\n", "more than the loopback"),
        _ => asked.said(126, &["SS-011/8.1.3", "permission denied"]),
    }
}

pub(super) fn volumes_are_shown_and_written(host: &Host) {
    host.line("docker volume create data").ok();
    run(host, "--rm -v data:/data", &["touch", "/data/written"]).ok();
    assert_eq!(
        run(host, "--rm -v data:/data:ro", &["ls", "/data"]).ok(),
        "written\n"
    );
    run(host, "--rm -v data:/data:ro", &["touch", "/data/x"]).said(1, &["Read-only"]);
    run(host, "--rm --tmpfs /data:size=1m", &["touch", "/data/x"]).ok();
    host.assert_clean();
}

pub(super) fn a_published_port_and_a_network_of_its_own_reach_the_service(host: &Host) {
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    host.line("docker network create inner").ok();
    let serve = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    run(host, "-d --name web --network inner -p 8080:80", &serve).ok();
    let get = |h: &Host| h.line("busybox wget -q -O - http://127.0.0.1:8080/group");
    host.until("the published port answers", |h| get(h).ended());
    assert_eq!(get(host).ok(), "root:x:0:\n");
    let peer = run(
        host,
        "--rm --network inner",
        &["wget", "-q", "-O", "-", "http://web/group"],
    );
    assert_eq!(peer.ok(), "root:x:0:\n");
    // Another network's container does not, by address; its network's does.
    let address = inspect(host, "web", ".NetworkSettings.Networks.inner.IPAddress");
    let url = format!("http://{address}/group");
    let peer = run(
        host,
        "--rm --network inner",
        &["wget", "-q", "-O", "-", &url],
    );
    assert_eq!(peer.ok(), "root:x:0:\n");
    let ask = format!("wget -q -O - {url} & sleep 2; kill $! 2>/dev/null && exit 9; wait $!");
    assert_eq!(run(host, "--rm", &["sh", "-c", &ask]).code, 9);
    host.line("docker rm -f web").ok();
    host.assert_clean();
}

pub(super) fn health_checks_run_by_exception_and_exec_is_refused_without_it(host: &Host) {
    let flags = "-d --name aa --health-cmd true --health-interval 1s --health-retries 1";
    run(host, flags, &["sleep", "1000"]).ok();
    host.line("docker exec aa echo")
        .said(126, &["SS-011/8.4.1", "permission denied"]);
    until_it_is(host, "aa", ".State.Health.Status", "unhealthy");
    assert_eq!(inspect(host, "aa", ".State.Status"), "running");
    host.line("docker rm -f aa").ok();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    run(host, flags, &["sleep", "1000"]).ok();
    until_it_is(host, "aa", ".State.Health.Status", "healthy");
    assert_eq!(host.line("docker exec aa echo inside").ok(), "inside\n");
    assert_eq!(host.line("docker exec aa false").code, 1);
    host.line("docker exec -t aa echo")
        .said(126, &["SS-011/8.4.1", "permission denied"]);
    host.line("docker rm -f aa").ok();
    host.assert_clean();
}

pub(super) fn exec_has_a_terminal_under_its_exception_alone(host: &Host) {
    except(host, &[("8.4.1", "exec = \"terminal\"")]);
    run(host, "-d --name aa", &["sleep", "1000"]).ok();
    // Of the container's own devpts, controlling, with the size and the exit code of the process.
    let said = host.line("docker exec -t aa tty");
    assert_eq!(said.ok().trim_end(), "/dev/pts/0");
    // Interactive: on the client's own terminal, which script makes and the client sets raw.
    host.call(&["script", "-qec", "docker exec -ti aa tty", "/dev/null"])
        .said(0, &["/dev/pts/", "\r\n"]);
    assert_eq!(host.line("docker exec -t aa false").code, 1);
    assert_eq!(host.line("docker exec aa echo inside").ok(), "inside\n");
    // The exception is for exec: no container begins with one.
    run(host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    host.line("docker rm -f aa").ok();
    host.assert_clean();
}

/// Docker 25 and newer ask a runtime what it can do, and show it.
pub(super) fn features_are_shown_to_its_user(host: &Host) {
    let shown = host.call(&["docker", "info", "--format", "{{json .Runtimes}}"]);
    let runtimes: serde_json::Value = serde_json::from_str(shown.ok()).unwrap();
    let features = &runtimes["cofferdam"]["status"]["org.opencontainers.runtime-spec.features"];
    let features: serde_json::Value = serde_json::from_str(features.as_str().unwrap()).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert!(
        features["ociVersionMax"]
            .as_str()
            .unwrap()
            .starts_with("1.")
    );
    host.assert_clean();
}

pub(super) fn what_is_kept_and_what_docker_logs_shows_agree(host: &Host) {
    host.write("/etc/cofferdam/policy.toml", &logged());
    let numbers: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    for n in 0..3 {
        let name = format!("s{n}");
        let ran = run(host, &format!("--name {name}"), &["seq", "1", "2000"]);
        assert_eq!(ran.ok(), numbers);
        let id = inspect(host, &name, ".Id");
        assert_eq!(host.call(&[&host.runtime(), "logs", &id]).ok(), numbers);
        assert_eq!(host.line(&format!("docker logs {name}")).ok(), numbers);
        host.line(&format!("docker rm {name}")).ok();
    }
    run(host, "-d --name aa", &["sleep", "1000"]).ok();
    host.line("docker stop -t 1 aa").ok();
    assert_eq!(inspect(host, "aa", ".State.ExitCode"), "137");
    host.line("docker rm aa").ok();
    host.assert_clean();
}

pub(super) fn the_whole_story_reaches_the_spool_and_a_collector(host: &Host) {
    crate::told::prepare(host);
    run(host, "--name told", &["unshare", "-U", "true"]).said(1, &["not permitted"]);
    crate::told::assert_told(host, &inspect(host, "told", ".Id"), None);
    host.line("docker rm told").ok();
    host.assert_clean();
}
