//! `SSL_CERT_FILE`: the certificates that are trusted beside the public roots.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::reader::Reader;

const VARIABLE: &str = "SSL_CERT_FILE";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// What a file of certificates holds.
#[derive(Clone, Default)]
pub struct TrustedCertificates {
    /// Each as it is in the file, all of them usable.
    pub certificates: Vec<CertificateDer<'static>>,
    /// What was passed over, if anything, counted and placed.
    pub warning: Option<String>,
}

impl fmt::Debug for TrustedCertificates {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} trusted certificates", self.certificates.len())
    }
}

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// Fails where the file holds no certificate that can be used.
    pub fn trusted_certificates(&mut self) -> TrustedCertificates {
        const HINT: &str = "give the path of a PEM file: each certificate between the lines `-----BEGIN CERTIFICATE-----` \
                            and `-----END CERTIFICATE-----`, nothing before or behind them";
        let Some(path) = self.text(VARIABLE) else { return TrustedCertificates::default() };
        match std::fs::read(&path)
            .map_err(|error| format!("cannot be read: {}", error.kind()))
            .and_then(|file| parse(&file))
        {
            Ok(trusted) => trusted,
            Err(what) => {
                self.fault(VARIABLE, what, HINT);
                TrustedCertificates::default()
            }
        }
    }
}

/// Something in the file that is no usable certificate, by the line where it begins.
struct Unusable {
    line: usize,
    what: &'static str,
}

fn parse(file: &[u8]) -> Result<TrustedCertificates, String> {
    let Ok(text) = std::str::from_utf8(file) else {
        return Err(
            "holds no PEM text; a certificate in DER can be converted with `openssl x509 -inform der`".to_owned()
        );
    };
    let (certificates, unusable) = sections(text.trim_start_matches('\u{feff}'));
    let list: Vec<String> = unusable.iter().map(|one| format!("line {}: {}", one.line, one.what)).collect();
    if certificates.is_empty() {
        return Err(match list.as_slice() {
            [] => "holds no certificate".to_owned(),
            list => format!("holds no certificate that can be used ({})", list.join("; ")),
        });
    }
    let warning = (!list.is_empty()).then(|| {
        let all = certificates.len() + list.len();
        format!("`{VARIABLE}`: {} of {all} certificates are passed over ({})", list.len(), list.join("; "))
    });
    Ok(TrustedCertificates { certificates, warning })
}

fn sections(text: &str) -> (Vec<CertificateDer<'static>>, Vec<Unusable>) {
    let (mut certificates, mut unusable) = (Vec::new(), Vec::new());
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim_end());
        if let Some((begun, mut pem)) = open.take() {
            pem.push_str(line);
            pem.push('\n');
            match line {
                END => match certificate(&pem) {
                    Ok(certificate) => certificates.push(certificate),
                    Err(what) => unusable.push(Unusable { line: begun, what }),
                },
                _ if line.contains("-----END") && line.contains("-----BEGIN") => {
                    unusable.push(Unusable { line: number, what: "an end and a beginning share this line" });
                }
                BEGIN => {
                    unusable.push(Unusable { line: begun, what: "a certificate that does not end" });
                    open = Some((number, pem_start()));
                }
                _ if line.contains("-----") => {
                    unusable.push(Unusable { line: begun, what: "a certificate that does not end" });
                }
                _ => open = Some((begun, pem)),
            }
        } else if line == BEGIN {
            open = Some((number, pem_start()));
        } else if line.contains("-----BEGIN") {
            unusable.push(Unusable { line: number, what: wrong_beginning(line) });
        }
    }
    if let Some((line, _)) = open {
        unusable.push(Unusable { line, what: "a certificate that does not end" });
    }
    (certificates, unusable)
}

fn pem_start() -> String {
    [BEGIN, "\n"].concat()
}

fn wrong_beginning(line: &str) -> &'static str {
    match line.trim_start() {
        trimmed if trimmed.len() < line.len() => "a beginning that is indented",
        trimmed if trimmed.starts_with("-----BEGIN TRUSTED CERTIFICATE") => {
            "a `TRUSTED CERTIFICATE` of OpenSSL, which `openssl x509` converts"
        }
        trimmed if trimmed.contains("PRIVATE KEY") => "a private key, which does not belong here",
        _ => "no certificate",
    }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, &'static str> {
    let certificate =
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| "a certificate whose base64 is broken")?;
    RootCertStore::empty().add(certificate.clone()).map_err(|_| "a certificate that is cut short or no X.509")?;
    Ok(certificate)
}
