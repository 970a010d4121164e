//! Networks that a site has: Debian's CNI plugins, and plugins that misbehave.
//!
//! Each test has a network namespace and a mount namespace of its own, with its own conf lists, plugins and leases.

use crate::host::{Running, ask, until};
use crate::need;
use crate::support::{Rig, processes_with, skip, unique};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub const BRIDGE: &str = r#"{"type": "bridge", "bridge": "site0", "isGateway": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]]},
    "dns": {"nameservers": ["10.77.0.1"], "search": ["site.example"]}}"#;
const PTP: &str = r#"{"type": "ptp",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]],
             "routes": [{"dst": "0.0.0.0/0"}]}}"#;
const LEASES: &str = "/var/lib/cni/networks/site";

/// A host with a network `site` of these plugins; false: it has none of Debian's.
pub fn site(rig: &Rig, plugins: &[&str]) -> bool {
    if !Path::new("/usr/lib/cni/bridge").exists() {
        skip(
            "cni",
            "cni",
            "no /usr/lib/cni/bridge: install containernetworking-plugins",
        );
        return false;
    }
    crate::host::alone();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for folder in ["/etc/cni", "/var/lib/cni", "/opt"] {
        std::fs::create_dir_all(folder).unwrap();
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
        .unwrap();
    }
    std::fs::create_dir_all("/etc/cni/net.d").unwrap();
    std::fs::create_dir_all("/opt/cni/bin").unwrap();
    list(plugins);
    rig.except("8.1.3", "networks = [\"site\"]");
    true
}

pub fn list(plugins: &[&str]) {
    let all = plugins.join(", ");
    let text = format!(r#"{{"cniVersion": "0.4.0", "name": "site", "plugins": [{all}]}}"#);
    std::fs::write("/etc/cni/net.d/10-site.conflist", text).unwrap();
}

/// A plugin of the test's own.
pub fn script(name: &str, text: &str) -> String {
    let path = format!("/opt/cni/bin/{name}");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!(r#"{{"type": "{name}"}}"#)
}

/// Notes what it is asked, and hands on what it is given.
pub fn noting() -> String {
    script(
        "noting",
        r#"echo "$CNI_COMMAND $CNI_IFNAME ${CNI_NETNS:+inside}" >> /opt/noted
[ "$CNI_COMMAND" != ADD ] || exec python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["prevResult"]))'"#,
    )
}

pub fn noted() -> Vec<String> {
    let text = std::fs::read_to_string("/opt/noted").unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// Addresses that are given away.
pub fn leases() -> Vec<String> {
    let entries = std::fs::read_dir(LEASES).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    names.filter(|name| name.starts_with("10.")).collect()
}

/// Interfaces of this host that lead into containers.
fn veths() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names = text.lines().filter_map(|l| l.split_once(':'));
    let names = names.map(|(name, _)| name.trim().to_string());
    names.filter(|name| name.starts_with("veth")).collect()
}

#[track_caller]
pub fn nothing_left(rig: &Rig, name: &str) {
    rig.assert_clean(name);
    until("addresses and interfaces given back", || {
        (leases().is_empty() && veths().is_empty()).then_some(())
    });
    until("the file of the name servers gone", || {
        (!rig.path("state-networks").exists()).then_some(())
    });
}

fn serving(rig: &Rig, name: &str) -> Running {
    let flags = ["--network", "cni:site", "--expose", "80"];
    let command = rig.run_command(name, &flags, &["resolver", "0.0.0.0:80"]);
    Running::named(name.into(), command)
}

