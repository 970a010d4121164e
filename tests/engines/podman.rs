//! podman through conmon, with its usual configuration files.

use crate::engines;
use crate::host::{Host, TRANSITION, logged};
use crate::images::{BUSYBOX, busybox};
use crate::need;
use crate::scope::assert_told_apart;
use crate::support::*;
use crate::told;

const STORAGE: &str = r#"[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"#;

/// Writes the configuration files: what a site without systemd has, and the runtime.
pub fn configure(host: &Host) {
    let engine = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"";
    host.write("/etc/containers/containers.conf", engine);
    let runtime = host.runtime();
    host.call(&[&runtime, "install", "--engine", "podman", "--default"])
        .ok();
    host.write("/etc/containers/storage.conf", STORAGE);
    host.write(
        "/etc/containers/policy.json",
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    );
}

pub fn boot() -> Host {
    let host = Host::boot();
    configure(&host);
    let tar = busybox(&host);
    let import = [
        "podman",
        "import",
        "-c",
        "CMD=[\"/bin/sh\"]",
        "-c",
        "ENV=PATH=/bin",
        text(&tar),
        BUSYBOX,
    ];
    host.call(&import).ok();
    host
}

/// `podman run --network none FLAGS IMAGE ARGS`.
fn run(host: &Host, flags: &str, args: &[&str]) -> Ran {
    let mut words = vec!["podman", "run", "--network", "none"];
    words.extend(flags.split_whitespace());
    words.push(BUSYBOX);
    words.extend(args);
    host.call(&words)
}

fn status(host: &Host, name: &str) -> String {
    let format = "{{.State.Status}} {{.State.ExitCode}}";
    host.call(&["podman", "inspect", name, "--format", format])
        .out
        .trim()
        .into()
}

#[test]
fn a_container_runs_and_its_output_and_exit_code_come_back() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    assert_eq!(run(&host, "--rm", &["echo", "hello"]).ok(), "hello\n");
    assert_eq!(run(&host, "--rm", &["sh", "-c", "exit 7"]).code, 7);
    run(&host, "--rm", &["nothing"])
        .said(127, &["attempted to invoke a command that was not found"]);
    run(&host, "--rm", &["/etc"]).said(126, &["OCI permission denied"]);
    // podman gives "/" the mode 0555, and root has no right to pass over that.
    assert_told_apart(&host, "podman", || run(&host, "--rm", &["touch", "/etc/x"]));
    host.assert_clean();
}

#[test]
fn a_container_is_looked_at_stopped_and_removed() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    run(&host, "-d --name a", &["sleep", "1000"]).ok();
    assert_eq!(status(&host, "a"), "running 0");
    assert!(host.line("podman ps").ok().contains("Up "));
    let stats = host.line("podman stats --no-stream --format {{.Name}}:{{.PIDs}} a");
    assert_eq!(stats.ok().trim(), "a:1");
    host.line("podman top a pid args").said(0, &["sleep 1000"]);
    // sleep has no handler and is the first process of its namespace: TERM is lost, KILL follows.
    host.line("podman stop -t 1 a").ok();
    assert_eq!(status(&host, "a"), "exited 137");
    host.line("podman rm a").ok();
    run(&host, "--name b", &["echo", "to the log"]).ok();
    assert_eq!(host.line("podman logs b").ok(), "to the log\n");
    host.line("podman rm b").ok();
    run(&host, "-d --name c", &["sleep", "1000"]).ok();
    host.line("podman kill c").ok();
    host.line("podman wait c").ok();
    host.line("podman rm -f c").ok();
    host.assert_clean();
}

