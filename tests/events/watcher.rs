//! The watcher against the real kernel: every refused call gets the filter's own answer, by way of the watcher.

use crate::support::payload::errno_name;
use cofferdam::controls::ControlId;
use cofferdam::events::watch::{Carrier, Notebook, Watcher};
use cofferdam::events::{About, Event, MOST, Sender, What, pair, parse, receive};
use cofferdam::seccomp::{Arch, Call, Parameters, Template, prepared, syscalls};
use cofferdam::sys::notify;
use cofferdam::sys::{process, socket};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

const FD: u32 = 1024;
const ROUTED: [&str; 2] = ["bind", "listen"];
/// SECCOMP_FILTER_FLAG_NEW_LISTENER and _WAIT_KILLABLE_RECV.
const FLAGS: u64 = 1 << 3 | 1 << 5;

/// The payload: loads a watched filter, hands the listener over by its standard input, waits for the word, and tries.
pub fn watched(args: &[String]) -> i32 {
    let parameters = Parameters {
        exec_fd: Some(FD),
        ..Parameters::default()
    };
    let program = Template::Default.watched(&parameters, &ROUTED).unwrap();
    process::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).unwrap();
    let listener = process::seccomp_load(&program.to_bpf(), FLAGS).unwrap();
    let listener = listener.unwrap();
    socket::send_fds(std::io::stdin().as_fd(), b"L", &[listener.as_fd()]).unwrap();
    drop(listener);
    let mut go = [0];
    std::io::stdin().read_exact(&mut go).unwrap();
    match args[0].as_str() {
        "all" => all(),
        "signals" => signals(),
        "many" => many(args[1].parse().unwrap()),
        _ => one(args[0].as_str()),
    }
}

fn call(number: u32, args: [u64; 6]) -> i32 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: only calls that the filter refuses are tried, with arguments that are no valid pointers.
    match unsafe { libc::syscall(number.into(), a, b, c, d, e, f) } {
        -1 => Errno::last_raw(),
        _ => 0,
    }
}

/// Every number, with three sets of arguments: what is answered otherwise than the plain filter would have.
fn all() -> i32 {
    let plain = prepared(Template::Default, FD);
    let mut refused = 0;
    for number in 0..syscalls::highest(Arch::NATIVE) + 40 {
        // The kernel's own trampolines: from Linux 6.14 on no filter sees them, and a stranger gets SIGILL.
        if matches!(
            syscalls::name(Arch::NATIVE, number),
            Some("uprobe" | "uretprobe")
        ) {
            continue;
        }
        for args in [[0; 6], [1; 6], [u64::MAX; 6]] {
            let Some(errno) = plain.refusal(&Call::native(Arch::NATIVE, number, args)) else {
                continue;
            };
            let found = call(number, args);
            if found != i32::from(errno) {
                println!("{number} {args:x?}: {found}, not {errno}");
            }
            refused += 1;
        }
    }
    println!("refused {refused}");
    0
}

/// One call with all arguments 0.
fn one(name: &str) -> i32 {
    let number = syscalls::number(Arch::NATIVE, name).unwrap();
    println!("{}", errno_name(call(number, [0; 6])));
    0
}

fn many(times: u64) -> i32 {
    let number = syscalls::number(Arch::NATIVE, "unshare").unwrap();
    let right = (0..times).filter(|_| call(number, [1 << 17, 0, 0, 0, 0, 0]) == libc::EPERM);
    println!("{}", right.count());
    0
}

extern "C" fn nothing(_: i32) {}

/// A signal every few microseconds, with a handler that asks for restarts: no refused call is seen interrupted.
fn signals() -> i32 {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
    let often = libc::timeval {
        tv_sec: 0,
        tv_usec: 50,
    };
    let timer = libc::itimerval {
        it_interval: often,
        it_value: often,
    };
    // SAFETY: a structure of plain numbers, only read.
    unsafe {
        libc::syscall(
            libc::SYS_setitimer,
            libc::ITIMER_REAL,
            &raw const timer,
            std::ptr::null::<libc::itimerval>(),
        )
    };
    many(20_000)
}

/// A payload under a watched filter that has handed its listener over.
struct Watched {
    child: Child,
    talk: OwnedFd,
    listener: OwnedFd,
}

fn start(args: &[&str]) -> Watched {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg0("payload").arg("watched").args(args);
    let child = command.stdin(theirs).stdout(Stdio::piped()).spawn();
    drop(command);
    let (mut byte, mut fds) = ([0], [-1; socket::MOST]);
    let got = socket::receive_fds(ours.as_raw_fd(), &mut byte, &mut fds).unwrap();
    assert_eq!(got, Some((1, 1)));
    Watched {
        child: child.unwrap(),
        talk: ours,
        listener: process::own(fds[0]),
    }
}

impl Watched {
    fn go(&self) {
        process::write(self.talk.as_raw_fd(), b"G").unwrap();
    }

