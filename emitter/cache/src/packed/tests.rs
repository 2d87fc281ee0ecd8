use std::io::Read;

use proto_types::delta::{Former, Head};

use super::*;

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

#[test]
fn any_gzip_reader_reads_frames_of_two_streams() {
    let frames = frames();
    for order in [[0, 1, 2, 3, 4], [4, 2, 0, 1, 1]] {
        let mut stream = Stream::default();
        let mut packed = Stream::head().to_vec();
        let mut plain = Vec::new();
        for i in order {
            packed.extend_from_slice(&stream.add(&frames[i]));
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
        packed.extend_from_slice(&Stream::default().add(&frame));
        let mut read = vec![0; frame.len()];
        // Without a byte of what follows, the whole encoded event is there.
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, frame.bytes().as_ref());
    }
}

/// An EndpointSlice of 100 endpoints as an API server writes them, one of them not ready.
fn slice(changed: u32) -> Bytes {
    let endpoint = |i: u32| {
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
            i != changed,
            i % 30,
            i.wrapping_mul(40_503) % 1_048_576,
            i % 3
        )
    };
    let endpoints: Vec<_> = (0..100).map(endpoint).collect();
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
    let packed: usize = frames.iter().map(|it| stream.add(it).len()).sum();
    eprintln!("{plain} bytes, compressed {packed}");
    assert!(packed * 6 < plain, "{plain} bytes, compressed {packed}");
}

#[test]
fn the_compressed_form_is_made_once_and_counted_while_it_is_held() {
    let held = Arc::new(AtomicUsize::new(0));
    let frame = Encoded::counted(Bytes::from(vec![b'x'; 10_000]), &held, None);
    let first = Stream::default().add(&frame);
    let shared = frame.clone();
    let again = Stream::default().add(&shared);
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
