//! Values that kubectl accepts or refuses, tried with kubectl 1.36 against one server.

use super::*;

fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn authorities_are_read_around_what_is_no_certificate() {
    let lab = Lab::new().await;
    let (good, key) = certificate();
    let broken = "-----BEGIN CERTIFICATE-----\nnot base64!!\n-----END CERTIFICATE-----\n";
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in [
        format!("{good}{broken}"),
        format!("{other}{good}"),
        format!("{key}{good}trailing text"),
        good.replace('\n', "\r\n"),
        format!("Certificate:\n    Data:\n{good}"),
    ] {
        lab.file("ca.crt", &text);
        let asked = lab.ask(lab.kubeconfig("certificate-authority: ca.crt", ""));
        asked.await.unwrap_or_else(|why| panic!("{text}: {why}"));
        let data = format!("certificate-authority-data: {}", encoded(&text));
        let asked = lab.ask(lab.kubeconfig(&data, ""));
        asked.await.unwrap_or_else(|why| panic!("{text}: {why}"));
    }
    lab.file("ca.crt", broken);
    let why = lab.ask(lab.kubeconfig("certificate-authority: ca.crt", ""));
    let why = why.await.unwrap_err();
    assert!(why.contains("holds no certificate"), "{why}");
}

#[tokio::test]
async fn a_certificate_and_its_key_may_be_in_one_file_after_other_blocks() {
    let lab = Lab::new().await;
    let (good, key) = certificate();
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let user = "client-certificate: both.pem, client-key: both.pem";
    for text in [
        format!("{good}{key}"),
        format!("{parameters}{key}{good}"),
        format!("{key}{good}").replace('\n', "\r\n"),
    ] {
        lab.file("both.pem", &text);
        let asked = lab.ask(lab.kubeconfig("", user)).await;
        asked.unwrap_or_else(|why| panic!("{text}: {why}"));
    }
}

