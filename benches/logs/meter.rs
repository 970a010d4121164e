//! What processes have used, looked at from outside every few milliseconds while they run.
//!
//! Run time is the scheduler's own (nanoseconds; of processes with threads in ticks); what a process does between the last
//! look and its end is not counted.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(5);

/// CPU of all of them, and the greatest sums of their memory that were seen.
#[derive(Clone, Copy, Default)]
pub struct Used {
    pub cpu: f64,
    pub resident_kib: u64,
    pub anonymous_kib: u64,
}

/// A look at the logger's processes, again and again.
pub struct Meter {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Used>,
}

impl Meter {
    /// `root`: a process that counts, and whatever is called `cofferdam-*` below it; all of their lives.
    pub fn start(root: u32, itself: bool) -> Self {
        Self::watch(root, itself, &["cofferdam-"], false)
    }

    /// What is called like one of these below a process: from now on, for those that are there already.
    pub fn of_daemons(root: u32, names: &'static [&'static str]) -> Self {
        Self::watch(root, false, names, true)
    }

    fn watch(root: u32, itself: bool, names: &'static [&'static str], from_now: bool) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let flag = over.clone();
        let thread = std::thread::spawn(move || {
            let (mut times, mut most) = (BTreeMap::new(), Used::default());
            let mut turn = 0;
            let mut before = 0;
            while !flag.load(Ordering::Relaxed) {
                let mut all = Vec::new();
                below(root, itself, names, &mut all);
                for pid in &all {
                    if let Some(time) = run_time(*pid) {
                        times.insert(*pid, time);
                    }
                }
                if turn == 0 && from_now {
                    before = times.values().sum();
                }
                // Reading smaps walks page tables: now and then is enough.
                if turn % 20 == 0 {
                    let sum = |key: &str, file: &str| -> u64 {
                        all.iter().filter_map(|pid| value(*pid, file, key)).sum()
                    };
                    most.resident_kib = most.resident_kib.max(sum("Pss:", "smaps_rollup"));
                    most.anonymous_kib = most.anonymous_kib.max(sum("Pss_Anon:", "smaps_rollup"));
                }
                turn += 1;
                std::thread::sleep(LOOK);
            }
            most.cpu = (times.values().sum::<u64>() - before) as f64 / 1e9;
            most
        });
        Self { over, thread }
    }

    pub fn end(self) -> Used {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the meter")
    }
}

/// The process if it counts, and those of ours below it; a container's own are none of them.
fn below(pid: u32, counts: bool, names: &[&str], all: &mut Vec<u32>) {
    if counts {
        all.push(pid);
    }
    let children = read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
        let comm = read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        if names.iter().any(|name| comm.starts_with(name)) {
            below(child, true, names, all);
        }
    }
}

fn run_time(pid: u32) -> Option<u64> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    // Behind the name: user and system time of all threads are the 12th and 13th, their number the 18th.
    let words: Vec<u64> = rest.split(' ').map(|w| w.parse().unwrap_or(0)).collect();
    if words.get(17) == Some(&1) {
        let text = read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        return text.split(' ').next()?.parse().ok();
    }
    // The scheduler's is that of the first thread alone.
    const TICK: u64 = 10_000_000;
    Some((words.get(11)? + words.get(12)?) * TICK)
}

fn value(pid: u32, file: &str, key: &str) -> Option<u64> {
    let text = read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
