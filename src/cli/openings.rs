//! The flags that open a container: ports in, links and connections out, a network. Words only; nothing is decided.

use crate::ports::inherit;
use crate::request::openings::{
    self, Cidr, Connect, Link, Listen, Mode, Openings, ProxyHeader, Publish,
};
use clap::Args;

/// What comes in and goes out.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Ports and links")]
pub struct OpeningArgs {
    /// A port of the host that leads to one inside (8080:80, 127.0.0.1:8080:80, [::1]:53:53/udp)
    #[arg(long, short = 'p', value_name = "[ADDR:]HOST:CONTAINER[/tcp|udp]", value_parser = openings::publish)]
    publish: Vec<Publish>,
    /// native (the service's own socket is the host's), forward (through a process of ours), or auto
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = openings::mode)]
    publish_mode: Mode,
    /// Who may come in by a published port: an address range [default: everybody]
    #[arg(long, value_name = "CIDR", value_parser = openings::cidr)]
    publish_from: Vec<Cidr>,
    /// Connections at once by a published port
    #[arg(long, value_name = "N", value_parser = openings::count)]
    publish_limit: Option<u32>,
    /// New connections a second by a published port
    #[arg(long, value_name = "N", value_parser = openings::count)]
    publish_rate: Option<u32>,
    /// Begin each forwarded connection with a PROXY protocol header, v1 or v2, that names the client
    #[arg(long, value_name = "VERSION", value_parser = openings::proxy)]
    publish_proxy: Option<ProxyHeader>,
    /// A listening socket of the host that the program finds open (LISTEN_FDS): tcp://ADDR:PORT, unix:PATH, or inherit
    #[arg(long, value_name = "SOCKET", value_parser = openings::listen)]
    listen: Vec<Listen>,
    /// A port of another container, seen inside as 127.0.0.1:PORT; the other one has to permit it
    #[arg(long, value_name = "PEER:PORT[=[NAME:]PORT][,wait=S]", value_parser = openings::link)]
    link: Vec<Link>,
    /// A container that may link to this one's ports
    #[arg(long, value_name = "NAME", value_parser = crate::request::name)]
    permit_peer: Vec<String>,
    /// An external address, seen inside as 127.0.0.1:LOCALPORT (an exception has to allow it)
    #[arg(long, value_name = "HOST:PORT=LOCALPORT", value_parser = openings::connect)]
    connect: Vec<Connect>,
    /// A network that the site has: cni:NAME, of a list in /etc/cni/net.d (an exception has to allow it)
    #[arg(long, value_name = "cni:NAME", value_parser = openings::network)]
    network: Option<String>,
}

impl OpeningArgs {
    /// How many descriptors the program will find.
    pub(super) fn descriptors(&self) -> usize {
        let count = |l: &Listen| {
            if *l == Listen::Inherit {
                inherit::given()
            } else {
                1
            }
        };
        self.listen.iter().map(count).sum()
    }
}

fn inherited() -> Vec<String> {
    let mut names = inherit::names();
    names.resize(inherit::given(), "unknown".into());
    names
}

impl From<OpeningArgs> for Openings {
    fn from(args: OpeningArgs) -> Self {
        Self {
            publish: args.publish,
            mode: args.publish_mode,
            from: args.publish_from,
            connections: args.publish_limit,
            rate: args.publish_rate,
            proxy: args.publish_proxy,
            inherited: match args.listen.contains(&Listen::Inherit) {
                true => inherited(),
                false => Vec::new(),
            },
            listen: args.listen,
            links: args.link,
            peers: args.permit_peer,
            connects: args.connect,
            cni: args.network,
            resolver: None,
        }
    }
}
