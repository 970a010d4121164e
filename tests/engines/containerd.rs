//! containerd with its own client, ctr: the shim calls the runtime without Docker in between.

use crate::engines;
use crate::host::{Host, TRANSITION};
use crate::images::{BUSYBOX, archive};
use crate::need;
use crate::scope::assert_told_apart;
use crate::support::*;

/// A host with containerd and the image.
fn boot() -> Host {
    let host = Host::boot();
    start(&host);
    let tar = archive(&host, &["/bin/sh"]);
    host.call(&["ctr", "images", "import", text(&tar)]).ok();
    host
}

fn start(host: &Host) {
    host.daemon("containerd", "containerd");
    host.until("containerd answers", |h| h.line("ctr version").ended());
}

/// `ctr run FLAGS IMAGE ID ARGS`.
fn run(host: &Host, flags: &str, id: &str, args: &[&str]) -> Ran {
    let runtime = host.runtime();
    let mut words = vec!["ctr", "run", "--runc-binary", &runtime];
    words.extend(flags.split_whitespace());
    words.extend([BUSYBOX, id]);
    words.extend(args);
    host.call(&words)
}

#[test]
fn a_container_runs_and_its_output_and_exit_code_come_back() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    assert_eq!(run(&host, "--rm", "a", &["echo", "hello"]).ok(), "hello\n");
    assert_eq!(run(&host, "--rm", "b", &["sh", "-c", "exit 7"]).code, 7);
    run(&host, "--rm", "c", &["nothing"]).said(1, &["executable file not found in $PATH"]);
    run(&host, "--rm", "d", &["/etc"]).said(1, &["is a directory: permission denied"]);
    assert_told_apart(&host, "containerd", || {
        run(&host, "--rm", "e", &["touch", "/x"])
    });
    host.assert_clean();
}

#[test]
fn rights_that_are_asked_for_are_cut_to_the_ceiling() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    let status = run(
        &host,
        "--rm --privileged",
        "a",
        &["cat", "/proc/self/status"],
    );
    let status = status.ok();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            status.contains(&format!("{set}:\t0000000000000000")),
            "{status}"
        );
    }
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    run(&host, "--rm", "b", &["touch", "/x"]).said(1, &["Read-only file system"]);
    // A fork is a second process: refused inside, whatever the engine says.
    run(&host, "--rm", "c", &["sh", "-c", "ls; :"]).said(2, &["fork"]);
    // ctr itself wants a terminal before it asks for one.
    let script = format!(
        "script -qec 'ctr run --rm -t --runc-binary {} {BUSYBOX} d echo' /dev/null",
        host.runtime()
    );
    host.script(&script)
        .said(1, &["SS-011/8.4.1", "permission denied"]);
    let joined = run(
        &host,
        "--rm --with-ns network:/proc/1/ns/net",
        "e",
        &["echo"],
    );
    joined.said(1, &["SS-011/8.1.3", "permission denied"]);
    host.assert_clean();
}

#[test]
fn a_task_is_listed_measured_and_ended() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    run(&host, "-d", "a", &["sleep", "1000"]).ok();
    let tasks = host.line("ctr task ls");
    assert!(tasks.ok().contains("RUNNING"), "{tasks:#?}");
    let metrics = host.line("ctr task metrics a");
    assert!(metrics.ok().contains("pids.current"), "{metrics:#?}");
    host.line("ctr task kill -s KILL a").ok();
    host.until("it is stopped", |h| {
        h.line("ctr task ls").out.contains("STOPPED").then_some(())
    });
    host.line("ctr task rm a")
        .said(0, &["exit with non-zero exit code 137"]);
    host.line("ctr container rm a").ok();
    host.assert_clean();
}

#[test]
fn fifty_containers_at_once_come_and_go() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    let runtime = host.runtime();
    // Eight at a time: the point is what they share, not how busy the machine gets.
    let script = format!(
        "seq 50 | xargs -P 8 -I @ timeout 100 ctr run --rm --runc-binary {runtime} {BUSYBOX} many-@ echo number @"
    );
    let mut lines: Vec<String> = host.script(&script).ok().lines().map(Into::into).collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 50, "{lines:#?}");
    assert_eq!(host.line("ctr container ls -q").ok(), "");
    host.assert_clean();
}

#[test]
fn a_killed_containerd_finds_its_containers_again() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    run(&host, "-d", "a", &["sleep", "1000"]).ok();
    let pid = |h: &Host| {
        let list = h.line("ctr task ls").out;
        let line = list.lines().find(|l| l.starts_with("a "))?.to_string();
        line.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let before = pid(&host).unwrap();
    host.end("containerd", "KILL");
    start(&host);
    assert_eq!(pid(&host), Some(before));
    host.line("ctr task kill -s KILL a").ok();
    host.until("it is stopped", |h| {
        h.line("ctr task ls").out.contains("STOPPED").then_some(())
    });
    host.line("ctr task rm a");
    host.line("ctr container rm a").ok();
    host.assert_clean();
}

#[test]
fn a_task_is_paused_listed_and_joined_by_exception() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    run(&host, "-d", "a", &["sleep", "1000"]).ok();
    host.line("ctr task ps a").said(0, &["PID"]);
    host.line("ctr task pause a").ok();
    host.line("ctr task ls").said(0, &["PAUSED"]);
    host.line("ctr task resume a").ok();
    host.line("ctr task ls").said(0, &["RUNNING"]);
    let exec = "ctr task exec --exec-id e a echo inside";
    host.line(exec)
        .said(1, &["SS-011/8.4.1", "permission denied"]);
    host.line("ctr task rm -f a").ok();
    host.line("ctr container rm a").ok();
    host.write("/etc/cofferdam/policy.toml", TRANSITION);
    run(&host, "-d", "a", &["sleep", "1000"]).ok();
    assert_eq!(host.line(exec).ok(), "inside\n");
    host.line("ctr task rm -f a").ok();
    host.line("ctr container rm a").ok();
    host.assert_clean();
}

#[test]
fn folders_of_the_host_are_shown_and_written() {
    engines!("containerd", "ip", "busybox");
    let host = boot();
    host.script("mkdir -p /var/lib/shown && chmod 1777 /var/lib/shown")
        .ok();
    let mount = |mode: &str| {
        format!("--rm --mount type=bind,src=/var/lib/shown,dst=/data,options=rbind:{mode}")
    };
    run(&host, &mount("rw"), "a", &["touch", "/data/written"]).ok();
    assert_eq!(
        run(&host, &mount("ro"), "b", &["ls", "/data"]).ok(),
        "written\n"
    );
    run(&host, &mount("ro"), "c", &["touch", "/data/x"]).said(1, &["Read-only"]);
    let secret = "--rm --mount type=bind,src=/etc,dst=/data,options=rbind:ro";
    run(&host, secret, "d", &["ls", "/data"]).said(1, &["SS-011/", "permission denied"]);
    host.assert_clean();
}
