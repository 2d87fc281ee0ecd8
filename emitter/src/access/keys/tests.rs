use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex as Locked;
use serde_json::json;

use super::*;
use crate::access::policy;

/// An issuer that says what it is told to, and notes who asks.
#[derive(Clone)]
struct Server {
    url: String,
    says: Arc<Locked<HashMap<String, (u16, String)>>>,
    asked: Arc<Locked<Vec<String>>>,
    task: Arc<Locked<tokio::task::JoinSet<std::io::Result<()>>>>,
}

const JWKS: &str = "/openid/v1/jwks";
const DOCUMENT: &str = "/.well-known/openid-configuration";

impl Server {
    async fn start() -> Self {
        runtime::client::install_crypto();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            says: Arc::default(),
            asked: Arc::default(),
            task: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        let serve = async move { axum::serve(listener, router).await };
        server.task.lock().spawn(serve);
        server
    }

    fn says(&self, path: &str, status: u16, text: &impl ToString) {
        let answer = (status, text.to_string());
        self.says.lock().insert(path.to_owned(), answer);
    }

    fn has_keys(&self, names: &[&str]) {
        self.says(JWKS, 200, &set(names));
    }

    fn n_asked(&self) -> usize {
        self.asked.lock().len()
    }

    fn keys(&self, change: impl FnOnce(&mut Issuer)) -> JwksSource {
        let mut issuer = Issuer {
            issuer: self.url.clone(),
            audiences: vec!["a".to_owned()],
            keys: policy::Keys::default(),
            user_prefix: String::new(),
        };
        change(&mut issuer);
        JwksSource::open(&issuer).unwrap()
    }

    fn by_url(&self) -> JwksSource {
        let url = format!("{}{JWKS}", self.url).parse().ok();
        self.keys(|issuer| issuer.keys.url = url)
    }
}

async fn answer(State(server): State<Server>, uri: Uri, headers: HeaderMap) -> Response {
    let token = headers.get("authorization").map(|it| it.to_str().unwrap());
    let asked = format!("{} {}", uri.path(), token.unwrap_or("-"));
    server.asked.lock().push(asked);
    let says = server.says.lock().get(uri.path()).cloned();
    let (status, text) = says.unwrap_or((404, String::new()));
    (StatusCode::from_u16(status).unwrap(), text).into_response()
}

fn set(names: &[&str]) -> serde_json::Value {
    // The example of RFC 7517.
    let key = |name: &&str| {
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": name,
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        })
    };
    json!({ "keys": names.iter().map(key).collect::<Vec<_>>() })
}

const AT_ONCE: FetchBackoff = FetchBackoff {
    refresh: Duration::ZERO,
    ask_again: Duration::ZERO,
};

#[tokio::test]
async fn a_key_is_asked_for_when_a_token_needs_it_and_not_too_often() {
    let server = Server::start().await;
    server.has_keys(&["one"]);
    let keys = server.by_url();
    assert!(keys.find(Some("one")).await.is_some());
    assert!(keys.find(None).await.is_some(), "it is the only one");
    assert_eq!(server.n_asked(), 1);
    server.has_keys(&["one", "two"]);
    for _ in 0..20 {
        assert!(keys.find(Some("made-up")).await.is_none());
    }
    assert!(
        keys.find(Some("two")).await.is_none(),
        "it has just been asked"
    );
    assert_eq!(keys.refresh().await, None);
    assert_eq!(server.n_asked(), 1);
    let rotated = JwksSource {
        pace: AT_ONCE,
        ..keys
    };
    assert!(rotated.find(Some("two")).await.is_some());
    assert!(rotated.find(None).await.is_none(), "there are two");
    server.has_keys(&["two"]);
    assert_eq!(rotated.refresh().await, Some(true));
    assert!(rotated.known(Some("one")).is_none(), "it was taken back");
}

#[tokio::test]
async fn an_issuer_that_fails_keeps_nobody_out() {
    let server = Server::start().await;
    server.has_keys(&["one"]);
    let keys = JwksSource {
        pace: AT_ONCE,
        ..server.by_url()
    };
    assert_eq!(keys.refresh().await, Some(true));
    let long = set(&[&"x".repeat(2 << 20)]);
    let ring = json!({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]});
    for (status, text) in [
        (500, set(&["two"]).to_string()),
        (200, String::new()),
        (200, "{\"keys\": []}".to_owned()),
        (200, long.to_string()),
        (200, ring.to_string()),
        (302, String::new()),
    ] {
        server.says(JWKS, status, &text);
        assert_eq!(keys.refresh().await, Some(false), "{status}");
        assert!(keys.is_failing().await);
        assert!(keys.find(Some("one")).await.is_some(), "{status}");
        assert!(keys.find(Some("two")).await.is_none(), "{status}");
    }
    server.has_keys(&["two"]);
    assert_eq!(keys.refresh().await, Some(true));
    assert!(!keys.is_failing().await && keys.find(Some("two")).await.is_some());
}