#[test]
fn rights_that_are_asked_for_are_cut_to_the_ceiling() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    for flags in ["--rm", "--rm --privileged", "--rm --cap-add ALL"] {
        let status = run(&host, flags, &["cat", "/proc/self/status"]);
        let status = status.ok();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let none = format!("{set}:\t0000000000000000");
            assert!(status.contains(&none), "{flags}: {status}");
        }
    }
    run(&host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    run(
        &host,
        "--rm --oom-score-adj -500",
        &["cat", "/proc/self/oom_score_adj"],
    )
    .said(0, &["0"]);
    // The ceiling, or the machine's own hard limit where that is lower; podman asks for more than either.
    let files = run(
        &host,
        "--rm --ulimit nofile=1048576:1048576",
        &["sh", "-c", "ulimit -n"],
    );
    let files: u64 = files.ok().trim().parse().unwrap();
    assert!((1000..=65_536).contains(&files), "{files}");
    run(&host, "--rm", &["sh", "-c", "exec /bin/ls"]).said(126, &["not permitted"]);
    run(&host, "--rm --device /dev/fuse", &["ls", "/dev/fuse"]).said(1, &["No such file"]);
    // The host's network is never joined: what is asked for is cut to a namespace of its own.
    let words = [
        "podman",
        "run",
        "--rm",
        "--network",
        "host",
        BUSYBOX,
        "ls",
        "/sys/class/net",
    ];
    assert_eq!(host.call(&words).ok().trim(), "lo");
    host.assert_clean();
}

#[test]
fn volumes_are_shown_and_written() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    host.line("podman volume create data").ok();
    run(&host, "--rm -v data:/data", &["touch", "/data/written"]).ok();
    assert_eq!(
        run(&host, "--rm -v data:/data:ro", &["ls", "/data"]).ok(),
        "written\n"
    );
    run(&host, "--rm -v data:/data:ro", &["touch", "/data/x"]).said(1, &["Read-only"]);
    run(&host, "--rm -v /etc:/data", &["ls", "/data"]).said(126, &["SS-011/", "permission denied"]);
    run(&host, "--rm --tmpfs /data:size=1m", &["touch", "/data/x"]).ok();
    host.assert_clean();
}

#[test]
fn a_killed_client_leaves_its_container_to_the_next() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    // Ended in the middle of `run`, at a moment that differs each time. What it had begun may go on for a moment, and
    // podman then finds its own /dev/shm busy.
    let remove = "podman rm -f -i k";
    for wait in ["0.05", "0.15", "0.3", "0.6"] {
        host.script(&format!(
            "timeout -s KILL {wait} podman run --network none --name k {BUSYBOX} sleep 1000; {remove} || {{ sleep 1; {remove}; }}"
        )).ok();
    }
    // podman forgets a container that it had asked for and not yet written down; the runtime has not.
    let runtime = host.runtime();
    let sweep = format!("{runtime} list -q | xargs -r -n 1 {runtime} delete --force");
    host.script(&sweep).ok();
    assert_eq!(host.line("podman ps -a -q").ok(), "");
    assert_eq!(run(&host, "--rm", &["echo", "on"]).ok(), "on\n");
    host.assert_clean();
}

#[test]
fn fifty_containers_at_once_come_and_go() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    let script = format!(
        "seq 50 | xargs -P 8 -I @ timeout 100 podman run --rm --network none {BUSYBOX} echo number @"
    );
    let mut lines: Vec<String> = host.script(&script).ok().lines().map(Into::into).collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 50, "{lines:#?}");
    host.assert_clean();
}

#[test]
fn a_container_is_paused_changed_and_goes_on() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    run(&host, "-d --name a", &["sleep", "1000"]).ok();
    host.line("podman pause a").ok();
    assert_eq!(status(&host, "a"), "paused 0");
    host.line("podman unpause a").ok();
    assert_eq!(status(&host, "a"), "running 0");
    host.line("podman update --memory 64m a").ok();
    let limit = "cat /sys/fs/cgroup/memory/libpod_parent/libpod-*/memory.limit_in_bytes /sys/fs/cgroup/libpod_parent/libpod-*/memory.max 2>/dev/null";
    assert_eq!(host.script(limit).out.trim(), "67108864");
    host.line("podman restart -t 1 a").ok();
    assert_eq!(status(&host, "a"), "running 0");
    host.line("podman rm -f -t 0 a").ok();
    host.assert_clean();
}