#[test]
fn a_bridge_leads_to_the_service_and_is_taken_back() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    list(&[BRIDGE, &noting()]);
    let name = unique("net");
    let mut running = serving(&rig, &name).ready("ready");
    let said = running.said.join("\n");
    // What the bridge's dns says, in a file that the program can't write.
    assert!(said.contains("search site.example"), "{said}");
    assert!(said.contains("nameserver 10.77.0.1"), "{said}");
    assert!(said.contains("write E"), "{said}");
    let at = format!("{}:80", leases()[0]);
    let told = format!("{name} is {} on the network site", leases()[0]);
    running.wait_until_said(&told);
    assert_eq!(ask(&at, "echo\nx"), "x");
    assert!(ask(&at, "who").starts_with("10.77.0.1:"));
    assert_eq!(noted(), ["ADD eth0 inside", "CHECK eth0 inside"]);
    let launcher = nix::unistd::Pid::from_raw(running.child.id() as i32);
    nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGTERM).unwrap();
    running.child.wait().unwrap();
    nothing_left(&rig, &name);
    assert_eq!(noted().last().unwrap(), "DEL eth0 inside");
}

/// The capability `portMappings`: a published port is the network's to map, and given back with it.
#[test]
fn a_plugin_that_maps_ports_is_told_which() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let mapping = r#"{"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}"#;
    // What it reads, as it reads it; another one of the list is told nothing.
    let mapped = script(
        "mapped",
        "python3 -c 'import json, sys; s = json.load(sys.stdin)\n\
         print(json.dumps(s.get(\"runtimeConfig\")), file=open(\"/opt/mapped\", \"a\"))\n\
         print(json.dumps(s.get(\"prevResult\")))'",
    );
    let mapped = mapped.replace('}', r#", "capabilities": {"portMappings": true}}"#);
    list(&[BRIDGE, mapping, &mapped]);
    // The CHECK of portmap 1.1 wants rules for IPv6 where there is an ip6tables, also of a container without IPv6.
    let file = "/etc/cni/net.d/10-site.conflist";
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replacen('{', "{\"disableCheck\": true, ", 1);
    std::fs::write(file, text).unwrap();
    let name = unique("net");
    let flags = ["--network", "cni:site", "-p", "8080:80"];
    let command = rig.run_command(&name, &flags, &["resolver", "0.0.0.0:80"]);
    let mut running = Running::named(name.clone(), command).ready("ready");
    let said = running.said.join("\n");
    let line = "TCP 0.0.0.0:8080 to 80 inside, by the plugins of the network";
    assert!(said.contains(line), "{said}");
    // The bridge's own address is one of the host's.
    assert_eq!(ask("10.77.0.1:8080", "echo\nx"), "x");
    let rules = || {
        let all = std::process::Command::new("iptables-save")
            .output()
            .unwrap();
        String::from_utf8_lossy(&all.stdout).contains("8080")
    };
    let read = std::fs::read_to_string("/opt/mapped").unwrap();
    let expected =
        r#"{"portMappings": [{"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]}"#;
    assert_eq!(read.lines().next(), Some(expected));
    assert!(rules());
    let launcher = nix::unistd::Pid::from_raw(running.child.id() as i32);
    nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGTERM).unwrap();
    running.child.wait().unwrap();
    nothing_left(&rig, &name);
    assert!(!rules());
}

#[test]
fn a_pair_works_as_well_and_outlives_nothing_that_is_killed() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[PTP]) {
        return;
    }
    list(&[PTP, &noting()]);
    let name = unique("net");
    let mut running = serving(&rig, &name).ready("ready");
    let at = format!("{}:80", leases()[0]);
    assert_eq!(ask(&at, "echo\nx"), "x");
    // The launcher can't take it back: the janitor does.
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    nothing_left(&rig, &name);
    // Whether the container still was there by then is the kernel's to say.
    assert!(noted().last().unwrap().starts_with("DEL eth0"));
}

#[test]
fn delete_by_force_takes_it_back_too() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let name = unique("net");
    let running = serving(&rig, &name).ready("ready");
    rig.call(&["delete", "--force", &name]).ok();
    let _ = running.finish();
    nothing_left(&rig, &name);
}

