use std::os::unix::fs::PermissionsExt;

use super::{Certificate, Certificates, Error, NamedPair, Path, Sources, Suites};

fn sources(certificate: Certificate) -> Sources {
    runtime::client::install_crypto();
    Sources {
        certificate,
        named: Vec::new(),
        suites: Suites::default(),
        client_ca: None,
    }
}

fn load(sources: Sources) -> Result<std::sync::Arc<Certificates>, Error> {
    Certificates::load(sources)
}

fn refusal(sources: Sources) -> String {
    load(sources).err().unwrap().to_string()
}

#[test]
fn a_certificate_is_made_where_there_is_none() {
    let made = load(sources(Certificate::SelfSigned)).unwrap();
    assert!(made.sources.paths().is_empty());
    assert!(made.trusts(&[]).is_none());
}

#[test]
fn a_missing_file_is_named_with_its_flag() {
    let why = refusal(sources(Certificate::Files {
        cert: "/nowhere/tls.crt".into(),
        key: "/nowhere/tls.key".into(),
    }));
    assert!(why.contains("/nowhere/tls.crt (--tls-cert-file)"), "{why}");
    let named = "/nowhere/a.crt,/nowhere/a.key".parse::<NamedPair>();
    let why = refusal(Sources {
        named: vec![named.unwrap()],
        ..sources(Certificate::SelfSigned)
    });
    assert!(why.contains("/nowhere/a.crt (--tls-sni-cert-key)"), "{why}");
}

#[test]
fn a_file_without_a_certificate_is_named_with_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("c"), directory.path().join("k"));
    std::fs::write(&cert, "truncated").unwrap();
    let made = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&key, made.serialize_pem()).unwrap();
    let why = refusal(sources(Certificate::Files { cert, key }));
    assert!(why.starts_with("no certificate is in "), "{why}");
    assert!(why.contains("(--tls-cert-file)"), "{why}");
}

#[test]
fn a_made_up_certificate_is_kept_where_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("local/certificates");
    let kept = sources(Certificate::Kept(path.clone()));
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    load(kept.clone()).unwrap();
    let first = (read("emitter.crt"), read("emitter.key"));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path.join("emitter.key")), 0o600);
    load(kept.clone()).unwrap();
    assert_eq!((read("emitter.crt"), read("emitter.key")), first);
    assert_eq!(
        kept.paths().len(),
        2,
        "what is replaced there is read again"
    );

    std::fs::remove_file(path.join("emitter.key")).unwrap();
    assert!(refusal(kept).contains("has one of"));
    let nowhere = "/proc/heliograph".into();
    let why = refusal(sources(Certificate::Kept(nowhere)));
    assert!(why.contains("/proc/heliograph (--cert-dir)"), "{why}");
}

#[test]
fn certificates_from_files_have_an_expiration_time() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Certificate::Kept(directory.path().to_owned());
    let served = load(sources(kept)).unwrap();
    let [(file, seconds)] = &served.expirations()[..] else {
        panic!("one certificate");
    };
    assert!(file.ends_with("emitter.crt"));
    assert!(*seconds > 2_000_000_000, "{seconds}");
    let made = load(sources(Certificate::SelfSigned)).unwrap();
    assert!(made.expirations().is_empty());
}
