//! Compiles the shipped seccomp profiles for the target, so that a launch only copies a program, and writes the shipped
//! policy as JSON, which a launch reads in a tenth of the time that TOML takes.
//! Uses the library's own compiler by its source files; must not do anything else. Run by cargo.
#![deny(unsafe_code)]
// The library uses more of these files than a build does.
#![allow(dead_code)]

#[path = "src/seccomp/checks.rs"]
mod checks;
#[path = "src/seccomp/compile.rs"]
mod compile;
#[path = "src/seccomp/emit.rs"]
mod emit;
#[path = "src/seccomp/error.rs"]
mod error;
#[path = "src/seccomp/model.rs"]
mod model;
#[path = "src/seccomp/profile.rs"]
mod profile;
#[path = "src/seccomp/syscalls.rs"]
mod syscalls;
#[path = "src/seccomp/table.rs"]
mod table;

use std::error::Error;
use std::fmt::Write;
use std::{env, fs, path::Path};

const TEMPLATES: [&str; 3] = ["default", "workers", "script"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/seccomp");
    println!("cargo::rerun-if-changed=profiles/seccomp");
    println!("cargo::rerun-if-changed=profiles/default.toml");
    let policy: toml::Table = fs::read_to_string("profiles/default.toml")?.parse()?;
    let place = Path::new(&env::var("OUT_DIR")?).join("policy.json");
    fs::write(place, serde_json::to_vec(&policy)?)?;
    let target = env::var("CARGO_CFG_TARGET_ARCH")?;
    let arch = model::Arch::from_name(&target).ok_or_else(|| {
        format!("compiling the seccomp profiles: there is no table of system calls for {target}; build for x86_64, aarch64 or riscv64")
    })?;
    let mut texts = Vec::new();
    for name in TEMPLATES {
        texts.push((
            name,
            fs::read_to_string(format!("profiles/seccomp/{name}.json"))?,
        ));
    }
    let text_of = |name: &str| {
        texts
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, t)| t.as_str())
    };
    let mut out = String::new();
    for name in TEMPLATES {
        let profile = profile::parse(name, &text_of)?;
        let exec_fd = Some(0);
        let parameters = model::Parameters {
            exec_fd,
            ..Default::default()
        };
        write_program(
            &mut out,
            name,
            &compile::compile(&profile, arch, &parameters)?,
        )?;
    }
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("seccomp_prepared.rs"),
        out,
    )?;
    Ok(())
}

fn write_program(out: &mut String, name: &str, program: &compile::Program) -> std::fmt::Result {
    writeln!(
        out,
        "static {}: Embedded = Embedded {{",
        name.to_uppercase()
    )?;
    writeln!(out, "    code: &[")?;
    for insn in &program.filter {
        let emit::Insn { code, jt, jf, k } = insn;
        writeln!(out, "        ({code:#x}, {jt}, {jf}, {k:#x}),")?;
    }
    writeln!(out, "    ],")?;
    writeln!(out, "    exec_fd_at: &{:?},", program.exec_fd_at)?;
    writeln!(out, "    unknown: &{:?},\n}};", program.unknown)
}
