use std::error::Error as _;
use std::path::{Path, PathBuf};

use http::Request;
use kube::client::Body;

use super::*;
use crate::mock_server::{Answer, MockServer};

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: east
contexts:
- name: east
  context: {cluster: east, user: me}
- name: west
  context: {cluster: east, user: me}
clusters:
- name: east
  cluster: {server: 'https://192.0.2.1:1'}
users:
- name: me
  user: {token: secret}
";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn kubeconfig(path: &Path, context: Option<&str>) -> Access {
    Access::Kubeconfig {
        path: path.to_owned(),
        context: context.map(str::to_owned),
    }
}

fn url(url: &str, ca_file: Option<PathBuf>) -> Access {
    Access::Url {
        url: url.parse().unwrap(),
        authority: ca_file.map(Authority::File),
        token: None,
        identity: None,
        proxy: None,
    }
}

/// Compares the message, in which `FILE` stands for the path.
async fn refuses(access: Access, path: &Path, message: &str) -> Error {
    let error = connect(&access, "test").await.err().unwrap();
    let said = error.to_string().replace(path.to_str().unwrap(), "FILE");
    assert_eq!(said, message);
    error
}

#[tokio::test]
async fn connecting_contacts_nobody() {
    let files = Files::new();
    let path = files.with("config", KUBECONFIG);
    connect(&kubeconfig(&path, None), "test").await.unwrap();
    connect(&kubeconfig(&path, Some("west")), "test")
        .await
        .unwrap();
    connect(&url("https://192.0.2.1", None), "test")
        .await
        .unwrap();
}

#[tokio::test]
async fn credentials_are_sent_by_https_or_within_this_machine() {
    let files = Files::new();
    let plain = KUBECONFIG.replace("https://192.0.2.1:1", "http://192.0.2.1:1");
    let path = files.with("config", &plain);
    let message = "kubeconfig FILE sends credentials to http://192.0.2.1:1/ over plain HTTP: use an \
                   https:// server, or remove the credentials";
    refuses(kubeconfig(&path, None), &path, message).await;
    let near = KUBECONFIG.replace("https://192.0.2.1:1", "http://127.0.0.1:1");
    let path = files.with("near", &near);
    connect(&kubeconfig(&path, None), "test").await.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_named() {
    let path = PathBuf::from("/nonexistent/config");
    let error = refuses(
        kubeconfig(&path, None),
        &path,
        "cannot read kubeconfig FILE: check that the file exists and may be read",
    )
    .await;
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .starts_with("No such file")
    );
}

#[tokio::test]
async fn a_malformed_kubeconfig_is_named_with_the_line_and_without_its_secrets() {
    let files = Files::new();
    let broken = KUBECONFIG.replace("contexts:\n- name: east", "contexts:\n  name: east");
    let path = files.with("config", &broken.replace("token: secret", "token: [secret"));
    let error = connect(&kubeconfig(&path, None), "test")
        .await
        .err()
        .unwrap();
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("kubeconfig {} is malformed: ", path.display())),
        "{said}"
    );
    assert!(said.contains("line "), "{said}");
    assert!(!said.contains("secret") && !said.contains('\n'), "{said}");
    assert!(error.source().is_none());
}

#[tokio::test]
async fn a_kubeconfig_without_the_cluster_of_its_context_is_named() {
    let files = Files::new();
    let path = files.with(
        "config",
        &KUBECONFIG.replace("clusters:\n- name: east", "clusters:\n- name: other"),
    );
    refuses(
        kubeconfig(&path, None),
        &path,
        "kubeconfig FILE is not valid: check it with `kubectl --kubeconfig FILE config view`",
    )
    .await;
}

#[tokio::test]
async fn a_kubeconfig_without_the_context_names_those_it_has() {
    let files = Files::new();
    let path = files.with("config", KUBECONFIG);
    refuses(
        kubeconfig(&path, Some("north")),
        &path,
        "kubeconfig FILE has no context \"north\": use one of east, west",
    )
    .await;
    let path = files.with("config", &KUBECONFIG.replace("current-context: east\n", ""));
    refuses(
        kubeconfig(&path, None),
        &path,
        "kubeconfig FILE has no current context: name one of east, west",
    )
    .await;
    let path = files.with("empty", "");
    refuses(
        kubeconfig(&path, None),
        &path,
        "kubeconfig FILE names no cluster: it has no contexts",
    )
    .await;
}

