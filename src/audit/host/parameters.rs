//! Kernel parameters that matter to containers: a table. One that this kernel does not have asks nothing.

use super::{add, read};
use crate::audit::model::{Finding, Verdict};
use crate::controls::ControlId::{self, S8_1_1};

/// A parameter below /proc/sys, the values that are good, and why.
struct Parameter {
    name: &'static str,
    least: u64,
    most: u64,
    why: &'static str,
}

const fn p(name: &'static str, least: u64, most: u64, why: &'static str) -> Parameter {
    Parameter {
        name,
        least,
        most,
        why,
    }
}

const MANY: u64 = u64::MAX;

const TABLE: [Parameter; 20] = [
    p(
        "kernel/kptr_restrict",
        1,
        2,
        "addresses of the kernel are hidden",
    ),
    p("kernel/dmesg_restrict", 1, 1, "the kernel's log is root's"),
    p(
        "kernel/unprivileged_bpf_disabled",
        1,
        2,
        "programs for the kernel are root's",
    ),
    p(
        "kernel/yama/ptrace_scope",
        1,
        3,
        "processes do not trace each other",
    ),
    p(
        "kernel/kexec_load_disabled",
        1,
        1,
        "no other kernel is started",
    ),
    p(
        "kernel/perf_event_paranoid",
        2,
        4,
        "measuring the kernel is root's",
    ),
    p("kernel/randomize_va_space", 2, 2, "addresses are random"),
    p(
        "kernel/io_uring_disabled",
        1,
        2,
        "io_uring is not for everybody",
    ),
    p("kernel/sysrq", 0, 16, "keys do not control the kernel"),
    p(
        "kernel/modules_disabled",
        1,
        1,
        "no module is loaded any more",
    ),
    p(
        "vm/unprivileged_userfaultfd",
        0,
        0,
        "page faults are not handed to everybody",
    ),
    p(
        "vm/mmap_min_addr",
        65_536,
        MANY,
        "page zero can't be mapped",
    ),
    p(
        "vm/memfd_noexec",
        1,
        2,
        "memory files are not executable unless asked",
    ),
    p(
        "dev/tty/legacy_tiocsti",
        0,
        0,
        "nobody types into another's terminal",
    ),
    p(
        "dev/tty/ldisc_autoload",
        0,
        0,
        "line disciplines are not loaded on request",
    ),
    p(
        "fs/suid_dumpable",
        0,
        0,
        "set-uid programs leave no core file",
    ),
    p(
        "fs/protected_hardlinks",
        1,
        1,
        "no hard links to others' files",
    ),
    p(
        "fs/protected_symlinks",
        1,
        1,
        "no following of others' links in /tmp",
    ),
    p(
        "fs/protected_fifos",
        1,
        2,
        "no opening of others' FIFOs in /tmp",
    ),
    p(
        "fs/protected_regular",
        1,
        2,
        "no opening of others' files in /tmp",
    ),
];

const CONTROLS: &[ControlId] = &[S8_1_1];

fn dotted(name: &str) -> String {
    name.replace('/', ".")
}

pub(super) fn check(out: &mut Vec<Finding>) {
    for parameter in &TABLE {
        let name = dotted(parameter.name);
        let path = format!("/proc/sys/{}", parameter.name);
        let expected = match (parameter.least, parameter.most) {
            (least, most) if least == most => least.to_string(),
            (least, MANY) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        let (answer, verdict) = match read(&path) {
            Ok(text) => {
                let value = text.parse::<u64>().ok();
                let good = value.is_some_and(|v| (parameter.least..=parameter.most).contains(&v));
                (text, super::verdict(good))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let why = "this kernel does not have it";
                ("absent".into(), Verdict::not_applicable(why))
            }
            Err(e) => (
                String::new(),
                Verdict::not_assessed(format!("can't read {path}: {e}; run it as root")),
            ),
        };
        let remedy = format!(
            "sysctl -w {name}={}, and in /etc/sysctl.d to stay",
            parameter.least
        );
        let tried = format!("{name}: whether {}", parameter.why);
        let id = format!("sysctl/{name}");
        add(
            out,
            &(&id, CONTROLS),
            (&tried, &expected),
            (&path, &answer),
            verdict,
            &remedy,
        );
    }
}

pub(super) fn looks() -> Vec<(String, Vec<ControlId>)> {
    let id = |p: &Parameter| (format!("host/sysctl/{}", dotted(p.name)), CONTROLS.to_vec());
    TABLE.iter().map(id).collect()
}
