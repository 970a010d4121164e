//! The small parsers, on real samples and on anything.

use super::*;

#[test]
fn this_machine_can_be_read() {
    let host = Host::probe().unwrap();
    assert!(host.kernel.0 >= 5, "{:?}", host.kernel);
    assert_eq!(host.rlimits.len(), 16);
    assert!(host.now > 1_700_000_000);
    assert!(
        host.submounts
            .iter()
            .any(|m| m.as_path() == Path::new("/proc"))
    );
}

#[test]
fn releases() {
    assert_eq!(numbers("6.18.44-fc-v669"), (6, 18));
    assert_eq!(numbers("5.10"), (5, 10));
    assert_eq!(numbers("7"), (7, 0));
    assert_eq!(numbers(""), (0, 0));
}

#[test]
fn only_the_initial_namespace_is_root() {
    assert!(is_initial("         0          0 4294967295\n"));
    assert!(!is_initial("0 1000 1\n"));
    assert!(!is_initial("0 0 65536\n"));
    assert!(!is_initial("0 0 4294967295\n1 2 3\n"));
    assert!(!is_initial(""));
}

#[test]
fn capability_masks() {
    let status = "Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t0000000000000400\n";
    assert_eq!(
        mask(status, "CapEff:").unwrap() & (1 << CAP_SYS_RESOURCE),
        0
    );
    assert_eq!(mask(status, "CapBnd:").unwrap(), 0x400);
    assert!(mask(status, "CapPrm:").is_err());
}

#[test]
fn login_of_nobody() {
    assert_eq!(login("4294967295"), None);
    assert_eq!(login("1000\n"), Some(1000));
    assert_eq!(login(""), None);
}

#[test]
fn sub_ids_of_both_files_once() {
    let uid =
        "alice:100000:65536\n# comment\nbob:165536:65536\nbroken:x:1\nempty:7:0\n".to_string();
    let gid = "alice:100000:65536\ncarol:300000:10\n".to_string();
    assert_eq!(
        taken_ids(&[uid, gid]),
        [(100_000, 65536), (165_536, 65536), (300_000, 10)]
    );
}

#[test]
fn security_modules() {
    assert_eq!(
        lsm("lockdown,capability,landlock\n"),
        ["lockdown", "capability", "landlock"]
    );
    assert!(lsm("").is_empty());
}

proptest::proptest! {
    #[test]
    fn never_panics(text in ".*") {
        let _ = (numbers(&text), is_initial(&text), login(&text), lsm(&text));
        let _ = (mask(&text, "CapEff:"), taken_ids(&[text]));
    }
}
