//! Ports: the only ways into a container that has no network, and the only ways out of it.
//!
//! ```text
//! Held::open    the host's sockets, when the launch begins            host, inherit
//! start         a keeper: holds the sockets, makes the forwarders     keeper, kept, inside, folder, resolve
//!   forwarder   one process a direction, jailed, one event loop       worker, jail
//!     inward    stands inside; accepts from the host's sockets        tcp, flow, udp, proxy, admission
//!     outward   stands outside; accepts from sockets made inside      tcp, flow, peers
//! ```
//! A socket keeps the network namespace that it was made in, whoever holds it. So the inward forwarder lives in the
//! container's namespace with listening sockets of the host's: what it accepts comes from the host, what it makes goes
//! inside, and it has no way to make one that goes anywhere else.
//!
//! Carries out [`crate::plan::openings`]; decides nothing. Called by `container`.

mod admission;
pub mod cni;
mod error;
mod established;
mod events;
mod flow;
pub mod folder;
mod host;
pub mod inherit;
mod inside;
mod jail;
mod keeper;
mod kept;
mod native;
mod options;
mod peers;
mod proxy;
mod resolve;
mod tcp;
mod udp;
mod worker;

pub use error::PortsError;
pub use host::Held;
pub use keeper::{Keeper, start};
pub use kept::{Asked, Whose};
pub use peers::parse as parse_question;
pub use proxy::header as proxy_header;
