//! Requests that runc and crun answer in one way, held to the same: limits of the process, names of the host.

use crate::launch::{Launch, plain};
use cofferdam::policy::Grant;
use serde_json::{Value, json};

fn compat() -> Launch {
    Launch::engine(plain()).excepted("SS-011/8.4.14", "template = \"compat\"")
}

fn limits(list: Value) -> [Launch; 2] {
    [Launch::engine(plain()), compat()].map(|l| l.set("/process/rlimits", list.clone()))
}

fn nofile(grant: &Grant) -> (u64, u64) {
    let mut all = grant.process.rlimits.iter();
    let limit = all.find(|l| l.kind == "nofile").unwrap();
    (limit.soft, limit.hard)
}

#[test]
fn a_soft_limit_of_descriptors_stays_below_the_hard_one() {
    for launch in limits(json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}])) {
        let grant = launch.granted();
        assert_eq!(nofile(&grant), (100, 200));
        assert!(!grant.clamps.iter().any(|c| c.pointer.contains("rlimits")));
    }
    // What policy cuts down takes the soft one with it.
    let over = json!([{"type": "RLIMIT_NOFILE", "soft": 900_000, "hard": 1_000_000}]);
    let grant = limits(over)[0].granted();
    let (soft, hard) = nofile(&grant);
    assert!(soft == hard && hard < 900_000, "{soft} {hard}");
}

#[test]
fn limits_that_no_kernel_takes_are_refused_under_compat_too() {
    let twice = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64},
        {"type": "RLIMIT_NOFILE", "soft": 32, "hard": 32}]);
    let over = json!([{"type": "RLIMIT_FSIZE", "soft": 1, "hard": 2}, {"type": "RLIMIT_CPU", "soft": 300, "hard": 200}]);
    for list in [twice, over] {
        for launch in limits(list.clone()) {
            let violations = launch.refused();
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].pointer, "/process/rlimits/1");
        }
    }
}

#[test]
fn a_host_name_without_a_namespace_for_it_is_refused() {
    let without = json!([{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "network"}]);
    for field in ["/hostname", "/domainname"] {
        let launch = compat().set("/linux/namespaces", without.clone());
        let _ = launch.granted();
        let violations = launch.set(field, "inner").refused();
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert_eq!(violations[0].pointer, field);
        assert!(violations[0].remedy.contains("uts"), "{violations:?}");
        let _ = compat().set(field, "inner").granted();
    }
}
