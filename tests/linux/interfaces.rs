//! Interfaces of the host that move into a container. The "host" is a network namespace made for the test, so that
//! nothing of the machine's own is touched.

use crate::need;
use crate::support::{Ran, Rig, finish, text, unique};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// A network namespace with one end of a veth pair that has addresses.
struct Net(String);

impl Net {
    fn make() -> Self {
        let net = Self(unique("cofn"));
        ip(&["netns", "add", &net.0]);
        for line in [
            "link set lo up",
            "link add wan type veth peer name peer",
            "addr add 10.77.0.1/24 dev wan",
            "addr add fd77::1/64 dev wan nodad",
            "link set wan mtu 1280",
            "link set wan up",
            "link set peer up",
        ] {
            let mut args = vec!["-n", net.0.as_str()];
            args.extend(line.split(' '));
            ip(&args);
        }
        net
    }

    /// Runs the binary under test with this namespace for its host's.
    fn call(&self, rig: &Rig, args: &[&str]) -> Ran {
        let mut command = Command::new("/usr/bin/nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0));
        let launcher = rig.command();
        command
            .arg(launcher.get_program())
            .args(launcher.get_args());
        command.args(args).env_clear().stdin(Stdio::null());
        finish(command)
    }

    fn run(&self, rig: &Rig, spec: &Value) -> Ran {
        let bundle = rig.bundle(spec);
        self.call(rig, &["run", "--bundle", text(&bundle), &unique("net")])
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/ip")
            .args(["netns", "del", &self.0])
            .output();
    }
}

fn ip(args: &[&str]) {
    let out = Command::new("/usr/sbin/ip")
        .args(args)
        .output()
        .expect("apt install iproute2");
    assert!(out.status.success(), "ip {args:?}: {out:?}");
}

fn spec(rig: &Rig, args: &[&str], devices: Value) -> Value {
    let mut spec = rig.spec(args);
    spec["linux"]["netDevices"] = devices;
    spec
}

#[test]
fn an_interface_moves_in_with_its_addresses_by_exception() {
    need!(Root);
    let (rig, net) = (Rig::new(), Net::make());
    let asked = spec(&rig, &["wait"], json!({"wan": {"name": "eth0"}}));
    net.run(&rig, &asked).refused(
        125,
        &["SS-011/8.4.4", "/linux/netDevices/wan", "net_devices"],
    );
    rig.except("8.4.4", "net_devices = [\"wan\"]");
    let (id, bundle) = (unique("moved"), rig.bundle(&asked));
    net.call(&rig, &["create", "--bundle", text(&bundle), &id])
        .ok();
    let inside = |args: &[&str]| {
        let mut command = Command::new("/usr/bin/nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", rig.pid(&id)));
        command.arg("/usr/sbin/ip").args(args);
        finish(command).ok().to_string()
    };
    let link = inside(&["-o", "link", "show", "eth0"]);
    assert!(link.contains("UP") && link.contains("mtu 1280"), "{link}");
    let addresses = inside(&["-o", "addr", "show", "eth0"]);
    for address in ["10.77.0.1/24", "fd77::1/64"] {
        assert!(addresses.contains(address), "{addresses}");
    }
    assert!(inside(&["route"]).contains("10.77.0.0/24"));
    assert!(!inside(&["-o", "link"]).contains("wan"));
    rig.call(&["delete", "--force", &id]).ok();
    // Another than the exception names.
    let other = spec(&rig, &["wait"], json!({"peer": {}}));
    net.run(&rig, &other)
        .refused(125, &["/linux/netDevices/peer"]);
}

#[test]
fn an_interface_that_is_not_there_or_not_free_stops_the_launch() {
    need!(Root);
    let (rig, net) = (Rig::new(), Net::make());
    rig.except("8.4.4", "net_devices = [\"none\", \"wan\", \"peer\"]");
    net.run(&rig, &spec(&rig, &["exit", "0"], json!({"none": {}})))
        .refused(125, &["find the interface none", "No such device"]);
    for devices in [
        json!({"lo": {}}),
        json!({"wan": {"name": "a/b"}}),
        json!({"wan": {"name": "x%d"}}),
        json!({"wan": {"name": "one"}, "peer": {"name": "one"}}),
    ] {
        net.run(&rig, &spec(&rig, &["exit", "0"], devices))
            .refused(125, &["/linux/netDevices/"]);
    }
}
