//! Watch events, plain and compressed, each compressed once for all watches.
//!
//! A compressed watch is one gzip stream (RFC 1952) that its watcher never has to encode: each
//! encoded event is a run of deflate blocks that ends at a byte with an empty block, so that a watch
//! has the whole event at once. The same bytes fit into every stream; only the checksum at the end is
//! of one stream, and is combined from those of encoded events.
//!
//! There are two such runs of an event. One refers to nothing before it. The other
//! refers to the events before it in the same event buffer, as far as the window of
//! deflate reaches, and is for streams that were sent exactly those.
//!
//! Watches that hold former versions of objects are sent [records](Encoded::record) instead.

mod continued;
mod deflate;
mod record;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use crc32fast::Hasher;
use proto_types::ResourceVersion;
use proto_types::delta::Form;

use crate::Entry;
pub(crate) use continued::PLACE_BYTES;
use continued::Place;
pub use continued::{WINDOW, Window};
use record::{Records, record};

/// An encoded watch event.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Bytes,
    /// Compressed form; `None` for an event that only one watch is sent.
    packed: Option<Arc<Packed>>,
    /// Place in an event buffer; `None` for an event that was not read from one.
    place: Option<Arc<Place>>,
}

/// Compressed form, created for the first watch that needs it.
#[derive(Debug, Default)]
struct Packed {
    segment: OnceLock<Segment>,
    records: Records,
    /// Counter of the bytes in memory.
    held: Option<Arc<AtomicUsize>>,
}

/// An encoded event within a gzip stream.
#[derive(Debug, Clone)]
struct Segment {
    bytes: Bytes,
    crc: u32,
    /// Length of the encoded event as it is.
    n: u64,
}

/// A gzip stream of encoded events, without their bytes.
#[derive(Debug, Default)]
pub struct Stream {
    crc: Hasher,
    n: u32,
    run: Option<Run>,
}

/// Events of an event buffer that are the end of a stream, one after another.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    next: u64,
}

/// The header of a gzip stream: deflate, no time, no name, unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The last block of a stream, which is empty.
const LAST: [u8; 2] = [3, 0];

/// Size in bytes below which compression saves nothing.
const SMALL: usize = 256;

impl Encoded {
    /// An encoded event for several watches.
    pub(crate) fn shared(bytes: Bytes) -> Self {
        Self {
            bytes,
            packed: Some(Arc::default()),
            place: None,
        }
    }

    /// The same, whose compressed forms are counted with others. Where its watches were sent a
    /// former version of the object, they may be sent the difference from that.
    pub(crate) fn counted(
        bytes: Bytes,
        held: &Arc<AtomicUsize>,
        former: Option<&Arc<Entry>>,
    ) -> Self {
        let packed = Packed {
            segment: OnceLock::new(),
            records: former.map(Records::after).unwrap_or_default(),
            held: Some(Arc::clone(held)),
        };
        Self {
            bytes,
            packed: Some(Arc::new(packed)),
            place: None,
        }
    }

    /// The same event at a position in an event buffer.
    pub(crate) fn at(self, position: u64) -> Self {
        let held = self.packed.as_ref().and_then(|it| it.held.clone());
        Self {
            place: Some(Arc::new(Place::new(position, held))),
            ..self
        }
    }

    /// The encoded event as it is.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Length of the encoded event as it is.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the encoded event has no bytes, as one that is not sent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the encoded event as a record of the content coding [`proto_types::delta::CODING`],
    /// for a watch that holds what it was sent since some resource version.
    #[must_use]
    pub fn record(&self, held_since: Option<ResourceVersion>) -> Bytes {
        let frame = &self.bytes;
        let Some(packed) = &self.packed else {
            return whole(frame, || Segment::of(frame));
        };
        let count = |n| packed.count(n);
        let since = held_since.filter(|_| SMALL <= frame.len());
        let difference = since.and_then(|it| packed.records.difference(frame, it, count));
        difference.unwrap_or_else(|| {
            let make = || whole(frame, || packed.segment(frame).clone());
            packed.records.whole(make, count)
        })
    }
}

fn whole(frame: &[u8], segment: impl FnOnce() -> Segment) -> Bytes {
    match frame.len() < SMALL {
        true => record(frame, Form::Plain, frame),
        false => record(frame, Form::Deflated, &segment().bytes),
    }
}

impl Packed {
    fn segment(&self, frame: &[u8]) -> &Segment {
        self.segment.get_or_init(|| {
            let segment = Segment::of(frame);
            self.count(segment.bytes.len());
            segment
        })
    }

    fn count(&self, n_bytes: usize) {
        if let Some(held) = &self.held {
            held.fetch_add(n_bytes, Ordering::Relaxed);
        }
    }
}

/// An encoded event that one watch alone is sent.
impl From<Bytes> for Encoded {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            packed: None,
            place: None,
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            let segment = self.segment.get().map_or(0, |it| it.bytes.len());
            held.fetch_sub(segment + self.records.held(), Ordering::Relaxed);
        }
    }
}

impl Segment {
    fn of(frame: &[u8]) -> Self {
        let bytes = match u16::try_from(frame.len()) {
            Ok(n) if frame.len() < SMALL => deflate::stored(frame, n),
            _ => deflate::deflated(frame, &[]),
        };
        Self::new(bytes, frame)
    }

    fn new(bytes: Vec<u8>, frame: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            crc: crc32fast::hash(frame),
            n: frame.len() as u64,
        }
    }
}

impl Stream {
    /// Returns the beginning of the stream.
    #[must_use]
    pub const fn head() -> Bytes {
        Bytes::from_static(&HEAD)
    }

    /// Adds an encoded event, and returns it as it is within the stream. `window` returns the events
    /// before it, as [`EventBuffer::window`](crate::EventBuffer::window) of the event buffer that it
    /// was read from.
    pub fn add(
        &mut self,
        frame: &Encoded,
        window: impl FnOnce(Range<u64>) -> Option<Window>,
    ) -> Bytes {
        let run = self.extend(frame);
        let continued = match (&frame.place, run) {
            (Some(place), Some(run)) => place.continued(run.first, &frame.bytes, window),
            _ => None,
        };
        let segment = match (continued, &frame.packed) {
            (Some(segment), _) => segment,
            (None, Some(packed)) => packed.segment(&frame.bytes),
            (None, None) => &Segment::of(&frame.bytes),
        };
        let crc = Hasher::new_with_initial_len(segment.crc, segment.n);
        self.crc.combine(&crc);
        // Modulo 2^32, as the format has it.
        #[expect(clippy::cast_possible_truncation)]
        let n = segment.n as u32;
        self.n = self.n.wrapping_add(n);
        segment.bytes.clone()
    }

    /// Returns the run that ends before the event, if the event continues it.
    fn extend(&mut self, frame: &Encoded) -> Option<Run> {
        let former = self.run.take();
        let position = frame.place.as_ref()?.position();
        let run = former.filter(|it| it.next == position);
        self.run = Some(Run {
            first: run.map_or(position, |it| it.first),
            next: position + 1,
        });
        run
    }

    /// Returns the end of the stream.
    #[must_use]
    pub fn end(self) -> Bytes {
        let mut out = LAST.to_vec();
        out.extend_from_slice(&self.crc.finalize().to_le_bytes());
        out.extend_from_slice(&self.n.to_le_bytes());
        out.into()
    }
}

#[cfg(test)]
mod tests;
