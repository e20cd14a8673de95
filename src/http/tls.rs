//! The TLS configuration of every upstream, and descriptions of its errors.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

/// Trusts the public roots and `trusted`, each of which is also trusted as a server's own certificate.
pub fn client_config(trusted: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // Read from `SSL_CERT_FILE`, where each was tried.
    let (_, unusable) = roots.add_parsable_certificates(trusted.iter().cloned());
    debug_assert_eq!(unusable, 0);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if trusted.is_empty() {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(Verifier { inner, trusted: trusted.to_vec() });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Verifies as rustls does, and accepts besides a server certificate that is byte-equal to a trusted one and marked as a CA, as
/// `openssl req -x509` marks all. rustls refuses those after it has checked their dates, and before their name; OpenSSL's clients accept them.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(error) if is_ca_as_leaf(&error) && self.trusted.iter().any(|trusted| trusted == end_entity) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether the server's certificate is valid today, and refused since it is marked as a CA's.
fn is_ca_as_leaf(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else { return false };
    matches!(inner.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Describes a failed handshake, and what to change.
pub fn describe(error: &Error) -> &'static str {
    const OTHER: &str = "its certificate cannot be verified; give the server one that holds, or name its authority's in `SSL_CERT_FILE`";
    let Error::InvalidCertificate(certificate) = error else {
        return match error {
            Error::InvalidMessage(_) | Error::PeerMisbehaved(_) => {
                "the answer is not TLS; check the URL's scheme and port, and `HTTPS_PROXY`"
            }
            Error::AlertReceived(_) | Error::PeerIncompatible(_) => {
                "the server refused the TLS handshake; it must offer TLS 1.2 or 1.3"
            }
            _ => "the TLS handshake failed",
        };
    };
    match certificate {
        // Another authority of the same name makes a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from an authority that is not trusted; name that authority's certificate in `SSL_CERT_FILE`"
        }
        _ if is_ca_as_leaf(error) => {
            "its certificate is marked as an authority's and not trusted itself; name this very certificate in `SSL_CERT_FILE`"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it, also in `SSL_CERT_FILE` if it is named there"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; renew it, also in `SSL_CERT_FILE` if it is named there"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name, which `SSL_CERT_FILE` cannot change; check the URL, or give the server one for this name"
        }
        _ => OTHER,
    }
}
