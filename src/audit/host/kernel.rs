//! The kernel: its weaknesses of the processor, security modules, lockdown, loaded modules, cgroups, clock.

use super::{add, read, verdict};
use crate::audit::model::{Finding, Verdict};
use crate::controls::ControlId::{self, *};
use crate::host::{AppArmor, Host};

type Look = (&'static str, &'static [ControlId]);

const VERSION: Look = ("kernel", &[S8_1_1]);
const CPU: Look = ("mitigations", &[S8_1_1]);
const LABELS: Look = ("security-module", &[S8_1_1, S8_4_14]);
const TEMPLATE: Look = ("apparmor-template", &[S8_4_14]);
const LANDLOCK: Look = ("landlock", &[S8_1_1, S8_2_4]);
const SECCOMP: Look = ("seccomp", &[S8_1_1, S8_1_4]);
const LOCKDOWN: Look = ("lockdown", &[S8_1_1]);
const MODULES: Look = ("modules", &[S8_1_1]);
const CGROUPS: Look = ("cgroups", &[S8_1_4, S8_1_1]);
const SWAP: Look = ("swap", &[S8_2_2]);
const CLOCK: Look = ("clock", &[S8_3_4]);

pub(super) const LOOKS: &[Look] = &[
    VERSION, CPU, LABELS, TEMPLATE, LANDLOCK, SECCOMP, LOCKDOWN, MODULES, CGROUPS, SWAP, CLOCK,
];

/// Modules that programs in containers got into kernels by, and that servers rarely need.
const RISKY: [&str; 5] = [
    "af_alg",
    "algif_aead",
    "algif_skcipher",
    "algif_hash",
    "rxrpc",
];

pub(super) fn check(host: &Host, out: &mut Vec<Finding>) {
    let good = host.kernel >= (5, 12);
    add(
        out,
        &VERSION,
        (
            "the kernel's version",
            "5.12 or newer, which cofferdam needs",
        ),
        ("uname", &host.release),
        verdict(good),
        "install a newer kernel",
    );
    mitigations(out);
    let labels = ["apparmor", "selinux", "smack"];
    let good = host.lsm.iter().any(|m| labels.contains(&m.as_str()));
    let list = host.lsm.join(",");
    add(
        out,
        &LABELS,
        (
            "a security module with labels",
            "apparmor, selinux or smack",
        ),
        ("/sys/kernel/security/lsm", &list),
        match host.lsm.is_empty() {
            true => Verdict::not_assessed(
                "the list of security modules can't be read: mount securityfs",
            ),
            false => verdict(good),
        },
        "lsm=…,apparmor on the kernel's command line",
    );
    template(host, out);
    let abi = format!("ABI {}", host.landlock_abi);
    add(
        out,
        &LANDLOCK,
        (
            "landlock, which limits files and ports",
            "ABI 4 or newer (Linux 6.7)",
        ),
        ("landlock_create_ruleset", &abi),
        verdict(host.landlock_abi >= 4),
        "a newer kernel with lsm=landlock,…",
    );
    file(
        out,
        &SECCOMP,
        (
            "what system-call filters can do",
            "kill_process, errno, user_notif",
        ),
        "/proc/sys/kernel/seccomp/actions_avail",
        |t| {
            ["kill_process", "errno", "user_notif"]
                .iter()
                .all(|a| t.contains(a))
        },
        "a kernel with CONFIG_SECCOMP_FILTER",
    );
    file(
        out,
        &LOCKDOWN,
        (
            "whether root may change the running kernel",
            "[integrity] or [confidentiality]",
        ),
        "/sys/kernel/security/lockdown",
        |t| !t.contains("[none]"),
        "lockdown=integrity on the kernel's command line",
    );
    modules(out);
    cgroups(host, out);
    file(
        out,
        &SWAP,
        (
            "swap, where memory of services could land",
            "none, or encrypted",
        ),
        "/proc/swaps",
        |t| {
            t.lines().count() <= 1
                || t.lines()
                    .skip(1)
                    .all(|l| l.starts_with("/dev/dm-") || l.starts_with("/dev/zram"))
        },
        "swapoff -a, or swap on an encrypted device",
    );
    clock(out);
}

fn file(
    out: &mut Vec<Finding>,
    look: &Look,
    words: (&str, &str),
    path: &str,
    good: impl Fn(&str) -> bool,
    remedy: &str,
) {
    match read(path) {
        Ok(text) => {
            let shown = text.lines().collect::<Vec<_>>().join("; ");
            add(
                out,
                look,
                words,
                (path, &shown),
                verdict(good(&text)),
                remedy,
            );
        }
        Err(why) => {
            let unseen = Verdict::not_assessed(format!("can't read {path}: {why}"));
            add(out, look, words, (path, ""), unseen, remedy);
        }
    }
}

