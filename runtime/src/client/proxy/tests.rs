use std::sync::Arc;

use http::{Request, Uri};
use kube::client::Body;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{around, parse};
use crate::client::{Access, connect};
use crate::mock_server::{Answer, MockServer};

#[track_caller]
fn leads(server: &str, variables: &[(&str, &str)], proxy: Option<&str>) {
    let server: Uri = server.parse().unwrap();
    let variable = |name: &str| {
        let of_it = variables.iter().find(|(it, _)| *it == name);
        of_it.map(|(_, value)| (*value).to_owned())
    };
    let found = around(&server, variable).unwrap();
    let found = found.map(|it| it.to_string());
    assert_eq!(found.as_deref(), proxy, "{server} {variables:?}");
}

#[test]
fn variables_name_a_proxy_as_for_kubectl() {
    let east = "https://east.example:6443";
    let proxy = Some("http://proxy:3128/");
    leads(east, &[], None);
    leads(east, &[("HTTPS_PROXY", "http://proxy:3128")], proxy);
    leads(east, &[("https_proxy", "proxy:3128")], proxy);
    leads(
        east,
        &[("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")],
        proxy,
    );
    leads(east, &[("HTTP_PROXY", "http://proxy:3128")], None);
    leads(
        "http://east.example",
        &[("HTTP_PROXY", "proxy:3128")],
        proxy,
    );
    for here in [
        "https://localhost:6443",
        "https://127.0.0.1",
        "https://[::1]:1",
    ] {
        leads(here, &[("HTTPS_PROXY", "proxy:3128")], None);
    }
}

#[test]
fn exceptions_are_names_domains_addresses_and_ranges() {
    for (server, exceptions, is_excepted) in [
        ("https://east.example", "example", true),
        ("https://east.example", ".example", true),
        ("https://east.example", "a, east.example ,,", true),
        ("https://northeast.example", "east.example", false),
        ("https://10.1.2.3:6443", "10.0.0.0/8", true),
        ("https://10.1.2.3:6443", "10.1.2.3", true),
        ("https://11.1.2.3:6443", "10.0.0.0/8", false),
        ("https://11.1.2.3:6443", "*", true),
        ("https://[fd00::1]:6443", "fd00::/8", true),
    ] {
        let variables = [("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", exceptions)];
        let proxy = (!is_excepted).then_some("http://proxy:3128/");
        leads(server, &variables, proxy);
    }
}

#[test]
fn an_invalid_proxy_is_rejected_without_its_password() {
    for text in [
        "ftp://proxy",
        "http://",
        "http://me:secret@",
        "socks4://proxy:1",
    ] {
        let said = parse(text, "variable HTTPS_PROXY").unwrap_err().to_string();
        assert!(
            said.starts_with("variable HTTPS_PROXY names no proxy"),
            "{said}"
        );
        assert!(said.contains("http://HOST:PORT"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

/// A proxy that tunnels.
struct Proxy {
    address: String,
    /// What it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

async fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut tunnels = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            tunnels.spawn(tunnel(client, Arc::clone(&heads)));
        }
    });
    Proxy {
        address: address.to_string(),
        asked,
        _tasks: tasks,
    }
}

/// Opens a tunnel, or forwards the requests of a connection to the server that the first names.
async fn tunnel(mut client: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().push(head.clone());
    let Some(server) = target.strip_prefix("http://") else {
        let mut server = TcpStream::connect(target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    };
    let (server, path) = server.split_once('/').unwrap();
    let mut server = TcpStream::connect(server).await.unwrap();
    let head = head.replace(&target, &format!("/{path}"));
    server.write_all(head.as_bytes()).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn ask(access: &Access) {
    let client = connect(access, "test").await.unwrap();
    let request = Request::get("/version").body(Body::empty()).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_url_may_be_reached_through_a_proxy_of_its_own() {
    let server = MockServer::start(vec![Answer::ok("{}")]).await;
    let Proxy {
        address,
        asked,
        _tasks,
    } = proxy().await;
    let access = Access::Url {
        url: server.url("/"),
        authority: None,
        token: None,
        identity: None,
        proxy: Some(Box::new(format!("http://{address}").parse().unwrap())),
    };
    ask(&access).await;
    // Many proxies allow tunnels to port 443 alone, so that plain HTTP is forwarded.
    let target = server.url("/version");
    let asked = asked.lock();
    assert!(
        asked[0].starts_with(&format!("GET {target} HTTP/1.1\r\n")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_kubeconfig_names_its_proxy() {
    let server = MockServer::start(vec![Answer::ok("{}")]).await;
    let Proxy {
        address,
        asked,
        _tasks,
    } = proxy().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let server = server.url("");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: \
         {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: '{server}', \
         proxy-url: 'http://me:secret@{address}'}}}}], users: [{{name: a, user: {{}}}}]}}"
    );
    std::fs::write(&path, text).unwrap();
    ask(&Access::Kubeconfig {
        path,
        context: None,
    })
    .await;
    let head = asked.lock()[0].to_lowercase();
    assert!(
        head.contains("proxy-authorization: basic bwu6c2vjcmv0"),
        "{head}"
    );
}

#[tokio::test]
async fn a_tunnel_leads_to_servers_with_tls() {
    let Proxy {
        address,
        asked,
        _tasks,
    } = proxy().await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    let access = Access::Url {
        url: format!("https://{target}/").parse().unwrap(),
        authority: None,
        token: None,
        identity: None,
        proxy: Some(Box::new(format!("http://{address}").parse().unwrap())),
    };
    let client = connect(&access, "test").await.unwrap();
    let request = Request::get("/version").body(Body::empty()).unwrap();
    let hello = async {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.read_u8().await.unwrap()
    };
    let (sent, first) = tokio::join!(client.send(request), hello);
    assert!(sent.is_err(), "the server hangs up");
    assert_eq!(first, 0x16, "a TLS handshake");
    let asked = asked.lock();
    let connect = format!("CONNECT {target} ");
    assert!(asked[0].starts_with(&connect), "{asked:?}");
}