#[tokio::test]
async fn a_kubeconfig_whose_key_is_no_key_is_named() {
    let files = Files::new();
    let broken = KUBECONFIG.replace(
        "{token: secret}",
        "{client-certificate-data: bm9uZQ==, client-key-data: bm9uZQ==}",
    );
    let path = files.with("config", &broken);
    refuses(
        kubeconfig(&path, None),
        &path,
        "cannot connect as context \"east\" of kubeconfig FILE says: the client key of user \"me\" \
         cannot be used: it is no private key in PEM format, or it is encrypted; decrypt it with \
         `openssl pkey -in KEY -out DECRYPTED`",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_file_must_hold_certificates() {
    let files = Files::new();
    let message = "cannot use the certificates in FILE: it must be a readable file in PEM format";
    for text in [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        let path = files.with("ca.crt", text);
        let access = url("https://192.0.2.1", Some(path.clone()));
        refuses(access, &path, message).await;
    }
    let path = PathBuf::from("/nonexistent/ca.crt");
    refuses(url("https://192.0.2.1", Some(path.clone())), &path, message).await;
}

#[tokio::test]
async fn an_authority_may_be_given_as_it_is() {
    let access = Access::Url {
        url: "https://192.0.2.1".parse().unwrap(),
        authority: Some(Authority::Pem("nothing".to_owned())),
        token: None,
        identity: None,
        proxy: None,
    };
    let said = connect(&access, "test").await.err().unwrap().to_string();
    assert!(
        said.contains("holds no certificate: write it in PEM"),
        "{said}"
    );
}

#[tokio::test]
async fn a_url_must_be_one_of_a_server() {
    for text in ["emitter:8080", "ftp://emitter", "/api"] {
        let error = connect(&url(text, None), "test").await.err().unwrap();
        let said = error.to_string();
        assert!(said.contains("is not the URL of a server"), "{said}");
    }
}

#[tokio::test]
async fn requests_carry_the_token_and_the_url_s_own_path() {
    let files = Files::new();
    let server = MockServer::start(vec![Answer::ok("{}")]).await;
    let access = Access::Url {
        url: server.url("/clusters/east/"),
        authority: None,
        token: Some(Token::File(files.with("token", "secret\n"))),
        identity: None,
        proxy: None,
    };
    let client = connect(&access, "heliograph/1").await.unwrap();
    let request = Request::get("/api/v1/services?limit=1").body(Body::empty());
    client.send(request.unwrap()).await.unwrap();
    let head = &server.requests()[0];
    assert!(
        head.starts_with("GET /clusters/east/api/v1/services?limit=1 "),
        "{head}"
    );
    assert!(head.contains("authorization: Bearer secret\r\n"), "{head}");
    assert!(head.contains("user-agent: heliograph/1\r\n"), "{head}");
}

#[tokio::test]
async fn a_client_does_not_ask_again_by_itself() {
    for busy in ["429 Too Many Requests", "503 Service Unavailable"] {
        let busy = Answer::refusal(busy, "");
        let server = MockServer::start(vec![busy, Answer::ok("{}")]).await;
        let client = connect(&server.access(), "test").await.unwrap();
        let request = Request::get("/version").body(Body::empty()).unwrap();
        let status = client.send(request).await.unwrap().status();
        assert!(!status.is_success(), "{status}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn an_access_is_named_by_what_the_user_wrote() {
    for (access, name) in [
        (Access::InCluster, "the cluster around this process"),
        (kubeconfig(Path::new("/a/b"), None), "kubeconfig /a/b"),
        (
            kubeconfig(Path::new("/a/b"), Some("east")),
            "kubeconfig /a/b, context \"east\"",
        ),
        (url("https://emitter:8443", None), "https://emitter:8443/"),
    ] {
        assert_eq!(access.to_string(), name);
    }
}