fn template(host: &Host, out: &mut Vec<Finding>) {
    let (answer, verdict) = match &host.apparmor {
        AppArmor::Template => ("loaded".into(), Verdict::Pass),
        AppArmor::NoTemplate => ("not loaded, or only complaining".into(), Verdict::Fail),
        AppArmor::Confined { profile } => (
            format!("the launcher is under {profile}"),
            Verdict::not_assessed("this program is confined itself"),
        ),
        AppArmor::Absent => (
            "AppArmor is not in force".to_string(),
            Verdict::not_applicable("AppArmor is not in force on this host"),
        ),
    };
    add(
        out,
        &TEMPLATE,
        ("the AppArmor profile of what is launched", "loaded"),
        ("/sys/kernel/security/apparmor/policy/profiles", &answer),
        verdict,
        "cofferdam install --apparmor",
    );
}

fn mitigations(out: &mut Vec<Finding>) {
    let folder = "/sys/devices/system/cpu/vulnerabilities";
    let words = ("weaknesses of the processor", "each mitigated");
    let Ok(entries) = std::fs::read_dir(folder) else {
        let unseen = Verdict::not_assessed(format!("can't list {folder}"));
        return add(out, &CPU, words, (folder, ""), unseen, "a newer kernel");
    };
    let mut bad: Vec<String> = entries
        .flatten()
        .filter_map(|e| {
            let text = read(e.path().to_str()?).ok()?;
            let name = e.file_name().to_string_lossy().into_owned();
            text.contains("Vulnerable")
                .then(|| format!("{name}: {text}"))
        })
        .collect();
    bad.sort();
    let answer = match bad.is_empty() {
        true => "each mitigated".into(),
        false => bad.join("; "),
    };
    add(
        out,
        &CPU,
        words,
        (folder, &answer),
        verdict(bad.is_empty()),
        "no mitigations=off; microcode and kernel up to date",
    );
}

fn modules(out: &mut Vec<Finding>) {
    let words = (
        "modules with a history of holes",
        "none of af_alg, algif_*, rxrpc loaded",
    );
    let Ok(text) = read("/proc/modules") else {
        let why = "this kernel has no modules, or hides them";
        return add(
            out,
            &MODULES,
            words,
            ("/proc/modules", ""),
            Verdict::not_applicable(why),
            "",
        );
    };
    let names = text.lines().filter_map(|l| l.split(' ').next());
    let found: Vec<&str> = names.filter(|n| RISKY.contains(n)).collect();
    let answer = match found.is_empty() {
        true => "none".into(),
        false => found.join(" "),
    };
    let remedy = "install NAME /bin/false in /etc/modprobe.d, then rmmod it";
    add(
        out,
        &MODULES,
        words,
        ("/proc/modules", &answer),
        verdict(found.is_empty()),
        remedy,
    );
}

fn cgroups(host: &Host, out: &mut Vec<Finding>) {
    let v2 = host.cgroups.v2.as_ref();
    let has = |name: &str| {
        host.cgroups.has_v1(name) || v2.is_some_and(|v| v.controllers.iter().any(|c| c == name))
    };
    let missing: Vec<&str> = ["memory", "pids", "cpu"]
        .into_iter()
        .filter(|c| !has(c))
        .collect();
    let layout = match (host.cgroups.v1.is_empty(), v2.is_some()) {
        (true, true) => "v2",
        (false, true) => "v1 and v2 (hybrid)",
        (false, false) => "v1",
        (true, false) => "none",
    };
    let answer = match missing.is_empty() {
        true => layout.to_string(),
        false => format!("{layout}, without {}", missing.join(" ")),
    };
    add(
        out,
        &CGROUPS,
        ("controllers that limits need", "memory, pids and cpu"),
        ("/proc/self/mountinfo", &answer),
        verdict(missing.is_empty()),
        "cgroup_enable=memory on the kernel's command line; mount the hierarchies",
    );
}

fn clock(out: &mut Vec<Finding>) {
    let words = ("whether the clock is kept by a time server", "synchronised");
    let remedy = "run chrony or systemd-timesyncd: events are worth little without the time";
    let (answer, verdict) = match crate::sys::clock::is_synchronised() {
        Ok(true) => ("synchronised", Verdict::Pass),
        Ok(false) => ("not synchronised", Verdict::Fail),
        Err(_) => (
            "",
            Verdict::not_assessed("the kernel does not say (adjtimex)"),
        ),
    };
    add(out, &CLOCK, words, ("adjtimex", answer), verdict, remedy);
}
