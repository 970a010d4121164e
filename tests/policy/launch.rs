//! A launch to be decided: a configuration, a made-up host, a policy; changed step by step in a test.

use cofferdam::bundle::{Bundle, Extras};
use cofferdam::host::{CallerIds, CgroupLayout, Host, Privilege};
use cofferdam::paths::HostPath;
use cofferdam::policy::{Caller, Decision, Grant, Policy, RootSource, Source, Violation, decide};
use serde_json::Value;
use std::sync::LazyLock;

/// 2026-12-01T00:00:00Z.
pub const NOW: u64 = 1_796_083_200;

pub struct Launch {
    pub spec: Value,
    pub caller: Caller,
    pub extras: Extras,
    pub name: String,
    pub host: Host,
    site: Option<Source>,
    files: Vec<Source>,
}

/// A fixture of tests/policy.
pub fn spec_of(name: &str) -> Value {
    let path = format!("{}/tests/policy/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What `run` makes of a command line without flags.
pub fn plain() -> Value {
    serde_json::json!({
        "ociVersion": "1.3.0",
        "root": {"path": "/srv/root", "readonly": true},
        "process": {
            "user": {"uid": 65532, "gid": 65532}, "args": ["/bin/service"],
            "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true},
        "linux": {"namespaces": [
            {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"},
            {"type": "cgroup"}]}
    })
}

pub fn host() -> Host {
    let root = CallerIds {
        uid: 0,
        real_uid: 0,
        gid: 0,
        login: None,
    };
    Host {
        release: "6.18.44".into(),
        kernel: (6, 18),
        landlock_abi: 7,
        missing_calls: Vec::new(),
        privilege: Privilege::Root,
        caller: root,
        bounding: (1 << 41) - 1,
        rlimits: vec![
            ("nofile".into(), 1024, 20_000),
            ("nproc".into(), 96_365, 96_365),
        ],
        may_raise_limits: false,
        cgroups: CgroupLayout::default(),
        taken_ids: Vec::new(),
        delegated: Default::default(),
        submounts: Vec::new(),
        lsm: vec!["capability".into(), "landlock".into()],
        apparmor: Default::default(),
        memory: 8 << 30,
        now: NOW,
    }
}

impl Launch {
    pub fn engine(spec: Value) -> Self {
        Self {
            spec,
            caller: Caller::Engine,
            extras: Extras::default(),
            name: "web-1".into(),
            host: host(),
            site: None,
            files: Vec::new(),
        }
    }

    pub fn standalone() -> Self {
        let mut launch = Self::engine(plain());
        launch.caller = Caller::Standalone;
        launch.extras.own_range = true;
        launch
    }

    /// Sets a value by JSON pointer, making the objects above it.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut here = &mut self.spec;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            here = match step.parse::<usize>() {
                Ok(at) if here.is_array() || here.is_null() => {
                    if here.is_null() {
                        *here = Value::Array(Vec::new());
                    }
                    let items = here.as_array_mut().unwrap();
                    while items.len() <= at {
                        items.push(Value::Null);
                    }
                    &mut items[at]
                }
                _ => &mut here[step.as_str()],
            };
        }
        *here = value.into();
        self
    }

    pub fn policy(mut self, text: &str) -> Self {
        self.site = Some(Source {
            name: "policy.toml".into(),
            text: text.into(),
        });
        self
    }

    pub fn exceptions(mut self, text: &str) -> Self {
        let name = format!("exceptions.d/{}.toml", self.files.len());
        self.files.push(Source {
            name,
            text: text.into(),
        });
        self
    }

    /// An exception for this launch, in force.
    pub fn excepted(self, control: &str, grant: &str) -> Self {
        self.exceptions(&exception(
            control,
            grant,
            "name = \"web-1\"",
            "2026-11-01",
            "2027-01-01",
        ))
    }

    pub fn load(&self) -> Policy {
        static BUILT_IN: LazyLock<Policy> =
            LazyLock::new(|| Policy::built_in().unwrap_or_else(|problems| panic!("{problems:#?}")));
        if self.site.is_none() && self.files.is_empty() {
            return BUILT_IN.clone();
        }
        Policy::layered(self.site.as_ref(), &self.files)
            .unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    pub fn problems(&self) -> Vec<String> {
        let problems = Policy::layered(self.site.as_ref(), &self.files)
            .err()
            .unwrap_or_default();
        problems.iter().map(ToString::to_string).collect()
    }

    pub fn bundle(&self) -> Bundle {
        Bundle {
            name: self.name.clone(),
            caller: self.caller,
            root: RootSource::Dir(HostPath::trusted("/srv/root")),
            spec: serde_json::from_value(self.spec.clone()).unwrap(),
            extras: self.extras.clone(),
            hook_files: Default::default(),
            digest: "0".repeat(64),
        }
    }

    pub fn decide(&self) -> Decision {
        decide(&self.bundle(), &self.load(), &self.host)
    }

    #[track_caller]
    pub fn granted(&self) -> Grant {
        match self.decide() {
            Decision::Granted(grant) => *grant,
            Decision::Refused(violations) => panic!("refused: {violations:#?}"),
        }
    }

    #[track_caller]
    pub fn refused(&self) -> Vec<Violation> {
        match self.decide() {
            Decision::Granted(grant) => panic!("granted, with the clamps {:#?}", grant.clamps),
            Decision::Refused(violations) => violations,
        }
    }
}

/// One entry of an exceptions file.
pub fn exception(control: &str, grant: &str, scope: &str, approved: &str, expires: &str) -> String {
    format!(
        "version = 1\n[[exception]]\nid = \"E-1\"\ncontrol = \"{control}\"\ngrant = {{ {grant} }}\n\
         scope = {{ {scope} }}\nreason = \"needed\"\napprover = \"A. Architect\"\nreference = \"RISK-1\"\n\
         approved = {approved}\nexpires = {expires}\n"
    )
}