#[tokio::test]
async fn users_that_kubectl_refuses_are_refused_with_the_remedy() {
    let lab = Lab::new().await;
    let (good, key) = certificate();
    lab.file("tls.crt", &good);
    lab.file("tls.key", &key);
    lab.file("token", "t");
    // P-521, which the library cannot sign with.
    lab.file("p521.key", include_str!("p521.key.pem"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    lab.file("encrypted.key", encrypted);
    for (user, part) in [
        (
            "username: a, password: b, token: t",
            "both a username and a token",
        ),
        (
            "username: a, tokenFile: token",
            "both a username and a token",
        ),
        ("as-groups: [g]", "add `as`"),
        ("as-uid: '7'", "add `as`"),
        ("as-user-extra: {scopes: [a]}", "add `as`"),
        ("token: \"a\\nb\"", "write it in one line"),
        ("client-certificate: tls.crt", "add `client-key`"),
        ("client-key: tls.key", "add `client-certificate`"),
        (
            "client-certificate: tls.crt, client-key: p521.key",
            "ECDSA with P-256",
        ),
        (
            "client-certificate: tls.crt, client-key: encrypted.key",
            "openssl pkey",
        ),
    ] {
        let why = lab.ask(lab.kubeconfig("", user)).await.unwrap_err();
        assert!(why.contains(part) && why.contains("\"a\""), "{user}: {why}");
    }
}

#[tokio::test]
async fn a_token_may_end_with_a_line_break_and_somebody_may_be_impersonated() {
    let lab = Lab::new().await;
    let head = lab.ask(lab.kubeconfig("", "token: \"secret\\n\"")).await;
    assert!(head.unwrap().contains("Bearer secret\r\n"));
    let user =
        "token: t, as: bob, as-uid: '7', as-groups: [g1, g2], as-user-extra: {scopes: [a, b]}";
    let head = lab.ask(lab.kubeconfig("", user)).await.unwrap();
    for header in [
        "impersonate-user: bob",
        "impersonate-uid: 7",
        "impersonate-group: g1",
        "impersonate-group: g2",
        "impersonate-extra-scopes: a",
        "impersonate-extra-scopes: b",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
}

#[tokio::test]
async fn a_plugin_that_returns_nothing_to_send_is_refused() {
    let lab = Lab::new().await;
    let answer = |status: &str| {
        format!(
            "#!/bin/sh\ncat <<'X'\n{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
             \"kind\":\"ExecCredential\",\"status\":{{{status}}}}}\nX\n"
        )
    };
    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, \
                interactiveMode: Never}";
    for (status, part) in [
        ("", "neither a token nor a certificate"),
        ("\"token\":\"a\\nb\"", "correct the plugin"),
    ] {
        let path = lab.file("plugin", &answer(status));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let access = Access::Kubeconfig {
            path: lab.kubeconfig("", user),
            context: None,
        };
        let why = connect(&access, "test").await.err().unwrap();
        let why = crate::reasons(&why);
        assert!(why.contains(part), "{status}: {why}");
    }
}

#[tokio::test]
async fn a_plugin_is_told_the_cluster_as_the_file_has_it() {
    let lab = Lab::new().await;
    let script = "#!/bin/sh\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > \"$(dirname \"$0\")/info\"\n\
                  echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\
                  \"kind\":\"ExecCredential\",\"status\":{\"token\":\"t\"}}'\n";
    let plugin = lab.file("plugin", script);
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let user = "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, \
                interactiveMode: Never, provideClusterInfo: true}";
    let cluster = "proxy-url: 'http://127.0.0.1:9', tls-server-name: name.example, extensions: \
                   [{name: client.authentication.k8s.io/exec, extension: {audience: x}}]";
    let path = lab.kubeconfig(cluster, user);
    let text = std::fs::read_to_string(&path).unwrap();
    let server = "HTTPS://API.example:6443";
    let text = text.replace(lab.server.url("").to_string().as_str(), server);
    let access = Access::Kubeconfig {
        path: lab.file("config", &text),
        context: None,
    };
    connect(&access, "test").await.unwrap();
    let told = std::fs::read_to_string(lab.directory.path().join("info")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let cluster = &told["spec"]["cluster"];
    assert_eq!(cluster["server"], server, "{told}");
    assert_eq!(cluster["proxy-url"], "http://127.0.0.1:9", "{told}");
    assert_eq!(cluster["tls-server-name"], "name.example", "{told}");
    assert_eq!(cluster["config"]["audience"], "x", "{told}");
}

#[tokio::test]
async fn compression_is_not_asked_for_where_the_cluster_disables_it() {
    let lab = Lab::new().await;
    for (cluster, is_asked) in [("", true), ("disable-compression: true", false)] {
        let access = Access::Kubeconfig {
            path: lab.kubeconfig(cluster, ""),
            context: None,
        };
        let client = connect(&access, "test").await.unwrap();
        let request = Request::get("/version").header("accept-encoding", "gzip");
        client
            .send(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let head = lab.server.requests().last().unwrap().clone();
        assert_eq!(head.contains("accept-encoding: gzip"), is_asked, "{head}");
    }
}

#[tokio::test]
async fn the_last_of_several_values_of_a_key_counts() {
    let lab = Lab::new().await;
    let head = lab.ask(lab.kubeconfig("server: 'http://127.0.0.1:1'", "token: a"));
    head.await.unwrap_err();
    let head = lab.ask(lab.kubeconfig("", "token: a, token: b")).await;
    assert!(head.unwrap().contains("Bearer b\r\n"));
}

#[tokio::test]
async fn the_first_current_context_that_is_not_empty_counts() {
    let lab = Lab::new().await;
    let other = "current-context: ''\ncontexts:\n- name: z\n  context: {cluster: z, user: z}\n";
    let list = std::env::join_paths([
        lab.file("other", other),
        lab.kubeconfig("", "token: secret"),
    ]);
    let head = lab.ask(PathBuf::from(list.unwrap())).await.unwrap();
    assert!(head.contains("Bearer secret\r\n"), "{head}");
}

#[tokio::test]
async fn a_path_of_the_server_precedes_each_request() {
    let lab = Lab::new().await;
    let path = lab.kubeconfig("", "token: secret");
    let text = std::fs::read_to_string(&path).unwrap();
    let server = lab.server.url("").to_string();
    let server = server.trim_end_matches('/');
    for prefix in ["/k8s/clusters/c-1", "/k8s/clusters/c-1/"] {
        let text = text.replace(&format!("{server}/"), &format!("{server}{prefix}"));
        let head = lab.ask(lab.file("config", &text)).await.unwrap();
        assert!(head.starts_with("GET /k8s/clusters/c-1/version "), "{head}");
    }
}
