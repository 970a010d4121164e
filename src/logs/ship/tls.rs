//! TLS to collectors: 1.3 only, the site's own CA only, one name, our certificate where the policy names one.
//!
//! Keys come as open files: the shipper's jail leaves no path to them. What is read is dropped with the connection.
//! Crypto is aws-lc-rs.

use super::pin::Pinned;
use super::trouble::{Cause, Trouble};
use crate::policy::{Fingerprint, Target, Transport};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::Arc;

/// Largest file of certificates.
const MOST: u64 = 1 << 20;

/// The open files of a TLS target.
#[derive(Debug)]
pub struct Credentials {
    ca: Option<File>,
    fingerprints: Vec<Fingerprint>,
    own: Option<(File, File)>,
}

impl Credentials {
    /// Opens what the target names, but for the key where it is open already; none if it isn't TLS. A key that others
    /// may read is refused.
    pub fn open(target: &Target, key: Option<File>) -> Result<Option<Self>, Trouble> {
        if target.carrier() != Some(Transport::Tls) {
            return Ok(None);
        }
        let own = match (&target.certificate, &target.key) {
            (Some(certificate), Some(path)) => {
                let key = key.map_or_else(|| open_key(path), Ok)?;
                Some((open(certificate)?, key))
            }
            _ => None,
        };
        Ok(Some(Self {
            ca: target.ca.as_deref().map(open).transpose()?,
            fingerprints: target.fingerprints.clone(),
            own,
        }))
    }

    /// The open files.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = self.own.iter().flat_map(|(c, k)| [c.as_fd(), k.as_fd()]);
        self.ca.iter().map(AsFd::as_fd).chain(own)
    }

    /// The beginning of a connection to the one who bears this name.
    pub fn connection(&self, name: &str) -> Result<ClientConnection, Trouble> {
        let name = ServerName::try_from(name.to_string()).map_err(|_| {
            let text = format!("{name:?} is no name that a certificate can bear");
            Trouble::new(Cause::Local, text)
        })?;
        ClientConnection::new(Arc::new(self.config()?), name)
            .map_err(|error| Trouble::local("begin TLS", error))
    }

    /// What judges the collector's chain, where there is a CA.
    fn chain(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<WebPkiServerVerifier>>, Trouble> {
        let Some(ca) = &self.ca else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, "ca")? {
            let added = roots.add(certificate);
            added.map_err(|error| Trouble::local("use the file of `ca`", error))?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = verifier.build();
        verifier
            .map(Some)
            .map_err(|error| Trouble::local("use the file of `ca`", error))
    }

    /// Made anew for each connection: files may have been written again, and no key is kept in memory meanwhile.
    fn config(&self) -> Result<ClientConfig, Trouble> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| Trouble::local("begin TLS", error))?;
        let chain = self.chain(&provider)?;
        let builder = match (chain, self.fingerprints.is_empty()) {
            (Some(chain), true) => builder.with_webpki_verifier(chain),
            (chain, _) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned {
                    chain,
                    fingerprints: self.fingerprints.clone(),
                    algorithms: provider.signature_verification_algorithms,
                })),
        };
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, "certificate")?;
                let text = read(key, "key")?;
                let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
                    Trouble::local("read a PEM key in the file of `key`", error)
                })?;
                let made = builder.with_client_auth_cert(chain, key);
                made.map_err(|error| Trouble::local("use `certificate` with `key`", error))?
            }
        };
        // No session is kept: a connection is made once in days, and each is to be checked in full.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

fn open(path: &str) -> Result<File, Trouble> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    opened.map_err(|error| Trouble::local(&format!("open {path}"), error))
}

/// One that others may read is refused.
pub(super) fn open_key(path: &str) -> Result<File, Trouble> {
    let file = open(path)?;
    let about = file
        .metadata()
        .map_err(|error| Trouble::local(&format!("look at {path}"), error))?;
    if about.mode() & 0o077 != 0 {
        let text = format!(
            "{path}: others than its owner may read the key (mode {:04o}); chmod 600 it",
            about.mode() & 0o7777
        );
        return Err(Trouble::new(Cause::Local, text));
    }
    Ok(file)
}

fn read(file: &File, key: &str) -> Result<Vec<u8>, Trouble> {
    let wrong = |error| Trouble::local(&format!("read the file of `{key}`"), error);
    let size = file.metadata().map_err(wrong)?.size();
    if size > MOST {
        let text = format!("the file of `{key}` is larger than 1 MiB");
        return Err(Trouble::new(Cause::Local, text));
    }
    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut text, 0).map_err(wrong)?;
    Ok(text)
}

fn certificates(file: &File, key: &str) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let text = read(file, key)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => {
            let text = format!("the file of `{key}` has no PEM certificate");
            Err(Trouble::new(Cause::Local, text))
        }
        Err(error) => Err(Trouble::local(&format!("read the file of `{key}`"), error)),
    }
}

/// What a TLS error is about: them, us, or the protocol.
pub(super) fn trouble(error: &Error) -> Trouble {
    let certificate = |why: &str| {
        let text = format!("{why}: nothing was sent");
        Trouble::new(Cause::PeerRefused, text)
    };
    match error {
        Error::InvalidCertificate(which) => match which {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                certificate("the collector's certificate has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("the collector's certificate is not valid yet")
            }
            CertificateError::UnknownIssuer => {
                certificate("the collector's certificate was not issued by the CA in `ca`")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate(
                    "the collector's certificate bears another name than the one wanted (`server_name`)",
                )
            }
            CertificateError::Other(why) => certificate(&format!(
                "the collector's certificate is refused: {}",
                why.0
            )),
            other => certificate(&format!("the collector's certificate is refused ({other})")),
        },
        Error::AlertReceived(alert) => {
            let ours = matches!(
                alert,
                AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied
                    | AlertDescription::CertificateRequired
            );
            let text = match ours {
                true => format!(
                    "the collector refuses our certificate ({alert:?}); look at `certificate` and at what it trusts"
                ),
                false => format!("the collector ended TLS ({alert:?}); does it offer TLS 1.3?"),
            };
            Trouble::new(Cause::Refused, text)
        }
        other => Trouble::protocol(format!("TLS with the collector failed: {other}")),
    }
}
