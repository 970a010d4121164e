//! Compiles the shipped seccomp profiles for the target, so that a launch only copies a program, and writes the shipped
//! policy as JSON, which a launch reads in a tenth of the time that TOML takes.
//! Uses the library's own compiler by its source files. For a release it also tells the linker to lay the functions
//! that a launch runs side by side; must not do anything else. Run by cargo.
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
    println!("cargo::rerun-if-changed=profiles/monitor");
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
        let plain = compile::compile(&profile, arch, &parameters)?;
        write_static(&mut out, name, &plain)?;
        let watched = compile::compile(&profile.watched(&[]), arch, &parameters)?;
        write_static(&mut out, &format!("{name}_watched"), &watched)?;
    }
    write_jails(&mut out, arch)?;
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("seccomp_prepared.rs"),
        out,
    )?;
    order_functions()
}

/// A launch runs a fifth of the program. What is side by side is read, mapped and resident together; without this, all
/// of the program is (and what logs, ports and collectors bring with them). The list holds patterns, since a compiler
/// puts numbers of its own into the names; a name that nothing matches costs nothing. benches/launch/order.py makes it.
fn order_functions() -> Result<(), Box<dyn Error>> {
    const LIST: &str = "src/functions.order";
    println!("cargo::rerun-if-changed={LIST}");
    let of = |name: &str| env::var(name).unwrap_or_default();
    // Where rustc brings its own linker, and nobody has chosen another, whose scripts may be others.
    let own_linker = of("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && of("CARGO_CFG_TARGET_ENV") == "gnu"
        && !of("CARGO_ENCODED_RUSTFLAGS").contains("linker")
        && !of("CARGO_ENCODED_RUSTFLAGS").contains("-fuse-ld");
    if of("PROFILE") != "release" || !own_linker {
        return Ok(());
    }
    let mut script = String::from("SECTIONS {\n  .text.launch : {\n");
    for pattern in fs::read_to_string(LIST)?.lines() {
        match pattern.split_once(':') {
            Some((archive, object)) => writeln!(script, "    *{archive}:{object}(.text .text.*)")?,
            // What the compiler takes to be rarely called stands apart.
            None => writeln!(script, "    *(.text.{pattern} .text.unlikely.{pattern})")?,
        }
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    let place = Path::new(&env::var("OUT_DIR")?).join("functions.ld");
    fs::write(&place, script)?;
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", place.display());
    Ok(())
}

/// The filters of the monitor's workers, one file each.
fn write_jails(out: &mut String, arch: model::Arch) -> Result<(), Box<dyn Error>> {
    let mut files: Vec<_> = fs::read_dir("profiles/monitor")?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    writeln!(out, "static JAILS: &[(&str, Embedded)] = &[")?;
    for file in files {
        let name = file
            .file_stem()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let text = fs::read_to_string(&file)?;
        let profile = profile::parse(name, &|wanted: &str| (wanted == name).then_some(&*text))?;
        let program = compile::compile(&profile, arch, &model::Parameters::default())?;
        write!(out, "({name:?}, ")?;
        write_program(out, &program)?;
        writeln!(out, "),")?;
    }
    writeln!(out, "];")?;
    Ok(())
}

fn write_static(out: &mut String, name: &str, program: &compile::Program) -> std::fmt::Result {
    write!(out, "static {}: Embedded = ", name.to_uppercase())?;
    write_program(out, program)?;
    writeln!(out, ";")
}

fn write_program(out: &mut String, program: &compile::Program) -> std::fmt::Result {
    writeln!(out, "Embedded {{")?;
    writeln!(out, "    code: &[")?;
    for insn in &program.filter {
        let emit::Insn { code, jt, jf, k } = insn;
        writeln!(out, "        ({code:#x}, {jt}, {jf}, {k:#x}),")?;
    }
    writeln!(out, "    ],")?;
    writeln!(out, "    exec_fd_at: &{:?},", program.exec_fd_at)?;
    write!(out, "    unknown: &{:?},\n}}", program.unknown)
}
