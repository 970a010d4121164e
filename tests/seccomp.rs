//! seccomp from outside: our compiler against seccompiler and against the plain meaning of a profile, the shipped profiles
//! number by number, the attacks they answer, an engine's profile, and the real kernel. Needs no privilege.
#![allow(missing_docs)]

use std::collections::BTreeSet;

use cofferdam::seccomp::{
    Action, Arch, Call, Cond, Gate, Insn, Op, Parameters, Profile, Program, Rule, Telling,
    Template, Value, Width, adopt, compile, prepared, run, syscalls,
};
use proptest::prelude::*;

const FD: u32 = 1024;
const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);
const EAFNOSUPPORT: Action = Action::Errno(97);

fn launch(groups: &[&str]) -> Parameters {
    Parameters {
        groups: groups.iter().map(ToString::to_string).collect(),
        exec_fd: Some(FD),
    }
}

fn number(name: &str) -> u32 {
    syscalls::number(Arch::NATIVE, name).unwrap_or_else(|| panic!("{name} is not in the table"))
}

// ---- the compiler against seccompiler and against the meaning of a profile ----

const VALUES: [u64; 9] = [
    0,
    1,
    2,
    0xff,
    0x5412,
    1 << 32,
    0x1_0000_5412,
    u32::MAX as u64,
    u64::MAX,
];

fn a_value() -> impl Strategy<Value = u64> {
    prop_oneof![4 => prop::sample::select(&VALUES[..]), 1 => any::<u64>()]
}

fn a_cond() -> impl Strategy<Value = Cond> {
    let op = prop_oneof![
        prop::sample::select(&[Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge][..]),
        a_value().prop_map(|mask| Op::MaskedEq { mask }),
    ];
    let width = prop::sample::select(&[Width::Dword, Width::Qword][..]);
    (0..6u8, op, a_value(), width).prop_map(|(index, op, value, width)| Cond {
        index,
        op,
        value: Value::Is(value),
        width,
    })
}

fn an_action() -> impl Strategy<Value = Action> {
    prop::sample::select(
        &[
            Action::Allow,
            Action::Log,
            Action::Trace(7),
            Action::Notify,
            EPERM,
            ENOSYS,
            Action::Trap,
            Action::KillThread,
            Action::KillProcess,
        ][..],
    )
}

fn a_rule(calls: usize) -> impl Strategy<Value = Rule> {
    let all: Vec<&'static str> = syscalls::all(Arch::NATIVE)
        .map(|(name, _)| name)
        .take(calls)
        .collect();
    let names = prop::collection::vec(prop::sample::select(all), 1..4);
    (names, an_action(), prop::collection::vec(a_cond(), 0..4)).prop_map(|(names, action, args)| {
        Rule {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            args,
            reason: String::new(),
            gate: Gate::Always,
            telling: Telling::Told,
        }
    })
}

/// Few calls give many rules for each; many calls and rules give jumps beyond 255 instructions.
fn a_profile() -> impl Strategy<Value = Profile> {
    let few = prop::collection::vec(a_rule(6), 0..20);
    let many = prop::collection::vec(a_rule(400), 40..120);
    (an_action(), prop_oneof![few, many]).prop_map(|(default, rules)| Profile {
        default,
        above_known: None,
        rules,
    })
}

fn some_args() -> impl Strategy<Value = Vec<[u64; 6]>> {
    prop::collection::vec(prop::array::uniform6(a_value()), 12)
}

