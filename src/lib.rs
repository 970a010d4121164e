//! cofferdam: a hardened container launcher.
#![deny(unsafe_code)]

pub mod seccomp;
