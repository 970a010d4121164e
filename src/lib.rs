//! cofferdam: a hardened container launcher.
#![deny(unsafe_code)]

pub mod bundle;
pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod container;
pub mod controls;
pub mod digest;
pub mod host;
pub mod outcome;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod report;
pub mod request;
pub mod sample;
pub mod sandbox;
pub mod seccomp;
pub mod site;
pub mod survey;
pub mod sys;
pub mod verify;
