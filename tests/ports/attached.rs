//! Networks of the site's under an engine: asked for by an annotation, attached at `create`, taken back by whoever ends
//! the container.

use crate::cni::{BRIDGE, leases, list, noted, nothing_left, noting, script, site};
use crate::host::{Running, ask, until};
use crate::need;
use crate::support::{Rig, text, unique, wait_fd};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::Path;

fn spec(rig: &Rig, network: &str) -> Value {
    let mut spec = rig.spec(&["serve", "0.0.0.0:80"]);
    spec["annotations"] = json!({
        "org.cofferdam.network": network,
        "org.cofferdam.expose": "80",
    });
    spec
}

/// What `state` says of the network.
fn network(rig: &Rig, id: &str) -> Value {
    let state = rig.call(&["state", id]);
    let state: Value = serde_json::from_str(state.ok()).unwrap();
    state["network"].clone()
}

/// Its first process, killed; its end is waited for.
fn end(rig: &Rig, id: &str) {
    let pidfd = cofferdam::sys::process::pidfd_open(rig.pid(id)).unwrap();
    rig.call(&["kill", id, "KILL"]).ok();
    assert!(wait_fd(pidfd.as_fd()));
}

#[test]
fn what_create_attaches_delete_takes_back() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    list(&[BRIDGE, &noting()]);
    let id = unique("oci");
    let spec = spec(&rig, "cni:site");
    let bundle = rig.bundle(&spec);
    let words = ["plan", "--engine", "--bundle", text(&bundle), &id];
    let plan = rig.call(&words);
    let line = "attached to site as eth0 by bridge, noting";
    assert!(plan.ok().contains(line), "{}", plan.out);
    assert!(noted().is_empty() && leases().is_empty());
    rig.create(&spec, &id).ok();
    assert_eq!(noted(), ["ADD eth0 inside", "CHECK eth0 inside"]);
    let address = leases()[0].clone();
    let told = json!({"name": "site", "addresses": [address]});
    assert_eq!(network(&rig, &id), told);
    // The program's name servers, read-only, before it runs.
    let root = format!("/proc/{}/root/etc/resolv.conf", rig.pid(&id));
    let servers = std::fs::read_to_string(&root).unwrap();
    assert!(servers.contains("nameserver 10.77.0.1"), "{servers}");
    rig.call(&["start", &id]).ok();
    let at = format!("{address}:80");
    until("the service", || {
        std::net::TcpStream::connect(&at).ok().map(drop)
    });
    assert_eq!(ask(&at, "echo\nx"), "x");
    rig.call(&["delete", &id]).refused(1, &["not stopped"]);
    assert_eq!(leases(), [address]);
    end(&rig, &id);
    rig.call(&["delete", &id]).ok();
    // The namespace has gone with the process.
    assert_eq!(noted()[2..], ["DEL eth0 "]);
    nothing_left(&rig, &id);
}

#[test]
fn delete_by_force_takes_back_what_waits_and_what_runs() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    list(&[BRIDGE, &noting()]);
    for starts in [false, true] {
        let id = unique("oci");
        rig.create(&spec(&rig, "cni:site"), &id).ok();
        if starts {
            rig.call(&["start", &id]).ok();
        }
        rig.call(&["delete", "--force", &id]).ok();
        assert_eq!(noted().last().unwrap(), "DEL eth0 inside");
        nothing_left(&rig, &id);
    }
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let crashes = script(
        "crashes",
        "[ \"$CNI_COMMAND\" = ADD ] || exit 0\nkill -SEGV $$",
    );
    list(&[BRIDGE, &noting(), &crashes]);
    let id = unique("oci");
    let parts = ["cni:site", "crashes (ADD)", "SIGSEGV"];
    rig.create(&spec(&rig, "cni:site"), &id).refused(1, &parts);
    assert_eq!(noted(), ["ADD eth0 inside", "DEL eth0 inside"]);
    nothing_left(&rig, &id);
    // Attached already, and then the pid file can't be written.
    list(&[BRIDGE, &noting()]);
    let bundle = rig.bundle(&spec(&rig, "cni:site"));
    let words = ["create", "--bundle", text(&bundle), "--pid-file"];
    let words = [&words[..], &["/nowhere/pid", &id]].concat();
    rig.call(&words).refused(1, &["pid file"]);
    assert_eq!(noted().last().unwrap(), "DEL eth0 inside");
    nothing_left(&rig, &id);
}

