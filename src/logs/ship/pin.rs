//! Collectors that are known by their certificates' fingerprints (RFC 5425, 4.2.2): beside a CA, or without one, where
//! whoever has that certificate's key is the collector, whatever name and dates it bears.

use crate::policy::Fingerprint;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::Arc;

/// Takes one of some certificates alone.
#[derive(Debug)]
pub struct Pinned {
    /// What must hold besides.
    pub chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whom it takes.
    pub fingerprints: Vec<Fingerprint>,
    /// How the owner of a key shows that it is his.
    pub algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug, thiserror::Error)]
#[error("its fingerprint is {0}, which is none of those in `fingerprints`")]
struct Another(Fingerprint);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, own).as_ref());
        let seen = Fingerprint(bytes);
        if !self.fingerprints.contains(&seen) {
            let other = OtherError(Arc::new(Another(seen)));
            return Err(CertificateError::Other(other).into());
        }
        match &self.chain {
            Some(chain) => chain.verify_server_cert(own, others, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, own, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
