//! cofferdam: a hardened container launcher.
#![deny(unsafe_code)]

pub mod bundle;
pub mod controls;
pub mod host;
pub mod paths;
pub mod policy;
pub mod seccomp;
pub mod site;
