mod rules;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;
use http::Request;
use kube::client::Body;

use crate::client::{Access, connect};
use crate::mock_server::{Answer, MockServer};

struct Lab {
    directory: tempfile::TempDir,
    server: MockServer,
}

impl Lab {
    async fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            server: MockServer::start((0..20).map(|_| Answer::ok("{}")).collect()).await,
        }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn kubeconfig(&self, cluster: &str, user: &str) -> PathBuf {
        let server = self.server.url("").to_string();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             contexts:\n- name: a\n  context: {{cluster: a, user: a}}\n\
             clusters:\n- name: a\n  cluster: {{server: '{server}', {cluster}}}\n\
             users:\n- name: a\n  user: {{{user}}}\n"
        );
        self.file("config", &text)
    }

    /// Connects, asks, and returns the head of the request.
    async fn ask(&self, path: PathBuf) -> Result<String, String> {
        let access = Access::Kubeconfig {
            path,
            context: None,
        };
        let client = connect(&access, "test")
            .await
            .map_err(|why| why.to_string())?;
        let request = Request::get("/version").body(Body::empty()).unwrap();
        client.send(request).await.map_err(|why| why.to_string())?;
        Ok(self.server.requests().last().unwrap().clone())
    }
}

fn encoded(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn an_empty_value_is_an_unset_one() {
    let lab = Lab::new().await;
    lab.file("token", "from-file\n");
    for cluster in [
        "certificate-authority: ''",
        "certificate-authority-data: ''",
        "tls-server-name: ''",
        "proxy-url: ''",
        "certificate-authority: null, insecure-skip-tls-verify: null",
        "certificate-authority: '', certificate-authority-data: '', tls-server-name: ''",
    ] {
        let head = lab.ask(lab.kubeconfig(cluster, "token: secret")).await;
        let head = head.unwrap_or_else(|why| panic!("{cluster}: {why}"));
        assert!(head.contains("Bearer secret\r\n"), "{cluster}: {head}");
    }
    for (user, bearer) in [
        ("token: secret, tokenFile: ''", "secret"),
        (
            "token: secret, client-certificate: '', client-key: ''",
            "secret",
        ),
        (
            "token: secret, client-certificate-data: '', client-key-data: ''",
            "secret",
        ),
        ("token: secret, username: '', password: ''", "secret"),
        (
            "token: secret, as: '', as-uid: '', as-groups: null",
            "secret",
        ),
        ("token: secret, exec: null, auth-provider: null", "secret"),
        ("token: '', tokenFile: token", "from-file"),
        ("token: secret, tokenFile: token", "from-file"),
        ("token: secret, tokenFile: not-there", "secret"),
    ] {
        let head = lab.ask(lab.kubeconfig("", user)).await;
        let head = head.unwrap_or_else(|why| panic!("{user}: {why}"));
        assert!(
            head.contains(&format!("Bearer {bearer}\r\n")),
            "{user}: {head}"
        );
    }
}

#[tokio::test]
async fn base64_may_have_line_breaks_and_data_precedes_a_file() {
    let lab = Lab::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    let folded = |text: &str| {
        let encoded = encoded(text);
        let lines: Vec<_> = encoded.as_bytes().chunks(64).collect();
        let lines = lines.into_iter().map(|it| std::str::from_utf8(it).unwrap());
        lines.collect::<Vec<_>>().join("\\n")
    };
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let cluster = format!("certificate-authority-data: \"{}\"", folded(&certificate));
    let user = format!(
        "token: secret, client-certificate-data: \"{}\", client-key-data: \"{}\"",
        folded(&certificate),
        folded(&key)
    );
    lab.ask(lab.kubeconfig(&cluster, &user)).await.unwrap();

    lab.file("ca.crt", &certificate);
    let cluster = "certificate-authority-data: '', certificate-authority: ca.crt";
    lab.ask(lab.kubeconfig(cluster, "")).await.unwrap();
    let cluster = "certificate-authority-data: 'no base64!'";
    lab.ask(lab.kubeconfig(cluster, "")).await.unwrap_err();
}

#[tokio::test]
async fn an_x509_v1_client_certificate_can_be_ours() {
    let lab = Lab::new().await;
    lab.file("tls.crt", {
        let v1 = include_str!("../../certificate/v1.pem");
        &v1[v1.rfind("-----BEGIN CERT").unwrap()..]
    });
    lab.file("tls.key", include_str!("../../certificate/v1.key.pem"));
    let user = "client-certificate: tls.crt, client-key: tls.key";
    lab.ask(lab.kubeconfig("", user)).await.unwrap();
}

#[tokio::test]
async fn a_plugin_gets_its_variables_and_says_why_it_failed() {
    let lab = Lab::new().await;
    let plugin = |script: &str| {
        let path = lab.file("plugin", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    plugin(
        "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
         \"kind\":\"ExecCredential\",\"status\":{\"token\":\"'$A$B'\"}}'",
    );
    let exec = |more: &str| {
        format!(
            "token: '', exec: {{apiVersion: client.authentication.k8s.io/v1, \
             command: ./plugin, {more}}}"
        )
    };
    for mode in [
        "interactiveMode: IfAvailable",
        "interactiveMode: ''",
        "args: null",
    ] {
        let user = exec(&format!(
            "env: [{{name: A, value: x}}, {{name: B, value: null}}], {mode}"
        ));
        let head = lab.ask(lab.kubeconfig("", &user)).await.unwrap();
        assert!(head.contains("Bearer x\r\n"), "{mode}: {head}");
    }
    let why = lab
        .ask(lab.kubeconfig("", &exec("interactiveMode: Always")))
        .await;
    assert!(why.unwrap_err().contains("set it to IfAvailable or Never"));

    plugin("echo secret; echo 'log in first' >&2; exit 3");
    let why = lab
        .ask(lab.kubeconfig("", &exec("interactiveMode: Never")))
        .await;
    let why = why.unwrap_err();
    assert!(
        why.contains("log in first") && !why.contains("secret"),
        "{why}"
    );

    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, \
                installHint: get it from example.com}";
    let why = lab.ask(lab.kubeconfig("", user)).await.unwrap_err();
    assert!(
        why.contains("no-such-plugin") && why.contains("example.com"),
        "{why}"
    );
}

#[tokio::test]
async fn impossible_requests_are_rejected_with_the_remedy() {
    let lab = Lab::new().await;
    lab.file("ca.crt", "");
    for (cluster, user, part) in [
        (
            "",
            "auth-provider: {name: gcp}",
            "auth-provider \"gcp\" is not supported",
        ),
        (
            "",
            "auth-provider: {name: oidc}",
            "use an exec credential plugin",
        ),
        ("", "exec: {apiVersion: v1}", "add `command`"),
        (
            "insecure-skip-tls-verify: true, certificate-authority: ca.crt",
            "",
            "remove one",
        ),
        ("tls-server-name: 'a b'", "", "credentials"),
    ] {
        let why = lab.ask(lab.kubeconfig(cluster, user)).await.unwrap_err();
        assert!(why.contains(part), "{cluster} {user}: {why}");
    }
    let path = lab.kubeconfig("", "");
    let text = std::fs::read_to_string(&path).unwrap();
    let path = lab.file("config", &text.replace("server: '", "server: 'ftp:"));
    let why = lab.ask(path).await.unwrap_err();
    assert!(why.contains("HOST:PORT"), "{why}");
    let path = lab.file("config", &text.replace("server: '", "x: '"));
    let why = lab.ask(path).await.unwrap_err();
    assert!(why.contains("has no server"), "{why}");
}

#[tokio::test]
async fn a_server_without_a_scheme_is_one_of_http() {
    let lab = Lab::new().await;
    let path = lab.kubeconfig("", "token: secret");
    let text = std::fs::read_to_string(&path).unwrap();
    for prefix in ["", "HTTP://"] {
        let path = lab.file("config", &text.replace("http://", prefix));
        lab.ask(path).await.unwrap();
    }
}

#[tokio::test]
async fn one_broken_entry_does_not_spoil_the_others() {
    let lab = Lab::new().await;
    let path = lab.kubeconfig("", "token: secret");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace("users:\n", "users:\n- name: b\n  user: null\n- user: {}\n")
        .replace(
            "contexts:\n",
            "contexts:\n- name: b\n  context: {user: b}\n- name: c\n",
        );
    let head = lab.ask(lab.file("config", &text)).await.unwrap();
    assert!(head.contains("Bearer secret"), "{head}");
}

#[tokio::test]
async fn several_files_are_merged_and_the_first_counts() {
    let lab = Lab::new().await;
    let nested = lab.directory.path().join("nested");
    std::fs::create_dir(&nested).unwrap();
    std::fs::write(nested.join("token"), "nested\n").unwrap();
    let users = "users:\n- name: a\n  user: {tokenFile: token}\n";
    std::fs::write(nested.join("users"), users).unwrap();
    let whole = lab.kubeconfig("", "token: late");
    let list = std::env::join_paths([
        nested.join("users"),
        lab.directory.path().join("not-there"),
        whole,
    ]);
    let head = lab.ask(PathBuf::from(list.unwrap())).await.unwrap();
    assert!(head.contains("Bearer nested\r\n"), "{head}");

    let list = PathBuf::from("/nowhere/a:/nowhere/b");
    let why = lab.ask(list).await.unwrap_err();
    assert!(why.contains("cannot read kubeconfig"), "{why}");
}

#[tokio::test]
async fn a_plugin_gets_the_cluster_of_a_kubeconfig_that_is_no_file() {
    let lab = Lab::new().await;
    let seen = lab.directory.path().join("seen");
    let script = format!(
        "#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > {}\n\
         echo '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
         \"kind\":\"ExecCredential\",\"status\":{{\"token\":\"x\"}}}}'\n",
        seen.display()
    );
    let plugin = lab.file("plugin", &script);
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let access = |server: &str| Access::Provided {
        origin: "of ClusterProfile east".to_owned(),
        kubeconfig: serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server, "extensions": [
                {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}},
            ]}}],
            "users": [{"name": "u", "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "provideClusterInfo": true,
                "command": plugin, "interactiveMode": "Never",
            }}}],
        })
        .to_string(),
    };
    let server = lab.server.url("").to_string();
    let client = connect(&access(&server), "test").await.unwrap();
    let request = Request::get("/version").body(Body::empty()).unwrap();
    client.send(request).await.unwrap();
    assert!(
        lab.server
            .requests()
            .last()
            .unwrap()
            .contains("Bearer x\r\n")
    );
    let info: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&seen).unwrap()).unwrap();
    assert_eq!(info["spec"]["cluster"]["config"]["audience"], "a");
    assert_eq!(info["spec"]["interactive"], false);

    let why = connect(&access("http://example.com"), "test").await;
    let why = why.err().unwrap().to_string();
    assert!(
        why.starts_with("kubeconfig of ClusterProfile east sends credentials"),
        "{why}"
    );
}
