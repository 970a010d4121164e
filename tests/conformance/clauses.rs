//! Each test stands for one clause, each clause has one test, and CLAUSES.md lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The programs of opencontainers/runtime-tools/validation.
const PROGRAMS: [&str; 60] = [
    "config_updates_without_affect",
    "create",
    "default",
    "delete",
    "delete_only_create_resources",
    "delete_resources",
    "hooks",
    "hooks_stdin",
    "hostname",
    "kill",
    "kill_no_effect",
    "killsig",
    "linux_cgroups_blkio",
    "linux_cgroups_cpus",
    "linux_cgroups_devices",
    "linux_cgroups_hugetlb",
    "linux_cgroups_memory",
    "linux_cgroups_network",
    "linux_cgroups_pids",
    "linux_cgroups_relative_blkio",
    "linux_cgroups_relative_cpus",
    "linux_cgroups_relative_devices",
    "linux_cgroups_relative_hugetlb",
    "linux_cgroups_relative_memory",
    "linux_cgroups_relative_network",
    "linux_cgroups_relative_pids",
    "linux_devices",
    "linux_gid_mappings",
    "linux_masked_paths",
    "linux_mount_label",
    "linux_ns_itype",
    "linux_ns_nopath",
    "linux_ns_path",
    "linux_ns_path_type",
    "linux_process_apparmor_profile",
    "linux_readonly_paths",
    "linux_rootfs_propagation",
    "linux_seccomp",
    "linux_sysctl",
    "linux_uid_mappings",
    "misc_props",
    "mounts",
    "mounts_recursive",
    "pidfile",
    "poststart",
    "poststart_fail",
    "poststop",
    "poststop_fail",
    "prestart",
    "prestart_fail",
    "process",
    "process_capabilities",
    "process_capabilities_fail",
    "process_oom_score_adj",
    "process_rlimits",
    "process_rlimits_fail",
    "process_user",
    "root_readonly_true",
    "start",
    "state",
];

/// (clause, `module::test`) of every test here, in the order of the files.
fn clauses() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let mut out = Vec::new();
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
    {
        let module = file.file_stem().unwrap().to_str().unwrap();
        if module == "clauses" {
            continue;
        }
        let source = fs::read_to_string(file).unwrap();
        let mut said: Vec<&str> = Vec::new();
        let mut is_test = false;
        let mut gap = String::new();
        for line in source.lines() {
            match line.trim() {
                l if l.starts_with("/// ") => said.push(&l[4..]),
                "#[test]" => is_test = true,
                l if l.starts_with("#[ignore = \"gap: ") => {
                    gap = l["#[ignore = \"".len()..]
                        .trim_end_matches("\"]")
                        .to_string();
                }
                l if is_test && l.starts_with("fn ") => {
                    let name = l[3..].split('(').next().unwrap();
                    let test = match std::mem::take(&mut gap) {
                        none if none.is_empty() => format!("`{module}::{name}`"),
                        gap => format!("`{module}::{name}` ({gap})"),
                    };
                    out.push((said.join(" "), test));
                    (is_test, said) = (false, Vec::new());
                }
                _ => said.clear(),
            }
        }
    }
    out
}

fn table(clauses: &[(String, String)]) -> String {
    let mut rows: BTreeMap<(String, String), String> = BTreeMap::new();
    for (clause, test) in clauses {
        let (place, what) = clause.trim_start_matches('[').split_once("] ").unwrap();
        rows.insert((place.into(), what.into()), test.clone());
    }
    let mut out = String::from(
        "# Clauses of runtime-spec 1.3, in our words, and the test of each\n\n\
         Generated: `UPDATE=1 cargo test --test conformance clauses`.\n\n| clause | what it asks | test |\n|---|---|---|\n",
    );
    for ((place, what), test) in &rows {
        out.push_str(&format!(
            "| {place} | {} | {test} |\n",
            what.replace('|', "\\|")
        ));
    }
    out
}

#[test]
fn every_test_has_one_clause_and_every_clause_one_test() {
    let clauses = clauses();
    let mut seen = BTreeMap::new();
    for (clause, test) in &clauses {
        let known = [
            "[runtime.md § ",
            "[config.md § ",
            "[config-linux.md § ",
            "[features.md § ",
            "[features-linux.md § ",
            "[bundle.md § ",
            "[validation/",
            "[issue § ",
        ];
        assert!(
            known.iter().any(|k| clause.starts_with(k)),
            "{test} names no clause: {clause:?}"
        );
        assert!(clause.contains("] "), "{test}: {clause:?}");
        let key = match clause.starts_with("[validation/") {
            true => clause.split(']').next().unwrap(),
            false => clause,
        };
        if let Some(other) = seen.insert(key.to_string(), test) {
            panic!("{test} and {other} stand for the same clause: {clause}");
        }
    }
    for program in PROGRAMS {
        assert!(
            seen.contains_key(&format!("[validation/{program}")),
            "no test for validation/{program}"
        );
    }
    let programs = seen
        .keys()
        .filter(|k| k.starts_with("[validation/"))
        .count();
    assert_eq!(programs, PROGRAMS.len(), "a program that there is not");
}

#[test]
fn the_table_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/CLAUSES.md");
    let wanted = table(&clauses());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == wanted,
        "CLAUSES.md is not what the tests say: UPDATE=1 cargo test --test conformance clauses"
    );
}
