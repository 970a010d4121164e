//! A target made ready: its files are open, and a connection in its protocol can be made.
//!
//! `chain` opens connections with it, again and again.

use super::super::Origin;
use super::files::Files;
use super::fluent::Fluent;
use super::journald::Journald;
use super::otlp::Otlp;
use super::relp::Relp;
use super::resolve::Resolver;
use super::sink::Sink;
use super::syslog::{self, Datagrams, Syslog};
use super::tls::Credentials;
use super::trouble::{Cause, Trouble};
use super::wire::{self, Wire};
use crate::policy::{Protocol, Target, Transport};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

/// A target with its open files.
#[derive(Debug)]
pub struct Station {
    /// As the policy has it.
    pub target: Target,
    credentials: Option<Credentials>,
    folder: Option<OwnedFd>,
    span: u64,
}

impl Station {
    /// Opens what the target names on this host.
    pub fn prepare(target: &Target) -> Result<Self, Trouble> {
        Self::with_key(target, None)
    }

    /// The same, with a key that is open already.
    pub fn with_key(target: &Target, key: Option<File>) -> Result<Self, Trouble> {
        let folder = match target.protocol {
            Protocol::Cri | Protocol::Json => Some(folder(target.place().unwrap_or_default())?),
            _ => None,
        };
        Ok(Self {
            target: target.clone(),
            credentials: Credentials::open(target, key)?,
            folder,
            span: syslog::SPAN,
        })
    }

    /// What is sent and not known to have arrived stays in a spool of so many bytes, with room for more.
    pub fn within(mut self, quota: u64) -> Self {
        self.span = self.span.min(quota / 4);
        self
    }

    /// Connects and says hello: records behind `delivered` can be sent then.
    pub fn open(
        &self,
        origin: &Origin,
        resolver: &mut Resolver,
        delivered: u64,
    ) -> Result<Box<dyn Sink>, Trouble> {
        let target = &self.target;
        match target.protocol {
            Protocol::Journald => return Ok(Box::new(Journald::new(origin, target, delivered)?)),
            Protocol::Cri | Protocol::Json => {
                let folder = self.folder.as_ref().ok_or_else(Trouble::closed)?;
                let folder = folder
                    .try_clone()
                    .map_err(|error| Trouble::local("use the folder of `path`", error))?;
                return Ok(Box::new(Files::in_folder(
                    folder, origin, target, delivered,
                )?));
            }
            _ => {}
        }
        let (host, port) = target
            .host_and_port()
            .ok_or_else(|| Trouble::new(Cause::Local, "the target has no address"))?;
        let addresses = resolver.addresses(host, port)?;
        if target.carrier() == Some(Transport::Udp) {
            let socket = datagrams(&addresses)?;
            return Ok(Box::new(Datagrams::new(socket, origin, target, delivered)));
        }
        let wire = self.secured(wire::connect(host, &addresses)?)?;
        Ok(match target.protocol {
            Protocol::Relp => Box::new(Relp::new(wire, origin, target, delivered)?),
            Protocol::Otlp => Box::new(Otlp::new(wire, origin, target, delivered)),
            Protocol::Fluent => Box::new(Fluent::new(wire, origin, delivered)),
            _ => Box::new(Syslog::new(wire, origin, target, delivered, self.span)),
        })
    }

    fn secured(&self, wire: Wire) -> Result<Wire, Trouble> {
        let Some(credentials) = &self.credentials else {
            return Ok(wire);
        };
        let name = self.target.pinned().unwrap_or_default();
        wire.secure(credentials.connection(name)?)
    }

    /// Descriptors that a jailed process has to keep.
    pub fn descriptors(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        let mut all: Vec<_> = self.folder.iter().map(AsFd::as_fd).collect();
        if let Some(credentials) = &self.credentials {
            all.extend(credentials.descriptors());
        }
        all
    }
}

fn folder(path: &str) -> Result<OwnedFd, Trouble> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    nix::fcntl::open(path, flags, Mode::empty())
        .map_err(|errno| Trouble::local(&format!("open the folder {path}"), errno.desc()))
}

fn datagrams(addresses: &[SocketAddr]) -> Result<UdpSocket, Trouble> {
    let mut last = Trouble::new(Cause::Away, "the collector has no address");
    for address in addresses {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let made = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match made {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Trouble::io(&format!("send datagrams to {address}"), &error),
        }
    }
    Err(last)
}
