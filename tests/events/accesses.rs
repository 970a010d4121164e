//! What landlock refuses is told where the host's audit is on; where it was off, these tests switch it on and off again.

use crate::limits::until;
use crate::need;
use crate::support::events::spooled;
use crate::support::payload::errno_name;
use crate::support::{Alive, Rig, skip, unique};
use cofferdam::controls::ControlId;
use cofferdam::events::{Event, What};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

/// For each line of input one access that landlock refuses: a port that is not declared, or a file that is.
pub fn reach() -> i32 {
    println!("ready");
    let mut line = String::new();
    while matches!(std::io::stdin().read_line(&mut line), Ok(1..)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = match words[..] {
            ["bind", port] => {
                std::net::TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).map(drop)
            }
            ["connect", port] => {
                std::net::TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).map(drop)
            }
            ["write", path] => std::fs::File::create(path).map(drop),
            ref other => panic!("{other:?}"),
        };
        let errno = done.err().and_then(|e| e.raw_os_error()).unwrap_or(0);
        println!("{}", errno_name(errno));
        line.clear();
    }
    0
}

/// Audit, on as long as this lives; back as it was then.
struct Audit {
    was: u32,
    _one: std::sync::MutexGuard<'static, ()>,
}

const GET: u16 = 1000;
const SET: u16 = 1001;

/// struct audit_status: a mask of what is set, and whether it is on.
fn ask(kind: u16, status: &[u8]) -> Vec<u8> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkAudit;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).unwrap();
    let mut message = Vec::new();
    message.extend((16 + status.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    // NLM_F_REQUEST, and NLM_F_ACK where there is no other answer.
    message.extend((if kind == SET { 5_u16 } else { 1 }).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(status);
    send(socket.as_raw_fd(), &message, MsgFlags::empty()).unwrap();
    let mut answer = vec![0; 1024];
    let got = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    answer.truncate(got);
    answer
}

fn enabled() -> u32 {
    u32::from_ne_bytes(ask(GET, &[])[20..24].try_into().unwrap())
}

fn enable(value: u32) {
    let mut status = vec![0; 44];
    status[..4].copy_from_slice(&1_u32.to_ne_bytes());
    status[4..8].copy_from_slice(&value.to_ne_bytes());
    let answer = ask(SET, &status);
    assert_eq!(answer[16..20], [0; 4], "audit can't be switched");
}

impl Audit {
    /// One test at a time; 2 is on for good, until the host boots.
    fn set(value: u32) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        let was = enabled();
        if was < 2 {
            enable(value);
        }
        Self { was, _one: one }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if self.was < 2 {
            enable(self.was);
        }
    }
}

/// Whether this kernel can.
fn can(test: &str) -> bool {
    let can = cofferdam::sys::landlock::abi().is_ok_and(|abi| abi >= 7)
        && std::panic::catch_unwind(enabled).is_ok();
    if !can {
        skip(
            test,
            "Landlock",
            "its refusals are recorded from Linux 6.15 on",
        );
    }
    can
}

/// Something that takes lines.
struct Asked {
    child: Option<Alive>,
    input: std::process::ChildStdin,
}

impl Asked {
    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        let mut child = Alive::spawn(command);
        let input = child.child.stdin.take().unwrap();
        let child = Some(child);
        Self { child, input }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.child.as_mut().unwrap().line().trim().to_string()
    }

    fn id(&self) -> u32 {
        let child: &Child = &self.child.as_ref().unwrap().child;
        child.id()
    }

    fn end(mut self) -> i32 {
        drop(self.input);
        self.child.take().unwrap().end()
    }
}

fn denied(events: &[Event]) -> Vec<(Vec<String>, String, i32, u64, ControlId)> {
    let mut all: Vec<(Vec<String>, String, i32, u64, ControlId)> = Vec::new();
    for event in events {
        if let What::DeniedAccess {
            blockers,
            object,
            pid,
            count,
            ..
        } = &event.what
        {
            match all
                .iter_mut()
                .find(|(b, o, p, ..)| (b, o, p) == (blockers, object, pid))
            {
                Some(row) => row.3 += count,
                None => all.push((
                    blockers.clone(),
                    object.clone(),
                    *pid,
                    *count,
                    event.controls[0],
                )),
            }
        }
    }
    all
}

