//! Names and numbers of system calls on each architecture we support.
//! Looks up only; the data is in table.rs. Called by compile.rs, decide.rs and whoever prints a call's name.

use super::model::Arch;
use super::table::TABLE;

type Row = (&'static str, i16, i16, i16);

fn number_in(row: &Row, arch: Arch) -> Option<u32> {
    let number = match arch {
        Arch::X86_64 => row.1,
        Arch::Aarch64 => row.2,
        Arch::Riscv64 => row.3,
    };
    u32::try_from(number).ok()
}

/// The number of a call, `None` if this architecture has no such call.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    let at = TABLE.binary_search_by(|row| row.0.cmp(name)).ok()?;
    number_in(&TABLE[at], arch)
}

/// The name of a call by number.
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|row| number_in(row, arch) == Some(number))
        .map(|row| row.0)
}

/// The highest number that has a name.
pub fn highest(arch: Arch) -> u32 {
    all(arch).map(|(_, number)| number).max().unwrap_or(0)
}

/// Every call of an architecture with its number, by name.
pub fn all(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    TABLE
        .iter()
        .filter_map(move |row| Some((row.0, number_in(row, arch)?)))
}

/// Whether any supported architecture has a call of this name.
pub fn is_known(name: &str) -> bool {
    TABLE.binary_search_by(|row| row.0.cmp(name)).is_ok()
}
