//! Real engines with the binary under test in runc's place: Docker, containerd, podman and buildah from Debian.
//!
//! Each test has a host of its own (host.rs): namespaces in which every engine finds its usual places empty, so that
//! it runs with its usual configuration files and nothing but the line that names the runtime is changed. Killing the
//! first process of that host ends whatever is in it.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../services/roots.rs"]
#[allow(dead_code, unused_imports, unused_macros)]
mod roots;

mod audit;
mod buildah;
mod containerd;
mod cri;
mod docker;
mod host;
mod images;
mod podman;
mod pods;
mod release;
mod scope;
mod services;
mod swarm;
mod told;

payload!(host::reap);

/// Skips the test, with the line that installs what is missing, where an engine is not there.
macro_rules! engines {
    ($($program:literal),+) => {
        need!(Root);
        $(
            if let Some(why) = $crate::host::absent($program) {
                fn here() {}
                let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
                return $crate::support::skip(test, "engines", &why);
            }
        )+
    };
}
pub(crate) use engines;
