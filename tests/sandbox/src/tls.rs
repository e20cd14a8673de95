//! TLS in front of the upstreams: an authority of the sandbox's own, and a count of handshakes.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{HandshakeKind, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

/// Whom a certificate of the sandbox is for.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// A certificate authority and what it has certified. One serves any number of sandboxes.
pub struct Authority {
    config: Arc<ServerConfig>,
    file: PathBuf,
}

impl Authority {
    /// Makes a new one, and writes its certificate into `folder`, for clients to trust.
    pub fn new(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let file = folder.join("sandbox-ca.pem");
        std::fs::write(&file, authority.pem())?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(HOSTS.map(str::to_owned))?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        Ok(Self { config: Arc::new(config), file })
    }

    /// Shows these certificates, the server's own first, instead of making any. `file` is what clients have to trust.
    pub fn showing(chain_pem: &str, key_pem: &str, file: &Path) -> Result<Self, Box<dyn Error>> {
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { config: Arc::new(config), file: file.to_owned() })
    }

    /// One sandbox's share.
    pub(super) fn tls(&self) -> Arc<Tls> {
        let acceptor = TlsAcceptor::from(self.config.clone());
        Arc::new(Tls { acceptor, file: self.file.clone(), full: AtomicU64::new(0), resumed: AtomicU64::new(0) })
    }
}

/// How many handshakes there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    pub full: u64,
    /// Those that took up an earlier session.
    pub resumed: u64,
}

/// What the listeners of one sandbox share.
pub struct Tls {
    acceptor: TlsAcceptor,
    file: PathBuf,
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Tls {
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let stream = self.acceptor.accept(stream).await?;
        let kind = stream.get_ref().1.handshake_kind();
        let count = if kind == Some(HandshakeKind::Resumed) { &self.resumed } else { &self.full };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    pub fn handshakes(&self) -> Handshakes {
        Handshakes { full: self.full.load(Ordering::Relaxed), resumed: self.resumed.load(Ordering::Relaxed) }
    }

    /// The PEM file that clients have to trust.
    pub fn file(&self) -> &Path {
        &self.file
    }
}
