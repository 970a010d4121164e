//! Why an opening could not be made: what was tried, what the kernel said, what to do.

use nix::errno::Errno;

/// Why the openings of a container can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// Somebody has the port.
    #[error(
        "{flag} {what}: {at} is in use on this host (bind): end who holds it (ss -ltnup), or take another port"
    )]
    Taken {
        /// The flag.
        flag: &'static str,
        /// Its value.
        what: String,
        /// The address.
        at: String,
    },
    /// The host has no such socket.
    #[error("{flag} {what}: can't {tried}: {}{}", .errno.desc(), hint(.errno))]
    Host {
        /// The flag.
        flag: &'static str,
        /// Its value.
        what: String,
        /// What was tried, with the call.
        tried: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// A name that nobody knows.
    #[error("--connect {what}: can't resolve {host} (getaddrinfo): {why}")]
    Unresolved {
        /// The flag's value.
        what: String,
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// The launcher was not socket-activated.
    #[error("--listen inherit: {0}")]
    Inherit(String),
    /// A folder that others could have made.
    #[error("{path}: {why}; links between containers need it to be the caller's own, mode 0700")]
    Folder {
        /// Which.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A step of the forwarder.
    #[error("can't start the forwarder of the ports: {tried}: {}", .errno.desc())]
    Forwarder {
        /// What was tried, with the call.
        tried: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// More than one thread.
    #[error("can't start the forwarder of the ports: the launcher has more than one thread")]
    Threads,
}

fn hint(errno: &Errno) -> &'static str {
    match errno {
        Errno::EACCES | Errno::EPERM => {
            " (ports below net.ipv4.ip_unprivileged_port_start are root's: take a higher one)"
        }
        Errno::EADDRNOTAVAIL => " (no interface of this host has that address)",
        _ => "",
    }
}