    fn output(&mut self) -> Vec<String> {
        let out = BufReader::new(self.child.stdout.take().unwrap());
        let lines = out.lines().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn about() -> About {
    About {
        id: "w".into(),
        name: None,
        launch: "1".into(),
    }
}

fn book() -> OwnedFd {
    Notebook::make(&prepared(Template::Default, FD)).unwrap()
}

/// A watcher, and where its events arrive.
fn watcher(listener: &OwnedFd, carrier: Option<Box<dyn Carrier>>) -> (Watcher, OwnedFd) {
    let (to, from) = pair().unwrap();
    let watcher = Watcher {
        listener: listener.try_clone().unwrap(),
        plain: prepared(Template::Default, FD),
        carrier,
        notebook: Notebook::open(book()).unwrap(),
        events: Sender::socket(about(), to),
    };
    (watcher, from)
}

fn events(from: &OwnedFd) -> Vec<Event> {
    let (mut all, mut line) = (Vec::new(), [0; MOST]);
    while let Ok(n @ 1..) = receive(from, &mut line) {
        all.push(parse(&line[..n]).unwrap());
    }
    all
}

/// Runs it to its end under a watcher; what it printed and what was told.
fn run(args: &[&str]) -> (Vec<String>, Vec<Event>) {
    let mut watched = start(args);
    let (watcher, from) = watcher(&watched.listener, None);
    let thread = std::thread::spawn(move || watcher.serve());
    watched.go();
    let lines = watched.output();
    thread.join().unwrap();
    (lines, events(&from))
}

#[test]
fn every_refused_call_gets_the_filters_own_answer() {
    let (lines, events) = run(&["all"]);
    let refused = lines.last().unwrap().strip_prefix("refused ").unwrap();
    assert!(
        lines.len() == 1 && refused.parse::<u64>().unwrap() > 500,
        "{lines:#?}"
    );
    // All of them are told, one by one or as a count; but those that libraries try by habit.
    let told: u64 = events
        .iter()
        .map(|event| match &event.what {
            What::DeniedCall { count, untold, .. } => count + untold,
            other => panic!("{other:?}"),
        })
        .sum();
    let quiet = 3 * 3;
    let refused: u64 = refused.parse().unwrap();
    assert_eq!(told + quiet, refused);
}

#[test]
fn the_first_refusal_is_told_at_once_and_the_rest_counted() {
    let (lines, events) = run(&["many", "3000"]);
    assert_eq!(lines, ["3000"]);
    let told: Vec<_> = events
        .iter()
        .map(|event| match &event.what {
            What::DeniedCall {
                call,
                arguments,
                answer,
                count,
                pid,
                ..
            } => {
                assert!(*pid > 0);
                assert_eq!(event.controls, [ControlId::S8_4_5]);
                (call.as_str(), arguments.join(" "), answer.as_str(), *count)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |count| ("unshare", "flags=CLONE_NEWNS".to_string(), "EPERM", count);
    assert_eq!(told, [of(1), of(2999)]);
}

#[test]
fn signals_don_t_show_through() {
    assert_eq!(run(&["signals"]).0, ["20000"]);
}

/// A watcher that is killed over a call: the one that follows answers it, from the notebook.
#[test]
fn a_watcher_that_ends_can_be_followed_by_another() {
    let mut watched = start(&["mount"]);
    watched.go();
    assert!(crate::support::wait_fd(watched.listener.as_fd()));
    let (mut second, from) = watcher(&watched.listener, None);
    let book = book();
    let mut first = Notebook::open(&book).unwrap();
    first.next(watched.listener.as_fd()).unwrap();
    second.notebook = Notebook::open(&book).unwrap();
    let thread = std::thread::spawn(move || second.serve());
    assert_eq!(watched.output(), ["EPERM"]);
    thread.join().unwrap();
    assert_eq!(events(&from).len(), 1);
}

#[test]
fn with_nobody_left_calls_are_refused_by_the_kernel() {
    let mut watched = start(&["mount"]);
    let (mine, _) = nix::unistd::pipe().unwrap();
    drop(std::mem::replace(&mut watched.listener, mine));
    watched.go();
    assert_eq!(watched.output(), ["ENOSYS"]);
}

/// Answers with an errno that no filter has.
struct Other(OwnedFd);

impl Carrier for Other {
    fn carries(&self, number: u32) -> bool {
        let of = |name| syscalls::number(Arch::NATIVE, name).unwrap();
        [of("bind"), of("mount")].contains(&number)
    }

    fn carry(&self, asked: &notify::Notification, again: bool) -> Option<u16> {
        assert!(!again);
        notify::refuse(self.0.as_fd(), asked.id, libc::ENOMEDIUM as u16).unwrap();
        Some(libc::EACCES as u16)
    }
}

#[test]
fn a_carrier_gets_its_calls_but_those_that_the_filter_refuses() {
    // One that nobody carries is a refusal.
    for (name, answer) in [
        ("bind", "ENOMEDIUM"),
        ("mount", "EPERM"),
        ("listen", "EPERM"),
    ] {
        let mut watched = start(&[name]);
        let other = Other(watched.listener.try_clone().unwrap());
        let (watcher, from) = watcher(&watched.listener, Some(Box::new(other)));
        let thread = std::thread::spawn(move || watcher.serve());
        watched.go();
        assert_eq!(watched.output(), [answer], "{name}");
        thread.join().unwrap();
        // What it has refused itself is told as well.
        let events = events(&from);
        assert!(matches!(&events[0].what, What::DeniedCall { call, .. } if call == name));
    }
}
