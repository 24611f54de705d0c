//! The TLS settings of one platform, made when its first TLS connection needs them.
//!
//! Invariant: nothing is installed process-wide.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// Makes TLS connectors that trust the machine's roots and perhaps a private authority.
#[derive(Debug)]
pub(crate) struct Trust {
    ca_file: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// Why there are no TLS settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The private authority's file.
    #[error("`ca_file` {path}: {error}; it must hold PEM certificates that this user may read")]
    CaFile {
        /// Where it should be.
        path: String,
        /// What is wrong with it.
        error: rustls::pki_types::pem::Error,
    },
    /// The private authority's file holds nothing.
    #[error("`ca_file` {path} holds no certificate; it must hold at least one in PEM form")]
    NoCertificate {
        /// Where it is.
        path: String,
    },
    /// The machine's roots.
    #[error("no TLS trust roots: {0}; install the system's CA certificates")]
    Roots(#[from] rustls::Error),
    /// The thread that reads them ended early.
    #[error("the TLS trust roots cannot be read: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Trust {
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceCell::new() }
    }

    /// A connector that offers no protocol to choose from, as peers expect that speak something else than HTTP.
    pub(crate) async fn connector_without_protocols(&self) -> Result<TlsConnector, TrustError> {
        let mut config = ClientConfig::clone(self.connector().await?.config());
        config.alpn_protocols.clear();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// A connector; the first call reads the roots from disk. A failed one is tried again the next time.
    pub(crate) async fn connector(&self) -> Result<TlsConnector, TrustError> {
        let config = self
            .config
            .get_or_try_init(|| async {
                let ca_file = self.ca_file.clone();
                tokio::task::spawn_blocking(move || {
                    client_config(ca_file.as_ref(), &[b"h2", b"http/1.1"]).map(Arc::new)
                })
                .await?
            })
            .await?;
        Ok(TlsConnector::from(Arc::clone(config)))
    }
}

/// Settings with the machine's roots, an optional private authority, and the protocols on offer.
pub(crate) fn client_config(
    ca_file: Option<&PathBuf>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, TrustError> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let extra = match ca_file {
        Some(path) => certificates(path)?,
        None => Vec::new(),
    };
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let shown = || path.display().to_string();
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TrustError::CaFile { path: shown(), error })?;
    if certificates.is_empty() {
        return Err(TrustError::NoCertificate { path: shown() });
    }
    Ok(certificates)
}
