use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use super::*;

/// A CA and a client certificate of the form X.509 v1 that it signed, valid from 2026 to
/// 2126: `openssl x509 -req` without extensions.
const V1: &str = include_str!("v1.pem");

fn v1() -> (CertificateDer<'static>, CertificateDer<'static>) {
    let mut both = CertificateDer::pem_slice_iter(V1.as_bytes()).map(Result::unwrap);
    (both.next().unwrap(), both.next().unwrap())
}

fn in_2100() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(4_102_444_800))
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let params = params("authority", IsCa::Ca(BasicConstraints::Unconstrained));
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn verify(
    trusted: &CertificateDer<'_>,
    own: &CertificateDer<'_>,
    name: &str,
) -> Result<(), String> {
    crate::client::install_crypto();
    let serving = Serving::new(vec![trusted.clone().into_owned()]).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let judged = serving.verify_server_cert(own, &[], &name, &[], in_2100());
    judged.map(|_| ()).map_err(|why| why.to_string())
}

#[test]
fn a_serving_certificate_that_is_given_as_the_authority_is_trusted() {
    let key = KeyPair::generate().unwrap();
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for is_ca in [ca, IsCa::NoCa, IsCa::ExplicitNoCa] {
        let own = params("server", is_ca).self_signed(&key).unwrap();
        verify(own.der(), own.der(), "localhost").unwrap();
        let why = verify(own.der(), own.der(), "elsewhere").unwrap_err();
        assert!(
            why.contains("CN=server") || why.contains("elsewhere"),
            "{why}"
        );
    }
}

#[test]
fn a_leaf_of_another_authority_is_trusted_where_it_is_given() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let leaf = params("server", IsCa::NoCa)
        .signed_by(&key, &authority)
        .unwrap();
    verify(leaf.der(), leaf.der(), "localhost").unwrap();
    verify(authority.der(), leaf.der(), "localhost").unwrap();
}

#[test]
fn a_serving_certificate_may_be_an_authority_if_a_trusted_one_signed_it() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params("server", is_ca).signed_by(&key, &authority).unwrap();
    verify(authority.der(), own.der(), "localhost").unwrap();

    let other = self::authority();
    let why = verify(other.der(), own.der(), "localhost").unwrap_err();
    assert!(why.contains("CN=server"), "{why}");
}

#[test]
fn a_refusal_names_the_certificate_and_the_remedy() {
    let key = KeyPair::generate().unwrap();
    let own = params("server", IsCa::NoCa).self_signed(&key).unwrap();
    let given = authority();
    let why = verify(given.der(), own.der(), "localhost").unwrap_err();
    for part in [
        "CN=server",
        "CN=authority",
        "UnknownIssuer",
        "give the certificate",
    ] {
        assert!(why.contains(part), "{why}");
    }
    let why = verify(own.der(), own.der(), "elsewhere").unwrap_err();
    assert!(why.contains("subject alternative name"), "{why}");
    // Go refuses it too: it has no subject alternative name.
    let (ca, v1) = v1();
    let why = verify(&ca, &v1, "west").unwrap_err();
    assert!(
        why.contains("X.509 v1") && why.contains("-extfile"),
        "{why}"
    );
}

#[test]
fn a_v1_client_certificate_needs_its_authority_and_its_time() {
    let (ca, own) = v1();
    assert!(is_v1(&own) && !is_v1(&ca));
    let judge =
        |trusted: &[CertificateDer<'static>], now| verify_client(&own, trusted, now, &algorithms());
    judge(std::slice::from_ref(&ca), in_2100()).unwrap();
    let other = authority().der().clone();
    judge(&[other], in_2100()).unwrap_err();
    judge(&[], in_2100()).unwrap_err();
    let late = UnixTime::since_unix_epoch(Duration::from_secs(7_258_118_400));
    judge(&[ca], late).unwrap_err();

    // The same certificate with another subject is not what the authority signed.
    let mut forged = own.to_vec();
    let at = forged.windows(4).position(|it| it == b"west").unwrap();
    forged[at..at + 4].copy_from_slice(b"east");
    let (ca, _) = v1();
    verify_client(&forged.into(), &[ca], in_2100(), &algorithms()).unwrap_err();
}

#[test]
fn a_v1_certificate_proves_its_key_in_either_version_of_tls() {
    use rustls::sign::SigningKey;

    let (_, own) = v1();
    let key =
        rustls::pki_types::PrivateKeyDer::from_pem_slice(include_bytes!("v1.key.pem")).unwrap();
    let key: Arc<dyn SigningKey> = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let scheme = rustls::SignatureScheme::ECDSA_NISTP256_SHA256;
    let signer = key.choose_scheme(&[scheme]).unwrap();
    let (_, parsed) = X509Certificate::from_der(&own).unwrap();
    let public = der::PublicKey::of(parsed.public_key().raw).unwrap();
    let signature = signer.sign(b"message").unwrap();
    let (_, candidates) = algorithms()
        .mapping
        .iter()
        .find(|it| it.0 == scheme)
        .unwrap();
    assert!(public.has_signed(b"message", &signature, candidates[0]));
    assert!(!public.has_signed(b"massage", &signature, candidates[0]));
}