fn seccompilers(profile: &Profile) -> Vec<Insn> {
    use seccompiler::{SeccompCmpArgLen as Len, SeccompCmpOp as Cmp};
    let action = |action: Action| match action {
        Action::Allow => seccompiler::SeccompAction::Allow,
        Action::Errno(errno) => seccompiler::SeccompAction::Errno(errno.into()),
        other => panic!("{other:?} is not sampled"),
    };
    let cond = |cond: &Cond| {
        let Value::Is(value) = cond.value else {
            panic!("no launch parameters here")
        };
        let len = if cond.width == Width::Dword {
            Len::Dword
        } else {
            Len::Qword
        };
        let op = match cond.op {
            Op::Eq => Cmp::Eq,
            Op::Ne => Cmp::Ne,
            Op::Lt => Cmp::Lt,
            Op::Le => Cmp::Le,
            Op::Gt => Cmp::Gt,
            Op::Ge => Cmp::Ge,
            Op::MaskedEq { mask } => Cmp::MaskedEq(mask),
        };
        seccompiler::SeccompCondition::new(cond.index, len, op, value).unwrap()
    };
    let mut rules = std::collections::BTreeMap::new();
    for rule in &profile.rules {
        for name in &rule.names {
            let chain: &mut Vec<_> = rules.entry(i64::from(number(name))).or_default();
            chain
                .push(seccompiler::SeccompRule::new(rule.args.iter().map(cond).collect()).unwrap());
        }
    }
    let arch = Arch::NATIVE.name().try_into().unwrap();
    let on_match = profile.rules.first().map_or(
        if profile.default == EPERM {
            Action::Allow
        } else {
            EPERM
        },
        |rule| rule.action,
    );
    let filter =
        seccompiler::SeccompFilter::new(rules, action(profile.default), action(on_match), arch)
            .unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    program
        .iter()
        .map(|i| Insn {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect()
}

/// Found by the comparison below: masks that differ only where a 32-bit comparison doesn't look.
#[test]
fn equal_conditions_in_different_words_are_alternatives() {
    let cond = |op, value| Cond {
        index: 0,
        op,
        value: Value::Is(value),
        width: Width::Dword,
    };
    let rule = |args| Rule {
        names: vec!["acct".into()],
        action: EPERM,
        args,
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Told,
    };
    let zero = |mask| cond(Op::MaskedEq { mask }, 0);
    let profile = Profile {
        default: Action::Allow,
        above_known: None,
        rules: vec![
            rule(vec![zero(0), cond(Op::Gt, 0)]),
            rule(vec![zero(1 << 32)]),
        ],
    };
    let program = compile(&profile, Arch::NATIVE, &Parameters::default()).unwrap();
    assert_eq!(program.verdict(number("acct"), [0; 6]).unwrap(), EPERM);
}

fn calls_of(profile: &Profile, arch: Arch) -> BTreeSet<u32> {
    let names = profile.rules.iter().flat_map(|rule| &rule.names);
    let mut calls: BTreeSet<u32> = names
        .filter_map(|name| syscalls::number(arch, name))
        .collect();
    calls.extend([0, 300, 400, 471, 472, 1000, 0x3fff_ffff]);
    calls
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// One action, at least one condition a rule: seccompiler can say it, and must mean the same.
    #[test]
    fn agrees_with_seccompiler(mut profile in a_profile(), args in some_args(), deny in any::<bool>()) {
        let (hit, miss) = if deny { (EPERM, Action::Allow) } else { (Action::Allow, EPERM) };
        profile.default = miss;
        profile.rules.retain(|rule| !rule.args.is_empty());
        for rule in &mut profile.rules {
            rule.action = hit;
            for cond in &mut rule.args {
                // seccompiler masks the wanted value too; OCI's masked comparison does not.
                if let (Op::MaskedEq { mask }, Value::Is(value)) = (cond.op, cond.value) {
                    cond.value = Value::Is(value & mask);
                }
            }
        }
        let theirs = seccompilers(&profile);
        let ours = compile(&profile, Arch::NATIVE, &Parameters::default()).unwrap();
        for number in calls_of(&profile, Arch::NATIVE) {
            for args in &args {
                let call = Call::native(Arch::NATIVE, number, *args);
                let expected = run(&theirs, &call).unwrap().action;
                prop_assert_eq!(run(&ours.filter, &call).unwrap().action, expected, "{} {:x?}", number, args);
            }
        }
    }

    /// Several actions, on every architecture: the program is what the rules say.
    #[test]
    fn agrees_with_the_rules(profile in a_profile(), args in some_args(), arch in prop::sample::select(&Arch::ALL[..])) {
        let ours = compile(&profile, arch, &Parameters::default()).unwrap();
        for number in calls_of(&profile, arch) {
            for args in &args {
                let expected = profile.decide(arch, number, args, &Parameters::default()).action;
                prop_assert_eq!(ours.verdict(number, *args).unwrap(), expected, "{} {:x?}", number, args);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What the first lets through, the second decides; what it refuses stays refused.
    #[test]
    fn two_programs_joined_answer_as_both(first in a_profile(), second in a_profile(), args in some_args()) {
        let compiled = |p: &Profile| compile(p, Arch::NATIVE, &launch(&[])).unwrap();
        let (a, b) = (compiled(&first), compiled(&second));
        let undecided = |action| matches!(action, Action::Log | Action::Trace(_) | Action::Notify);
        match a.then(&b) {
            Err(_) => prop_assert!(a.filter.iter().any(|i| i.code == 0x06 && undecided(Action::from_ret(i.k)))),
            Ok(both) => for number in calls_of(&first, Arch::NATIVE).union(&calls_of(&second, Arch::NATIVE)) {
                for args in &args {
                    let verdict = |p: &cofferdam::seccomp::Program| p.verdict(*number, *args).unwrap();
                    let want = match verdict(&a) {
                        Action::Allow => verdict(&b),
                        refused => refused,
                    };
                    prop_assert_eq!(verdict(&both), want);
                }
            },
        }
    }
}

#[test]
fn a_program_beyond_the_kernels_limit_is_refused() {
    let cond = |value| Cond {
        index: 0,
        op: Op::Ge,
        value: Value::Is(value),
        width: Width::Qword,
    };
    let rule = |value| Rule {
        names: vec!["read".to_owned()],
        action: Action::Allow,
        args: vec![cond(value)],
        reason: String::new(),
        gate: Gate::Always,
        telling: Telling::Told,
    };
    let profile = Profile {
        default: EPERM,
        above_known: None,
        rules: (0..2000).map(rule).collect(),
    };
    let error = compile(&profile, Arch::X86_64, &Parameters::default()).unwrap_err();
    assert!(
        error.to_string().contains("more than 4096 instructions"),
        "{error}"
    );
}

// ---- the shipped profiles, number by number ----

/// Values that matter for a condition: those that hold, neighbours, each bit of a mask, the same with high bits set.
fn interesting(cond: &Cond) -> Vec<u64> {
    let value = match cond.value {
        Value::Is(value) => value,
        Value::ExecFd => u64::from(FD),
    };
    let mut values = vec![value, value.wrapping_add(1), value | 1 << 32];
    if let Op::MaskedEq { mask } = cond.op {
        values.extend(
            (0..32)
                .filter(|bit| mask >> bit & 1 == 1)
                .map(|bit| value ^ (1 << bit)),
        );
        values.extend([value | !mask, !mask]);
    }
    values
}

/// Every combination of interesting values for one call.
fn samples(profile: &Profile, name: Option<&str>) -> Vec<[u64; 6]> {
    let mut sets: [BTreeSet<u64>; 6] = std::array::from_fn(|_| BTreeSet::new());
    for rule in profile
        .rules
        .iter()
        .filter(|r| r.names.iter().any(|n| Some(n.as_str()) == name))
    {
        for cond in &rule.args {
            sets[usize::from(cond.index)].extend(interesting(cond));
        }
    }
    let mut samples = vec![[0; 6]];
    for (index, set) in sets.iter().enumerate().filter(|(_, set)| !set.is_empty()) {
        let with = |base: &[u64; 6]| {
            let mut args = *base;
            let put = move |value: &u64| {
                args[index] = *value;
                args
            };
            set.iter().map(put).collect::<Vec<_>>()
        };
        samples = samples.iter().flat_map(with).collect();
    }
    samples.extend([[u64::MAX; 6], [1; 6]]);
    samples
}

#[test]
fn shipped_profiles_do_what_they_say_for_every_number() {
    for template in Template::ALL {
        let profile = template.profile().unwrap();
        for arch in Arch::ALL {
            let program = compile(&profile, arch, &launch(&[])).unwrap();
            for number in (0..1024).chain([0x3fff_ffff]) {
                for args in samples(&profile, syscalls::name(arch, number)) {
                    let expected = match number > syscalls::highest(arch) {
                        true => ENOSYS,
                        false => profile.decide(arch, number, &args, &launch(&[])).action,
                    };
                    let found = program.verdict(number, args).unwrap();
                    assert_eq!(found, expected, "{template:?} {arch:?} {number} {args:x?}");
                }
            }
        }
    }
}

#[test]
fn groups_open_what_they_name_and_nothing_else() {
    let profile = Template::Default.profile().unwrap();
    assert_eq!(
        profile.groups(),
        BTreeSet::from([
            "chown", "identity", "netinfo", "setsid", "splice", "sysvipc"
        ])
    );
    let off = Template::Default.program(&launch(&[])).unwrap();
    for (group, name, args, without) in [
        ("chown", "fchownat", [0; 6], EPERM),
        ("netinfo", "ioctl", [3, 0x8912, 0, 0, 0, 0], EPERM),
        ("setsid", "setsid", [0; 6], EPERM),
        ("identity", "setuid", [0; 6], EPERM),
        ("splice", "splice", [0; 6], ENOSYS),
        ("sysvipc", "shmget", [0; 6], EPERM),
    ] {
        let on = Template::Default.program(&launch(&[group])).unwrap();
        assert_eq!(off.verdict(number(name), args).unwrap(), without, "{name}");
        assert_eq!(
            on.verdict(number(name), args).unwrap(),
            Action::Allow,
            "{name} with {group}"
        );
        assert_eq!(on.verdict(number("mount"), [0; 6]).unwrap(), EPERM);
    }
    let error = Template::Default
        .program(&launch(&["everything"]))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("chown, identity, netinfo, setsid, splice, sysvipc"),
        "{error}"
    );
}

#[test]
fn prepared_programs_are_the_compiled_ones() {
    for template in Template::ALL {
        let compiled = compile(&template.profile().unwrap(), Arch::NATIVE, &launch(&[])).unwrap();
        assert_eq!(prepared(template, FD), compiled);
        assert!(
            compiled.filter.len() < 450,
            "{template:?}: {} instructions",
            compiled.filter.len()
        );
    }
}

// ---- watched ----

/// The kernel asks about a call exactly where it would have refused it with an errno, and the watcher's answer is that
/// errno; what is killed stays killed, what is allowed stays allowed. `quiet` calls aren't asked about.
#[track_caller]
fn same_but_for_the_asking(plain: &Program, watched: &Program, profile: &Profile) {
    let quiet = ["clone3", "openat2", "fchmodat2", "ioctl"].map(number);
    for number in (0..1024).chain([0x3fff_ffff, 0x4000_0001]) {
        for args in samples(profile, syscalls::name(Arch::NATIVE, number)) {
            let call = Call::native(Arch::NATIVE, number, args);
            let expected = plain.verdict(number, args).unwrap();
            match (watched.verdict(number, args).unwrap(), expected) {
                (Action::Notify, Action::Errno(errno)) => assert_eq!(plain.errno(&call), errno),
                (Action::Notify, other) => panic!("{number} {args:x?} would have been {other:?}"),
                (found, Action::Errno(_)) => {
                    assert_eq!(found, expected, "{number} {args:x?}");
                    assert!(quiet.contains(&number), "{number} {args:x?} is not told");
                }
                (found, _) => assert_eq!(found, expected, "{number} {args:x?}"),
            }
        }
    }
}

#[test]
fn a_watcher_answers_as_the_filter_would_have() {
    for template in Template::ALL {
        let profile = template.profile().unwrap();
        let alone = profile.groups().into_iter().map(|group| vec![group]);
        for groups in std::iter::once(Vec::new()).chain(alone) {
            let plain = template.program(&launch(&groups)).unwrap();
            let watched = template.watched(&launch(&groups), &[]).unwrap();
            same_but_for_the_asking(&plain, &watched, &profile);
        }
        let compiled = compile(&profile.watched(&[]), Arch::NATIVE, &launch(&[])).unwrap();
        assert_eq!(template.watched(&launch(&[]), &[]).unwrap(), compiled);
    }
}

#[test]
fn watching_makes_no_allowed_call_slower() {
    for template in Template::ALL {
        let plain = prepared(template, FD);
        let watched = template.watched(&launch(&[]), &[]).unwrap();
        for (name, number) in syscalls::all(Arch::NATIVE) {
            let call = Call::native(Arch::NATIVE, number, [0; 6]);
            let of = |program: &Program| run(&program.filter, &call).unwrap();
            let (a, b) = (of(&plain), of(&watched));
            assert_eq!(a.read_args, b.read_args, "{name}");
            assert!(
                b.steps <= a.steps + 2,
                "{name}: {} for {}",
                b.steps,
                a.steps
            );
        }
    }
}

#[test]
fn an_engines_filter_is_watched_behind_ours() {
    let oci = serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "syscalls": [
            { "names": ["read", "write", "mount", "getpid"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 },
            { "names": ["times"], "action": "SCMP_ACT_KILL_PROCESS" },
            { "names": ["sysinfo"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0 },
        ]
    });
    let oci: oci_spec::runtime::LinuxSeccomp = serde_json::from_value(oci).unwrap();
    let theirs = adopt(&oci, Arch::NATIVE).unwrap().profile;
    let theirs = compile(&theirs, Arch::NATIVE, &launch(&[])).unwrap();
    let profile = Template::Default.profile().unwrap();
    let plain = prepared(Template::Default, FD).then(&theirs).unwrap();
    let ours = Template::Default.watched(&launch(&[]), &[]).unwrap();
    assert!(
        ours.then(&theirs).is_err(),
        "unwatched, it would decide first"
    );
    let watched = ours.then_watched(&theirs).unwrap();
    same_but_for_the_asking(&plain, &watched, &profile);
    for (name, errno) in [("uname", 95), ("sysinfo", 0), ("mount", 1), ("futex", 1)] {
        let found = watched.verdict(number(name), [0; 6]).unwrap();
        assert_eq!(found, Action::Notify, "{name}");
        let call = Call::native(Arch::NATIVE, number(name), [0; 6]);
        assert_eq!(plain.errno(&call), errno, "{name}");
    }
    let killed = watched.verdict(number("times"), [0; 6]).unwrap();
    assert_eq!(killed, Action::KillProcess);
}

#[test]
fn routed_calls_are_asked_about_and_never_let_through() {
    let plain = prepared(Template::Default, FD);
    let routed = Template::Default.watched(&launch(&[]), &["bind", "listen"]);
    let verdict = |name| routed.as_ref().unwrap().verdict(number(name), [0; 6]);
    for name in ["bind", "listen", "mount"] {
        assert_eq!(verdict(name).unwrap(), Action::Notify);
        // Nobody there to carry it out: it is refused.
        let call = Call::native(Arch::NATIVE, number(name), [0; 6]);
        assert_eq!(plain.errno(&call), 1);
    }
    assert_eq!(verdict("accept4").unwrap(), Action::Allow);
}

#[test]
fn the_plain_path_reads_no_arguments() {
    let program = prepared(Template::Default, FD);
    for name in [
        "read",
        "write",
        "futex",
        "mmap",
        "epoll_pwait",
        "recvfrom",
        "exit_group",
        "getpid",
    ] {
        let call = Call::native(Arch::NATIVE, number(name), [7; 6]);
        let outcome = run(&program.filter, &call).unwrap();
        assert_eq!(
            (outcome.action, outcome.read_args),
            (Action::Allow, false),
            "{name}"
        );
        assert!(outcome.steps <= 13, "{name} takes {} steps", outcome.steps);
    }
}

#[test]
fn every_known_call_has_an_entry_with_a_reason() {
    for template in Template::ALL {
        let profile = template.profile().unwrap();
        let named: BTreeSet<&str> = profile
            .rules
            .iter()
            .flat_map(|r| &r.names)
            .map(String::as_str)
            .collect();
        for (name, _) in Arch::ALL.into_iter().flat_map(syscalls::all) {
            assert!(named.contains(name), "{template:?} says nothing of {name}");
        }
        for name in &named {
            assert!(
                syscalls::is_known(name),
                "{template:?} names {name}, which no architecture has"
            );
        }
        assert!(profile.rules.iter().all(|rule| rule.reason.len() > 8));
    }
}

/// Exactly the calls of other architectures, and those the newer ones never had.
#[test]
fn unknown_names_are_listed_for_each_architecture() {
    let x86_only = "_sysctl access afs_syscall alarm arch_prctl chmod chown creat create_module dup2 epoll_create \
        epoll_ctl_old epoll_wait epoll_wait_old eventfd fork futimesat get_kernel_syms get_thread_area getdents getpgrp \
        getpmsg inotify_init ioperm iopl lchown link lstat mkdir mknod modify_ldt open pause pipe poll putpmsg \
        query_module readlink rename rmdir security select set_thread_area signalfd stat symlink sysfs time tuxcall \
        unlink uprobe uretprobe uselib ustat utime utimes vfork vserver";
    let x86_only: BTreeSet<&str> = x86_only.split_whitespace().collect();
    let riscv_only = ["riscv_flush_icache", "riscv_hwprobe"];
    let unknown = |arch| {
        compile(&Template::Default.profile().unwrap(), arch, &launch(&[]))
            .unwrap()
            .unknown
    };
    assert_eq!(unknown(Arch::X86_64), riscv_only);
    let expected: BTreeSet<&str> = x86_only.iter().copied().chain(riscv_only).collect();
    assert_eq!(
        unknown(Arch::Aarch64),
        expected.into_iter().collect::<Vec<_>>()
    );
    let expected: BTreeSet<&str> = x86_only.into_iter().chain(["renameat"]).collect();
    assert_eq!(
        unknown(Arch::Riscv64),
        expected.into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn what_the_launchers_child_still_does_passes() {
    for template in Template::ALL {
        let program = prepared(template, FD);
        for (name, args) in [
            ("read", [3, 0x7000_0000_0000, 8, 0, 0, 0]),
            ("write", [3, 0x7000_0000_0000, 8, 0, 0, 0]),
            ("close", [3, 0, 0, 0, 0, 0]),
            ("prctl", [4, 0, 0, 0, 0, 0]),
            ("execveat", [FD.into(), 0x7000_0000_0000, 0, 0, 0x1000, 0]),
            ("exit_group", [0; 6]),
        ] {
            assert!(program.allows(name, args).unwrap(), "{template:?} {name}");
        }
    }
}

#[test]
fn flattened_profiles_are_valid_oci_and_mean_the_same() {
    for template in Template::ALL {
        let profile = template.profile().unwrap();
        let json = profile.to_oci_json(Arch::NATIVE, &launch(&[])).unwrap();
        let oci: oci_spec::runtime::LinuxSeccomp = serde_json::from_value(json).unwrap();
        let adopted = adopt(&oci, Arch::NATIVE).unwrap();
        assert_eq!(
            (adopted.clamped_architectures.len(), adopted.repeated.len()),
            (0, 0)
        );
        let flat = compile(&adopted.profile, Arch::NATIVE, &Parameters::default()).unwrap();
        let own = prepared(template, FD);
        for number in 0..=syscalls::highest(Arch::NATIVE) {
            for args in samples(&profile, syscalls::name(Arch::NATIVE, number)) {
                assert_eq!(
                    flat.verdict(number, args),
                    own.verdict(number, args),
                    "{number} {args:x?}"
                );
            }
        }
    }
}

// ---- the attacks of the catalogue that seccomp answers ----

const NEWUSER: u64 = 0x1000_0000;
const SIGCHLD: u64 = 17;
const THREAD: u64 = 0x003d_0f00;

/// Id, call, arguments, answer of `default`.
#[rustfmt::skip]
const ATTACKS: &[(&str, &str, [u64; 6], Action)] = &[
    ("A01 vfork", "clone", [0x4100 | SIGCHLD, 0, 0, 0, 0, 0], EPERM),
    ("A02 clone(SIGCHLD)", "clone", [SIGCHLD, 0, 0, 0, 0, 0], EPERM),
    ("A03 clone3", "clone3", [0x7000, 88, 0, 0, 0, 0], ENOSYS),
    ("A04 clone(NEWUSER)", "clone", [NEWUSER | SIGCHLD, 0, 0, 0, 0, 0], EPERM),
    ("A04 thread in a new user namespace", "clone", [THREAD | NEWUSER, 0, 0, 0, 0, 0], EPERM),
    ("A04 high bits", "clone", [1 << 32 | SIGCHLD, 0, 0, 0, 0, 0], EPERM),
    ("A05 unshare(NEWUSER)", "unshare", [NEWUSER, 0, 0, 0, 0, 0], EPERM),
    ("A06 unshare(NEWNET)", "unshare", [0x4000_0000, 0, 0, 0, 0, 0], EPERM),
    ("A07", "setns", [3, 0, 0, 0, 0, 0], EPERM),
    ("A08 A09", "mount", [0; 6], EPERM),
    ("A10", "umount2", [0; 6], EPERM),
    ("A11", "pivot_root", [0; 6], EPERM),
    ("A13", "fsopen", [0; 6], EPERM),
    ("A14", "open_tree", [0, 0, 1, 0, 0, 0], EPERM),
    ("A15", "move_mount", [0; 6], EPERM),
    ("A16", "mount_setattr", [0; 6], ENOSYS),
    ("A19 raw ICMP", "socket", [2, 3, 1, 0, 0, 0], EPERM),
    ("A19 ping socket", "socket", [2, 2, 1, 0, 0, 0], EPERM),
    ("A20 raw ICMPv6", "socket", [10, 3, 58, 0, 0, 0], EPERM),
    ("A21 AF_PACKET", "socket", [17, 3, 0x0300, 0, 0, 0], EPERM),
    ("A22 IPPROTO_RAW", "socket", [2, 3, 255, 0, 0, 0], EPERM),
    ("A22 IP_HDRINCL", "setsockopt", [3, 0, 3, 0, 4, 0], EPERM),
    ("A25 NETLINK_NETFILTER", "socket", [16, 3, 12, 0, 0, 0], EAFNOSUPPORT),
    ("A26 NETLINK_AUDIT", "socket", [16, 3, 9, 0, 0, 0], EAFNOSUPPORT),
    ("A27 NETLINK_KOBJECT_UEVENT", "socket", [16, 2, 15, 0, 0, 0], EAFNOSUPPORT),
    ("A28 AF_ALG", "socket", [38, 5, 0, 0, 0, 0], EPERM),
    ("A28 AF_ALG, high bits", "socket", [1 << 32 | 38, 5, 0, 0, 0, 0], EPERM),
    ("A32 AF_VSOCK", "socket", [40, 1, 0, 0, 0, 0], EPERM),
    ("A33 AF_RXRPC", "socket", [33, 2, 2, 0, 0, 0], EPERM),
    ("A34 AF_XDP", "socket", [44, 3, 0, 0, 0, 0], EPERM),
    ("A35 MPTCP", "socket", [2, 1, 262, 0, 0, 0], EPERM),
    ("A37 SCTP", "socket", [2, 1, 132, 0, 0, 0], EPERM),
    ("A37 UDPLITE", "socket", [2, 2, 136, 0, 0, 0], EPERM),
    ("A38 TCP_ULP", "setsockopt", [3, 6, 31, 0, 8, 0], EPERM),
    ("A38 TCP_ULP, high bits", "setsockopt", [3, 1 << 32 | 6, 1 << 32 | 31, 0, 8, 0], EPERM),
    ("A40 SIOCSIFFLAGS", "ioctl", [3, 0x8914, 0, 0, 0, 0], EPERM),
    ("A41 SIOCADDRT", "ioctl", [3, 0x890b, 0, 0, 0, 0], EPERM),
    ("A42", "io_uring_setup", [8, 0, 0, 0, 0, 0], ENOSYS),
    ("A44", "bpf", [0; 6], EPERM),
    ("A45", "perf_event_open", [0; 6], EPERM),
    ("A46", "keyctl", [0; 6], EPERM),
    ("A48", "ptrace", [0; 6], EPERM),
    ("A49", "process_vm_readv", [1, 0, 0, 0, 0, 0], EPERM),
    ("A50", "pidfd_getfd", [0; 6], EPERM),
    ("A52", "init_module", [0; 6], EPERM),
    ("A53", "finit_module", [0; 6], EPERM),
    ("A54", "delete_module", [0; 6], EPERM),
    ("A55", "kexec_load", [0; 6], EPERM),
    ("A56", "reboot", [0xfee1_dead, 0, 0, 0, 0, 0], EPERM),
    ("A57", "syslog", [3, 0, 0, 0, 0, 0], EPERM),
    ("A58", "sethostname", [0; 6], EPERM),
    ("A60", "open_by_handle_at", [0; 6], EPERM),
    ("A61 ADDR_NO_RANDOMIZE", "personality", [0x0004_0000, 0, 0, 0, 0, 0], EPERM),
    ("B31 READ_IMPLIES_EXEC", "personality", [0x0040_0000, 0, 0, 0, 0, 0], EPERM),
    ("A64", "move_pages", [0; 6], EPERM),
    ("A65 fchmod 04755", "fchmod", [3, 0o4755, 0, 0, 0, 0], EPERM),
    ("A65 fchmodat 02755", "fchmodat", [3, 0, 0o2755, 0, 0, 0], EPERM),
    ("A65 fchmodat2", "fchmodat2", [3, 0, 0o4755, 0, 0, 0], ENOSYS),
    ("A65 O_CREAT 04755", "openat", [3, 0, 0o101, 0o4755, 0, 0], EPERM),
    ("A65 O_TMPFILE 04755", "openat", [3, 0, 0o2020_0001, 0o4755, 0, 0], EPERM),
    ("A65 openat2", "openat2", [3, 0, 0, 24, 0, 0], ENOSYS),
    ("A65 mknod 0104755", "mknodat", [3, 0, 0o10_4755, 0, 0, 0], EPERM),
    ("A66 A67", "execve", [0; 6], EPERM),
    ("A69 memfd + execveat", "execveat", [3, 0, 0, 0, 0x1000, 0], EPERM),
    ("A69 the right fd, a path", "execveat", [FD as u64, 0, 0, 0, 0, 0], EPERM),
    ("A74 block device", "mknodat", [3, 0, 0o6_0600, 0x0800, 0, 0], EPERM),
    ("A75 character device", "mknodat", [3, 0, 0o2_0600, 0x010b, 0, 0], EPERM),
    ("A85 TIOCSTI", "ioctl", [0, 0x5412, 0, 0, 0, 0], EPERM),
    ("A85 TIOCSTI, high bits", "ioctl", [0, 0x1_0000_5412, 0, 0, 0, 0], EPERM),
    ("A86 TIOCLINUX", "ioctl", [0, 0x541c, 0, 0, 0, 0], EPERM),
    ("B27 TIOCSCTTY", "ioctl", [0, 0x540e, 0, 0, 0, 0], EPERM),
    ("A87", "setuid", [0; 6], EPERM),
    ("A89", "capset", [0; 6], EPERM),
    ("A90", "setsid", [0; 6], EPERM),
    ("B32 splice", "splice", [0; 6], ENOSYS),
    ("B32 vmsplice", "vmsplice", [0; 6], EPERM),
    ("B32 MSG_ZEROCOPY", "sendmsg", [3, 0, 0x0400_0000, 0, 0, 0], EPERM),
    ("B32 SO_ZEROCOPY", "setsockopt", [3, 1, 60, 0, 4, 0], EPERM),
    ("B32 UDP_ENCAP", "setsockopt", [3, 17, 100, 0, 4, 0], EPERM),
    ("dumpable", "prctl", [4, 1, 0, 0, 0, 0], EPERM),
    ("outlive the launcher", "prctl", [1, 0, 0, 0, 0, 0], EPERM),
    ("a filter of its own", "seccomp", [1, 0, 0, 0, 0, 0], EPERM),
    ("landlock", "landlock_create_ruleset", [0; 6], ENOSYS),
    ("limits of others", "prlimit64", [1, 7, 0, 0, 0, 0], EPERM),
    ("a call of tomorrow", "", [0; 6], ENOSYS),
];

#[test]
fn attacks_get_the_answer_of_the_catalogue() {
    let program = prepared(Template::Default, FD);
    for &(id, name, args, expected) in ATTACKS {
        let number = if name.is_empty() { 600 } else { number(name) };
        assert_eq!(
            program.verdict(number, args).unwrap(),
            expected,
            "{id}: {name} {args:x?}"
        );
    }
    let x86 = compile(
        &Template::Default.profile().unwrap(),
        Arch::X86_64,
        &launch(&[]),
    )
    .unwrap();
    for name in ["fork", "vfork"] {
        let number = syscalls::number(Arch::X86_64, name).unwrap();
        assert_eq!(x86.verdict(number, [0; 6]).unwrap(), EPERM, "A01 {name}");
    }
}

#[test]
fn other_abis_are_killed() {
    for template in Template::ALL {
        for arch in Arch::ALL {
            let program = compile(&template.profile().unwrap(), arch, &launch(&[])).unwrap();
            // i386 (A29: socketcall by int 0x80), Arm, and the other two.
            let others = Arch::ALL
                .into_iter()
                .filter(|other| *other != arch)
                .map(Arch::audit_arch);
            for audit_arch in others.chain([0x4000_0003, 0x4000_0028, 0]) {
                let outcome = run(
                    &program.filter,
                    &Call {
                        number: 0,
                        audit_arch,
                        args: [0; 6],
                    },
                )
                .unwrap();
                assert_eq!(outcome.action, Action::KillProcess);
            }
        }
        let x86 = compile(&template.profile().unwrap(), Arch::X86_64, &launch(&[])).unwrap();
        for number in [0x4000_0000, 0x4000_0027, u32::MAX] {
            assert_eq!(
                x86.verdict(number, [0; 6]).unwrap(),
                Action::KillProcess,
                "A31"
            );
        }
    }
}

#[test]
fn templates_differ_where_they_should() {
    let child = [FD.into(), 0, 0, 0, 0x1000, 0];
    let fork = [0x0120_0000 | SIGCHLD, 0, 0, 0, 0, 0];
    let spawn = [0x4100 | SIGCHLD, 0, 0, 0, 0, 0];
    let parent = [0x8000 | SIGCHLD, 0, 0, 0, 0, 0];
    let thread = [THREAD, 0, 0, 0, 0, 0];
    let user = [NEWUSER | SIGCHLD, 0, 0, 0, 0, 0];
    let other = [5, 0, 0, 0, 0x1000, 0];
    let pdeathsig = [1, 9, 0, 0, 0, 0];
    let (yes, no) = (true, false);
    for (name, args, default, workers, script) in [
        ("clone", thread, yes, yes, yes),
        ("clone", fork, no, yes, yes),
        ("clone", spawn, no, no, yes),
        ("clone", parent, no, no, no),
        ("clone", user, no, no, no),
        ("clone3", fork, no, no, no),
        ("execve", [0; 6], no, no, yes),
        ("execveat", child, yes, yes, yes),
        ("execveat", other, no, no, yes),
        ("prctl", pdeathsig, no, yes, yes),
        ("shmget", [0; 6], no, yes, yes),
        ("setsid", [0; 6], no, no, no),
        ("setpgid", [0; 6], yes, yes, yes),
        ("wait4", [0; 6], yes, yes, yes),
        ("openat", [0, 0, 0, 0o4755, 0, 0], yes, yes, yes),
        ("openat", [0, 0, 0o20_0000, u64::MAX, 0, 0], yes, yes, yes),
        ("openat", [0, 0, 0o101, 0o644, 0, 0], yes, yes, yes),
        ("socket", [1, 0o200_0001, 0, 0, 0, 0], yes, yes, yes),
        ("socket", [10, 2, 17, 0, 0, 0], yes, yes, yes),
    ] {
        for (template, expected) in Template::ALL.into_iter().zip([default, workers, script]) {
            let allowed = prepared(template, FD).allows(name, args).unwrap();
            assert_eq!(allowed, expected, "{template:?} {name} {args:x?}");
        }
    }
}

// ---- an engine's profile ----

#[test]
fn an_engines_profile_becomes_one_program() {
    let oci = serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [
            { "names": ["read", "write", "socketcall", "no_such_call"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 2_114_060_288u64, "op": "SCMP_CMP_MASKED_EQ" }] },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }] },
            { "names": ["personality"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 8, "op": "SCMP_CMP_EQ" }] },
            { "names": ["ptrace"], "action": "SCMP_ACT_TRACE" },
            { "names": ["bpf"], "action": "SCMP_ACT_NOTIFY" },
            { "names": ["mount"], "action": "SCMP_ACT_KILL" },
            { "names": ["reboot"], "action": "SCMP_ACT_ERRNO" }
        ]
    });
    let oci: oci_spec::runtime::LinuxSeccomp = serde_json::from_value(oci).unwrap();
    let adopted = adopt(&oci, Arch::X86_64).unwrap();
    assert_eq!(
        adopted.clamped_architectures,
        ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    );
    assert_eq!(adopted.flags, ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    let program = compile(&adopted.profile, Arch::X86_64, &Parameters::default()).unwrap();
    assert_eq!(program.unknown, ["no_such_call", "socketcall"]);
    for (name, first, expected) in [
        ("read", 0, Action::Allow),
        ("clone3", 0, ENOSYS),
        ("clone", 0x003d_0f00, Action::Allow),
        ("clone", NEWUSER, EPERM),
        ("socket", 2, Action::Allow),
        ("socket", 40, EPERM),
        ("personality", 0, Action::Allow),
        ("personality", 8, Action::Allow),
        ("personality", 4, EPERM),
        ("ptrace", 0, Action::Trace(1)),
        ("bpf", 0, Action::Notify),
        ("mount", 0, Action::KillThread),
        ("reboot", 0, EPERM),
        ("getpid", 0, EPERM),
    ] {
        let number = syscalls::number(Arch::X86_64, name).unwrap();
        assert_eq!(
            program.verdict(number, [first, 0, 0, 0, 0, 0]).unwrap(),
            expected,
            "{name}"
        );
    }
    assert_eq!(
        program.verdict(5000, [0; 6]).unwrap(),
        EPERM,
        "the default holds above the known calls"
    );
}

