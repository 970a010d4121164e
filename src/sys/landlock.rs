//! The version of landlock (landlock_create_ruleset(2), Linux 5.13). Rulesets are made with the landlock crate.
//!
//! Called by `host`.
#![allow(unsafe_code)]

use nix::errno::Errno;

/// The highest ABI version the kernel offers; ENOSYS or EOPNOTSUPP when it has none or it is switched off.
pub fn abi() -> nix::Result<u32> {
    const VERSION: libc::c_long = 1;
    let no_attributes = std::ptr::null::<libc::c_void>();
    // SAFETY: with the VERSION flag the kernel asks for a null attribute of size 0 and touches no memory.
    let abi = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            no_attributes,
            0usize,
            VERSION,
        )
    })?;
    u32::try_from(abi).map_err(|_| Errno::ERANGE)
}
