//! The program inside: looks at what it is told to look at, and prints one JSON object of answers.

use serde_json::{Map, Value, json};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// `look QUESTION...`: `cat:FILE`, `stat:FILE`, `link:FILE`, `read:FILE`, `create:DIR`, `write:FILE=TEXT`, `ls:DIR`,
/// `env`, `cwd`, `args`, `tty`. `sound`: appends a line to a file (`sound FILE LINE`), so that a start can be seen.
pub fn verb(verb: &str, args: &[String]) -> Option<i32> {
    match verb {
        "look" => {
            let answers: Map<String, Value> = args.iter().map(|q| (q.clone(), answer(q))).collect();
            println!("{}", Value::Object(answers));
            Some(0)
        }
        "sound" => {
            use std::io::Write;
            let file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&args[0]);
            Some(i32::from(
                file.and_then(|mut f| writeln!(f, "{}", args[1])).is_err(),
            ))
        }
        "catch" => Some(catch(&args[0])),
        _ => None,
    }
}

/// Waits for a signal, and ends with its number.
fn catch(number: &str) -> i32 {
    use nix::sys::signal::{SigSet, Signal};
    let signal = Signal::try_from(number.parse::<i32>().unwrap()).unwrap();
    let mut set = SigSet::empty();
    set.add(signal);
    set.thread_block().unwrap();
    println!("ready");
    set.wait().map_or(1, |got| got as i32)
}

fn answer(question: &str) -> Value {
    let (verb, rest) = question.split_once(':').unwrap_or((question, ""));
    let said = match verb {
        "cat" => fs::read(rest).map(|b| json!(String::from_utf8_lossy(&b))),
        "stat" => fs::metadata(rest).map(|m| stat(&m)),
        "link" => fs::read_link(rest).map(|l| json!(l)),
        "read" => first(rest),
        "create" => fs::File::create_new(format!("{rest}/conformance-probe")).map(|_| json!("ok")),
        "write" => {
            let (file, text) = rest.split_once('=').unwrap_or((rest, ""));
            fs::write(file, text).map(|()| json!("ok"))
        }
        "ls" => fs::read_dir(rest).map(|d| {
            json!(
                d.flatten()
                    .map(|e| e.file_name().to_string_lossy().into_owned())
                    .collect::<Vec<_>>()
            )
        }),
        "env" => Ok(json!(std::env::vars().collect::<Vec<_>>())),
        "args" => Ok(json!(std::env::args().collect::<Vec<_>>())),
        "cwd" => std::env::current_dir().map(|d| json!(d)),
        "tty" => Ok(json!(
            nix::unistd::isatty(std::io::stdout()).unwrap_or(false)
        )),
        other => Err(std::io::Error::other(format!("no question {other:?}"))),
    };
    said.unwrap_or_else(|e| match e.raw_os_error() {
        Some(errno) => json!(crate::support::payload::errno_name(errno)),
        None => json!(e.to_string()),
    })
}

/// How many bytes the first read gives: a masked file gives none.
fn first(path: &str) -> std::io::Result<Value> {
    use std::io::Read;
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return fs::read_dir(path).map(|d| json!(d.count()));
    }
    fs::File::open(path)?.read(&mut [0u8; 1]).map(|n| json!(n))
}

fn stat(meta: &fs::Metadata) -> Value {
    let kind = meta.file_type();
    let letter = match () {
        () if kind.is_char_device() => "c",
        () if kind.is_block_device() => "b",
        () if kind.is_fifo() => "p",
        () if kind.is_dir() => "d",
        () => "f",
    };
    let dev = meta.rdev();
    json!({
        "type": letter, "major": nix::sys::stat::major(dev), "minor": nix::sys::stat::minor(dev),
        "mode": meta.mode() & 0o7777, "uid": meta.uid(), "gid": meta.gid(),
    })
}
