//! Mount entries of unusual shape, as they come from config.json.

use crate::need;
use crate::support::{Rig, unique};
use serde_json::{Value, json};

fn with(rig: &Rig, args: &[&str], mounts: &[Value]) -> Value {
    let mut spec = rig.spec(args);
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .extend_from_slice(mounts);
    spec
}

#[test]
fn an_entry_without_source_changes_what_is_mounted() {
    need!(Root);
    let rig = Rig::new();
    let tmpfs = json!({"destination": "/tmp", "type": "tmpfs", "options": ["mode=1777"]});
    let ro = json!({"destination": "/tmp", "options": ["ro", "remount"]});
    let private = json!({"destination": "/", "options": ["rprivate"]});
    let ran = rig.through(&with(
        &rig,
        &["write", "/tmp/x", "1"],
        std::slice::from_ref(&tmpfs),
    ));
    assert_eq!(ran.ok(), "");
    let ran = rig.through(&with(
        &rig,
        &["write", "/tmp/x", "1"],
        &[tmpfs, ro, private],
    ));
    assert_eq!(ran.out, "EROFS\n", "{ran:?}");
    let nothing = json!({"destination": "/data", "options": ["ro"]});
    rig.create(&with(&rig, &["exit", "0"], &[nothing]), &unique("no"))
        .refused(1, &["/mounts/", "nothing is mounted there before"]);
}

#[test]
fn a_mount_has_id_maps_of_its_own_under_compat() {
    need!(Root);
    let rig = Rig::new();
    let data = rig.path("shown");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(5), Some(6)).unwrap();
    let map = |outside: u32| json!([{"containerID": 0, "hostID": outside, "size": 100}]);
    let bind = json!({
        "destination": "/data", "type": "bind", "source": data, "options": ["bind", "ro", "idmap"],
        "uidMappings": map(3000), "gidMappings": map(4000)
    });
    let spec = with(&rig, &["owner", "/data"], &[bind]);
    rig.create(&spec, &unique("own"))
        .refused(1, &["/uidMappings", "other than the container's"]);
    rig.except("8.4.14", "template = \"compat\"");
    assert_eq!(rig.through(&spec).ok(), "3005 4006\n");
}

#[test]
fn an_idmap_without_maps_is_refused() {
    need!(Root);
    let rig = Rig::new();
    let bind = json!({"destination": "/data", "type": "bind", "source": rig.dir(), "options": ["bind", "ro", "idmap"]});
    rig.create(&with(&rig, &["exit", "0"], &[bind]), &unique("idmap"))
        .refused(1, &["idmap without mappings"]);
}
