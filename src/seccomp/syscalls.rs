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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn table_is_sorted_and_numbers_are_unique() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for arch in Arch::ALL {
            let numbers: BTreeSet<u32> = all(arch).map(|(_, number)| number).collect();
            assert_eq!(numbers.len(), all(arch).count(), "{arch:?}");
            for (name_of, number_of) in all(arch) {
                assert_eq!(number(arch, name_of), Some(number_of));
                assert_eq!(name(arch, number_of), Some(name_of));
            }
        }
    }

    #[test]
    fn table_has_the_numbers_of_the_headers() {
        for (name, x86_64, aarch64, riscv64) in [
            ("read", Some(0), Some(63), Some(63)),
            ("fork", Some(57), None, None),
            ("execve", Some(59), Some(221), Some(221)),
            ("renameat", Some(264), Some(38), None),
            ("prctl", Some(157), Some(167), Some(167)),
            ("execveat", Some(322), Some(281), Some(281)),
            ("riscv_hwprobe", None, None, Some(258)),
            ("clone3", Some(435), Some(435), Some(435)),
            ("mseal", Some(462), Some(462), Some(462)),
            ("listns", Some(470), Some(470), Some(470)),
            ("socketcall", None, None, None),
        ] {
            let found = Arch::ALL.map(|arch| number(arch, name));
            assert_eq!(found, [x86_64, aarch64, riscv64], "{name}");
        }
        assert_eq!(Arch::ALL.map(|arch| all(arch).count()), [385, 327, 328]);
        assert_eq!(Arch::ALL.map(highest), [471; 3]);
    }
}
