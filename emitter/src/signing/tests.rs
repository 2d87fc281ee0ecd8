use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::json;

use super::{Authority, Renewal, Signing, decode};

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;

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

type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

/// An API server with these objects, which it only gets and puts.
fn api_server(objects: &Objects) -> kube::Client {
    let objects = Arc::clone(objects);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let objects = Arc::clone(&objects);
        async move {
            let path = request.uri().path().to_owned();
            let is_put = request.method() == http::Method::PUT;
            let body = request.into_body().collect().await?.to_bytes();
            let mut objects = objects.lock();
            if is_put {
                let mut object: Value = serde_json::from_slice(&body)?;
                for (key, text) in object["stringData"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default()
                {
                    let text = text.as_str().unwrap_or_default().as_bytes().to_vec();
                    object["data"][key] = json!(k8s_openapi::ByteString(text));
                }
                objects.insert(path.clone(), object);
            }
            let answer = objects[&path].to_string().into_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(http::Response::new(Body::from(
                answer,
            )))
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test]
async fn a_ca_that_is_emptied_is_followed_by_the_next_which_consumers_trust_already() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("/api/v1/namespaces/h/{name}");
    let kinds = ["secrets/ca", "secrets/next", "configmaps/ca"];
    let objects = kinds.map(|it| (path(it), json!({})));
    let objects: Objects = Arc::new(Mutex::new(objects.into()));
    let names = vec!["emitter.h.svc".to_owned()];
    let replica = |name: &str| Renewal {
        signing: Signing {
            namespace: "h".to_owned(),
            secrets: vec!["ca".to_owned(), "next".to_owned()],
            names: names.clone(),
            directory: directory.path().join(name),
        },
        client: api_server(&objects),
        signed: None,
    };
    let serving = |name: &str| {
        let file = Signing::file(&directory.path().join(name));
        std::fs::read_to_string(file).unwrap()
    };
    let trusted = || {
        let map = objects.lock()[&path("configmaps/ca")].clone();
        map["data"]["ca.crt"].as_str().unwrap().to_owned()
    };
    let (mut one, mut other) = (replica("one"), replica("other"));
    for it in ["one", "other"] {
        std::fs::create_dir(directory.path().join(it)).unwrap();
    }
    one.renew().await.unwrap();
    other.renew().await.unwrap();
    let (before, former) = (trusted(), serving("other"));
    assert_eq!(before.matches("BEGIN").count(), 2);
    // Nothing changes by itself.
    one.renew().await.unwrap();
    assert_eq!(before, trusted());

    objects
        .lock()
        .insert(path("secrets/ca"), json!({"data": null}));
    one.renew().await.unwrap();
    other.renew().await.unwrap();
    for it in ["one", "other"] {
        assert!(verifies(&before, &serving(it), &names[0]), "{it}");
        assert!(verifies(&trusted(), &serving(it), &names[0]), "{it}");
    }
    assert!(
        !verifies(&trusted(), &former, &names[0]),
        "the former CA is gone"
    );
    assert_eq!(trusted().matches("BEGIN").count(), 2);

    // Again, now that consumers have what was published since.
    let before = trusted();
    objects.lock().insert(path("secrets/ca"), json!({}));
    other.renew().await.unwrap();
    assert!(verifies(&before, &serving("other"), &names[0]));
}
