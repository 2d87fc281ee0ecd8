//! Encoded events of one view, shared by all its watches.

use std::collections::VecDeque;
use std::ops::Range;

use proto_types::ResourceVersion;

use crate::Encoded;
use crate::packed::{PLACE_BYTES, WINDOW, Window};

/// A bounded run of ready encoded events. A watcher is a [`Cursor`] into it and costs nothing else:
/// no queue, no copy.
#[derive(Debug)]
pub struct EventBuffer {
    /// The cursor of the oldest encoded event.
    base: u64,
    frames: VecDeque<EncodedEvent>,
    bytes: usize,
    progress: ResourceVersion,
    closed: bool,
}

/// The position of the next encoded event to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

impl Cursor {
    /// Returns the number of events before it.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0
    }
}

/// Ready encoded event with the resource version that it brings its watch to.
#[derive(Debug, Clone)]
pub struct EncodedEvent {
    /// Resource version of the event.
    pub revision: ResourceVersion,
    /// Effect of the encoded event on its watch.
    pub kind: FrameKind,
    /// Encoded event; empty for a bookmark, which each watch encodes by itself.
    pub bytes: Encoded,
}

/// Effect of an encoded event on its watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Change at the resource version of the encoded event; watches that know the resource version
    /// skip it.
    Change,
    /// Change after the resource version of the encoded event, and not after the end of a gap,
    /// where that is known. Watches that know the end skip it; watches whose resource version is
    /// within the gap cannot continue.
    Missed {
        /// End of the gap.
        until: Option<ResourceVersion>,
    },
    /// Not sent: watches whose resource version is between the resource version of the encoded
    /// event and the end of the gap cannot continue.
    Gap {
        /// End of the gap.
        until: ResourceVersion,
    },
    /// Nothing else happened up to the resource version of the encoded event.
    Bookmark,
}

/// Treatment of an encoded event for one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The watch needs it.
    Deliver,
    /// The watch has it.
    Skip,
    /// The watch may have it or not: it has to list.
    Expire,
}

impl EncodedEvent {
    /// Decides what becomes of the encoded event for a watch that had everything up to a resource
    /// version when it joined.
    #[must_use]
    pub fn treatment(&self, known: ResourceVersion) -> Treatment {
        let is_news = match self.kind {
            FrameKind::Change => known < self.revision,
            FrameKind::Bookmark => known <= self.revision,
            FrameKind::Gap { until } if self.revision < known && known < until => {
                return Treatment::Expire;
            }
            FrameKind::Missed { .. } if known <= self.revision => true,
            // The watch came from a replica that was ahead of this one.
            FrameKind::Missed { until } if until.is_none_or(|until| known < until) => {
                return Treatment::Expire;
            }
            FrameKind::Gap { .. } | FrameKind::Missed { .. } => false,
        };
        match is_news {
            true => Treatment::Deliver,
            false => Treatment::Skip,
        }
    }
}

/// Events from a cursor on.
#[derive(Debug)]
pub enum Read {
    /// The next event, and the position after it.
    Frame(EncodedEvent, Cursor),
    /// Nothing new: everything up to this resource version has been read.
    Nothing(ResourceVersion),
    /// The watch was too slow; the event buffer has forgotten what it would need next.
    Lost,
    /// History has been replaced by another one: list again.
    Closed,
}

/// Number of encoded events that an event buffer keeps for slow clients.
///
/// A watch that is 10 000 events behind is better served by a new list; at
/// 1.5 KB an event this bounds what an event buffer alone can hold to 15 MB.
pub const MAX_FRAMES: usize = 10_000;

/// Maximum size in bytes of the encoded events that one event buffer keeps for watches that lag
/// behind.
pub const MAX_BYTES: usize = 32 << 20;

/// Maximum size in bytes of the encoded events that all event buffers of one resource keep.
pub const MAX_BYTES_OF_ALL: usize = 64 << 20;

/// Bytes of an event beside its encoding: its entry in a queue that is half empty, and its place.
const OVERHEAD: usize = 2 * size_of::<EncodedEvent>() + PLACE_BYTES;

/// Returns the bytes for which an event counts.
const fn charge(frame: &EncodedEvent) -> usize {
    frame.bytes.len() + OVERHEAD
}

/// Returns the maximum size in bytes of one event buffer of several.
#[must_use]
pub fn share(n_rings: usize) -> usize {
    (MAX_BYTES_OF_ALL / n_rings.max(1)).min(MAX_BYTES)
}

impl EventBuffer {
    /// An empty event buffer at a resource version.
    #[must_use]
    pub const fn new(progress: ResourceVersion) -> Self {
        Self {
            base: 0,
            frames: VecDeque::new(),
            bytes: 0,
            progress,
            closed: false,
        }
    }

    /// The cursor that sees what comes next.
    #[must_use]
    pub fn head(&self) -> Cursor {
        Cursor(self.base + self.frames.len() as u64)
    }

