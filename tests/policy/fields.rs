//! Every field of config.json as runtime-spec 1.3 has it: honoured, cut with a note, or refused; none is ignored.
//!
//! The list is held against the type itself: a field that oci-spec knows and the list doesn't is found.

use crate::launch::{Launch, plain};
use crate::rows::Fate::{self, Cut, Idle, Kept, Refused, Told};
use crate::rows::{Row, rows};
use cofferdam::policy::{Decision, Grant};
use serde_json::Value;

fn bare(grant: &Grant) -> Value {
    let mut value = serde_json::to_value(grant).unwrap();
    for key in ["clamps", "waivers"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

fn fate(with: &Launch, without: &Grant) -> Fate {
    match with.decide() {
        Decision::Refused(violations) => {
            assert!(
                violations
                    .iter()
                    .all(|v| !v.found.is_empty() && !v.remedy.is_empty())
            );
            Refused
        }
        Decision::Granted(grant) if grant.clamps.len() > without.clamps.len() => Cut,
        Decision::Granted(grant) if bare(&grant) != bare(without) => Kept,
        Decision::Granted(_) => Idle,
    }
}

fn asked(row: &Row, start: fn(Launch) -> Launch) -> (Launch, Grant) {
    let mut launch = start(Launch::engine(plain()));
    if let Some((pointer, value)) = &row.with {
        launch = launch.set(pointer, value.clone());
    }
    let without = launch.granted();
    (launch.set(row.pointer, row.value.clone()), without)
}

fn check(row: &Row, wanted: Fate, start: fn(Launch) -> Launch) -> Option<String> {
    let (launch, without) = asked(row, start);
    let found = fate(&launch, &without);
    let told = wanted == Told && found != Idle;
    let named = match launch.decide() {
        Decision::Refused(all) => all.iter().any(|v| v.pointer.starts_with(row.pointer)),
        Decision::Granted(_) => true,
    };
    let (pointer, value) = (row.pointer, &row.value);
    match (found == wanted || told, named) {
        (false, _) => Some(format!("{pointer} = {value}: {found:?}, not {wanted:?}")),
        (true, false) => Some(format!("{pointer} = {value}: another is named")),
        (true, true) => None,
    }
}

#[test]
fn every_field_is_kept_cut_or_refused() {
    let wrong = rows()
        .into_iter()
        .filter_map(|row| check(&row, row.strict, |l| l));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn under_compat_every_field_is_kept_or_refused() {
    let compat = |launch: Launch| launch.exceptions(cofferdam::policy::COMPAT_TOML);
    let wrong = rows()
        .into_iter()
        .filter_map(|row| check(&row, row.compat, compat));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Keys of all objects in the list, as they stand in config.json.
fn known() -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, into: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                walk(value, into);
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, into)),
            _ => {}
        }
    }
    let mut all = std::collections::BTreeSet::new();
    for row in rows() {
        all.extend(row.pointer.split('/').skip(1).map(String::from));
        walk(&row.value, &mut all);
    }
    all
}

/// What runtime-spec 1.3 (schema/config-linux.json and its kin) names, without the other systems' own sections.
const SPECIFIED: &str = "ociVersion root path readonly mounts destination type source options uidMappings gidMappings \
    process terminal consoleSize height width user uid gid umask additionalGids username args commandLine env cwd \
    capabilities bounding effective inheritable permitted ambient rlimits soft hard noNewPrivileges apparmorProfile \
    oomScoreAdj selinuxLabel ioPriority class priority scheduler policy nice flags runtime deadline period \
    execCPUAffinity initial final hostname domainname hooks prestart createRuntime createContainer startContainer \
    poststart poststop timeout annotations linux netDevices name containerID hostID size sysctl resources devices \
    allow major minor access memory limit reservation swap kernel kernelTCP swappiness disableOOMKiller useHierarchy \
    checkBeforeUpdate cpu shares quota burst realtimeRuntime realtimePeriod cpus mems idle pids blockIO weight \
    leafWeight weightDevice throttleReadBpsDevice rate throttleWriteBpsDevice throttleReadIOPSDevice \
    throttleWriteIOPSDevice hugepageLimits pageSize network classID priorities rdma hcaHandles hcaObjects unified \
    cgroupsPath namespaces fileMode seccomp defaultAction defaultErrnoRet architectures listenerPath listenerMetadata \
    syscalls rootfsPropagation maskedPaths readonlyPaths mountLabel intelRdt closID schemata l3CacheSchema \
    memBwSchema enableCmt enableMbm enableMonitoring memoryPolicy mode nodes personality domain timeOffsets secs nanosecs solaris windows \
    vm zos";

#[test]
fn the_list_is_complete() {
    let known = known();
    let missing: Vec<&str> = SPECIFIED
        .split_whitespace()
        .filter(|key| !known.contains(*key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Each field of the list survives oci-spec: one that its types dropped would be ignored without a word.
#[test]
fn oci_spec_reads_every_field_of_the_list() {
    for Row { pointer, value, .. } in rows() {
        let launch = Launch::engine(plain()).set(pointer, value.clone());
        let read = serde_json::to_value(launch.bundle().spec).unwrap();
        let there = read.pointer(pointer);
        let same = |a: &Value, b: &Value| a == b || a.to_string().len() <= b.to_string().len();
        assert!(
            there.is_some_and(|there| same(&value, there) || there.is_array()),
            "{pointer} = {value} became {there:?}"
        );
    }
}
