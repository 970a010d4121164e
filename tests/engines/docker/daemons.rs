//! Daemons that stop, are killed and come back; many containers at once.

use super::{inspect, run, start, start_dockerd, until_it_is};
use crate::host::Host;
use crate::images::BUSYBOX;
use std::time::Duration;

pub(super) fn daemons_come_back_to_their_containers(host: &Host) {
    run(host, "-d --name aa", &["sleep", "1000"]).ok();
    let pid = inspect(host, "aa", ".State.Pid");
    host.end("dockerd", "TERM");
    start_dockerd(host);
    assert_eq!(inspect(host, "aa", ".State.Pid"), pid);
    host.end("dockerd", "KILL");
    host.end("containerd", "KILL");
    host.script("rm -f /run/docker.pid").ok();
    start(host);
    assert_eq!(inspect(host, "aa", ".State.Status"), "running");
    assert_eq!(inspect(host, "aa", ".State.Pid"), pid);
    host.line("docker stop -t 1 aa").ok();
    host.line("docker rm aa").ok();
    host.assert_clean();
}

pub(super) fn a_daemon_that_is_killed_while_it_starts_containers_loses_none(host: &Host) {
    let burst = format!(
        "seq 8 | xargs -P 4 -I @ timeout 60 docker run -d --name burst-@ {BUSYBOX} sleep 1000 > /run/burst.log 2>&1"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| host.script(&burst));
        std::thread::sleep(Duration::from_millis(900));
        host.end("dockerd", "KILL");
    });
    host.script("rm -f /run/docker.pid").ok();
    start_dockerd(host);
    // Each is running or was never made; none is anything else, and each can be removed.
    host.script("docker ps -aq | xargs -r docker rm -f").ok();
    assert_eq!(host.line("docker ps -aq").ok(), "");
    // Docker forgets a task that had begun but was not yet written down; containerd and the runtime have not.
    host.script("ctr -n moby task ls -q | xargs -r -n 1 ctr -n moby task rm -f")
        .ok();
    host.script("ctr -n moby container ls -q | xargs -r ctr -n moby container rm")
        .ok();
    assert_eq!(run(host, "--rm", &["echo", "on"]).ok(), "on\n");
    host.assert_clean();
}

pub(super) fn fifty_containers_at_once_come_and_go(host: &Host) {
    let script =
        format!("seq 50 | xargs -P 8 -I @ timeout 100 docker run --rm {BUSYBOX} echo number @");
    let mut lines: Vec<String> = host.script(&script).ok().lines().map(Into::into).collect();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 50, "{lines:#?}");
    host.assert_clean();
}

pub(super) fn a_restart_policy_starts_it_again(host: &Host) {
    run(host, "-d --restart on-failure:2 --name aa", &["false"]).ok();
    host.until("two more tries", |h| {
        (inspect(h, "aa", ".RestartCount") == "2").then_some(())
    });
    until_it_is(host, "aa", ".State.Status", "exited");
    assert_eq!(inspect(host, "aa", ".State.ExitCode"), "1");
    host.line("docker rm -f aa").ok();
    host.assert_clean();
}
