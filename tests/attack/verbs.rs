//! What the payload of the attack tests can do, beside the table of attempts: one verb a trap.

use crate::support::payload::{errno_name, wait};
use std::path::Path;

/// The payload's verbs; `None` = a basic one.
pub fn run(verb: &str, args: &[String]) -> Option<i32> {
    let arg = |n: usize| args.get(n).map_or("", String::as_str);
    match verb {
        "attempts" => args.iter().for_each(|id| attempt(id)),
        "threads" => threads(),
        "fds" => fds(),
        "trace" => trace(arg(0)),
        "devices" => devices(),
        "node" => crate::devices::look(arg(0)),
        "find" => find(Path::new("/"), args),
        "masks" => args.iter().for_each(|path| mask(path)),
        "bind" => println!(
            "{}",
            io(std::net::TcpListener::bind(format!("127.0.0.1:{}", arg(0))))
        ),
        "abstract" => println!("{}", io(connect_abstract(arg(0)))),
        "race" => race(arg(0)),
        "eat" => eat(arg(0)),
        "threads-until" => threads_until(),
        "files-until" => files_until(),
        "fill" => fill(arg(0)),
        "inodes" => inodes(arg(0)),
        "hunt" => crate::joining::hunt(),
        "massacre" => crate::joining::massacre(),
        _ => return None,
    }
    Some(0)
}

/// One of the audit's attacks.
fn attempt(id: &str) {
    use cofferdam::audit::probes::{Field, find, name};
    let probe = find(id).unwrap();
    println!("{id} {}", name((probe.deed)(&Field::default())));
}

fn trace(pid: &str) {
    let pid: i64 = pid.parse().unwrap_or(-1);
    // SAFETY: PTRACE_SEIZE with no address and no option.
    let seized = unsafe { libc::syscall(libc::SYS_ptrace, 0x4206, pid, 0, 0) };
    println!("{}", answer(nix::errno::Errno::result(seized)));
}

fn answer<T>(result: nix::Result<T>) -> String {
    result.map_or_else(|e| errno_name(e as i32), |_| "OK".into())
}

fn io<T>(result: std::io::Result<T>) -> String {
    result.map_or_else(
        |e| errno_name(e.raw_os_error().unwrap_or(0)),
        |_| "OK".into(),
    )
}

/// The status of each of three threads.
fn threads() {
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(3));
    for _ in 0..2 {
        let barrier = barrier.clone();
        std::thread::spawn(move || {
            barrier.wait();
            wait()
        });
    }
    barrier.wait();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        println!(
            "{}--",
            std::fs::read_to_string(task.path().join("status")).unwrap()
        );
    }
}

/// Open descriptors, that of the listing aside.
fn fds() {
    let mut open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    open.sort();
    // SAFETY: F_GETFD only asks; the descriptor of the listing is closed by now.
    open.retain(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0);
    open.iter().for_each(|fd| println!("{fd}"));
}

fn devices() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let path = "/tmp/node";
    let chars = (0..32).chain([108, 226, 250]).map(|major| ('c', major, 0));
    let blocks =
        [1, 3, 7, 8, 9, 11, 43, 65, 179, 202, 252, 253, 254, 259].map(|major| ('b', major, 0));
    let named = [
        ('c', 1, 1),
        ('c', 1, 2),
        ('c', 1, 11),
        ('c', 10, 200),
        ('c', 10, 229),
        ('c', 10, 232),
    ];
    for (kind, major, minor) in chars.chain(blocks).chain(named) {
        let flag = if kind == 'c' {
            SFlag::S_IFCHR
        } else {
            SFlag::S_IFBLK
        };
        // 0:0 is the whiteout of overlayfs, which every user may make.
        if major == 0 {
            continue;
        }
        let made = mknod(
            path,
            flag,
            Mode::from_bits_truncate(0o600),
            makedev(major, minor),
        );
        println!("{kind} {major}:{minor} {}", answer(made));
        let _ = std::fs::remove_file(path);
    }
}

/// Every file of these names, and what opening it for writing says.
fn find(dir: &Path, names: &[String]) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if path != Path::new("/proc") {
                find(&path, names);
            }
        } else if names.iter().any(|n| entry.file_name() == n.as_str()) {
            let opened = std::fs::OpenOptions::new().write(true).open(&path);
            println!("{} {}", path.display(), io(opened));
        }
    }
}

fn mask(path: &str) {
    let what = if Path::new(path).is_dir() {
        std::fs::read_dir(path).map(|d| d.count())
    } else {
        std::fs::read(path).map(|text| text.len())
    };
    match what {
        Ok(0) => println!("{path} is empty"),
        Ok(n) => println!("{path} has {n}"),
        Err(error) => println!("{path} {error}"),
    }
}

fn connect_abstract(name: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
}

/// What lies below a mount target that was being exchanged: names, and the first bytes of a canary.
fn race(dir: &str) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        println!("{}", entry.file_name().to_string_lossy());
    }
    if let Ok(text) = std::fs::read_to_string(format!("{dir}/secret")) {
        println!("{text}");
    }
    let _ = std::fs::write(format!("{dir}/owned"), "owned");
}

/// Memory of one kind without end.
fn eat(kind: &str) {
    const PIECE: usize = 1 << 20;
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut file: Option<std::fs::File> = match kind {
        "tmpfs" => std::fs::File::create("/tmp/eat").ok(),
        // SAFETY: a new descriptor of our own.
        "memfd" => unsafe {
            let fd = libc::memfd_create(c"eat".as_ptr(), 0);
            (fd >= 0).then(|| std::os::fd::FromRawFd::from_raw_fd(fd))
        },
        _ => None,
    };
    println!("ready");
    for _ in 0..4096 {
        match &mut file {
            Some(file) => {
                if let Err(error) = std::io::Write::write_all(file, &vec![1; PIECE]) {
                    println!("{}", errno_name(error.raw_os_error().unwrap_or(0)));
                    return;
                }
            }
            None => held.push(vec![1; PIECE]),
        }
    }
    println!("ate 4 GiB in {} pieces", held.len());
}

/// Threads until one can't be made.
fn threads_until() {
    for count in 1.. {
        let made = std::thread::Builder::new()
            .stack_size(32 << 10)
            .spawn(|| wait());
        if let Err(error) = made {
            println!("{count} {}", errno_name(error.raw_os_error().unwrap_or(0)));
            return;
        }
    }
}

fn files_until() {
    let mut held = Vec::new();
    loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => {
                println!(
                    "{} {}",
                    held.len() + 3,
                    errno_name(error.raw_os_error().unwrap_or(0))
                );
                return;
            }
        }
    }
}

/// Bytes into one file until there is no room.
fn fill(path: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut written = 0u64;
    loop {
        match std::io::Write::write(&mut file, &[1; 4096]) {
            Ok(n) => written += n as u64,
            Err(error) => {
                println!(
                    "{written} {}",
                    errno_name(error.raw_os_error().unwrap_or(0))
                );
                return;
            }
        }
    }
}

/// Empty files until there is no room.
fn inodes(dir: &str) {
    for count in 0u32.. {
        if let Err(error) = std::fs::File::create(format!("{dir}/{count}")) {
            println!("{count} {}", errno_name(error.raw_os_error().unwrap_or(0)));
            return;
        }
    }
}
