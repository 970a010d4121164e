//! What can be wrong with a profile, as full sentences: what was tried, what was found, what to do.
//! Returned by profile.rs, compile.rs, oci.rs; nothing here prints.

use super::model::Arch;

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The JSON is not of our shape.
    #[error(
        "reading the seccomp profile \"{profile}\": {found}; correct the profile at that place"
    )]
    Parse {
        /// The profile's name.
        profile: String,
        /// The parser's words, with line and column.
        found: String,
    },
    /// `extends` names a profile we do not have.
    #[error(
        "reading the seccomp profile \"{profile}\": it extends \"{parent}\", which does not exist; name a shipped profile"
    )]
    UnknownParent {
        /// The profile's name.
        profile: String,
        /// What it extends.
        parent: String,
    },
    /// `extends` leads back to itself, or too far.
    #[error(
        "reading the seccomp profile \"{profile}\": its chain of \"extends\" has more than {limit} links; break the circle"
    )]
    ExtendsTooDeep {
        /// The profile's name.
        profile: String,
        /// The longest chain that is followed.
        limit: usize,
    },
    /// `replaces` names a call for which the parent has no entry.
    #[error(
        "reading the seccomp profile \"{profile}\": it replaces \"{call}\", for which its parent has no entry; drop it or correct the name"
    )]
    NothingToReplace {
        /// The profile's name.
        profile: String,
        /// The call.
        call: String,
    },
    /// An entry without a reason.
    #[error(
        "reading the seccomp profile \"{profile}\": the entry for {calls} gives no reason; every entry of a shipped profile must say why it is there"
    )]
    NoReason {
        /// The profile's name.
        profile: String,
        /// The calls of the entry.
        calls: String,
    },
    /// An entry that is neither fish nor fowl.
    #[error("reading the seccomp profile \"{profile}\": the entry for {calls} has {found}; {todo}")]
    BadEntry {
        /// The profile's name.
        profile: String,
        /// The calls of the entry.
        calls: String,
        /// What is wrong.
        found: String,
        /// What to do.
        todo: &'static str,
    },
    /// A group was switched on that the profile does not have.
    #[error(
        "compiling the seccomp profile: the group \"{group}\" was switched on, but the profile has only these: {known}; name one of them"
    )]
    UnknownGroup {
        /// The group.
        group: String,
        /// Those there are.
        known: String,
    },
    /// `@exec_fd` without a number.
    #[error(
        "compiling the seccomp profile: it names @exec_fd, but the launch gave no fd number for the entrypoint; open the entrypoint first"
    )]
    NoExecFd,
    /// More instructions than the kernel takes.
    #[error("compiling the seccomp profile for {}: the filter needs more than {limit} instructions, which is all that the kernel takes; use fewer argument rules", .arch.name())]
    TooLong {
        /// The architecture.
        arch: Arch,
        /// BPF_MAXINSNS.
        limit: usize,
    },
    /// The first of two joined programs lets others decide.
    #[error(
        "joining two seccomp filters: the first one logs, traces or notifies, so the second could not be stricter; put it second"
    )]
    UndecidedFirst,
    /// A 32-bit comparison that OCI's 64-bit operators cannot say.
    #[error(
        "writing the seccomp profile in OCI's shape: the entry for {calls} compares the low 32 bits by another operator than equality, which OCI cannot say; compare by equality or by 64 bits"
    )]
    NotOci {
        /// The calls of the entry.
        calls: String,
    },
}
