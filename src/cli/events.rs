//! `events`: one line of JSON each, in runc's shape.

use super::Global;
use super::launch::store;
use crate::container::{self, Listener};
use crate::report::Failure;
use crate::sys::output::Output;
use clap::Args;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;

/// `events`.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// The figures once, and no more
    #[arg(long)]
    stats: bool,
    /// How often figures come (5s, 500ms, 1m)
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    interval: Duration,
    /// The container's id
    id: String,
}

fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a time such as 500ms, 5s or 1m".into()),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| "expected a time such as 5s".to_string())?;
    let ms = number * f64::from(unit);
    match (1.0..=86_400_000.0).contains(&ms) {
        true => Ok(Duration::from_millis(ms as u64)),
        false => Err("expected a time from 1ms to 24h".into()),
    }
}

pub(super) fn events(global: &Global, args: &EventsArgs) -> Result<u8, Failure> {
    let store = store(global);
    let mut tell = |event: &Value| match Output.write_all(format!("{event}\n").as_bytes()) {
        Ok(()) => Listener::There,
        Err(_) => Listener::Gone,
    };
    if args.stats {
        let stats = container::stats(&store, &args.id).map_err(Failure::from_engine)?;
        tell(&stats);
        return Ok(0);
    }
    container::events(&store, &args.id, args.interval, &mut tell).map_err(Failure::from_engine)?;
    Ok(0)
}
