//! Answers of unknown length, which leave the HTTP library.

use futures::Stream;

use super::super::chunked_response::LongAnswer;
use super::*;

/// More than what is taken at once, in every way.
const N_PARTS: usize = 200;

const CLOSE: &str = "GET /parts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const PARTS: &str = "GET /parts HTTP/1.1\r\nhost: x\r\n\r\n";
const LAST: &str = "GET /short HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Parts of all kinds, with pauses.
pub(super) fn parts() -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(0, async |n| {
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
        let part = Bytes::from(n.to_string().repeat(n * n % 977));
        (n < N_PARTS).then_some((Ok(part), n + 1))
    })
}

async fn all_parts() -> Vec<u8> {
    use futures::TryStreamExt;
    let parts: Vec<Bytes> = parts().try_collect().await.unwrap();
    parts.concat()
}

/// A head, and a body whose chunks are put together; then the rest.
fn read_answer(bytes: &[u8]) -> (Vec<String>, Vec<u8>, &[u8]) {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]);
    let (mut rest, mut body) = (&bytes[end + 4..], Vec::new());
    loop {
        let line = rest.windows(2).position(|it| it == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = &rest[line + 2..];
        body.extend_from_slice(&chunk[..size]);
        assert_eq!(&chunk[size..size + 2], b"\r\n");
        rest = &chunk[size + 2..];
        if size == 0 {
            return (head.lines().map(str::to_owned).collect(), body, rest);
        }
    }
}

async fn read_all(client: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut all)).await;
    read.expect("the server ends it").unwrap();
    all
}

#[tokio::test]
async fn a_long_answer_reads_as_the_library_writes_it() {
    let lab = Lab::plain(|_| {}).await;
    let theirs = read_all(&mut lab.ask(CLOSE).await).await;
    let ours = read_all(&mut lab.ask(&[PARTS, LAST].concat()).await).await;
    let (theirs, ours) = (read_answer(&theirs), read_answer(&ours));
    let told = |head: &[String]| {
        let mut lines: Vec<String> = head.iter().map(|it| it.to_ascii_lowercase()).collect();
        lines.retain(|it| !it.starts_with("connection") && !it.starts_with("date"));
        lines.sort_unstable();
        lines
    };
    assert_eq!(told(&theirs.0), told(&ours.0));
    let date = |head: &[String]| head.iter().any(|it| it.starts_with("date: "));
    assert!(date(&theirs.0) && date(&ours.0), "{:?}", ours.0);
    assert!(theirs.1 == ours.1 && ours.1 == all_parts().await);
    let rest = String::from_utf8_lossy(ours.2);
    assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with("short"));
}

#[tokio::test]
async fn requests_in_the_meantime_are_answered_afterwards() {
    let lab = Lab::plain(|_| {}).await;
    let mut client = lab.connect().await;
    // More than is read ahead.
    let asked = [
        SHORT_REQUEST,
        PARTS,
        &SHORT_REQUEST.repeat(400),
        PARTS,
        LAST,
    ]
    .concat();
    let (mut reads, mut writes) = client.split();
    let write = async {
        writes.write_all(asked.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let all = tokio::select! {
        all = read_all(&mut reads) => all,
        () = write => unreachable!("it only waits"),
    };
    let text = String::from_utf8_lossy(&all);
    assert_eq!(text.matches("\r\n\r\nshort").count(), 402);
    assert_eq!(text.matches("transfer-encoding: chunked").count(), 2);
}

#[tokio::test]
async fn a_chunked_response_has_no_content_length() {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let part = Ok::<_, std::io::Error>(Bytes::from_static(b"part"));
    let mut response = http::Response::new(Body::from_stream(futures::stream::iter([part])));
    let length = http::HeaderValue::from_static("12");
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_LENGTH, length);
    let mut answer = LongAnswer::new(server, b"", response);
    answer.write().await.unwrap();
    drop(answer);
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert!(all.contains("transfer-encoding: chunked"), "{all}");
    assert!(!all.contains("content-length"), "{all}");
}

#[tokio::test]
async fn a_client_that_leaves_a_long_response_is_forgotten() {
    let lab = Lab::plain(|_| {}).await;
    let mut client = lab.ask("GET /quiet HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut head = [0; 17];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\n");
    assert_eq!(lab.connections.len(), 1);
    drop(client);
    lab.eventually_empty().await;
}

#[tokio::test]
async fn a_narrow_pipe_gets_every_byte() {
    let (mut client, server) = tokio::io::duplex(7);
    let response = http::Response::new(Body::from_stream(parts()));
    let mut answer = LongAnswer::new(server, b"GET", response);
    let (written, read) = tokio::join!(
        async {
            answer.write().await.unwrap();
            answer.into_parts().1
        },
        async {
            client.write_all(b" /more").await.unwrap();
            let mut all = Vec::new();
            while !all.ends_with(b"\r\n0\r\n\r\n") {
                all.push(client.read_u8().await.unwrap());
            }
            all
        }
    );
    assert_eq!(&written[..], b"GET /more");
    let (head, body, rest) = read_answer(&read);
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(body == all_parts().await && rest.is_empty());
}

#[tokio::test]
async fn the_state_of_a_waiting_watch_is_small() {
    let lab = Lab::plain(|_| {}).await;
    let client = lab.connect().await;
    let place = match lab.connections.admit("10.0.0.1:1".parse().unwrap()) {
        AcceptDecision::Serve(place) => place,
        other => unreachable!("{other:?}"),
    };
    let server = Server {
        http: Http::new(lab.connections.limits()),
        transport: Transport::Plain,
        limits: lab.connections.limits().clone(),
        metrics: Arc::clone(lab.connections.metrics()),
    };
    let connection = Arc::new(server).run(client, place, Answers::TooMany);
    // Without its stream, which is on the heap.
    let size = size_of_val(&connection);
    assert!(size <= 2048, "{size} bytes");
}
