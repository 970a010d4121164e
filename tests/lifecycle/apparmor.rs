//! The AppArmor profile of config.json: entered by exec, or the launch ends.

use crate::need;
use crate::support::{Rig, skip, unique};
use std::process::Command;

fn enabled() -> bool {
    let on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    on.is_ok_and(|on| on.trim() == "Y")
}

/// A profile in the kernel, for as long as this lives.
struct Loaded {
    name: String,
    file: std::path::PathBuf,
}

impl Loaded {
    fn new(rig: &Rig) -> Self {
        let name = unique("cofferdam-test");
        let file = rig.path("profile");
        let text = format!(
            "profile {name} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  unix,\n  signal,\n  deny /etc/passwd r,\n}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let loaded = Self { name, file };
        assert!(loaded.parser("-r"), "apparmor_parser");
        loaded
    }

    fn parser(&self, what: &str) -> bool {
        let status = Command::new("apparmor_parser")
            .arg(what)
            .arg("-K")
            .arg(&self.file)
            .status();
        status.is_ok_and(|s| s.success())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.parser("-R");
    }
}

#[test]
fn the_program_runs_under_its_profile_or_not_at_all() {
    need!(Root);
    let rig = Rig::new();
    if !enabled() {
        let mut spec = rig.spec(&["exit", "0"]);
        spec["process"]["apparmorProfile"] = "docker-default".into();
        return rig
            .create(&spec, &unique("no"))
            .refused(1, &["/process/apparmorProfile", "not active on this host"]);
    }
    if Command::new("apparmor_parser").arg("-V").output().is_err() {
        let why = "no apparmor_parser; apt-get install apparmor";
        return skip("the_program_runs_under_its_profile", "apparmor", why);
    }
    let loaded = Loaded::new(&rig);
    let mut spec = rig.spec(&["cat", "/proc/self/attr/current", "/etc/passwd"]);
    spec["process"]["apparmorProfile"] = loaded.name.as_str().into();
    let wanted = format!("{} (enforce)\nEACCES\n", loaded.name);
    assert_eq!(rig.through(&spec).out, wanted);
    let ran = rig.run_bundle(&spec);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, wanted.as_str()),
        "{ran:?}"
    );
    let mut none = spec.clone();
    none["process"]["apparmorProfile"] = "unconfined".into();
    assert!(!rig.through(&none).out.contains(&loaded.name));
    let mut gone = spec.clone();
    gone["process"]["apparmorProfile"] = "no-such-profile".into();
    let id = unique("gone");
    rig.create(&gone, &id)
        .refused(1, &["AppArmor profile", "No such file"]);
    rig.assert_clean(&id);
}
