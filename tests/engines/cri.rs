//! A Kubernetes node without Kubernetes: containerd with its CRI plugin, asked over its socket as kubelet asks it.
//!
//! The node is configured by `install --default`; what a site sets besides is the image of the pod's first process,
//! where Debian puts CNI plugins, and a network. cri.proto and cri.py are the client.

use crate::host::Host;
use crate::images::{BUSYBOX, archive};
use crate::support::*;
use serde_json::{Value, json};
use std::process::Command;

/// What a site has in config.toml before cofferdam comes: config version 2, which every release reads.
const SITE: &str = r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/busybox:1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
"#;

/// The same for containerd 2, whose own version is 3.
const SITE_3: &str = r#"version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/busybox:1"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dir = "/usr/lib/cni"
"#;

/// A bridge inside the host's own network namespace.
const NETWORK: &str = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/24"}]]}}]}
"#;

/// Why there is no client, if there is none.
pub fn absent() -> Option<String> {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", "import grpc, google.protobuf"]);
    let there = python.output().is_ok_and(|o| o.status.success());
    (!there).then(|| {
        "no gRPC for Python; apt-get install python3-grpcio python3-protobuf protobuf-compiler"
            .into()
    })
}

/// A node.
pub struct Node {
    pub host: Host,
}

/// A pod that is there: its id, and what it was asked with.
pub struct Pod {
    pub id: String,
    config: Value,
}

impl Node {
    /// Turns a host into one.
    pub fn of(host: Host) -> Self {
        let code = host.shared("cri");
        std::fs::create_dir(&code).unwrap();
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines");
        let mut protoc = Command::new("protoc");
        protoc.args([
            "-I",
            here,
            &format!("--python_out={}", text(&code)),
            "cri.proto",
        ]);
        finish(protoc).ok();
        std::fs::copy(format!("{here}/cri.py"), code.join("cri.py")).unwrap();
        let two = host.line("containerd --version").ok().contains("/v2 2.");
        host.write(
            "/etc/containerd/config.toml",
            if two { SITE_3 } else { SITE },
        );
        host.write("/etc/cni/net.d/10-pods.conflist", NETWORK);
        let runtime = host.runtime();
        host.call(&[&runtime, "install", "--engine", "containerd", "--default"])
            .ok();
        let node = Self { host };
        node.start();
        // What a pod's first process does: nothing, for ever.
        let tar = archive(&node.host, &["/bin/sleep", "1000000"]);
        node.host
            .call(&["ctr", "-n", "k8s.io", "images", "import", text(&tar)])
            .ok();
        node
    }

    /// Starts containerd, and waits until runtime and network are ready.
    pub fn start(&self) {
        self.host.daemon("containerd", "containerd");
        self.host.until("the node is ready", |_| {
            let status = self.try_ask("Status", &json!({})).ok()?;
            let conditions = status["status"]["conditions"].as_array()?.clone();
            let ready = |name| {
                let of = |c: &&Value| c["type"] == name && c["status"] == true;
                conditions.iter().find(of)
            };
            ready("RuntimeReady").and(ready("NetworkReady")).map(drop)
        });
    }

    /// One call: the answer, or the refusal.
    pub fn try_ask(&self, method: &str, request: &Value) -> Result<Value, String> {
        let code = self.host.shared("cri");
        let (script, request) = (code.join("cri.py"), request.to_string());
        let words = [
            "/usr/bin/python3",
            text(&script),
            text(&code),
            method,
            &request,
        ];
        let ran = self.host.call(&words);
        match ran.code {
            0 => Ok(serde_json::from_str(&ran.out).unwrap()),
            _ => Err(ran.err),
        }
    }

    /// One call that is answered.
    #[track_caller]
    pub fn ask(&self, method: &str, request: Value) -> Value {
        match self.try_ask(method, &request) {
            Ok(answer) => answer,
            Err(why) => panic!("{method} {request}: {why}"),
        }
    }

    /// Runs a pod of a runtime class, "" for the default one; `linux` is laid over what every pod has.
    pub fn try_pod(&self, name: &str, class: &str, linux: Value) -> Result<Pod, String> {
        let mut config = json!({
            "metadata": {"name": name, "uid": name, "namespace": "default"},
            "hostname": name, "log_directory": format!("/var/log/pods/{name}"),
            "linux": {"cgroup_parent": format!("/pod-{name}"), "security_context": {
                "namespace_options": {"pid": "CONTAINER"}, "seccomp": {"profile_type": "RuntimeDefault"}}}});
        lay(&mut config["linux"], linux);
        let answer = self.try_ask(
            "RunPodSandbox",
            &json!({"config": config, "runtime_handler": class}),
        )?;
        let id = word(&answer["pod_sandbox_id"]);
        Ok(Pod { id, config })
    }

