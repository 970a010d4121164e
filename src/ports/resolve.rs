//! Names of external addresses, resolved outside, at the launch.

use super::error::PortsError;
use crate::plan::openings::Connect;
use std::net::{SocketAddr, ToSocketAddrs};

/// All addresses of one, in the resolver's order.
pub(super) fn addresses(connect: &Connect) -> Result<Vec<SocketAddr>, PortsError> {
    let unresolved = |why: String| PortsError::Unresolved {
        what: connect.to_string(),
        host: connect.host.clone(),
        why,
    };
    if let Ok(ip) = connect.host.parse() {
        return Ok(vec![SocketAddr::new(ip, connect.port)]);
    }
    let found = (connect.host.as_str(), connect.port).to_socket_addrs();
    let found: Vec<_> = found.map_err(|e| unresolved(e.to_string()))?.collect();
    match found.is_empty() {
        true => Err(unresolved("no address".into())),
        false => Ok(found),
    }
}