/// `create` with a plugin that hangs, in the middle of it.
fn hanging(rig: &Rig, id: &str) -> Running {
    let text = "[ \"$CNI_COMMAND\" = ADD ] || exit 0\ntouch /opt/hangs\nexec sleep 1000";
    let hangs = script("hangs", text);
    list(&[BRIDGE, &noting(), &hangs]);
    let bundle = rig.bundle(&spec(rig, "cni:site"));
    let mut command = rig.command();
    command.args(["create", "--bundle", crate::support::text(&bundle), id]);
    let running = Running::named(id.into(), command);
    until("the plugin", || {
        Path::new("/opt/hangs").exists().then_some(())
    });
    std::fs::remove_file("/opt/hangs").unwrap();
    running
}

#[test]
fn a_launcher_that_is_killed_half_way_leaves_nothing() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let id = unique("oci");
    let mut running = hanging(&rig, &id);
    assert_eq!(leases().len(), 1);
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    nothing_left(&rig, &id);
    assert!(noted().last().unwrap().starts_with("DEL eth0"));
}

/// Nobody is left to clean up: the container's folder knows what there is to take back.
#[test]
fn when_its_janitor_is_killed_too_delete_by_force_takes_it_back() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let id = unique("oci");
    let mut running = hanging(&rig, &id);
    let launcher = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children"));
    let children = children.unwrap();
    let name = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let mut janitor = children.split_whitespace();
    let janitor = janitor.find(|pid| name(pid).trim() == "cofferdam-clean");
    let janitor = nix::unistd::Pid::from_raw(janitor.unwrap().parse().unwrap());
    nix::sys::signal::kill(janitor, nix::sys::signal::Signal::SIGKILL).unwrap();
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert_eq!(leases().len(), 1);
    rig.call(&["delete", "--force", &id]).ok();
    assert!(noted().last().unwrap().starts_with("DEL eth0"));
    until("the address given back", || {
        leases().is_empty().then_some(())
    });
    until("no file of name servers", || {
        (!rig.path("state-networks").exists()).then_some(())
    });
    // Its cgroups were made before there was a state that names them: a next launch of the name takes them over.
    let left = rig.leftovers(&id);
    for cgroup in left.iter().filter_map(|l| l.strip_prefix("cgroup ")) {
        std::fs::remove_dir(cgroup).unwrap();
    }
    rig.assert_clean(&id);
}

#[test]
fn what_could_not_be_taken_back_can_be_tried_again() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let fails = script(
        "fails",
        "[ \"$CNI_COMMAND\" = ADD ] && exec python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)[\"prevResult\"]))'\n\
         [ \"$CNI_COMMAND\" != DEL ] || [ ! -e /opt/broken ]",
    );
    list(&[BRIDGE, &fails]);
    std::fs::write("/opt/broken", "").unwrap();
    let id = unique("oci");
    rig.create(&spec(&rig, "cni:site"), &id).ok();
    end(&rig, &id);
    let parts = ["cni:site", "fails (DEL)", "may be left"];
    rig.call(&["delete", &id]).refused(1, &parts);
    rig.call(&["delete", &id]).refused(1, &parts);
    std::fs::remove_file("/opt/broken").unwrap();
    rig.call(&["delete", &id]).ok();
    nothing_left(&rig, &id);
    // By force it goes all the same, and what went wrong is a warning.
    std::fs::write("/opt/broken", "").unwrap();
    rig.create(&spec(&rig, "cni:site"), &id).ok();
    let forced = rig.call(&["delete", "--force", &id]);
    forced.ok();
    assert!(forced.err.contains("fails (DEL)"), "{}", forced.err);
    nothing_left(&rig, &id);
}

