//! Ports: what comes in, what goes out, and what does neither, with real clients and servers.
//!
//! Each test is in a network namespace of its own ([`host::alone`]): "the host" of its containers is that namespace.

#![allow(unsafe_code)] // the rig's payload, and attacks by system call

#[path = "../support/mod.rs"]
mod support;

mod attached;
mod bad_input;
mod cni;
mod events;
mod forward;
mod host;
mod inside;
mod killed;
mod links;
mod listen;
mod native;
mod rootless;
mod server;

payload!(server::verb);
