//! Any text as a profile, ours or OCI's: parsing and compiling never panic, and the program means what the rules say.
#![no_main]

use cofferdam::seccomp::{Arch, Parameters, Profile, adopt, compile, parse, syscalls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(profile) = parse("fuzz", &|name| (name == "fuzz").then_some(text)) {
        check(&profile);
    }
    if let Ok(oci) = serde_json::from_str(text)
        && let Ok(adopted) = adopt(&oci, Arch::NATIVE)
    {
        check(&adopted.profile);
    }
});

fn check(profile: &Profile) {
    let groups = profile.groups().into_iter().map(str::to_owned).collect();
    let parameters = Parameters { groups, exec_fd: Some(1024) };
    for arch in Arch::ALL {
        let Ok(program) = compile(profile, arch, &parameters) else { continue };
        let named = profile.rules.iter().flat_map(|rule| &rule.names);
        let numbers = named.filter_map(|name| syscalls::number(arch, name)).take(16);
        for number in numbers.chain([0, 472, 0x3fff_ffff]) {
            for value in [0, 1, 1024, 0x1_0000_0000, u64::MAX] {
                let expected = profile.decide(arch, number, &[value; 6], &parameters).action;
                assert_eq!(program.verdict(number, [value; 6]), Ok(expected));
            }
        }
    }
}
