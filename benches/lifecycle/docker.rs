//! A whole `docker run` with each runtime: dockerd on a socket, a storage and a network of its own, ended with the bench.

use crate::harness::{Contestant, one_status, report, rounds, there};
use crate::{runtimes, words};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CGROUP: &str = "cofferdam-bench";

/// dockerd as the first process but one of a pid namespace: whatever it has started ends with it.
struct Daemon(Child);

impl Daemon {
    fn start(work: &Path) -> Self {
        let at = |name: &str| work.join(name).display().to_string();
        let peers = runtimes()
            .into_iter()
            .filter(|(name, _)| *name != "runc")
            .map(|(name, program)| format!("--add-runtime {name}=$(command -v {program})"));
        let peers: Vec<String> = peers.collect();
        let script = format!(
            "mount -t proc proc /proc && mount -t tmpfs tmpfs /run && exec dockerd -H unix://{} --data-root {} \
             --exec-root {} --pidfile {} --bridge none --iptables=false --ip-forward=false --storage-driver vfs \
             --cgroup-parent /{CGROUP} {}",
            at("docker.sock"),
            at("docker"),
            at("docker-exec"),
            at("docker.pid"),
            peers.join(" ")
        );
        let log = std::fs::File::create(work.join("docker.log")).expect("a file");
        let daemon = Command::new("unshare")
            .args(["-n", "-m", "-p", "-f", "--kill-child=KILL"])
            .args(["--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log)
            .spawn();
        Self(daemon.expect("unshare starts"))
    }

    /// Whether it answers before long.
    fn answers(&mut self, client: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(120);
        let version = words(&format!("{client} version"));
        while Instant::now() < until && matches!(self.0.try_wait(), Ok(None)) {
            let asked = Command::new(&version[0]).args(&version[1..]).output();
            if asked.is_ok_and(|out| out.status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // Every hierarchy has one, empty now; v1's lie a level deeper.
        let below = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mount = Path::new("/sys/fs/cgroup");
        let deeper = below(mount).map(|e| e.path().join(CGROUP));
        for dir in deeper.chain([mount.join(CGROUP)]) {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// `docker run --rm` with each runtime; runc, Docker's own, is what the ratios are taken to.
pub fn docker(work: &Path, root: &Path, count: usize) {
    for program in ["dockerd", "docker", "containerd", "runc"] {
        if !there(program) {
            println!("left out: {program} is not installed (apt-get install docker.io)");
            return;
        }
    }
    let mut daemon = Daemon::start(work);
    let client = format!("docker -H unix://{}", work.join("docker.sock").display());
    let tar = work.join("docker.tar").display().to_string();
    let packed = words(&format!("tar -C {} -cf {tar} .", root.display()));
    if !daemon.answers(&client)
        || !one_status(&packed)
        || !one_status(&words(&format!("{client} import {tar} localhost/bench:1")))
    {
        let log = std::fs::read_to_string(work.join("docker.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        println!("left out: docker can't be started here: {last:#?}");
        return;
    }
    let mut all = runtimes();
    all.sort_by_key(|(name, _)| *name != "runc");
    let mut field = Vec::new();
    for (name, _) in all {
        let command = words(&format!(
            "{client} run --rm --network none --runtime {name} localhost/bench:1 /bin/true"
        ));
        match one_status(&command) {
            true => field.push(Contestant::new(name, command)),
            false => println!("left out: {name} does not run under docker here"),
        }
    }
    rounds(&mut field, count);
    report("docker-run", &mut field);
}
