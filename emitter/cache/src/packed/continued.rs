//! Events that refer to the events before them in an event buffer.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::Segment;
use super::deflate::deflated;

/// Bytes before an event that its blocks can refer to: the window of deflate, without what the
/// compressor needs to look ahead.
pub const WINDOW: usize = (32 << 10) - 262;

/// Last bytes of the events before an event, one after another.
#[derive(Debug)]
pub struct Window {
    /// At most [`WINDOW`] bytes.
    pub bytes: Vec<u8>,
    /// Position of the first event that has some of them.
    pub first: u64,
}

/// Place of an event in an event buffer.
#[derive(Debug)]
pub(super) struct Place {
    position: u64,
    /// Form for the streams that were sent the events from a position on; made for the first of them.
    continued: OnceLock<(u64, Segment)>,
    /// Counter of the bytes in memory.
    held: Option<Arc<AtomicUsize>>,
}

/// Bytes of a place, with the counters of its owners.
pub(crate) const PLACE_BYTES: usize = size_of::<Place>() + 2 * size_of::<usize>();

impl Place {
    pub(super) const fn new(position: u64, held: Option<Arc<AtomicUsize>>) -> Self {
        Self {
            position,
            continued: OnceLock::new(),
            held,
        }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Returns the event for a stream that was sent all events from a position on. Returns `None`
    /// if there are not enough of them.
    pub(super) fn continued(
        &self,
        first: u64,
        frame: &[u8],
        window: impl FnOnce(Range<u64>) -> Option<Window>,
    ) -> Option<&Segment> {
        if self.continued.get().is_none() {
            let window = window(first..self.position)?;
            self.continued.get_or_init(|| {
                let segment = Segment::new(deflated(frame, &window.bytes), frame);
                if let Some(held) = &self.held {
                    held.fetch_add(segment.bytes.len(), Ordering::Relaxed);
                }
                (window.first, segment)
            });
        }
        let (needs, segment) = self.continued.get()?;
        (first <= *needs).then_some(segment)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (Some(held), Some((_, segment))) = (&self.held, self.continued.get()) {
            held.fetch_sub(segment.bytes.len(), Ordering::Relaxed);
        }
    }
}
