//! Each loosening: without its exception the control stays on, with it the grant says so and names it.

use crate::launch::{Launch, exception, plain};
use cofferdam::policy::{Exec, Grant, NamespaceKind, Ports, Template, WriteExecute};
use serde_json::json;

struct Case {
    control: &'static str,
    grant: &'static str,
    ask: fn(Launch) -> Launch,
    loosened: fn(&Grant) -> bool,
}

fn has_mount(g: &Grant, target: &str) -> bool {
    g.mounts.iter().any(|m| m.target.as_str() == target)
}

const CASES: &[Case] = &[
    Case {
        control: "SS-011/8.4.1",
        grant: "exec = \"no-terminal\"",
        ask: |l| l,
        loosened: |g| g.exec_verb.is_some(),
    },
    Case {
        control: "SS-011/8.5.2",
        grant: "template = \"workers\"",
        ask: |mut l| {
            l.extras.template = Some(Template::Workers);
            l
        },
        loosened: |g| g.template == Template::Workers,
    },
    Case {
        control: "SS-011/8.4.3",
        grant: "template = \"script\", programs = [\"/bin/sh\"]",
        ask: |mut l| {
            l.extras.template = Some(Template::Script);
            l
        },
        loosened: |g| matches!(&g.exec, Exec::Listed(p) if p.len() == 1),
    },
    Case {
        control: "SS-011/8.4.14",
        grant: "template = \"compat\"",
        ask: |mut l| {
            l.extras.template = Some(Template::Compat);
            l
        },
        loosened: |g| g.template == Template::Compat,
    },
    Case {
        control: "SS-011/8.4.8",
        grant: "jit = true",
        ask: |l| l,
        loosened: |g| g.write_execute == WriteExecute::Waived,
    },
    Case {
        control: "SS-011/8.4.1",
        grant: "terminal = true",
        ask: |l| l.set("/process/terminal", true),
        loosened: |g| g.process.terminal.is_some(),
    },
    Case {
        control: "SS-011/8.4.1",
        grant: "entry_points = [\"sshd\"]",
        ask: |l| l.set("/process/args", json!(["/usr/sbin/sshd", "-D"])),
        loosened: |g| g.process.args[0] == "/usr/sbin/sshd",
    },
    Case {
        control: "SS-011/8.5.3",
        grant: "entry_points = [\"systemd\"]",
        ask: |l| l.set("/process/args", json!(["/lib/systemd/systemd"])),
        loosened: |g| g.process.args[0] == "/lib/systemd/systemd",
    },
    Case {
        control: "SS-011/8.4.7",
        grant: "writable_root = true",
        ask: |l| l.set("/root/readonly", false),
        loosened: |g| !g.root.readonly,
    },
    Case {
        control: "SS-011/8.4.7",
        grant: "exec_on = [\"/data\"]",
        ask: |l| {
            l.set("/mounts/0", json!({"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "exec"]}))
        },
        loosened: |g| g.mounts.iter().any(|m| !m.noexec),
    },
    Case {
        control: "SS-011/8.1.5",
        grant: "capabilities = [\"CHOWN\"]",
        ask: |l| {
            l.set("/process/capabilities", json!({"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]}))
        },
        loosened: |g| g.capabilities.effective == ["CHOWN"],
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { memory = \"32GiB\" }",
        ask: |l| l.set("/linux/resources/memory/limit", 32u64 << 30),
        loosened: |g| g.limits.memory == Some(32 << 30),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { memory = \"unlimited\" }",
        ask: |l| l.set("/linux/resources/memory/limit", -1),
        loosened: |g| g.limits.memory.is_none(),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "realtime = true",
        ask: |l| {
            l.set(
                "/process/scheduler",
                json!({"policy": "SCHED_RR", "priority": 7}),
            )
        },
        loosened: |g| {
            let asked = g.execution.scheduler.as_ref();
            asked.is_some_and(|s| s.class.is_realtime())
        },
    },
    Case {
        control: "SS-011/8.4.4",
        grant: "net_devices = [\"eth1\"]",
        ask: |l| l.set("/linux/netDevices", json!({"eth1": {"name": "lan"}})),
        loosened: |g| g.net_devices.iter().any(|d| d.inside == "lan"),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { pids = 9999 }",
        ask: |l| l.set("/linux/resources/pids/limit", 9999),
        loosened: |g| g.limits.pids == Some(9999),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { cpus = 32 }",
        ask: |l| l.set("/linux/resources/cpu/quota", 3_200_000),
        loosened: |g| g.limits.cpu_quota == Some(3_200_000),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { swap = \"1GiB\" }",
        ask: |l| {
            l.set(
                "/linux/resources/memory",
                json!({"limit": 1u64 << 30, "swap": 2u64 << 30}),
            )
        },
        loosened: |g| g.limits.swap == Some(1 << 30),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { nofile = 100000 }",
        ask: |mut l| {
            l.host.may_raise_limits = true;
            l.set(
                "/process/rlimits/0",
                json!({"type": "RLIMIT_NOFILE", "soft": 100_000, "hard": 100_000}),
            )
        },
        loosened: |g| g.process.rlimits.iter().any(|r| r.hard == 100_000),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "limits = { tmpfs = \"8GiB\" }",
        ask: |l| {
            l.set(
                "/mounts/0",
                json!({"destination": "/tmp", "type": "tmpfs", "options": ["size=8g"]}),
            )
        },
        loosened: |g| format!("{:?}", g.mounts).contains(&(8u64 << 30).to_string()),
    },
    Case {
        control: "SS-011/8.1.4",
        grant: "degraded = true",
        ask: |l| l,
        loosened: |g| !g.degraded_allowed.is_empty(),
    },
    Case {
        control: "SS-011/8.1.3",
        grant: "namespaces = [\"network\"]",
        ask: |mut l| {
            l.spec["linux"]["namespaces"]
                .as_array_mut()
                .unwrap()
                .retain(|n| n["type"] != "network");
            l.caller = cofferdam::policy::Caller::Engine;
            l.extras.own_range = false;
            l
        },
        loosened: |g| {
            !g.namespaces
                .iter()
                .any(|n| n.kind == NamespaceKind::Network)
        },
    },
    Case {
        control: "SS-011/8.1.3",
        grant: "namespaces = [\"network:/srv/ns/*\"]",
        ask: |l| l.set("/linux/namespaces/4/path", "/srv/ns/a"),
        loosened: |g| g.namespaces.iter().any(|n| n.join.is_some()),
    },
    Case {
        control: "SS-011/8.2.4",
        grant: "ports_any = true",
        ask: |l| l,
        loosened: |g| g.ports == Ports::Any,
    },
    Case {
        control: "SS-011/8.5.5",
        grant: "max_ports = 2",
        ask: |mut l| {
            l.extras.expose = Some(vec![8080, 8443]);
            l
        },
        loosened: |g| g.ports == Ports::Declared(vec![8080, 8443]),
    },
    Case {
        control: "SS-011/8.5.4",
        grant: "connect = [\"mail.example.com:25\"]",
        ask: |mut l| {
            let asked = cofferdam::request::openings::connect("Mail.example.com:25=2525");
            l.extras.openings.connects = vec![asked.unwrap()];
            l
        },
        loosened: |g| g.openings.connects.len() == 1,
    },
    Case {
        control: "SS-011/8.1.3",
        grant: "networks = [\"site\"]",
        ask: |mut l| {
            l.extras.openings.cni = Some("site".into());
            l
        },
        loosened: |g| g.openings.cni.is_some(),
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "root_user = true",
        ask: |l| l.set("/process/user/uid", 0),
        loosened: |g| g.process.uid == 0,
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "no_user_namespace = true",
        ask: |mut l| {
            l.extras.own_range = false;
            l
        },
        loosened: |g| g.ids == cofferdam::policy::Ids::Host,
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "devices = [\"/dev/fuse\"]",
        ask: |l| {
            l.set(
                "/linux/devices/0",
                json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}),
            )
        },
        loosened: |g| g.devices.len() == 1 && g.device_rules.len() == 2 && !g.device_rules[0].allow,
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "sysctl = [\"net.ipv4.conf.*\"]",
        ask: |l| l.set("/linux/sysctl/net.ipv4.conf.all.rp_filter", "0"),
        loosened: |g| !g.sysctl.is_empty(),
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "seccomp_groups = [\"splice\"]",
        ask: |l| l,
        loosened: |g| g.seccomp.groups == ["splice"],
    },
    Case {
        control: "SS-011/8.5.1",
        grant: "sources = [\"/run/docker.sock\"]",
        ask: |l| {
            l.set("/mounts/0", json!({"destination": "/docker.sock", "type": "bind", "source": "/run/docker.sock", "options": ["bind"]}))
        },
        loosened: |g| has_mount(g, "/docker.sock"),
    },
    Case {
        control: "SS-011/8.2.1",
        grant: "hooks = [\"/usr/libexec/hook\"]",
        ask: |l| l.set("/hooks/createRuntime/0/path", "/usr/libexec/hook"),
        loosened: |g| g.hooks.len() == 1,
    },
    Case {
        control: "SS-011/8.2.2",
        grant: "env = [\"DB_PASSWORD\"]",
        ask: |l| l.set("/process/env/1", "DB_PASSWORD=hunter2"),
        loosened: |g| g.process.env.len() == 2,
    },
];

fn standing(case: &Case, launch: Launch) -> bool {
    match (case.ask)(launch).decide() {
        cofferdam::policy::Decision::Granted(grant) => (case.loosened)(&grant),
        cofferdam::policy::Decision::Refused(_) => false,
    }
}

#[test]
fn without_an_exception_every_control_stays_on() {
    // Under an engine the user and the user namespace are the engine's to choose, and recorded.
    let standalone_only = ["root_user = true", "no_user_namespace = true"];
    for case in CASES {
        assert!(
            !standing(case, Launch::standalone()),
            "{} {}",
            case.control,
            case.grant
        );
        let engine = standing(case, Launch::engine(plain()));
        assert_eq!(
            engine,
            standalone_only.contains(&case.grant),
            "{}",
            case.grant
        );
    }
}

#[test]
fn with_its_exception_each_is_granted_and_recorded() {
    for case in CASES {
        let grant = (case.ask)(Launch::standalone().excepted(case.control, case.grant)).granted();
        assert!((case.loosened)(&grant), "{} {}", case.control, case.grant);
        let used = grant
            .waivers
            .iter()
            .any(|w| w.exception == "E-1" && w.control.as_str() == case.control);
        assert!(used, "{} {}: {:?}", case.control, case.grant, grant.waivers);
        let waiver = &grant.waivers[0];
        assert_eq!(
            (
                waiver.expires.as_str(),
                waiver.approver.as_str(),
                waiver.reference.as_str()
            ),
            ("2027-01-01", "A. Architect", "RISK-1")
        );
    }
}

#[test]
fn expired_early_and_out_of_scope_exceptions_leave_it_on() {
    let scopes = [
        ("name = \"web-1\"", "2026-01-01", "2026-11-30"),
        ("name = \"web-1\"", "2026-12-02", "2027-01-01"),
        ("name = \"web-2\"", "2026-11-01", "2027-01-01"),
        ("image = \"nginx:*\"", "2026-11-01", "2027-01-01"),
        ("digest = \"sha256:11\"", "2026-11-01", "2027-01-01"),
        (
            "name = \"web-1\", label = { tier = \"db\" }",
            "2026-11-01",
            "2027-01-01",
        ),
    ];
    for (scope, approved, expires) in scopes {
        for case in CASES {
            let text = exception(case.control, case.grant, scope, approved, expires);
            assert!(
                !standing(case, Launch::standalone().exceptions(&text)),
                "{scope} {}",
                case.grant
            );
        }
    }
}

#[test]
fn the_last_day_counts_and_a_lapsed_exception_is_named() {
    let of = |expires| {
        exception(
            "SS-011/8.4.8",
            "jit = true",
            "name = \"web-*\"",
            "2026-11-01",
            expires,
        )
    };
    let last = Launch::standalone().exceptions(&of("2026-12-01")).granted();
    assert_eq!(last.write_execute, WriteExecute::Waived);
    let after = Launch::standalone().exceptions(&of("2026-11-30")).granted();
    assert!(
        after
            .clamps
            .iter()
            .any(|c| c.granted.contains("exception E-1 expired on 2026-11-30")),
        "{:?}",
        after.clamps
    );
}

#[test]
fn scopes_match_images_digests_and_labels() {
    for scope in [
        "image = \"docker.io/library/node:*\"",
        "digest = \"sha256:ab\"",
        "label = { tier = \"web\" }",
    ] {
        let text = exception(
            "SS-011/8.4.8",
            "jit = true",
            scope,
            "2026-11-01",
            "2027-01-01",
        );
        let launch = Launch::standalone()
            .exceptions(&text)
            .set(
                "/annotations/io.kubernetes.cri.image-name",
                "docker.io/library/node:20",
            )
            .set("/annotations/org.cofferdam.image-digest", "sha256:ab")
            .set("/annotations/tier", "web");
        assert_eq!(
            launch.granted().write_execute,
            WriteExecute::Waived,
            "{scope}"
        );
    }
}
