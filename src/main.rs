//! The command: parse, call, print once, exit.

fn main() {}
