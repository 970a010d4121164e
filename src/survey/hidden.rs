//! What of the host's own root a container does not see: everything but programs and their configuration.

use super::Kind;
use crate::paths::GuestPath;

/// Top-level folders that hold programs and their configuration; everything else of the host is hidden.
const HOST_KEPT: [&str; 9] = [
    "bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr",
];

/// What below /etc is a secret by its nature, where it exists.
const HOST_SECRETS: [&str; 28] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/krb5.keytab",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.secrets",
    "/etc/ipsec.d",
    "/etc/swanctl",
    "/etc/NetworkManager/system-connections",
    "/etc/ppp",
    "/etc/wpa_supplicant",
    "/etc/docker",
    "/etc/containers",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/cofferdam",
    "/etc/cloud",
    "/etc/apt/auth.conf.d",
    "/etc/polkit-1",
];

pub(super) fn on_host() -> Vec<(GuestPath, Kind)> {
    let mut out = Vec::new();
    let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        // proc, dev and sys get mounts of their own or an empty folder like the rest.
        if kind.is_symlink() || HOST_KEPT.contains(&name.as_str()) {
            continue;
        }
        if let Ok(path) = GuestPath::parse(&format!("/{name}")) {
            out.push((path, if kind.is_dir() { Kind::Dir } else { Kind::File }));
        }
    }
    for secret in HOST_SECRETS {
        if let (Ok(path), Ok(meta)) = (GuestPath::parse(secret), std::fs::symlink_metadata(secret))
            && !meta.is_symlink()
        {
            out.push((path, if meta.is_dir() { Kind::Dir } else { Kind::File }));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}
