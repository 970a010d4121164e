//! The whole disk behind a device number: the kernel throttles disks, not partitions.

use crate::sys::fs::read_kernel_file;

/// The disk (major, minor) that a block device number belongs to, by sysfs; `None` for file systems without one
/// (tmpfs, overlay, most virtual ones: major 0) and where sysfs is not mounted.
pub fn disk_behind((major, minor): (u32, u32)) -> Option<(u32, u32)> {
    if major == 0 {
        return None;
    }
    let device = format!("/sys/dev/block/{major}:{minor}");
    let own = number(&read_kernel_file(format!("{device}/dev")).ok()?)?;
    // The entry is a symbolic link, so ".." is the disk's folder when this is a partition.
    match std::fs::exists(format!("{device}/partition")) {
        Ok(true) => number(&read_kernel_file(format!("{device}/../dev")).ok()?),
        _ => Some(own),
    }
}

fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("254:1\n"), Some((254, 1)));
        assert_eq!(number("254"), None);
        assert_eq!(number("a:b"), None);
        assert_eq!(disk_behind((0, 40)), None);
    }
}