/// What misbehaves comes behind a bridge that has made something already.
#[test]
fn a_plugin_that_misbehaves_is_named_and_nothing_is_left() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let only_add = |text: &str| format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\n{text}");
    for (plugin, text, part) in [
        ("crashes", "kill -SEGV $$", "was killed by SIGSEGV"),
        ("babbles", "echo '{\"cniVersion\":'", "bad JSON"),
        ("silent", "true", "bad JSON"),
        ("lists", "echo '[]'", "not an object"),
        (
            "forgets",
            "echo '{\"interfaces\": []}'",
            "no interface eth0",
        ),
        (
            "floods",
            "head -c 1000000 /dev/zero",
            "more than 16384 bytes",
        ),
        (
            "complains",
            "echo '{\"code\": 100, \"msg\": \"no more addresses\"}'; exit 1",
            "no more addresses",
        ),
    ] {
        let config = script(plugin, &only_add(text));
        list(&[BRIDGE, &config]);
        refused(&rig, &["--network cni:site", plugin, part]);
    }
}

#[track_caller]
fn refused(rig: &Rig, parts: &[&str]) {
    let (name, root) = (unique("net"), rig.rootfs());
    let words = [
        "run",
        "--rootfs",
        root.to_str().unwrap(),
        "--network",
        "cni:site",
    ];
    let words = [&words[..], &[&name, "--", "/payload", "exit", "0"]].concat();
    println!("{parts:?}");
    rig.call(&words).refused(125, parts);
    nothing_left(rig, &name);
}

#[test]
fn an_interface_that_no_answer_names_is_a_difference() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let config = script(
        "sneaks",
        r#"[ "$CNI_COMMAND" = ADD ] || exit 0
ip link add sneaked type veth peer name sneakout && ip link set sneaked netns "$(echo "$CNI_NETNS" | cut -d/ -f3)" || exit 1
exec python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["prevResult"]))'"#,
    );
    list(&[BRIDGE, &config]);
    refused(&rig, &["8.1.3", "network interfaces", "sneaked"]);
}

#[test]
fn a_plugin_that_hangs_is_killed_whoever_waits_for_it() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let mark = format!("36{}", std::process::id());
    let text = format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\ntouch /opt/hangs\nexec sleep {mark}");
    let config = script("hangs", &text);
    list(&[BRIDGE, &config]);
    refused(
        &rig,
        &["the plugin hangs (ADD) still ran after 20 s, so it was killed"],
    );
    std::fs::remove_file("/opt/hangs").unwrap();
    // The launcher is killed meanwhile.
    let name = unique("net");
    let mut running = serving(&rig, &name);
    until("the plugin", || {
        Path::new("/opt/hangs").exists().then_some(())
    });
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    nothing_left(&rig, &name);
    let own = format!("sleep\0{mark}");
    until("no plugin", || {
        processes_with(&[&own]).is_empty().then_some(())
    });
}

#[test]
fn what_others_could_change_is_not_run() {
    need!(Root, Landlock);
    let rig = Rig::new();
    if !site(&rig, &[BRIDGE]) {
        return;
    }
    let mode = |path: &str, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let config = script("loose", "exit 0");
    mode("/opt/cni/bin/loose", 0o777);
    list(&[&config]);
    refused(&rig, &["/opt/cni/bin/loose has mode 0777", "chmod go-w"]);
    mode("/etc/cni/net.d/10-site.conflist", 0o666);
    refused(&rig, &["10-site.conflist has mode 0666"]);
    mode("/etc/cni/net.d/10-site.conflist", 0o644);
    for (config, part) in [
        (
            r#"{"type": "nowhere"}"#,
            "the plugin \"nowhere\" is not in /usr/lib/cni or /opt/cni/bin",
        ),
        (r#"{"type": "../../bin/sh"}"#, "not the name of a program"),
        (
            r#"{"type": "bridge", "ipam": {"type": "none-such"}}"#,
            "none-such",
        ),
        (r#"{"bridge": "x"}"#, "no \"type\""),
        ("7", "must be an object"),
    ] {
        list(&[config]);
        refused(&rig, &["10-site.conflist", part]);
    }
    std::fs::write("/etc/cni/net.d/10-site.conflist", "{").unwrap();
    refused(
        &rig,
        &[
            "no conf list in /etc/cni/net.d has the name \"site\"",
            "not JSON",
        ],
    );
}
