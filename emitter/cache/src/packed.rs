//! Watch frames, as they are and compressed for all who want them so.
//!
//! A compressed watch is one gzip stream (RFC 1952) that its watcher never has to encode: each
//! frame is a run of deflate blocks that refers to nothing before it and ends at a byte with an
//! empty block, so that a reader has the whole event at once. The same bytes fit into every
//! stream; only the checksum at the end is of one stream, and is combined from those of frames.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// A watch frame.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Bytes,
    /// Where its compressed form is kept; none for a frame that one watch alone is sent.
    packed: Option<Arc<Packed>>,
}

/// The compressed form, made for the first who wants it.
#[derive(Debug, Default)]
struct Packed {
    segment: OnceLock<Segment>,
    /// Where its bytes are counted.
    held: Option<Arc<AtomicUsize>>,
}

/// A frame within a gzip stream.
#[derive(Debug, Clone)]
struct Segment {
    bytes: Bytes,
    crc: u32,
    /// Length of the frame as it is.
    n: u64,
}

/// A gzip stream of frames, without their bytes.
#[derive(Debug, Default)]
pub struct Stream {
    crc: Hasher,
    n: u32,
}

/// The header of a gzip stream: deflate, no time, no name, unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty stored block. What came before it is complete.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// The last block of a stream, which is empty.
const LAST: [u8; 2] = [3, 0];

/// What is smaller is not worth the work.
const SMALL: usize = 256;

// 0.19 ms for a frame of 25 KB; the default level takes 0.29 for 1 % fewer bytes.
const LEVEL: Compression = Compression::new(4);

thread_local! {
    /// One for each thread, since its tables are large.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(LEVEL, false));
}

impl Encoded {
    /// A frame for several watches.
    pub(crate) fn shared(bytes: Bytes) -> Self {
        Self {
            bytes,
            packed: Some(Arc::default()),
        }
    }

    /// The same, whose compressed form is counted with others.
    pub(crate) fn counted(bytes: Bytes, held: &Arc<AtomicUsize>) -> Self {
        let packed = Packed {
            segment: OnceLock::new(),
            held: Some(Arc::clone(held)),
        };
        Self {
            bytes,
            packed: Some(Arc::new(packed)),
        }
    }

    /// The frame as it is.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Length of the frame as it is.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the frame has no bytes, as one that is not sent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Packed {
    fn segment(&self, frame: &[u8]) -> &Segment {
        self.segment.get_or_init(|| {
            let segment = Segment::of(frame);
            if let Some(held) = &self.held {
                held.fetch_add(segment.bytes.len(), Ordering::Relaxed);
            }
            segment
        })
    }
}

/// A frame that one watch alone is sent.
impl From<Bytes> for Encoded {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            packed: None,
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        if let (Some(held), Some(segment)) = (&self.held, self.segment.get()) {
            held.fetch_sub(segment.bytes.len(), Ordering::Relaxed);
        }
    }
}

impl Segment {
    fn of(frame: &[u8]) -> Self {
        let bytes = match u16::try_from(frame.len()) {
            Ok(n) if frame.len() < SMALL => stored(frame, n),
            _ => deflated(frame),
        };
        Self {
            bytes: bytes.into(),
            crc: crc32fast::hash(frame),
            n: frame.len() as u64,
        }
    }
}

fn stored(frame: &[u8], n: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame.len() + 10);
    out.push(0);
    out.extend_from_slice(&n.to_le_bytes());
    out.extend_from_slice(&(!n).to_le_bytes());
    out.extend_from_slice(frame);
    out.extend_from_slice(&FLUSH);
    out
}

fn deflated(frame: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(frame.len() / 4 + 64);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = frame.get(done..).unwrap_or_default();
            let result = compress.compress_vec(rest, &mut out, FlushCompress::Full);
            debug_assert!(result.is_ok(), "{result:?}");
            // Room that is left means that all was flushed.
            if result.is_err() || out.len() < out.capacity() {
                break;
            }
            out.reserve(frame.len() / 4 + 64);
        }
        out
    })
}

impl Stream {
    /// What the stream begins with.
    #[must_use]
    pub const fn head() -> Bytes {
        Bytes::from_static(&HEAD)
    }

    /// Adds a frame, and returns it as it is within the stream.
    pub fn add(&mut self, frame: &Encoded) -> Bytes {
        let segment = match &frame.packed {
            Some(packed) => packed.segment(&frame.bytes),
            None => &Segment::of(&frame.bytes),
        };
        let crc = Hasher::new_with_initial_len(segment.crc, segment.n);
        self.crc.combine(&crc);
        // Modulo 2^32, as the format has it.
        #[expect(clippy::cast_possible_truncation)]
        let n = segment.n as u32;
        self.n = self.n.wrapping_add(n);
        segment.bytes.clone()
    }

    /// What the stream ends with.
    #[must_use]
    pub fn end(self) -> Bytes {
        let mut out = LAST.to_vec();
        out.extend_from_slice(&self.crc.finalize().to_le_bytes());
        out.extend_from_slice(&self.n.to_le_bytes());
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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
            // Without a byte of what follows, the whole frame is there.
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
        let frame = Encoded::counted(Bytes::from(vec![b'x'; 10_000]), &held);
        let first = Stream::default().add(&frame);
        let shared = frame.clone();
        let again = Stream::default().add(&shared);
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert_eq!(held.load(Ordering::Relaxed), first.len());
        assert!(first.len() < 100, "{}", first.len());
        drop((frame, shared));
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
}
