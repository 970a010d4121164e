//! Engines that are installed here: their configuration, their sockets, and who may use them.

use super::{add, verdict};
use crate::audit::model::{Finding, Verdict};
use crate::audit::observe::json;
use crate::controls::ControlId::{self, *};
use serde_json::Value;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

type Look = (&'static str, &'static [ControlId]);

const SOCKETS: Look = ("engine-sockets", &[S8_2_3, S8_2_1]);
const MEMBERS: Look = ("engine-group", &[S8_2_3, S8_2_1]);
const REMOTE: Look = ("docker/remote", &[S8_2_3, S8_2_1]);
const ICC: Look = ("docker/icc", &[S8_1_3]);
const PRIVILEGES: Look = ("docker/no-new-privileges", &[S8_3_7]);
const USERS: Look = ("docker/userns", &[S8_5_1]);
const RUNTIME: Look = ("docker/runtime", &[S8_4_14]);
const PROXY: Look = ("docker/userland-proxy", &[S8_2_4]);

pub(super) const LOOKS: &[Look] = &[
    SOCKETS, MEMBERS, REMOTE, ICC, PRIVILEGES, USERS, RUNTIME, PROXY,
];

const PLACES: [&str; 6] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/cri-dockerd.sock",
];
const DAEMON: &str = "/etc/docker/daemon.json";

pub(super) fn check(out: &mut Vec<Finding>) {
    sockets(out);
    members(out);
    docker(out);
}

fn sockets(out: &mut Vec<Finding>) {
    let mut there = Vec::new();
    let mut open = Vec::new();
    for place in PLACES {
        let Ok(meta) = std::fs::symlink_metadata(place) else {
            continue;
        };
        if !meta.file_type().is_socket() {
            continue;
        }
        there.push(place);
        let mode = meta.mode() & 0o777;
        if meta.uid() != 0 || mode & 0o007 != 0 {
            open.push(format!("{place}: owner {}, mode {mode:o}", meta.uid()));
        }
    }
    let words = (
        "sockets that control engines",
        "root's, and nothing for others",
    );
    if there.is_empty() {
        let why = "no engine has a socket here";
        return add(
            out,
            &SOCKETS,
            words,
            ("/run", "none"),
            Verdict::not_applicable(why),
            "",
        );
    }
    let answer = match open.is_empty() {
        true => there.join(", "),
        false => open.join("; "),
    };
    add(
        out,
        &SOCKETS,
        words,
        ("/run", &answer),
        verdict(open.is_empty()),
        "chown root and chmod 660: whoever reaches it is root on this host",
    );
}

/// Whoever is in the group docker is root.
fn members(out: &mut Vec<Finding>) {
    let words = ("users in the group docker, who are root by it", "nobody");
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let line = groups.lines().find_map(|l| l.strip_prefix("docker:"));
    let Some(line) = line else {
        let why = "there is no such group";
        return add(
            out,
            &MEMBERS,
            words,
            ("/etc/group", ""),
            Verdict::not_applicable(why),
            "",
        );
    };
    let members = line.rsplit(':').next().unwrap_or_default();
    let answer = match members {
        "" => "nobody",
        names => names,
    };
    let remedy = "gpasswd -d USER docker: let them call through sudo";
    add(
        out,
        &MEMBERS,
        words,
        ("/etc/group", answer),
        verdict(members.is_empty()),
        remedy,
    );
}

fn docker(out: &mut Vec<Finding>) {
    let installed = [
        "/usr/bin/dockerd",
        "/usr/sbin/dockerd",
        "/usr/local/bin/dockerd",
        DAEMON,
    ];
    if !installed.iter().any(|p| Path::new(p).exists()) {
        for look in [&REMOTE, &ICC, &PRIVILEGES, &USERS, &RUNTIME, &PROXY] {
            let why = Verdict::not_applicable("Docker is not installed");
            add(
                out,
                look,
                ("Docker's configuration", ""),
                (DAEMON, ""),
                why,
                "",
            );
        }
        return;
    }
    let config = json(Path::new(DAEMON)).unwrap_or_default();
    let hosts = config["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let open: Vec<&str> = hosts.filter(|h| h.starts_with("tcp:")).collect();
    let safe = open.is_empty() || config["tlsverify"] == true;
    let answer = match open.is_empty() {
        true => "no TCP in daemon.json".into(),
        false => open.join(" "),
    };
    add(
        out,
        &REMOTE,
        (
            "whether Docker listens on TCP without client certificates",
            "no",
        ),
        (DAEMON, &answer),
        verdict(safe),
        "take the tcp: host out, or set tlsverify with a CA of your own",
    );
    let rows: [(&Look, &str, &str, &str, bool); 4] = [
        (
            &ICC,
            "icc",
            "whether containers on the default bridge reach each other",
            "false",
            config["icc"] == false,
        ),
        (
            &PRIVILEGES,
            "no-new-privileges",
            "whether containers can gain rights by exec",
            "true",
            config["no-new-privileges"] == true,
        ),
        (
            &USERS,
            "userns-remap",
            "whether root inside is root outside",
            "\"default\"",
            config["userns-remap"]
                .as_str()
                .is_some_and(|s| !s.is_empty()),
        ),
        (
            &PROXY,
            "userland-proxy",
            "whether a process of root's passes on published ports",
            "false",
            config["userland-proxy"] == false,
        ),
    ];
    for (look, key, tried, wanted, good) in rows {
        let answer = match &config[key] {
            Value::Null => "not set".into(),
            value => value.to_string(),
        };
        let remedy = format!("\"{key}\": {wanted} in {DAEMON}");
        add(
            out,
            look,
            (tried, wanted),
            (DAEMON, &format!("{key}: {answer}")),
            verdict(good),
            &remedy,
        );
    }
    let runtime = config["default-runtime"].as_str().unwrap_or("runc");
    add(
        out,
        &RUNTIME,
        (
            "the runtime that Docker starts containers with",
            "cofferdam",
        ),
        (DAEMON, runtime),
        verdict(runtime == "cofferdam"),
        "cofferdam install --engine docker --default",
    );
}