    /// A pod that runs.
    #[track_caller]
    pub fn pod(&self, name: &str, linux: Value) -> Pod {
        self.try_pod(name, "", linux).unwrap()
    }

    /// Creates a container in a pod and starts it.
    pub fn try_run(
        &self,
        pod: &Pod,
        name: &str,
        command: &[&str],
        linux: Value,
    ) -> Result<String, String> {
        let mut config = json!({
            "metadata": {"name": name}, "image": {"image": BUSYBOX}, "command": command,
            "log_path": format!("{name}.log"),
            "linux": {"security_context": {"namespace_options": {"pid": "CONTAINER"},
                "seccomp": {"profile_type": "Unconfined"}}}});
        lay(&mut config["linux"], linux);
        let request =
            json!({"pod_sandbox_id": pod.id, "config": config, "sandbox_config": pod.config});
        let id = word(&self.try_ask("CreateContainer", &request)?["container_id"]);
        self.try_ask("StartContainer", &json!({"container_id": id}))?;
        Ok(id)
    }

    /// A container that has started.
    #[track_caller]
    pub fn run(&self, pod: &Pod, name: &str, command: &[&str], linux: Value) -> String {
        self.try_run(pod, name, command, linux).unwrap()
    }

    /// Its state, exit code and reason.
    pub fn status(&self, id: &str) -> (String, i64, String) {
        let status = &self.ask("ContainerStatus", json!({"container_id": id}))["status"];
        let state = status["state"].as_str().unwrap_or("CONTAINER_CREATED");
        (
            state.into(),
            status["exit_code"].as_i64().unwrap_or(0),
            word(&status["reason"]),
        )
    }

    /// Waits for its end: exit code and reason.
    #[track_caller]
    pub fn ended(&self, id: &str) -> (i64, String) {
        self.host.until("the container ends", |_| {
            let (state, code, reason) = self.status(id);
            (state == "CONTAINER_EXITED").then_some((code, reason))
        })
    }

    /// Runs a container to its end: exit code, and what it printed.
    #[track_caller]
    pub fn through(&self, pod: &Pod, name: &str, command: &[&str], linux: Value) -> (i64, String) {
        let id = self.run(pod, name, command, linux);
        let code = self.ended(&id).0;
        let folder = pod.config["log_directory"].as_str().unwrap();
        let log = self.host.script(&format!("cat {folder}/{name}.log")).out;
        // TIME STREAM F TEXT
        let lines = log.lines().map(|l| l.splitn(4, ' ').nth(3).unwrap_or(""));
        (code, lines.map(|l| format!("{l}\n")).collect())
    }

    /// The first process of a pod or a container, as the host's pid namespace counts.
    #[track_caller]
    pub fn pid(&self, method: &str, key: &str, id: &str) -> i64 {
        let answer = self.ask(method, json!({key: id, "verbose": true}));
        let info: Value = serde_json::from_str(answer["info"]["info"].as_str().unwrap()).unwrap();
        info["pid"].as_i64().unwrap()
    }

    /// `ExecSync`: exit code and output, or the refusal.
    pub fn exec(&self, id: &str, command: &[&str], timeout: u32) -> Result<(i64, String), String> {
        let request = json!({"container_id": id, "cmd": command, "timeout": timeout});
        let answer = self.try_ask("ExecSync", &request)?;
        Ok((
            answer["exit_code"].as_i64().unwrap_or(0),
            word(&answer["stdout"]),
        ))
    }

    /// Stops a pod with all its containers, and removes it.
    #[track_caller]
    pub fn remove(&self, pod: &Pod) {
        self.ask("StopPodSandbox", json!({"pod_sandbox_id": pod.id}));
        self.ask("RemovePodSandbox", json!({"pod_sandbox_id": pod.id}));
    }

    /// Fails unless nothing is left of any pod.
    #[track_caller]
    pub fn assert_clean(&self) {
        let left = self.ask("ListPodSandbox", json!({}));
        assert_eq!(left, json!({}));
        self.host.assert_clean();
        let script = "ls /run/netns /var/run/netns 2>/dev/null | grep cni-; grep -E 'sandboxes|/rootfs' /proc/mounts; \
                      ls /var/lib/cni/networks/pods | grep '^10'; ip -o link show type veth; pgrep -x sleep; pgrep containerd-shim";
        assert_eq!(self.host.script(script).out, "");
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("").into()
}

/// Objects are merged, everything else replaces.
fn lay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
