//! `audit` from outside, `check`, `controls`, `oscal`: real containers by this launcher and by others, hostile ones, and
//! every form of a report against its own schema.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

mod compared;
mod config;
mod containers;
mod forms;
mod hostile;

use std::io::Write;

payload!(verbs);

/// Beyond what every payload can do.
fn verbs(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        // name TEXT: calls itself so, says ready and waits
        "name" => {
            let name = std::ffi::CString::new(args[0].replace("\\e", "\u{1b}")).unwrap();
            cofferdam::sys::process::prctl_name(&name).unwrap();
            println!("ready");
            support::payload::wait()
        }
        // fork: two processes that wait
        "fork" => {
            // SAFETY: one thread, and both sides only wait.
            let side = unsafe { libc::fork() };
            if side != 0 {
                println!("ready");
                let _ = std::io::stdout().flush();
            }
            support::payload::wait()
        }
        _ => None,
    }
}
