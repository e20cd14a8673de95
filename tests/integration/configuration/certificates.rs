//! GitLab's certificate, as private authorities and `openssl req -x509` make it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::table::{Seen, faults, play};
use crate::support::{PROJECT, TOKEN, furnish};
use sandbox::{Authority, Sandbox};

/// A file of this content, for functions to read.
pub fn file(name: &str, content: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// The certificate of an authority that has certified nothing.
pub fn authority_pem() -> String {
    issuer().pem()
}

fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key, both in PEM.
struct Server {
    certificate: String,
    key: String,
}

/// Signed by itself and marked as a CA's, for `name`, valid between these years.
fn self_signed(name: &str, years: [i32; 2]) -> Server {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(years[0], 1, 1);
    params.not_after = rcgen::date_time_ymd(years[1], 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    Server { certificate, key: key.serialize_pem() }
}

/// What a function that trusts `trusted` makes of a GitLab that shows this certificate; all else is plain.
async fn with_gitlab(server: &Server, trusted: &[u8], name: &str) -> Seen {
    let path = file(&format!("{name}.pem"), trusted);
    let gitlab = Sandbox::start_secured(&Authority::showing(&server.certificate, &server.key, &path).unwrap()).unwrap();
    gitlab.gitlab.project(PROJECT).token(TOKEN);
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let url = gitlab.gitlab.url();
    let seen = play(&sandbox, &[("GITLAB_URL", &url), ("SSL_CERT_FILE", path.to_str().unwrap())]).await;
    assert_eq!(gitlab.gitlab.pipelines().len(), usize::from(is_started(&seen)), "{}", seen.printed);
    seen
}

fn is_started(seen: &Seen) -> bool {
    seen.run.link.is_some()
}

/// The fault is said by the check and in the log, the run waits, and no word of a library shows.
fn assert_refused(seen: &Seen, sentence: &str) {
    let faults = faults(&seen.check);
    assert!(!is_started(seen) && seen.run.status == "IN_PROGRESS", "{:?}", seen.run);
    assert!(faults.iter().any(|line| line.contains(sentence)), "{faults:#?}");
    assert!(seen.printed.contains(sentence), "{}", seen.printed);
    for word in ["invalid peer certificate", "causedasendentity", "unknownissuer", "rustls", "webpki"] {
        let shown = [seen.check.to_string(), seen.printed.clone()].concat().to_lowercase();
        assert!(!shown.contains(word), "{word}: {shown}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_marked_as_a_ca_is_trusted_where_it_is_named() {
    let server = self_signed("127.0.0.1", [2020, 2100]);
    let seen = with_gitlab(&server, server.certificate.as_bytes(), "self-signed").await;
    assert!(seen.check["ok"] == true && is_started(&seen), "{:#} {}", seen.check, seen.printed);
}

#[tokio::test]
async fn one_that_openssl_makes_is_trusted_too() {
    let folder = file("openssl", b"").with_extension("d");
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("crt.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .args([key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .output();
    let Ok(made) = made else {
        println!("there is no openssl here");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let server = Server { certificate: read(&certificate), key: read(&key) };
    let seen = with_gitlab(&server, server.certificate.as_bytes(), "openssl").await;
    assert!(seen.check["ok"] == true && is_started(&seen), "{:#} {}", seen.check, seen.printed);
}

#[tokio::test]
async fn its_name_and_its_dates_are_still_checked() {
    let other_name = self_signed("gitlab.example.com", [2020, 2100]);
    let seen = with_gitlab(&other_name, other_name.certificate.as_bytes(), "other-name").await;
    assert_refused(&seen, "its certificate is for another name, which `SSL_CERT_FILE` cannot change");
    let expired = self_signed("127.0.0.1", [2020, 2021]);
    let seen = with_gitlab(&expired, expired.certificate.as_bytes(), "expired").await;
    assert_refused(&seen, "its certificate has expired; renew it, also in `SSL_CERT_FILE`");
    let coming = self_signed("127.0.0.1", [2090, 2100]);
    let seen = with_gitlab(&coming, coming.certificate.as_bytes(), "coming").await;
    assert_refused(&seen, "its certificate is not valid yet");
}

#[tokio::test]
async fn the_key_is_still_checked() {
    let (server, thief) = (self_signed("127.0.0.1", [2020, 2100]), self_signed("127.0.0.1", [2020, 2100]));
    // Everybody can show the certificate; what it signs needs its key.
    let stolen = Server { certificate: server.certificate.clone(), key: thief.key };
    if Authority::showing(&stolen.certificate, &stolen.key, Path::new("")).is_ok() {
        let seen = with_gitlab(&stolen, server.certificate.as_bytes(), "stolen").await;
        assert_refused(&seen, "`SSL_CERT_FILE`");
    }
}

#[tokio::test]
async fn one_that_is_not_named_is_refused_in_words_that_name_the_setting() {
    let (server, other) = (self_signed("127.0.0.1", [2020, 2100]), authority_pem());
    let seen = with_gitlab(&server, other.as_bytes(), "not-named").await;
    assert_refused(&seen, "name this very certificate in `SSL_CERT_FILE`");
}

#[tokio::test]
async fn an_authority_certifies_as_before_and_another_one_does_not() {
    let issuer = issuer();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let server = Server { certificate: leaf.pem(), key: key.serialize_pem() };
    let seen = with_gitlab(&server, issuer.pem().as_bytes(), "authority").await;
    assert!(seen.check["ok"] == true && is_started(&seen), "{:#} {}", seen.check, seen.printed);
    let seen = with_gitlab(&server, authority_pem().as_bytes(), "another-authority").await;
    assert_refused(
        &seen,
        "its certificate comes from an authority that is not trusted; name that authority's certificate in `SSL_CERT_FILE`",
    );
}

#[tokio::test]
async fn a_bad_certificate_among_good_ones_is_passed_over_counted_and_placed() {
    let server = self_signed("127.0.0.1", [2020, 2100]);
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let content = format!("# our authorities\n{bad}{}", server.certificate);
    let seen = with_gitlab(&server, content.as_bytes(), "mixed").await;
    let sentence =
        "`SSL_CERT_FILE`: 1 of 2 certificates are passed over (line 2: a certificate that is cut short or no X.509)";
    assert!(is_started(&seen) && seen.printed.contains(sentence), "{}", seen.printed);
    let faults = faults(&seen.check);
    assert!(faults.len() == 1 && faults[0].contains(sentence), "{faults:#?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told_in_plain_words() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let url = sandbox.gitlab.url().replace("http://", "https://");
    let seen = play(&sandbox, &[("GITLAB_URL", &url)]).await;
    assert_refused(&seen, "the answer is not TLS; check the URL's scheme and port, and `HTTPS_PROXY`");
}
