//! Layouts as met in the wild.

use super::super::mountinfo;
use super::*;

fn read(mounts: &str, own: &str) -> CgroupLayout {
    layout(&mountinfo::parse(mounts), own)
}

const SYSTEMD_V2: &str = "22 28 0:20 / /proc rw - proc proc rw\n\
    31 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

const LEGACY: &str = "\
    25 18 0:21 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755\n\
    27 25 0:23 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd\n\
    30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct\n\
    31 25 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory\n\
    32 25 0:28 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid shared:16 - cgroup cgroup rw,net_cls,net_prio\n";

#[test]
fn v2_under_systemd() {
    let own = "0::/user.slice/user-1000.slice/session-3.scope\n";
    let mut found = read(SYSTEMD_V2, own);
    assert!(found.v1.is_empty());
    let v2 = found.v2.as_mut().unwrap();
    assert_eq!(v2.mount.to_string(), "/sys/fs/cgroup");
    assert_eq!(v2.own, "/user.slice/user-1000.slice/session-3.scope");
    place_v2(v2, Privilege::Root, 7, |path| {
        assert_eq!(path, "");
        V2Facts {
            writable: true,
            true_root: true,
            available: "cpuset cpu io memory pids\n".into(),
            ..V2Facts::default()
        }
    });
    assert_eq!(v2.parent.as_deref(), Some(""));
    assert_eq!(v2.controllers.len(), 5);
}

#[test]
fn v2_user_without_delegation_may_make_none() {
    let mut found = read(
        SYSTEMD_V2,
        "0::/user.slice/user-1000.slice/session-3.scope\n",
    );
    let v2 = found.v2.as_mut().unwrap();
    place_v2(v2, Privilege::User, 7, |_| V2Facts::default());
    assert_eq!(v2.parent, None);
    assert!(v2.controllers.is_empty());
}

#[test]
fn v2_user_alone_in_a_delegated_scope() {
    let scope = "user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope";
    let look = |procs: &'static str| {
        move |path: &str| V2Facts {
            writable: path == scope,
            available: "memory pids".into(),
            procs: procs.into(),
            ..V2Facts::default()
        }
    };
    let mut found = read(SYSTEMD_V2, &format!("0::/{scope}\n"));
    let v2 = found.v2.as_mut().unwrap();
    place_v2(v2, Privilege::User, 7, look("7\n9\n"));
    assert_eq!(v2.parent, None, "somebody else is in it");
    place_v2(v2, Privilege::User, 7, look("7\n"));
    assert_eq!(v2.parent.as_deref(), Some(scope));
    assert_eq!(v2.controllers, ["memory", "pids"]);
}

#[test]
fn root_of_a_container_with_processes_gets_what_is_enabled() {
    let mut found = read(
        "9 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "0::/\n",
    );
    let v2 = found.v2.as_mut().unwrap();
    let look = |_: &str| V2Facts {
        writable: true,
        available: "memory pids".into(),
        enabled: "".into(),
        procs: "1\n".into(),
        ..V2Facts::default()
    };
    place_v2(v2, Privilege::Root, 1, look);
    assert_eq!(v2.parent.as_deref(), Some(""));
    assert!(v2.controllers.is_empty());
}

#[test]
fn hybrid_of_systemd() {
    let mounts = format!(
        "{LEGACY}26 25 0:22 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    );
    let own = "11:memory:/user.slice\n4:cpu,cpuacct:/user.slice\n2:net_cls,net_prio:/\n1:name=systemd:/user.slice/a:b\n0::/user.slice/x\n";
    let found = read(&mounts, own);
    assert_eq!(found.v1.len(), 4);
    let cpu = found.v1.iter().find(|h| h.controllers[0] == "cpu").unwrap();
    assert_eq!(cpu.controllers, ["cpu", "cpuacct"]);
    assert_eq!(cpu.mount.to_string(), "/sys/fs/cgroup/cpu,cpuacct");
    let named = found
        .v1
        .iter()
        .find(|h| h.controllers[0] == "name=systemd")
        .unwrap();
    assert_eq!(named.own, "/user.slice/a:b");
    assert_eq!(found.v2.unwrap().own, "/user.slice/x");
}

#[test]
fn legacy_has_no_v2_even_if_the_kernel_lists_it() {
    let found = read(LEGACY, "11:memory:/\n0::/\n");
    assert_eq!(found.v2, None);
    assert_eq!(found.v1.len(), 1);
}

#[test]
fn docker_in_docker_on_v1_sees_host_paths() {
    let mounts = "\
        700 600 0:27 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n\
        701 600 0:26 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
        702 600 0:25 /docker/abc /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids\n";
    let own = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/docker/abc/inner\n";
    let found = read(mounts, own);
    assert_eq!(found.v1.len(), 2, "the read-only one can't be used");
    assert_eq!(found.v1[0].own, "/");
    assert_eq!(found.v1[1].own, "/inner");
}

#[test]
fn outside_the_mount_or_removed_counts_as_its_root() {
    assert_eq!(below("/../x", "/"), "/");
    assert_eq!(below("/", "/docker/abc"), "/");
    assert_eq!(below("/docker/abcd", "/docker/abc"), "/");
    assert_eq!(below("/a (deleted)", "/"), "/");
    assert_eq!(below("/a/b", "/"), "/a/b");
}

#[test]
fn the_later_mount_hides_the_earlier() {
    let mounts = "1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  2 0 0:2 / /sys/fs/cgroup/memory rw - tmpfs tmpfs rw\n\
                  3 0 0:1 / /mnt/memory rw - cgroup cgroup rw,memory\n";
    let found = read(mounts, "1:memory:/\n");
    assert_eq!(found.v1[0].mount.to_string(), "/mnt/memory");
}

#[test]
fn nothing_mounted_or_no_cgroups_at_all() {
    assert_eq!(read("", "1:memory:/\n0::/\n"), CgroupLayout::default());
    assert_eq!(read(SYSTEMD_V2, ""), CgroupLayout::default());
}

proptest::proptest! {
    #[test]
    fn never_panics(mounts in "[ -~\n]{0,300}", own in "[ -~\n]{0,100}") {
        let _ = read(&mounts, &own);
    }

    #[test]
    fn own_is_always_a_plain_absolute_path(own in "(/[a-z.]{0,3}){0,5}", root in "(/[a-z.]{0,3}){0,3}") {
        let path = below(&own, &root);
        assert!(path.starts_with('/') && !path.split('/').any(|n| n == ".."));
    }
}