    /// Appends an encoded event; the oldest encoded events make room for it within `max_bytes`.
    pub fn push(&mut self, frame: EncodedEvent, max_bytes: usize) {
        // A gap may lie ahead of what the watches of a joined view have been sent.
        if !matches!(frame.kind, FrameKind::Gap { .. }) {
            self.progress = self.progress.max(frame.revision);
        }
        self.bytes += charge(&frame);
        let frame = EncodedEvent {
            bytes: match frame.bytes.is_empty() {
                true => frame.bytes,
                false => frame.bytes.at(self.head().position()),
            },
            ..frame
        };
        self.frames.push_back(frame);
        while MAX_FRAMES < self.frames.len() || max_bytes < self.bytes {
            let Some(oldest) = self.frames.pop_front() else {
                break;
            };
            self.bytes -= charge(&oldest);
            self.base += 1;
        }
    }

    /// Returns the last bytes of the events before the end of a range of positions, back to one that
    /// is not there any more or was not encoded here. Returns `None` if there are none, or if some of
    /// them are before the range.
    #[must_use]
    pub fn window(&self, range: Range<u64>) -> Option<Window> {
        let n_before = range.end.checked_sub(self.base);
        let n_before = n_before.and_then(|it| usize::try_from(it).ok());
        let before = self
            .frames
            .range(..n_before.unwrap_or_default().min(self.frames.len()));
        let mut n_bytes = 0;
        let taken: Vec<_> = before
            .rev()
            .map(|it| it.bytes.bytes())
            .take_while(|it| {
                let is_taken = n_bytes < WINDOW && !it.is_empty();
                n_bytes += it.len();
                is_taken
            })
            .collect();
        let first = range.end - taken.len() as u64;
        if taken.is_empty() || first < range.start {
            return None;
        }
        let mut bytes = Vec::with_capacity(WINDOW);
        for frame in taken.iter().rev() {
            bytes.extend_from_slice(&frame[frame.len().saturating_sub(WINDOW)..]);
        }
        let excess = bytes.len().saturating_sub(WINDOW);
        bytes.drain(..excess);
        Some(Window { bytes, first })
    }

    /// Notes that nothing else of interest happened up to a resource version.
    pub fn advance(&mut self, progress: ResourceVersion) {
        self.progress = self.progress.max(progress);
    }

    /// Ends the reads of all watches, which reconnect and resume.
    pub fn disconnect(&mut self) {
        self.base += self.frames.len() as u64 + 1;
        self.frames.clear();
        self.bytes = 0;
    }

    /// Ends all watches: what follows does not continue what was.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// Returns the events from a cursor on.
    #[must_use]
    pub fn read(&self, cursor: Cursor) -> Read {
        if self.closed {
            return Read::Closed;
        }
        let Some(skip) = cursor.0.checked_sub(self.base) else {
            return Read::Lost;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        match self.frames.get(skip) {
            Some(frame) => Read::Frame(frame.clone(), Cursor(cursor.0 + 1)),
            None => Read::Nothing(self.progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        EncodedEvent, EventBuffer, FrameKind, MAX_BYTES, MAX_FRAMES, Read, ResourceVersion, share,
    };

    fn frame(number: u64) -> EncodedEvent {
        EncodedEvent {
            revision: ResourceVersion::new(number),
            kind: FrameKind::Change,
            bytes: bytes::Bytes::from(number.to_string()).into(),
        }
    }

    #[test]
    fn a_cursor_reads_what_came_after_it_and_then_nothing() {
        let mut ring = EventBuffer::new(ResourceVersion::new(5));
        ring.push(frame(6), MAX_BYTES);
        let cursor = ring.head();
        ring.push(frame(7), MAX_BYTES);
        ring.advance(ResourceVersion::new(9));
        let Read::Frame(read, next) = ring.read(cursor) else {
            unreachable!("one frame came");
        };
        assert_eq!(read.revision, ResourceVersion::new(7));
        assert!(matches!(ring.read(next), Read::Nothing(at) if at == ResourceVersion::new(9)));
    }

    #[test]
    fn a_gap_ahead_of_the_readers_is_no_progress() {
        let mut ring = EventBuffer::new(ResourceVersion::new(5));
        let mut gap = frame(9);
        gap.kind = FrameKind::Gap {
            until: ResourceVersion::new(12),
        };
        ring.push(gap, MAX_BYTES);
        assert!(
            matches!(ring.read(ring.head()), Read::Nothing(at) if at == ResourceVersion::new(5))
        );
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_so() {
        let mut ring = EventBuffer::new(ResourceVersion::ZERO);
        let slow = ring.head();
        for number in 0..=MAX_FRAMES as u64 {
            ring.push(frame(number), MAX_BYTES);
        }
        assert!(matches!(ring.read(slow), Read::Lost));
        assert!(matches!(ring.read(ring.head()), Read::Nothing(_)));
    }

    #[test]
    fn a_closed_ring_ends_every_reader() {
        let mut ring = EventBuffer::new(ResourceVersion::ZERO);
        ring.push(frame(1), MAX_BYTES);
        ring.close();
        assert!(matches!(ring.read(ring.head()), Read::Closed));
    }

    #[test]
    fn all_rings_together_have_a_limit() {
        for n_rings in [1, 2, 3, 100] {
            assert!(share(n_rings) <= MAX_BYTES);
            assert!(n_rings * share(n_rings) <= super::MAX_BYTES_OF_ALL);
        }
        let mut ring = EventBuffer::new(ResourceVersion::ZERO);
        let event = 2 + super::OVERHEAD;
        (10..20).for_each(|number| ring.push(frame(number), 3 * event));
        assert_eq!(ring.bytes, 3 * event);
    }
}