// ---- the real kernel ----

/// Runs the test `name`, which is ignored otherwise, in a process of its own, since a filter cannot be taken off.
fn in_a_child(name: &str) -> std::process::Output {
    let me = std::env::current_exe().unwrap();
    std::process::Command::new(me)
        .args(["--ignored", "--exact", name, "--nocapture"])
        .output()
        .unwrap()
}

#[test]
fn the_kernel_takes_the_default_program() {
    let output = in_a_child("child_denials");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("denials checked"),
        "{out}{err}"
    );
}

#[test]
fn the_kernel_lets_exactly_one_exec_pass() {
    let output = in_a_child("child_one_exec");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // 126 is the entrypoint's own word: it ran, and its own exec was refused.
    assert_eq!(output.status.code(), Some(126), "{out}{err}");
}

#[test]
#[ignore = "only as a child of the_kernel_takes_the_default_program: it locks its process up"]
fn child_denials() {
    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily as Family, SockFlag, SockType, socket};
    use nix::{sys::prctl, unistd};
    seccompiler::apply_filter(&prepared(Template::Default, FD).to_bpf()).unwrap();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert_eq!(std::thread::spawn(|| 5).join().unwrap(), 5, "threads pass");
    let spawned = std::process::Command::new("/bin/true")
        .status()
        .unwrap_err();
    assert_eq!(spawned.raw_os_error(), Some(1), "A01 A02");
    assert_eq!(
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER),
        Err(Errno::EPERM),
        "A05"
    );
    assert_eq!(unistd::chroot("/"), Err(Errno::EPERM));
    assert_eq!(unistd::setsid(), Err(Errno::EPERM), "A90");
    assert_eq!(unistd::sethostname("other"), Err(Errno::EPERM), "A58");
    assert_eq!(
        unistd::setpgid(unistd::Pid::from_raw(0), unistd::getpgrp()),
        Ok(())
    );
    assert_eq!(
        unistd::execv(c"/bin/true", &[c"true"]).err(),
        Some(Errno::EPERM),
        "A66"
    );
    assert_eq!(prctl::set_dumpable(true), Err(Errno::EPERM));
    assert_eq!(prctl::set_pdeathsig(None), Err(Errno::EPERM));
    assert_eq!(prctl::set_dumpable(false), Ok(()));
    let how = nix::fcntl::OpenHow::new();
    assert_eq!(
        nix::fcntl::openat2(nix::fcntl::AT_FDCWD, "/", how).err(),
        Some(Errno::ENOSYS)
    );
    let open = |family, kind| socket(family, kind, SockFlag::SOCK_CLOEXEC, None).map(|_| ());
    assert_eq!(
        open(Family::Netlink, SockType::Raw),
        Err(Errno::EAFNOSUPPORT),
        "A25"
    );
    assert_eq!(
        open(Family::Alg, SockType::SeqPacket),
        Err(Errno::EPERM),
        "A28"
    );
    assert_eq!(
        open(Family::Packet, SockType::Raw),
        Err(Errno::EPERM),
        "A21"
    );
    assert_eq!(open(Family::Inet, SockType::Stream), Ok(()));
    assert_eq!(open(Family::Unix, SockType::Datagram), Ok(()));
    println!("denials checked");
}

#[test]
#[ignore = "only as a child of the_kernel_lets_exactly_one_exec_pass: it becomes another program"]
fn child_one_exec() {
    use nix::{errno::Errno, fcntl::AtFlags, unistd::execveat};
    use std::os::fd::AsRawFd;
    let entrypoint = std::fs::File::open("/bin/sh").unwrap();
    let other = std::fs::File::open("/bin/true").unwrap();
    let fd = u32::try_from(entrypoint.as_raw_fd()).unwrap();
    seccompiler::apply_filter(&prepared(Template::Default, fd).to_bpf()).unwrap();
    let args = [c"sh", c"-c", c"exec /bin/true"];
    let environment: [&std::ffi::CStr; 0] = [];
    let exec =
        |fd: &std::fs::File| execveat(fd, c"", &args, &environment, AtFlags::AT_EMPTY_PATH).err();
    assert_eq!(exec(&other), Some(Errno::EPERM));
    panic!("the entrypoint was not executed: {:?}", exec(&entrypoint));
}
