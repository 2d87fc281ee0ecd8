use std::io::Read;

use proto_types::delta::{Former, Head};

use super::*;
use crate::EventBuffer;
use crate::event_buffer::{self, Cursor, EncodedEvent, FrameKind};

fn frames() -> Vec<Encoded> {
    let large = r#"{"addresses":["10.0.0.1"],"conditions":{"ready":true}},"#.repeat(400);
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    [
        b"{}\n".to_vec(),
        large.into_bytes(),
        noise,
        Vec::new(),
        vec![b'x'; 300],
    ]
    .map(|it| Encoded::from(Bytes::from(it)))
    .to_vec()
}

/// Nothing is before any position.
fn alone(_: Range<u64>) -> Option<Window> {
    None
}

#[test]
fn any_gzip_reader_reads_frames_of_two_streams() {
    let frames = frames();
    for order in [[0, 1, 2, 3, 4], [4, 2, 0, 1, 1]] {
        let mut stream = Stream::default();
        let mut packed = Stream::head().to_vec();
        let mut plain = Vec::new();
        for i in order {
            packed.extend_from_slice(&stream.add(&frames[i], alone));
            plain.extend_from_slice(frames[i].bytes());
        }
        packed.extend_from_slice(&stream.end());
        let mut read = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, plain);
    }
}

#[test]
fn a_frame_is_complete_without_what_follows() {
    for frame in frames() {
        let mut packed = Stream::head().to_vec();
        packed.extend_from_slice(&Stream::default().add(&frame, alone));
        let mut read = vec![0; frame.len()];
        // Without a byte of what follows, the whole encoded event is there.
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, frame.bytes().as_ref());
    }
}

/// An EndpointSlice of 100 endpoints as an API server writes them, one of them not ready.
fn slice(changed: u32) -> Bytes {
    slice_of(0, 100, changed)
}

/// The same of another object, with so many endpoints.
fn slice_of(object: u32, n_endpoints: u32, changed: u32) -> Bytes {
    let endpoint = |i: u32| {
        let is_ready = i != changed;
        let i = i + 1000 * object;
        let uid = format!(
            "{:08x}-{:04x}-4a1b-9c2d-{:012x}",
            i.wrapping_mul(2_654_435_761),
            i % 7919,
            u64::from(i) * 6_364_136_223
        );
        format!(
            r#"{{"addresses":["10.{}.{}.{}"],"conditions":{{"ready":{},"serving":true,"terminating":false}},"nodeName":"node-{}","targetRef":{{"kind":"Pod","namespace":"demo","name":"web-6d4b75cb6d-{:05x}","uid":"{uid}"}},"zone":"zone-{}"}}"#,
            i % 200,
            i * 7 % 250,
            i * 13 % 250,
            is_ready,
            i % 30,
            i.wrapping_mul(40_503) % 1_048_576,
            i % 3
        )
    };
    let endpoints: Vec<_> = (0..n_endpoints).map(endpoint).collect();
    format!(
        r#"{{"type":"MODIFIED","object":{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"name":"web-abcde","namespace":"demo","resourceVersion":"{changed}","labels":{{"kubernetes.io/service-name":"web"}}}},"addressType":"IPv4","endpoints":[{}],"ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}}}}
"#,
        endpoints.join(",")
    )
    .into()
}

#[test]
fn a_rolling_update_is_a_fraction_of_its_bytes() {
    let frames: Vec<_> = (0..100).map(|i| Encoded::from(slice(i))).collect();
    let plain: usize = frames.iter().map(Encoded::len).sum();
    let mut stream = Stream::default();
    let packed: usize = frames.iter().map(|it| stream.add(it, alone).len()).sum();
    eprintln!("{plain} bytes, compressed {packed}");
    assert!(packed * 6 < plain, "{plain} bytes, compressed {packed}");
}

/// A watch of an event buffer in gzip.
struct Watch {
    stream: Stream,
    next: Cursor,
    sent: Vec<u8>,
    plain: Vec<u8>,
}

impl Watch {
    fn of(buffer: &EventBuffer) -> Self {
        Self {
            stream: Stream::default(),
            next: buffer.head(),
            sent: Stream::head().to_vec(),
            plain: Vec::new(),
        }
    }

