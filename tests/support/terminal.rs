//! Terminals in tests: what the payload says of its own, and both ends that a caller or an engine has.

use super::wait_fd;
use cofferdam::sys::{process, socket, terminal};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};

/// Says what the program's terminal is, then repeats lines until "end" or the end of input.
pub fn tty() -> i32 {
    let name = nix::unistd::ttyname(std::io::stdin()).map(|p| p.display().to_string());
    let all = [0, 1, 2].map(|fd| {
        let fd = process::own(fd);
        let is = nix::unistd::isatty(&fd).unwrap();
        std::mem::forget(fd);
        is
    });
    let owner = fs::metadata("/proc/self/fd/0").map_or(0, |m| m.uid());
    let size = terminal::size(std::io::stdin().as_fd());
    let controlling = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .is_ok();
    println!("{all:?} {name:?} uid {owner} {size:?} controlling {controlling}");
    let console = File::options().write(true).open("/dev/console");
    let wrote = console.and_then(|mut c| c.write_all(b"on the console\n"));
    println!("console {}", wrote.is_ok());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.as_str() {
            "end" => return 3,
            "size" => println!("{:?}", terminal::size(std::io::stdin().as_fd()).unwrap()),
            line => println!("heard {line}"),
        }
    }
    4
}

/// Reads until `end` has come, with a deadline.
pub fn until(master: &OwnedFd, end: &str) -> String {
    let mut out = String::new();
    let mut file = File::from(master.try_clone().unwrap());
    while !out.contains(end) {
        assert!(wait_fd(master.as_fd()), "no {end:?} in {out:?}");
        let mut piece = [0u8; 1024];
        match file.read(&mut piece) {
            Ok(0) | Err(_) => panic!("ended without {end:?}: {out:?}"),
            Ok(n) => out.push_str(&String::from_utf8_lossy(&piece[..n])),
        }
    }
    out
}

/// What an engine does: accept, take the descriptor and its name.
pub fn accept(listener: &UnixListener) -> (OwnedFd, String) {
    let (stream, _) = listener.accept().unwrap();
    let (mut bytes, mut fds) = ([0u8; 4096], [-1; socket::MOST]);
    let (n, count) = socket::receive_fds(stream.as_raw_fd(), &mut bytes, &mut fds)
        .unwrap()
        .unwrap();
    assert_eq!(count, 1);
    (
        process::own(fds[0]),
        String::from_utf8(bytes[..n].to_vec()).unwrap(),
    )
}

/// A command on a terminal of our own.
pub struct Shown {
    /// What a person would look at.
    pub outer: OwnedFd,
    /// The command's side.
    pub other: OwnedFd,
    /// The command.
    pub child: Child,
}

impl Shown {
    /// Thirty rows, a hundred columns.
    pub fn on(mut command: Command) -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        terminal::set_size(slave.as_fd(), (30, 100)).unwrap();
        command.stdin(slave.try_clone().unwrap());
        command.stdout(slave.try_clone().unwrap());
        command.stderr(slave.try_clone().unwrap());
        Self {
            child: command.spawn().unwrap(),
            outer: master,
            other: slave,
        }
    }
}

/// Whether it waits for whole lines, as a shell leaves it.
pub fn is_canonical(terminal: &OwnedFd) -> bool {
    tcgetattr(terminal)
        .unwrap()
        .local_flags
        .contains(LocalFlags::ICANON)
}