#[test]
fn health_checks_run_by_exception_and_exec_is_refused_without_it() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    run(
        &host,
        "-d --name a --health-cmd true --health-interval disable",
        &["sleep", "1000"],
    )
    .ok();
    host.line("podman exec a echo").said(126, &["SS-011/8.4.1"]);
    assert_ne!(host.line("podman healthcheck run a").code, 0);
    host.line("podman rm -f -t 0 a").ok();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    run(
        &host,
        "-d --name a --health-cmd true --health-interval disable",
        &["sleep", "1000"],
    )
    .ok();
    assert_eq!(host.line("podman exec a echo inside").ok(), "inside\n");
    assert_eq!(host.line("podman exec a sh -c false").code, 1);
    host.line("podman healthcheck run a").ok();
    host.line("podman exec -t a echo")
        .said(126, &["SS-011/8.4.1"]);
    host.line("podman rm -f -t 0 a").ok();
    host.assert_clean();
}

#[test]
fn exec_has_a_terminal_under_its_exception_alone() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    let entry = exception("exec-terminal", "8.4.1", "exec = \"terminal\"");
    host.write(
        "/etc/cofferdam/exceptions.d/test.toml",
        &format!("version = 1\n{entry}"),
    );
    run(&host, "-d --name a", &["sleep", "1000"]).ok();
    assert_eq!(
        host.line("podman exec -t a tty").ok().trim_end(),
        "/dev/pts/0"
    );
    assert_eq!(host.line("podman exec -t a sh -c false").code, 1);
    assert_eq!(host.line("podman exec a echo inside").ok(), "inside\n");
    run(&host, "--rm -t", &["echo"]).said(126, &["SS-011/8.4.1"]);
    host.line("podman rm -f -t 0 a").ok();
    host.assert_clean();
}

#[test]
fn what_is_kept_and_what_podman_logs_shows_agree() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    host.write("/etc/cofferdam/policy.toml", &logged());
    // Short programs: conmon reads no more than what is in its pipes when the container ends.
    for n in 0..10 {
        let name = format!("s{n}");
        let ran = run(&host, &format!("--name {name}"), &["seq", "1", "2000"]);
        let id = host.line(&format!("podman inspect {name} --format {{{{.Id}}}}"));
        let kept = host.call(&[&host.runtime(), "logs", id.ok().trim()]);
        let numbers: String = (1..=2000).map(|n| format!("{n}\n")).collect();
        assert_eq!(kept.ok(), numbers);
        assert_eq!(host.line(&format!("podman logs {name}")).ok(), numbers);
        assert_eq!(ran.ok(), numbers);
        host.line(&format!("podman rm {name}")).ok();
    }
    run(&host, "-d --name a", &["sleep", "1000"]).ok();
    host.line("podman stop -t 1 a").ok();
    assert_eq!(status(&host, "a"), "exited 137");
    host.line("podman rm a").ok();
    host.assert_clean();
}

#[test]
fn a_restart_policy_starts_it_again() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    run(&host, "-d --restart on-failure:2 --name a", &["false"]).ok();
    let tries = "podman inspect a --format {{.RestartCount}}";
    host.until("two more tries", |h| {
        (h.line(tries).out.trim() == "2" && status(h, "a") == "exited 1").then_some(())
    });
    host.line("podman rm -f a").ok();
    host.assert_clean();
}

