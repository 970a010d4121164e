//! From the spool to collectors: nothing is lost on the way but where the policy says `lossy`.
//!
//! ```text
//! Source (records by number) ─▶ Chain ─▶ Station (a target, its files open) ─▶ Sink (one connection)
//!        ◀── keep(number) ◀── acknowledged(number) ◀──┘
//! ```
//!
//! One file a protocol: [`syslog`], [`relp`], [`otlp`], [`fluent`], [`journald`], [`files`]. What they say is made by pure
//! files beside them ([`message`], [`protobuf`], [`http`], [`msgpack`], [`dns`]), which also take apart what collectors
//! answer: that is hostile input. [`wire`] is TCP and TLS with a bound on every wait.
//!
//! A process that ships runs one [`Chain`]; it needs its source, its stations' open files and the network, nothing else.

mod backoff;
mod chain;
mod check;
pub mod dns;
pub mod files;
pub mod fluent;
pub mod http;
pub mod journald;
pub mod message;
pub mod msgpack;
pub mod otlp;
mod pin;
pub mod protobuf;
pub mod relp;
mod resolve;
mod sink;
mod source;
mod spooled;
mod stamp;
mod station;
pub mod syslog;
mod tls;
mod trouble;
pub mod wire;
mod work;
mod worker;

pub use chain::{Chain, End, Notice};
pub use check::{Answer, check};
pub use resolve::Resolver;
pub use sink::{Rejected, Sink};
pub use source::Source;
pub use spooled::Spool;
pub use station::Station;
pub use tls::Credentials;
pub use trouble::{Cause, Trouble};
pub use work::ship;
pub use worker::ROWS;
