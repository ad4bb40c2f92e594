//! TLS: the server's certificate and key.

use crate::Error;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// A certificate, with those of its issuers behind it, and its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads both from the texts of PEM files.
    ///
    /// # Errors
    /// There is none in them, or the two do not belong together.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let bad = |what: &str, why: &dyn std::fmt::Display| Error::Option(format!("{what}: {why}"));
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|why| bad("the certificate is not PEM", &why))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| bad("the key is not PEM", &why))?;
        let config = |certificates, key| -> Result<ServerConfig, rustls::Error> {
            ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(certificates, key)
        };
        let config =
            config(certificates, key).map_err(|why| bad("the certificate and its key cannot be used", &why))?;
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.clone().into()
    }
}
