//! The only unsafe code: one system call a function, a safe signature, SAFETY says why.
//!
//! What nix offers safely is used from there instead. Takes no decisions.

pub mod bpf;
pub mod landlock;
pub mod pidfd;