#[test]
fn accesses_that_landlock_refuses_are_told_whoever_is_killed() {
    need!(Root);
    if !can("accesses_that_landlock_refuses_are_told_whoever_is_killed") {
        return;
    }
    let _audit = Audit::set(1);
    let rig = Rig::new();
    let (spool, id) = (rig.with_spool(), unique("denied"));
    rig.except("8.4.1", "exec = \"no-terminal\"");
    let plan = rig.call(&[
        "plan",
        "--rootfs",
        crate::support::text(&rig.rootfs()),
        "--",
        "/payload",
    ]);
    assert!(
        plan.ok()
            .contains("accesses that landlock refuses, if the host's audit is on"),
        "{plan:?}"
    );
    let mut asked = Asked::spawn(rig.run_command(&id, &[], &["reach"]));
    let first = rig.pid(&id);
    assert_eq!(asked.ask("bind 4001"), "EACCES");
    let events = || spooled(&spool.join(&id));
    // At once: nobody has to wait for the end.
    until("the first", || (denied(&events()).len() == 1).then_some(()));
    let found = crate::launches::workers("cofferdam-acces", asked.id());
    assert_eq!(found.len(), 1, "{found:?}");
    cofferdam::sys::process::kill(found[0], libc::SIGKILL).unwrap();
    for _ in 0..3 {
        assert_eq!(asked.ask("connect 4002"), "EACCES");
    }
    // A program beside it, with a ruleset of its own.
    let pid_file = rig.path("exec.pid");
    let mut command = rig.command();
    command.args([
        "exec",
        "--pid-file",
        crate::support::text(&pid_file),
        &id,
        "/payload",
        "reach",
    ]);
    let mut beside = Asked::spawn(command);
    assert_eq!(beside.ask("bind 4003"), "EACCES");
    let second: i32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(beside.end(), 0);
    assert_eq!(asked.end(), 0);
    let all = events();
    crate::support::schema::assert_events(&all);
    let row = |right: &str, object: &str, pid, count| {
        (
            vec![right.to_string()],
            object.to_string(),
            pid,
            count,
            ControlId::S8_2_4,
        )
    };
    let mut found = denied(&all);
    found.sort_by_key(|row| row.1.clone());
    let mut wanted = vec![
        row("net.bind_tcp", "src=4001", first, 1),
        row("net.connect_tcp", "daddr=127.0.0.1 dest=4002", first, 3),
        row("net.bind_tcp", "src=4003", second, 1),
    ];
    wanted.sort_by_key(|row| row.1.clone());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(
            found.1.contains(wanted.1.rsplit('=').next().unwrap()),
            "{found:?}"
        );
        assert_eq!(
            (&found.0, found.2, found.3, found.4),
            (&wanted.0, wanted.2, wanted.3, wanted.4)
        );
    }
    assert_eq!(found.len(), 3, "{found:#?}");
    let told = rig.call(&["explain", &id]);
    assert!(told.ok().contains("net.bind_tcp"), "{told:#?}");
    rig.assert_clean(&id);
}

#[test]
fn where_audit_is_off_nobody_listens() {
    need!(Root);
    if !can("where_audit_is_off_nobody_listens") {
        return;
    }
    let audit = Audit::set(0);
    if audit.was == 2 {
        return skip(
            "where_audit_is_off_nobody_listens",
            "Audit",
            "it is on until the host boots",
        );
    }
    let rig = Rig::new();
    let (spool, id) = (rig.with_spool(), unique("unheard"));
    let mut asked = Asked::spawn(rig.run_command(&id, &[], &["reach"]));
    assert_eq!(asked.ask("bind 4001"), "EACCES");
    assert!(crate::launches::workers("cofferdam-acces", asked.id()).is_empty());
    assert_eq!(asked.end(), 0);
    assert_eq!(denied(&spooled(&spool.join(&id))), []);
    rig.assert_clean(&id);
}