    /// Reads all that is new, and returns how many bytes it was sent.
    fn read(&mut self, buffer: &EventBuffer) -> usize {
        let before = self.sent.len();
        while let event_buffer::Read::Frame(event, cursor) = buffer.read(self.next) {
            self.next = cursor;
            if !event.bytes.is_empty() {
                self.send(&event.bytes, buffer);
            }
        }
        self.sent.len() - before
    }

    fn send(&mut self, event: &Encoded, buffer: &EventBuffer) {
        let sent = self.stream.add(event, |range| buffer.window(range));
        self.sent.extend_from_slice(&sent);
        self.plain.extend_from_slice(event.bytes());
    }

    fn check(mut self) {
        self.sent.extend_from_slice(&self.stream.end());
        let mut read = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&self.sent[..]);
        reader.read_to_end(&mut read).unwrap();
        assert!(read == self.plain, "{} bytes", read.len());
    }
}

fn push(buffer: &mut EventBuffer, bytes: impl Into<Encoded>) {
    let event = EncodedEvent {
        revision: ResourceVersion::new(buffer.head().position() + 1),
        kind: FrameKind::Change,
        bytes: bytes.into(),
    };
    buffer.push(event, 32 << 20);
}

#[test]
fn a_rolling_update_is_a_fiftieth_of_its_bytes_for_any_gzip_reader() {
    let held = Arc::new(AtomicUsize::new(0));
    let mut buffer = EventBuffer::new(ResourceVersion::ZERO);
    let (mut first, mut late) = (Watch::of(&buffer), None);
    let (mut plain, mut sent) = (0, 0);
    for i in 0..100 {
        let event = Encoded::counted(slice(i), &held, None);
        plain += event.len();
        push(&mut buffer, event);
        if i == 50 {
            late = Some(Watch::of(&buffer));
        }
        let n_sent = first.read(&buffer);
        // Its first two events refer to nothing.
        if let Some(late) = &mut late {
            let n_late = late.read(&buffer);
            assert!(i <= 52 || n_late == n_sent, "{i}: {n_late}, {n_sent}");
        }
        sent += n_sent;
    }
    eprintln!("{plain} bytes, compressed {sent}");
    assert!(sent * 50 < plain, "{plain} bytes, compressed {sent}");
    let n_held = held.load(Ordering::Relaxed);
    assert!(sent <= n_held && n_held < 2 * sent, "{n_held} bytes held");
    drop(buffer);
    assert_eq!(held.load(Ordering::Relaxed), 0);
    first.check();
    late.unwrap().check();
}

#[test]
fn events_of_several_objects_refer_to_each_other_within_the_window() {
    for (n_objects, n_times) in [(1, 50), (3, 30), (20, 5)] {
        let mut buffer = EventBuffer::new(ResourceVersion::ZERO);
        let mut watch = Watch::of(&buffer);
        let (mut plain, mut sent) = (0, 0);
        for i in 0..200 {
            let event = slice_of(i % n_objects, 30, i / n_objects % 30);
            plain += event.len();
            push(&mut buffer, event);
            sent += watch.read(&buffer);
        }
        eprintln!("{n_objects} objects in turn: {plain} bytes, compressed {sent}");
        assert!(
            sent * n_times < plain,
            "{n_objects}: {plain} bytes, compressed {sent}"
        );
        watch.check();
    }
}

#[test]
fn no_watch_is_sent_what_refers_to_something_that_it_was_not_sent() {
    let mut random = 7_u32;
    let mut draw = move |n: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % n
    };
    for _ in 0..40 {
        let mut buffer = EventBuffer::new(ResourceVersion::ZERO);
        let mut watches = vec![Watch::of(&buffer)];
        for _ in 0..60 {
            match draw(8) {
                0 => watches.push(Watch::of(&buffer)),
                // A bookmark of its own.
                1 => {
                    let i = draw(watches.len() as u32) as usize;
                    let bookmark = Encoded::from(Bytes::from_static(b"{\"type\":\"BOOKMARK\"}\n"));
                    watches[i].send(&bookmark, &buffer);
                }
                // One that each watch makes of nothing, or does not.
                2 => push(&mut buffer, Encoded::default()),
                // An event that one watch knows already.
                3 => {
                    push(&mut buffer, slice(draw(9)));
                    let i = draw(watches.len() as u32) as usize;
                    watches[i].next = buffer.head();
                }
                4 => push(
                    &mut buffer,
                    Bytes::from(vec![b'x'; draw(90_000) as usize + 1]),
                ),
                _ => push(&mut buffer, slice(draw(9))),
            }
            let i = draw(watches.len() as u32) as usize;
            watches[i].read(&buffer);
        }
        for mut watch in watches {
            if let event_buffer::Read::Lost = buffer.read(watch.next) {
                continue;
            }
            watch.read(&buffer);
            watch.check();
        }
    }
}

