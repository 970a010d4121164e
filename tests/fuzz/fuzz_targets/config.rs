//! Any config.json under the built-in policy: a decision, never a panic, and no right that nobody excepted.
#![no_main]
use cofferdam::bundle::{Bundle, Extras};
use cofferdam::host::{CallerIds, CgroupLayout, Host, Privilege};
use cofferdam::paths::HostPath;
use cofferdam::policy::{Caller, Decision, Policy, RootSource, decide};
use std::sync::LazyLock;

static POLICY: LazyLock<Policy> =
    LazyLock::new(|| Policy::built_in().expect("the built-in policy loads"));

fn host() -> Host {
    Host {
        release: "6.18.0".into(),
        kernel: (6, 18),
        landlock_abi: 7,
        missing_calls: Vec::new(),
        privilege: Privilege::Root,
        caller: CallerIds {
            uid: 0,
            real_uid: 0,
            gid: 0,
            login: None,
        },
        bounding: u64::MAX,
        rlimits: Vec::new(),
        may_raise_limits: false,
        cgroups: CgroupLayout::default(),
        delegated: Default::default(),
        taken_ids: Vec::new(),
        submounts: Vec::new(),
        lsm: Vec::new(),
        apparmor: Default::default(),
        memory: 8 << 30,
        now: 1_796_083_200,
    }
}

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    // The loader's own parser: an error names its place, whatever the text.
    let spec = match cofferdam::bundle::parse(text) {
        Ok(spec) => spec,
        Err((pointer, what)) => return assert!(!pointer.is_empty() && !what.is_empty()),
    };
    let bundle = Bundle {
        name: "fuzz".into(),
        caller: Caller::Engine,
        root: RootSource::Dir(HostPath::trusted("/srv/root")),
        spec,
        extras: Extras::default(),
        hook_files: Default::default(),
        digest: String::new(),
    };
    if let Decision::Granted(grant) = decide(&bundle, &POLICY, &host()) {
        assert!(grant.capabilities.bounding.is_empty() && grant.root.readonly);
        assert!(grant.mounts.iter().all(|m| m.nosuid));
    }
});
