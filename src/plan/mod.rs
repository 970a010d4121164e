//! What exactly will be done on this host? Pure: a grant and host facts in, a plan out.

pub mod limits;
