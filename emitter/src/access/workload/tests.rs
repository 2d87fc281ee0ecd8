use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::json;

use super::*;
use crate::access::policy;

struct Lab {
    key: KeyPair,
    trusted: Trusted,
    _directory: tempfile::TempDir,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Lab {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        // An uncompressed point: a byte that says so, then both coordinates.
        let point = key.der_bytes();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        let set = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "one",
            "x": coordinate(1..33), "y": coordinate(33..65),
        }]});
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        std::fs::write(&file, set.to_string()).unwrap();
        let issuer = Issuer {
            issuer: "https://west".to_owned(),
            audiences: vec!["heliograph".to_owned()],
            keys: policy::Keys {
                file: Some(file),
                ..policy::Keys::default()
            },
            user_prefix: "west:".to_owned(),
        };
        Self {
            key,
            trusted: Trusted::open(&issuer).unwrap(),
            _directory: directory,
        }
    }

    /// Signs what a token of a service account claims, with that changed.
    fn token(&self, kid: &str, change: &Value) -> String {
        let mut claims = json!({
            "iss": "https://west",
            "sub": "system:serviceaccount:shop:reader",
            "aud": ["heliograph"],
            "exp": now() + 600,
            "nbf": now() - 1,
            "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "reader", "uid": "u"}},
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid});
        let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let random = ring::rand::SystemRandom::new();
        let key = ring::signature::EcdsaKeyPair::from_pkcs8(
            &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &self.key.serialize_der(),
            &random,
        );
        let signed = key.unwrap().sign(&random, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
    }
}

#[tokio::test]
async fn a_service_account_of_another_cluster_is_known_by_its_own_token() {
    let lab = Lab::new();
    let token = lab.token("one", &json!({}));
    assert_eq!(claimed_issuer(&token).as_deref(), Some("https://west"));
    let user = lab.trusted.user(&token).await.unwrap();
    assert_eq!(user.name, "west:system:serviceaccount:shop:reader");
    let groups = [
        "west:system:serviceaccounts",
        "west:system:serviceaccounts:shop",
        "system:authenticated",
    ];
    assert_eq!(
        (user.groups, user.uid.as_str()),
        (groups.map(str::to_owned).to_vec(), "u")
    );
    assert_eq!(user.claims["kubernetes.io"]["namespace"], "shop");
}

#[tokio::test]
async fn tokens_for_another_audience_or_time_are_rejected() {
    let lab = Lab::new();
    for (reason, change) in [
        (
            Reason::WrongAudience,
            json!({"aud": ["https://kubernetes.default.svc"]}),
        ),
        (Reason::Malformed, json!({"iss": "https://east"})),
        (Reason::Expired, json!({"exp": now() - 60})),
        (Reason::NotYetValid, json!({"nbf": now() + 60})),
        (Reason::Malformed, json!({"exp": null})),
        (Reason::ReservedSubject, json!({"sub": ""})),
    ] {
        let token = lab.token("one", &change);
        let cause = lab.trusted.user(&token).await.unwrap_err();
        assert_eq!(cause.reason, reason, "{change}: {cause:?}");
    }
    let unknown_key = lab.token("two", &json!({}));
    let cause = lab.trusted.user(&unknown_key).await.unwrap_err();
    assert_eq!(cause.reason, Reason::UnknownKey);
    let forged = Lab::new().token("one", &json!({}));
    let cause = lab.trusted.user(&forged).await.unwrap_err();
    assert_eq!(cause.reason, Reason::InvalidSignature);
    let good = lab.token("one", &json!({}));
    let (head, _) = good.rsplit_once('.').unwrap();
    assert!(lab.trusted.user(&format!("{head}.")).await.is_err());
    // Claims that are not signed at all.
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"one"}"#);
    let claims = good.split('.').nth(1).unwrap();
    assert!(
        lab.trusted
            .user(&format!("{none}.{claims}."))
            .await
            .is_err()
    );
}

#[test]
fn text_that_is_no_token_claims_nothing() {
    for text in ["", "x", "a.b.c", "a.e30.c", &"x".repeat(1 << 20)] {
        assert_eq!(claimed_issuer(text), None);
    }
}

#[tokio::test]
async fn an_authenticated_user_stays_so_until_a_change() {
    let lab = Lab::new();
    let user = lab
        .trusted
        .user(&lab.token("one", &json!({})))
        .await
        .unwrap();
    let now = |change: &dyn Fn(&mut Issuer)| {
        let mut issuer = lab.trusted.issuer.clone();
        change(&mut issuer);
        Trusted::open(&issuer).unwrap().still_knows(&user)
    };
    assert!(now(&|_| {}));
    assert!(now(&|it| it.audiences.push("more".to_owned())));
    assert!(!now(&|it| it.audiences = vec!["other".to_owned()]));
    assert!(!now(&|it| it.user_prefix = "east:".to_owned()));
}

#[test]
fn keys_that_are_known_stay_with_their_issuer() {
    let lab = Lab::new();
    let mut issuer = lab.trusted.issuer.clone();
    issuer.keys = policy::Keys {
        url: "https://west.example/jwks".parse().ok(),
        ..policy::Keys::default()
    };
    let before = Trusted::open(&issuer).unwrap();
    issuer.audiences.push("more".to_owned());
    let after = Trusted::open(&issuer)
        .unwrap()
        .with_keys_of(&before)
        .unwrap();
    assert!(Arc::ptr_eq(&after.keys, &before.keys));
    assert_eq!(after.issuer.audiences.len(), 2);
    issuer.keys.url = "https://east.example/jwks".parse().ok();
    let moved = Trusted::open(&issuer).unwrap();
    assert!(moved.with_keys_of(&before).is_none());
    assert!(
        lab.trusted.with_keys_of(&lab.trusted).is_none(),
        "a file has been read"
    );
}

#[tokio::test]
async fn claims_of_time_are_numbers() {
    let lab = Lab::new();
    for claims in [
        json!({"nbf": (now() + 3600).to_string()}),
        json!({"nbf": now() + 3600}),
        json!({"nbf": {}}),
        json!({"exp": (now() + 600).to_string()}),
        json!({"exp": 1e300}),
        json!({"exp": -1}),
    ] {
        let token = lab.token("one", &claims);
        assert!(lab.trusted.user(&token).await.is_err(), "{claims}");
    }
}

#[test]
fn an_issuer_without_a_prefix_names_no_part_of_kubernetes() {
    let claims = |subject: &str| json!({"sub": subject, "groups": ["system:masters", "readers"]});
    let known = user(claims("somebody"), "").unwrap();
    assert!(
        !known.groups.contains(&"system:masters".to_owned()),
        "{known:?}"
    );
    assert!(known.groups.contains(&"readers".to_owned()));
    for subject in ["system:admin", "system:anonymous", "system:node:a"] {
        assert_eq!(user(claims(subject), ""), None, "{subject}");
        assert!(user(claims(subject), "west:").is_some());
    }
    assert!(user(claims("system:serviceaccount:a:b"), "").is_some());
}
