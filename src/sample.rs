//! The sample service: says what it can and can't do from inside, then serves that over HTTP.
//!
//! It is this same binary under another name, run as the payload of `cofferdam run NAME` in the embedded root.

use crate::paths::GuestPath;
use crate::sys::output::Output;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// The name that the service is executed under; `main` looks at it.
pub const NAME: &str = "cofferdam-sample";

/// The port it serves on.
pub const PORT: u16 = 8080;

/// Where it lies in the embedded root.
pub fn path() -> GuestPath {
    GuestPath::root().join(NAME)
}

/// The service: `--once` prints and ends. Returns the exit code.
pub fn main(args: &[String]) -> i32 {
    let once = args.iter().any(|a| a == "--once");
    match serve(once) {
        Ok(()) => 0,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "{NAME}: {why}");
            1
        }
    }
}

fn serve(once: bool) -> Result<(), String> {
    let report = report();
    say(&report)?;
    if once {
        return Ok(());
    }
    let listener = TcpListener::bind(("127.0.0.1", PORT)).map_err(|why| {
        format!("can't bind 127.0.0.1:{PORT}: {why}; end what else listens there")
    })?;
    say(&format!(
        "serving this on http://127.0.0.1:{PORT}/ of its own network namespace\n"
    ))?;
    for stream in listener.incoming().flatten() {
        let _ = answer(stream, &report);
    }
    Ok(())
}

/// Prints; a reader that has gone has what he wanted.
fn say(text: &str) -> Result<(), String> {
    match Output.write_all(text.as_bytes()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(format!(
            "can't write to standard output (write): {why}; give it an output that takes it"
        )),
        _ => Ok(()),
    }
}

fn answer(mut stream: TcpStream, report: &str) -> std::io::Result<()> {
    let mut request = [0u8; 1024];
    let _ = stream.read(&mut request)?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{report}",
        report.len()
    )
}

/// What a curious service sees and tries.
fn report() -> String {
    let mut out = String::new();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .map(|v| v.split_whitespace().collect::<Vec<_>>().join(" "))
            .unwrap_or_else(|| "?".into())
    };
    let _ = writeln!(
        out,
        "I am process {} with ids {}",
        std::process::id(),
        field("Uid:")
    );
    let _ = writeln!(
        out,
        "capabilities {}, no_new_privs {}, seccomp filters {}",
        field("CapEff:"),
        field("NoNewPrivs:"),
        field("Seccomp_filters:")
    );
    for (what, tried) in attempts() {
        let answer = match tried {
            Ok(()) => "YES".to_string(),
            Err(error) => format!("no ({error})"),
        };
        let _ = writeln!(out, "  {what:<34}{answer}");
    }
    out
}

fn attempts() -> Vec<(&'static str, std::io::Result<()>)> {
    let run = |program: &str| std::process::Command::new(program).status().map(drop);
    vec![
        ("read my own root", std::fs::read_dir("/").map(drop)),
        (
            "start a thread",
            std::thread::Builder::new().spawn(|| ()).map(drop),
        ),
        ("write to my root", std::fs::write("/file", "x")),
        ("write to /dev", std::fs::write("/dev/file", "x")),
        ("start another program", run("/proc/self/exe")),
        (
            "read the kernel's command line",
            std::fs::read("/proc/cmdline").map(drop),
        ),
        (
            "write to my own memory file",
            std::fs::OpenOptions::new()
                .write(true)
                .open("/proc/self/mem")
                .map(drop),
        ),
        (
            "become root",
            nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).map_err(Into::into),
        ),
        ("open a raw socket", socket(libc_raw())),
        (
            "bind an undeclared port",
            TcpListener::bind(("127.0.0.1", 9999)).map(drop),
        ),
        (
            "reach another address",
            TcpStream::connect_timeout(
                &std::net::SocketAddr::from(([192, 0, 2, 1], 80)),
                std::time::Duration::from_millis(200),
            )
            .map(drop),
        ),
        (
            "make a namespace",
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map_err(Into::into),
        ),
        (
            "mount something",
            nix::mount::mount(
                Some("none"),
                "/",
                Some("tmpfs"),
                nix::mount::MsFlags::empty(),
                None::<&str>,
            )
            .map_err(Into::into),
        ),
    ]
}

fn libc_raw() -> nix::sys::socket::SockType {
    nix::sys::socket::SockType::Raw
}

fn socket(kind: nix::sys::socket::SockType) -> std::io::Result<()> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, socket};
    socket(
        AddressFamily::Inet,
        kind,
        SockFlag::empty(),
        SockProtocol::Icmp,
    )
    .map(drop)
    .map_err(Into::into)
}
