//! Addresses of a bus: "unix:path=/run/dbus/system_bus_socket", several of them divided by semicolons.

/// A socket that an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file.
    File(Vec<u8>),
    /// A name of Linux's abstract namespace.
    Abstract(Vec<u8>),
}

/// The unix sockets among the addresses, in order.
pub(super) fn parse(addresses: &str) -> Vec<Place> {
    addresses.split(';').filter_map(one).collect()
}

fn one(address: &str) -> Option<Place> {
    let pairs = address.strip_prefix("unix:")?;
    pairs.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        match key {
            "path" => Some(Place::File(unescape(value)?)),
            "abstract" => Some(Place::Abstract(unescape(value)?)),
            _ => None,
        }
    })
}

/// "%20" is a blank.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            0 => return None,
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let file = |path: &str| Place::File(path.into());
        assert_eq!(parse("unix:path=/run/bus"), [file("/run/bus")]);
        assert_eq!(
            parse("tcp:host=x;unix:guid=1,path=/a%20b;unix:abstract=/c"),
            [file("/a b"), Place::Abstract(b"/c".to_vec())]
        );
        for bad in ["", "unix:", "unix:path=", "unix:path=%2", "unix:path=%zz"] {
            assert_eq!(parse(bad), [], "{bad}");
        }
    }
}
