//! Stand-in until the seccomp branch lands (being written elsewhere; do not extend).

/// A parsed seccomp profile.
#[derive(Clone, Debug)]
pub struct Profile;