#[tokio::test]
async fn a_discovery_document_leads_to_the_keys() {
    let server = Server::start().await;
    let other = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let keys = server.keys(|issuer| issuer.keys.token_file = Some(token));
    let keys = JwksSource {
        pace: AT_ONCE,
        ..keys
    };
    let document = |issuer: &str, jwks: &str| json!({"issuer": issuer, "jwks_uri": jwks});
    for (issuer, jwks, is_usable) in [
        (&server.url, format!("{}{JWKS}", server.url), true),
        (&other.url, format!("{}{JWKS}", server.url), false),
        (&server.url, "nowhere".to_owned(), false),
        (&server.url, format!("{}{JWKS}", other.url), true),
    ] {
        server.says(DOCUMENT, 200, &document(issuer, &jwks));
        server.has_keys(&["here"]);
        other.has_keys(&["there"]);
        assert_eq!(keys.refresh().await, Some(is_usable), "{issuer} {jwks}");
    }
    assert!(keys.known(Some("there")).is_some());
    let with_token = |path| format!("{path} Bearer secret");
    assert!(server.asked.lock().contains(&with_token(JWKS)));
    assert!(server.asked.lock().contains(&with_token(DOCUMENT)));
    let asked = other.asked.lock().clone();
    assert_eq!(asked, [format!("{JWKS} -")], "it is not for others");
}

#[test]
fn keys_are_found_nowhere_for_an_issuer_that_is_no_url() {
    let issuer = |name: &str, keys| Issuer {
        issuer: name.to_owned(),
        audiences: Vec::new(),
        keys,
        user_prefix: String::new(),
    };
    let none = policy::Keys::default;
    let open = |it: &Issuer| JwksSource::open(it).err();
    assert_eq!(open(&issuer("https://a.example/b/", none())), None);
    let document = issuer("https://a.example/b/", none()).document().unwrap();
    let path = "https://a.example/b/.well-known/openid-configuration";
    assert_eq!(document, path);
    for name in ["west", "ftp://west", ""] {
        assert!(open(&issuer(name, none())).is_some(), "{name}");
    }
    let elsewhere = policy::Keys {
        discovery_url: "https://b.example/c".parse().ok(),
        ..none()
    };
    assert_eq!(open(&issuer("west", elsewhere)), None);
}

#[test]
fn a_key_says_by_which_algorithm_it_signs() {
    let key_of = |change: serde_json::Value| {
        let mut key = set(&["a"])["keys"][0].take();
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        super::key(key).map(|(_, (algorithm, _))| algorithm)
    };
    let rsa = json!({"kty": "RSA", "n": "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nLVkjRo9z-40RQzuVaE8AkAFmxZzow3x-VJYKdjykkJ0iT9wCS0DRTXu269V264Vf_3jvredZiKRkgwlL9xNAwxXFg0x_XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC-9aGVd-Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmw", "e": "AQAB"});
    let with = |algorithm: &str| {
        let mut rsa = rsa.clone();
        rsa["alg"] = algorithm.into();
        rsa
    };
    for (change, algorithm) in [
        (json!({}), Some(Algorithm::ES256)),
        (json!({"use": "enc"}), None),
        (rsa.clone(), Some(Algorithm::RS256)),
        (with("RS512"), Some(Algorithm::RS512)),
        (with("RSA-OAEP"), None),
    ] {
        assert_eq!(key_of(change.clone()), algorithm, "{change}");
    }
}

#[tokio::test]
async fn a_key_of_an_unknown_curve_does_not_keep_withdrawn_keys_in_use() {
    let server = Server::start().await;
    server.has_keys(&["stolen", "kept"]);
    let keys = JwksSource {
        pace: AT_ONCE,
        ..server.by_url()
    };
    assert_eq!(keys.refresh().await, Some(true));
    let mut next = set(&["kept"]);
    for unknown in [
        json!({"kty": "EC", "crv": "P-999", "kid": "new", "x": "AA", "y": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "newer", "pub": "AA"}),
        json!("no key at all"),
    ] {
        next["keys"].as_array_mut().unwrap().push(unknown);
    }
    server.says(JWKS, 200, &next);
    assert_eq!(keys.refresh().await, Some(true));
    assert!(keys.known(Some("stolen")).is_none(), "it was withdrawn");
    assert!(keys.known(Some("kept")).is_some());
}
