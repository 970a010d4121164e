//! Real services, from Debian's packages or the host's own root, asked real questions inside their own network.
//!
//! No container engine. Each test starts a service under the template that README's table names, talks to it with a
//! client in its network namespace, attacks it from outside and, where its protocol lets one, from inside, ends it
//! with TERM and looks for what it left.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;
mod roots;
mod service;

mod flags;
mod java;
mod nginx;
mod node;
mod own;
mod postgres;
mod published;
mod python;
mod redis;
mod shell;

payload!(own::verbs);
