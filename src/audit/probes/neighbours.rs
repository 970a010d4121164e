//! Who else is on the machine: processes, sockets and signals of others.

use super::calls::{io, sys};
use super::{Layer, NOTHING, Needs, Probe, Tried};
use crate::controls::ControlId::{S8_1_3, S8_4_13, S8_5_1};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

pub(super) const PROBES: &[Probe] = &[
    Probe::new(
        "neighbour/signal",
        "signal a process of the host (kill)",
        &[S8_1_3],
        (Layer::Pids, &["ESRCH"]),
        |f| sys(libc::SYS_kill, [f.number("host-pid"), 0]),
    ),
    Probe::new(
        "neighbour/refer",
        "refer to a process of the host (pidfd_open)",
        &[S8_1_3],
        (Layer::Pids, &["ESRCH"]),
        |f| sys(libc::SYS_pidfd_open, [f.number("host-pid"), 0]),
    ),
    Probe::new(
        "neighbour/see",
        "see another process in /proc",
        &[S8_1_3, S8_5_1],
        (Layer::Pids, &["nothing"]),
        |_| others(),
    ),
    Probe::new(
        "neighbour/environment",
        "read the environment of a process of the host",
        &[S8_1_3, S8_4_13],
        (Layer::Pids, &["ENOENT"]),
        |f| {
            io(std::fs::read(format!(
                "/proc/{}/environ",
                f.word("host-pid")
            )))
        },
    ),
    Probe::new(
        "neighbour/abstract-socket",
        "connect to an abstract socket of the host",
        &[S8_1_3],
        (Layer::Network, &["ECONNREFUSED"]),
        |f| abstract_socket(f.word("host-socket")),
    ),
    Probe::new(
        "neighbour/container-signal",
        "signal the program of another container (kill)",
        &[S8_1_3],
        (Layer::Pids, &["ESRCH"]),
        |f| sys(libc::SYS_kill, [f.number("neighbour-pid"), 0]),
    )
    .needing(Needs::Neighbour),
    Probe::new(
        "neighbour/container-refer",
        "refer to the program of another container (pidfd_open)",
        &[S8_1_3],
        (Layer::Pids, &["ESRCH"]),
        |f| sys(libc::SYS_pidfd_open, [f.number("neighbour-pid"), 0]),
    )
    .needing(Needs::Neighbour),
    Probe::new(
        "neighbour/container-environment",
        "read the environment of another container's program",
        &[S8_1_3, S8_4_13],
        (Layer::Pids, &["ENOENT"]),
        |f| {
            let pid = f.word("neighbour-pid");
            io(std::fs::read(format!("/proc/{pid}/environ")))
        },
    )
    .needing(Needs::Neighbour),
    Probe::new(
        "neighbour/container-socket",
        "connect to an abstract socket of another container",
        &[S8_1_3],
        (Layer::Beside, &["ECONNREFUSED"]),
        |_| abstract_socket(NEIGHBOUR),
    )
    .needing(Needs::Neighbour),
    Probe::new(
        "neighbour/container-port",
        "connect to a port that another container listens on (127.0.0.1)",
        &[S8_1_3],
        (Layer::Beside, &["ECONNREFUSED", "EACCES"]),
        |f| {
            let port = f.number("neighbour-port") as u16;
            io(TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
        },
    )
    .needing(Needs::Neighbour),
    Probe::new(
        "neighbour/container-memory",
        "find shared memory of another container (shmget)",
        &[S8_1_3],
        (Layer::Beside, &["EPERM", "ENOENT"]),
        |f| sys(libc::SYS_shmget, [f.number("neighbour-memory"), 4096, 0]),
    )
    .needing(Needs::Neighbour),
];

/// The abstract socket of a container that is there to be reached.
const NEIGHBOUR: &str = "cofferdam-neighbour";
/// The key of its shared memory.
const MEMORY: u64 = 0x00c0_ffe5;

/// The neighbour's side: makes all that the attacks look for; its port and the key of its shared memory.
pub fn serve() -> std::io::Result<(UnixListener, TcpListener, u64)> {
    let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(NEIGHBOUR)?)?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
    match sys(libc::SYS_shmget, [MEMORY, 4096, flags as u64]) {
        0 => Ok((socket, port, MEMORY)),
        errno => Err(std::io::Error::from_raw_os_error(errno)),
    }
}

fn others() -> Tried {
    let own = std::process::id().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return NOTHING;
    };
    let mut names = entries.flatten().map(|e| e.file_name());
    let other = names.any(|n| n.as_encoded_bytes().iter().all(u8::is_ascii_digit) && *n != *own);
    if other { 0 } else { NOTHING }
}

fn abstract_socket(name: &str) -> Tried {
    let address = SocketAddr::from_abstract_name(name);
    io(address.and_then(|a| UnixStream::connect_addr(&a)))
}