#[test]
fn a_published_port_and_a_network_of_its_own_reach_the_service() {
    engines!("podman", "ip", "busybox", "iptables", "cni/bridge");
    let host = boot();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    host.line("podman network create inner").ok();
    let run = |flags: &str, args: &[&str]| {
        let mut words = vec!["podman", "run", "--network", "inner"];
        words.extend(flags.split_whitespace());
        words.push(BUSYBOX);
        words.extend(args);
        host.call(&words)
    };
    let serve = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    run("-d --name web -p 8080:80", &serve).ok();
    // From outside of its network, and from a neighbour in it.
    let get = |h: &Host| h.line("busybox wget -q -O - http://127.0.0.1:8080/group");
    host.until("the published port answers", |h| get(h).ended());
    assert_eq!(get(&host).ok(), "root:x:0:\n");
    let format = "podman inspect web --format {{.NetworkSettings.Networks.inner.IPAddress}}";
    let address = format!("http://{}/group", host.line(format).ok().trim());
    let peer = run("--rm", &["wget", "-q", "-O", "-", &address]);
    assert_eq!(peer.ok(), "root:x:0:\n");
    host.line("podman rm -f -t 0 web").ok();
    host.line("podman network rm inner").ok();
    host.assert_clean();
}

/// The site's own network, by an annotation, for whom policy names: podman itself gives the container none.
#[test]
fn a_network_of_the_site_s_is_attached_by_annotation_and_taken_back() {
    engines!("podman", "ip", "busybox", "cni/bridge");
    let host = boot();
    // Its httpd makes a process for each connection.
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    let list = r#"{"cniVersion": "0.4.0", "name": "site", "plugins": [{"type": "bridge", "bridge": "site0",
        "isGateway": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]]}}]}"#;
    host.write("/etc/cni/net.d/10-site.conflist", list);
    let flags = "--annotation org.cofferdam.network=cni:site --annotation org.cofferdam.expose=80";
    let serve = ["httpd", "-f", "-p", "80", "-h", "/etc"];
    let refused = run(&host, &format!("--rm {flags}"), &serve);
    refused.said(126, &["SS-011/8.1.3", "networks = [\"site\"]"]);
    let allowed = exception("site-network", "8.1.3", "networks = [\"site\"]");
    let allowed = format!("version = 1\n{allowed}");
    host.write("/etc/cofferdam/exceptions.d/networks.toml", &allowed);
    let leases = |h: &Host| {
        let find = "find /var/lib/cni/networks/site -name '10.*' -printf '%f '";
        h.script(find).out.trim().to_string()
    };
    // By force, and after an end of its own.
    for end in ["podman rm -f -t 0 web", "podman kill web"] {
        run(&host, &format!("-d --name web {flags}"), &serve).ok();
        let address = leases(&host);
        assert!(address.starts_with("10.77.0."), "{address:?}");
        let get = format!("busybox wget -q -O - http://{address}/group");
        host.until("the service answers", |h| h.line(&get).ended());
        host.line(end).ok();
        host.line("podman rm -f -i -t 0 web").ok();
        assert_eq!(leases(&host), "");
        host.script("! ip -o link | grep -q veth").ok();
    }
    host.assert_clean();
}

#[test]
fn the_whole_story_reaches_the_spool_and_a_collector() {
    engines!("podman", "ip", "busybox", "rsyslogd");
    let host = boot();
    told::prepare(&host);
    run(&host, "--name a", &["unshare", "-U", "true"]).said(1, &["not permitted"]);
    let id = host.line("podman inspect a --format {{.Id}}");
    told::assert_told(&host, id.ok().trim(), None);
    host.line("podman rm a").ok();
    host.assert_clean();
}

/// podman names the node's place inside; cofferdam lets it in by an exception for this place.
#[test]
fn a_device_is_shown_outside_dev_by_exception() {
    engines!("podman", "ip", "busybox");
    let host = boot();
    let flags = "--rm --device /dev/zero:/srv/zeroes";
    let read = ["dd", "if=/srv/zeroes", "bs=1", "count=3"];
    run(&host, flags, &read).said(126, &["device nodes lie below /dev", "SS-011/8.5.1"]);
    let entry = exception("node", "8.5.1", "devices = [\"/srv/zeroes\"]");
    host.write(
        "/etc/cofferdam/exceptions.d/test.toml",
        &format!("version = 1\n{entry}"),
    );
    assert_eq!(run(&host, flags, &read).ok(), "\0\0\0");
    host.assert_clean();
}
