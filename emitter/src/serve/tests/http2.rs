//! HTTP/2, frame by frame: what a client may open, ask at once, and take back.

use super::*;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RESET: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GO_AWAY: u8 = 0x7;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 0x7];
const CANCEL: [u8; 4] = [0, 0, 0, 0x8];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 0xb];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self {
            kind,
            flags,
            stream,
            payload,
        }
    }

    /// A request without a body. Field names are those of HPACK's static table.
    fn get(stream: u32, path: &str, more: &[u8]) -> Self {
        let mut block = vec![0x82, 0x86, 0x01, 1, b'x', 0x04];
        block.push(path.len().try_into().unwrap());
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(more);
        Self::new(HEADERS, END_STREAM | END_HEADERS, stream, block)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }
}

struct Client(TcpStream);

impl Client {
    async fn open(lab: &Lab) -> Self {
        let stream = lab.ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut client = Self(stream);
        client.send(&[Frame::new(SETTINGS, 0, 0, [])]).await;
        client
    }

    async fn send(&mut self, frames: &[Frame]) {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.write_to(&mut bytes);
        }
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The next frame of these kinds.
    async fn next(&mut self, kinds: &[u8]) -> Frame {
        let read = async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, flags, stream @ ..] = head;
                let length = u32::from_be_bytes([0, a, b, c]);
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.0.read_exact(&mut payload).await.unwrap();
                if kinds.contains(&kind) {
                    return Frame::new(kind, flags, u32::from_be_bytes(stream), payload);
                }
            }
        };
        let frame = tokio::time::timeout(PATIENCE, read).await;
        frame.expect("a frame comes")
    }
}

#[tokio::test]
async fn a_connection_carries_100_watches_and_refuses_one_more() {
    let lab = Lab::plain(|_| {}).await;
    let mut client = Client::open(&lab).await;
    let settings = client.next(&[SETTINGS]).await.payload;
    let told = settings.chunks(6).any(|it| it == [0, 3, 0, 0, 0, 100]);
    assert!(told, "{settings:?}");
    let watches: Vec<u32> = (0..100).map(|i| 2 * i + 1).collect();
    let asked: Vec<Frame> = watches
        .iter()
        .map(|it| Frame::get(*it, "/quiet", &[]))
        .collect();
    client.send(&asked).await;
    let mut begun = Vec::new();
    for _ in &watches {
        let frame = client.next(&[HEADERS, RESET]).await;
        assert_eq!((frame.kind, frame.flags & END_STREAM), (HEADERS, 0));
        begun.push(frame.stream);
    }
    begun.sort_unstable();
    assert_eq!(begun, watches);

    client.send(&[Frame::get(201, "/short", &[])]).await;
    let refused = client.next(&[HEADERS, RESET]).await;
    assert_eq!(refused, Frame::new(RESET, 0, 201, REFUSED_STREAM));
    let there = *b"are you?";
    client.send(&[Frame::new(PING, 0, 0, there)]).await;
    let here = client.next(&[PING]).await;
    assert_eq!(here, Frame::new(PING, ACK, 0, there));
    // One that ends makes room for another.
    let again = [
        Frame::new(RESET, 0, 1, CANCEL),
        Frame::get(203, "/short", &[]),
    ];
    client.send(&again).await;
    assert_eq!(client.next(&[DATA, RESET]).await.payload, b"short");
}

#[tokio::test]
async fn requests_taken_back_at_once_end_their_own_connection_only() {
    let lab = Lab::plain(|_| {}).await;
    let mut hasty = Client::open(&lab).await;
    hasty.next(&[SETTINGS]).await;
    let stream = |i: u32| 2 * i + 1;
    let taken_back = (0..200).flat_map(|i| {
        [
            Frame::get(stream(i), "/quiet", &[]),
            Frame::new(RESET, 0, stream(i), CANCEL),
        ]
    });
    let taken_back: Vec<Frame> = taken_back.collect();
    hasty.send(&taken_back).await;
    let told = hasty.next(&[GO_AWAY]).await;
    assert_eq!(told.payload[4..8], ENHANCE_YOUR_CALM);
    lab.eventually_empty().await;
    let mut other = Client::open(&lab).await;
    other.send(&[Frame::get(1, "/short", &[])]).await;
    assert_eq!(other.next(&[DATA]).await.payload, b"short");
}

#[tokio::test]
async fn a_list_of_headers_that_is_too_long_ends_its_own_stream_only() {
    let lab = Lab::plain(|limits| limits.max_header_bytes = 8192.try_into().unwrap()).await;
    let mut client = Client::open(&lab).await;
    // A field `y` of 10 000 bytes, as HPACK writes that number.
    let mut field = vec![0x00, 1, b'y', 0x7f, 0x91, 0x4d];
    field.resize(field.len() + 10_000, b'z');
    client.send(&[Frame::get(1, "/short", &field)]).await;
    let told = client.next(&[HEADERS, RESET]).await;
    assert_eq!((told.kind, told.stream), (HEADERS, 1));
    assert_ne!(told.flags & END_STREAM, 0, "its answer has no body");
    client.send(&[Frame::get(3, "/short", &[])]).await;
    let answer = client.next(&[DATA, RESET]).await;
    assert_eq!((answer.stream, answer.payload), (3, b"short".to_vec()));
}