#[test]
fn the_compressed_form_is_made_once_and_counted_while_it_is_held() {
    let held = Arc::new(AtomicUsize::new(0));
    let frame = Encoded::counted(Bytes::from(vec![b'x'; 10_000]), &held, None);
    let first = Stream::default().add(&frame, alone);
    let shared = frame.clone();
    let again = Stream::default().add(&shared, alone);
    assert_eq!(first.as_ptr(), again.as_ptr());
    assert_eq!(held.load(Ordering::Relaxed), first.len());
    assert!(first.len() < 100, "{}", first.len());
    drop((frame, shared));
    assert_eq!(held.load(Ordering::Relaxed), 0);
}

fn entry(changed: u32) -> Arc<Entry> {
    let frame: serde_json::Value = serde_json::from_slice(&slice(changed)).unwrap();
    let json = Bytes::from(frame["object"].to_string());
    let names = proto_types::Resource::EndpointSlices;
    let object = proto_types::RawObject::parse(names, &json).unwrap();
    Arc::new(Entry::new(names, &crate::Fields::All, object).unwrap())
}

fn frame(entry: &Entry) -> Bytes {
    let form = proto_types::Resource::EndpointSlices;
    let encoder = crate::encode::Encoder::new(form);
    let now = jiff::Timestamp::UNIX_EPOCH;
    encoder.seen(
        crate::ViewEvent::Modified(entry),
        entry.revision(),
        crate::Encoding::Object,
        now,
    )
}

#[test]
fn a_rolling_update_is_a_hundredth_of_its_bytes_for_a_reader_that_holds_former_versions() {
    let held = Arc::new(AtomicUsize::new(0));
    let since = Some(ResourceVersion::new(1));
    let (mut plain, mut sent) = (0, 0);
    let mut former: Option<Arc<Entry>> = None;
    for i in 1..=100 {
        let entry = entry(i);
        let frame = Encoded::counted(frame(&entry), &held, former.as_ref());
        plain += frame.len();
        let record = frame.record(since);
        sent += record.len();
        assert_eq!(record.as_ptr(), frame.record(since).as_ptr(), "made once");
        former = Some(entry);
    }
    eprintln!("{plain} bytes, as differences {sent}");
    assert!(sent * 100 < plain, "{plain} bytes, as differences {sent}");
    assert_eq!(held.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reader_is_sent_no_difference_from_what_it_does_not_hold() {
    let held = Arc::new(AtomicUsize::new(0));
    let (former, entry) = (entry(5), entry(6));
    let encoded = Encoded::counted(frame(&entry), &held, Some(&former));
    let form = |since: Option<u64>| {
        let record = encoded.record(since.map(ResourceVersion::new));
        let (head, _) = Head::read(&record).unwrap().unwrap();
        head.form
    };
    let difference = Form::Difference(Former {
        revision: ResourceVersion::new(5),
        length: former.json().len(),
        checksum: crc32fast::hash(former.json()),
    });
    assert_eq!(form(Some(5)), difference);
    assert_eq!(form(Some(6)), Form::Deflated);
    assert_eq!(form(None), Form::Deflated);
    let n_held = held.load(Ordering::Relaxed);
    assert!(0 < n_held);
    // History forgot it before the first who could be sent the difference came.
    let late = Encoded::counted(frame(&entry), &held, Some(&former));
    drop(former);
    let record = late.record(Some(ResourceVersion::new(5)));
    let (head, payload) = Head::read(&record).unwrap().unwrap();
    assert_eq!((head.form, head.payload), (Form::Deflated, payload.len()));
    drop((late, encoded));
    assert_eq!(held.load(Ordering::Relaxed), 0);
}
