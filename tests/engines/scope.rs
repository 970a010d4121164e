//! Exceptions for the containers of one engine: each is told from the others by the program that calls.

use crate::host::Host;
use crate::support::*;

const FILE: &str = "/etc/cofferdam/exceptions.d/engine.toml";

/// Fails unless a container of this engine may write to its root by an exception for this one, and by no other's.
#[track_caller]
pub fn assert_told_apart(host: &Host, engine: &str, touch: impl Fn() -> Ran) {
    for name in ["docker", "containerd", "podman", "crio", "buildah"] {
        let entry = exception("engine", "8.4.7", "writable_root = true");
        let everybody = "scope = { name = \"*\" }";
        assert!(entry.contains(everybody));
        let entry = entry.replace(everybody, &format!("scope = {{ engine = \"{name}\" }}"));
        host.write(FILE, &format!("version = 1\n{entry}"));
        let ran = touch();
        assert_eq!(ran.code == 0, name == engine, "{name}: {ran:#?}");
    }
    host.line(&format!("rm {FILE}")).ok();
}
