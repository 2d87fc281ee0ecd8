//! The frames of one view, shared by all who watch it.

use std::collections::VecDeque;

use bytes::Bytes;
use proto_types::Revision;

/// A bounded run of ready frames. A watcher is a [`Cursor`] into it and costs
/// nothing else: no queue, no copy.
#[derive(Debug)]
pub struct Ring {
    /// The cursor of the oldest frame.
    base: u64,
    frames: VecDeque<Frame>,
    bytes: usize,
    progress: Revision,
    closed: bool,
}

/// The position of the next frame to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

impl Cursor {
    /// How many frames came before it.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0
    }
}

/// A ready frame, and the revision that it brings its reader to.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The change's revision.
    pub revision: Revision,
    /// The encoded event.
    pub bytes: Bytes,
}

/// What a cursor finds.
#[derive(Debug)]
pub enum Read {
    /// The next frame, and where to go on.
    Frame(Frame, Cursor),
    /// Nothing new: everything up to this revision has been read.
    Nothing(Revision),
    /// The reader was too slow; the ring has forgotten what it would need next.
    Lost,
    /// History has been replaced by another one: list again.
    Closed,
}

/// How many frames a ring keeps for readers that lag behind.
///
/// A reader that is 10 000 events behind is better served by a new list; at
/// 1.5 KB an event this bounds what a ring alone can hold to 15 MB.
pub const MAX_FRAMES: usize = 10_000;

/// How many bytes a ring keeps for readers that lag behind.
pub const MAX_BYTES: usize = 32 << 20;

impl Ring {
    /// An empty ring at a revision.
    #[must_use]
    pub const fn new(progress: Revision) -> Self {
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

    /// Appends a frame; the oldest ones make room.
    pub fn push(&mut self, frame: Frame) {
        self.progress = self.progress.max(frame.revision);
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
        while MAX_FRAMES < self.frames.len() || MAX_BYTES < self.bytes {
            let Some(oldest) = self.frames.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes.len();
            self.base += 1;
        }
    }

    /// Notes that nothing else of interest happened up to a revision.
    pub fn advance(&mut self, progress: Revision) {
        self.progress = self.progress.max(progress);
    }

    /// Leaves all readers behind, who come back and go on from where they were.
    pub fn leave_behind(&mut self) {
        self.base += self.frames.len() as u64 + 1;
        self.frames.clear();
        self.bytes = 0;
    }

    /// Ends all watches: what follows does not continue what was.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    /// What is there from a cursor on.
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
    use super::{Bytes, Frame, MAX_FRAMES, Read, Revision, Ring};

    fn frame(number: u64) -> Frame {
        Frame {
            revision: Revision::new(number),
            bytes: Bytes::from(number.to_string()),
        }
    }

    #[test]
    fn a_cursor_reads_what_came_after_it_and_then_nothing() {
        let mut ring = Ring::new(Revision::new(5));
        ring.push(frame(6));
        let cursor = ring.head();
        ring.push(frame(7));
        ring.advance(Revision::new(9));
        let Read::Frame(read, next) = ring.read(cursor) else {
            unreachable!("one frame came");
        };
        assert_eq!(read.revision, Revision::new(7));
        assert!(matches!(ring.read(next), Read::Nothing(at) if at == Revision::new(9)));
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_so() {
        let mut ring = Ring::new(Revision::ZERO);
        let slow = ring.head();
        for number in 0..=MAX_FRAMES as u64 {
            ring.push(frame(number));
        }
        assert!(matches!(ring.read(slow), Read::Lost));
        assert!(matches!(ring.read(ring.head()), Read::Nothing(_)));
    }

    #[test]
    fn a_closed_ring_ends_every_reader() {
        let mut ring = Ring::new(Revision::ZERO);
        ring.push(frame(1));
        ring.close();
        assert!(matches!(ring.read(ring.head()), Read::Closed));
    }
}
