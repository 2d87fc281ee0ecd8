use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::json;

use super::{Authority, decode};

fn secret(authority: &Authority) -> serde_json::Value {
    let encode = |it: &str| json!(k8s_openapi::ByteString(it.as_bytes().to_vec()));
    json!({"data": {
        "tls.crt": encode(&authority.certificate),
        "tls.key": encode(&authority.key),
    }})
}

fn verifies(ca: &str, serving: &str, name: &str) -> bool {
    runtime::client::install_crypto();
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(ca.unwrap()).unwrap();
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(serving.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap();
    let verifier = WebPkiServerVerifier::builder(roots.into()).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
        .is_ok()
}

#[test]
fn a_serving_certificate_is_trusted_by_its_authority_and_for_its_names_alone() {
    let ours = Authority::make().unwrap();
    let other = Authority::make().unwrap();
    let names = [
        "heliograph-emitter.heliograph.svc".to_owned(),
        "10.1.0.7".to_owned(),
    ];
    // What is read from the Secret signs as what was made.
    let read = Authority::read("ca", &secret(&ours)).unwrap().unwrap();
    assert_eq!(read, ours);
    let serving = read.serving(&names).unwrap();
    for name in &names {
        assert!(verifies(&ours.certificate, &serving, name), "{name}");
        assert!(!verifies(&other.certificate, &serving, name), "{name}");
    }
    assert!(!verifies(&ours.certificate, &serving, "localhost"));
    // While authorities change, consumers trust both.
    let both = format!("{}{}", other.certificate, ours.certificate);
    assert!(verifies(&both, &serving, &names[0]));
}

#[test]
fn a_secret_is_empty_or_has_a_whole_authority() {
    for empty in [json!({}), json!({"data": {"tls.crt": "", "tls.key": ""}})] {
        assert_eq!(Authority::read("ca", &empty).unwrap(), None);
    }
    let mut half = secret(&Authority::make().unwrap());
    half["data"]["tls.key"] = json!("");
    let why = Authority::read("ca", &half).unwrap_err().to_string();
    assert!(
        why.contains("Secret ca (--ca-secret)") && why.contains("tls.key is missing"),
        "{why}"
    );
    half["data"]["tls.key"] = json!("bm9uc2Vuc2U=");
    assert!(Authority::read("ca", &half).is_err());
    half["data"]["tls.key"] = json!("!");
    assert!(Authority::read("ca", &half).is_err());
    assert_eq!(decode("bm8="), Some(b"no".to_vec()));
}