#[test]
fn nobody_gets_a_network_whom_policy_gives_none() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let at = "/annotations/org.cofferdam.network";
    let refused = |network: &str, parts: &[&str]| {
        let id = unique("oci");
        rig.create(&spec(&rig, network), &id).refused(1, parts);
        nothing_left(&rig, &id);
    };
    refused("cni:other", &["8.1.3", at, "networks = [\"other\"]"]);
    refused("bridge", &[at, "cni:NAME"]);
    refused("cni:site cni:other", &[at, "name one"]);
    let mut joined = spec(&rig, "cni:site");
    let spaces = joined["linux"]["namespaces"].as_array_mut().unwrap();
    let net = spaces.iter_mut().find(|n| n["type"] == "network").unwrap();
    net["path"] = json!(format!("/proc/{}/ns/net", std::process::id()));
    let id = unique("oci");
    rig.create(&joined, &id).refused(1, &["8.1.3", "joined"]);
    nothing_left(&rig, &id);
}

#[test]
fn the_folders_are_the_site_s_to_say() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let policy = |networks: &str| {
        let text = format!("version = 1\n[networks]\n{networks}\n");
        std::fs::write(rig.path("policy.toml"), text).unwrap();
    };
    let id = unique("oci");
    policy("lists = \"/opt/lists\"");
    let parts = ["no conf list in /opt/lists", "No such file"];
    rig.create(&spec(&rig, "cni:site"), &id)
        .refused(1, &parts[1..]);
    std::fs::rename("/etc/cni/net.d", "/opt/lists").unwrap_or_else(|_| {
        std::fs::create_dir("/opt/lists").unwrap();
        let name = "10-site.conflist";
        std::fs::copy(
            format!("/etc/cni/net.d/{name}"),
            format!("/opt/lists/{name}"),
        )
        .unwrap();
    });
    rig.create(&spec(&rig, "cni:site"), &id).ok();
    rig.call(&["delete", "--force", &id]).ok();
    nothing_left(&rig, &id);
    policy("lists = \"/opt/lists\"\nplugins = [\"/opt/cni/bin\"]");
    let part = "the plugin \"bridge\" is not in /opt/cni/bin";
    rig.create(&spec(&rig, "cni:site"), &id).refused(1, &[part]);
    policy("lists = \"/opt/lists\"\nplugins = [\"/opt/cni/bin\", \"/usr/lib/cni\"]");
    rig.create(&spec(&rig, "cni:site"), &id).ok();
    rig.call(&["delete", "--force", &id]).ok();
    nothing_left(&rig, &id);
    for (networks, part) in [
        (
            "lists = \"net.d\"",
            "policy.toml:3:9: \"net.d\" is not an absolute path",
        ),
        ("lists = 7", "policy.toml:3:9:"),
        (
            "folders = \"/x\"",
            "policy.toml:3:1: unknown field `folders`",
        ),
        (
            "plugins = []",
            "policy.toml:3:11: plugins must name 1 to 8 folders",
        ),
        (
            "plugins = [\"/a/../b\"]",
            "policy.toml:3:12: \"/a/../b\" is not an absolute path",
        ),
        (
            "plugins = [\"/a\", \"/b:c\"]",
            "policy.toml:3:18: \"/b:c\" has a ':'",
        ),
    ] {
        policy(networks);
        let check = rig.call(&["policy", "check"]);
        assert_eq!(check.code, 1);
        assert!(check.out.contains(part), "{}", check.out);
        rig.create(&spec(&rig, "cni:site"), &id).refused(1, &[part]);
    }
}
