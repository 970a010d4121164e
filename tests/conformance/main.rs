//! runtime-spec 1.3 for a Linux runtime, clause by clause, and what each program of the OCI's validation suite looks at.
//!
//! Every test says in the first line of its description which clause it stands for: `[document § section] what the
//! clause asks`, in our words, or `[validation/NAME] what that program looks at`. CLAUSES.md is generated from these
//! lines; clauses.rs holds the two together. All run under the one exception that profiles/compat.toml is, for that is
//! where the whole specification has to hold. `CONFORMANCE_RUNTIME=/usr/sbin/runc cargo test --test conformance` runs
//! the same tests against another runtime.

#![allow(unsafe_code)] // the rig's payload

#[path = "../support/mod.rs"]
mod support;

/// A suite, where there is what it needs.
macro_rules! suite {
    () => {{
        $crate::need!(Root);
        $crate::suite::Suite::new()
    }};
}

mod clauses;
mod config_md;
mod config_process;
mod examples;
mod features_md;
mod hooks_md;
mod linux_cgroups;
mod linux_md;
mod linux_seccomp;
mod look;
mod programs_cgroups;
mod programs_inside;
mod programs_life;
mod programs_linux;
mod runtime_md;
mod suite;

payload!(look::verb);
