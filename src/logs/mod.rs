//! What a container says: captured outside of it, kept in a spool, shipped to a collector (SS-011 8.4.2, 8.3.4, OSG §3).
//!
//! The types here are what the [`spool`] keeps and every reader of it gets.

pub mod capture;
pub mod copy;
mod newcomers;
mod record;
pub mod relay;
pub mod ship;
pub mod show;
pub mod spool;

pub(crate) use newcomers::TELLS as NEWCOMERS;
pub use record::{Kind, Origin, Record, Stream, Whose};
