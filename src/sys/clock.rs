//! The kernel's clock, as far as it says who keeps it.

use super::check;
use nix::errno::Errno;

/// Whether somebody keeps the clock right (adjtimex(2) without STA_UNSYNC).
pub fn is_synchronised() -> Result<bool, Errno> {
    // SAFETY: an all-zero timex is valid, and modes = 0 changes nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: adjtimex fills in a timex, which `timex` is.
    check(unsafe { libc::adjtimex(&mut timex) }.into())?;
    Ok(timex.status & libc::STA_UNSYNC == 0)
}
