//! Exhaustion: each bomb ends in its own cgroup or mount, with the code that says so.

use crate::support::*;

#[test]
fn memory_beyond_the_limit_kills_the_container_alone() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let neighbour_id = unique("quiet");
    let mut neighbour = Alive::spawn(rig.run_command(&neighbour_id, &[], &["wait"]));
    for kind in ["anonymous", "memfd", "tmpfs"] {
        let ran = rig.run(&["--memory", "32m", "--tmpfs", "/tmp:64m"], &["eat", kind]);
        assert_eq!(ran.code, 137, "{kind}: {ran:?}");
        assert_eq!(ran.out, "ready\n", "{kind}");
        assert!(ran.err.contains("memory"), "it is not said why: {ran:?}");
    }
    assert!(
        neighbour.child.try_wait().unwrap().is_none(),
        "the neighbour died with it"
    );
    drop(neighbour);
    rig.assert_clean(&neighbour_id);
}

#[test]
fn threads_beyond_the_limit_fail() {
    need!(Root, Landlock);
    let rig = Rig::new();
    assert_eq!(
        rig.run(&["--pids", "16"], &["threads-until"]).ok(),
        "16 EAGAIN\n"
    );
}

#[test]
fn descriptors_beyond_the_limit_fail() {
    need!(Root, Landlock);
    let rig = Rig::new();
    assert_eq!(
        rig.run(&["--nofile", "64"], &["files-until"]).ok(),
        "64 EMFILE\n"
    );
}

#[test]
fn a_tmpfs_is_full_at_its_size_and_at_its_inodes() {
    need!(Root, Landlock);
    let rig = Rig::new();
    let ran = rig.run(&["--tmpfs", "/tmp:1m"], &["fill", "/tmp/file"]);
    assert_eq!(ran.ok(), format!("{} ENOSPC\n", 1 << 20));
    let ran = rig.run(&["--tmpfs", "/tmp:1m"], &["inodes", "/tmp"]);
    let (count, errno) = ran.ok().trim().split_once(' ').unwrap();
    assert_eq!(errno, "ENOSPC");
    assert!(count.parse::<u32>().unwrap() <= 256, "{ran:?}");
}
