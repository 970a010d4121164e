//! The program inside an audited container: tries what it is told to, and says what the kernel answered.
//!
//! It is this same binary under another name. Over stdin come facts and ids of attacks, over stdout go answers; then
//! it waits until stdin is closed; it can be looked at before it is told anything. It judges nothing and leaves nothing behind.

use super::probes::{self, Field};
use std::io::BufRead;

/// The name that the tester is executed under; `main` looks at it.
pub const NAME: &str = "cofferdam-tester";

/// How it ends when an attack has made another process of it: what is left is for a fresh one.
pub const ALTERED: i32 = 9;

/// Tries all that stdin names; the exit code.
pub fn main(args: &[String]) -> i32 {
    if args.first().is_some_and(|a| a == "executed") {
        println!("= OK");
        return 0;
    }
    println!("ready");
    let mut field = Field::default();
    let mut wanted = Vec::new();
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    for line in lines.by_ref() {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("fact"), Some(name), Some(value)) => {
                field.facts.insert(name.into(), value.into());
            }
            (Some("try"), Some(id), _) => wanted.extend(probes::find(id)),
            (Some("go"), ..) => break,
            (Some("serve"), ..) => {
                let Ok((_socket, port, memory)) = probes::neighbours::serve() else {
                    return 2;
                };
                let port = port.local_addr().map_or(0, |a| a.port());
                println!("serves {port} {memory}");
                lines.for_each(drop);
                return 0;
            }
            _ => return 2,
        }
    }
    if field.facts.contains_key("scratch") {
        // What the attacks on files are made on.
        let _ = std::fs::write(field.scratch("file"), "x");
    }
    for probe in wanted {
        println!("? {}", probe.id);
        let tried = (probe.deed)(&field);
        println!("= {}", probes::name(tried));
        if tried == 0 && probe.alters {
            return ALTERED;
        }
    }
    println!("end");
    // Until the quotas have been read.
    lines.for_each(drop);
    0
}
