//! Runs of deflate blocks (RFC 1951) that end at a byte.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

/// An empty stored block. What came before it is complete.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

// 0.08 ms for an event of 25 KB that refers to nothing, and 0.04 ms for one that refers to another.
// Level 6 takes 0.10 and 0.05 ms, for 7 % and 34 % fewer bytes.
const LEVEL: Compression = Compression::new(4);

thread_local! {
    /// One for each thread, since its tables are large.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(LEVEL, false));
}

/// Returns the bytes as they are, in a block.
pub(super) fn stored(bytes: &[u8], length: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 10);
    out.push(0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(&FLUSH);
    out
}

/// Returns the bytes deflated, for a reader whose last bytes are those of `before`.
pub(super) fn deflated(bytes: &[u8], before: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        if !before.is_empty() {
            let result = compress.set_dictionary(before);
            debug_assert!(result.is_ok(), "{result:?}");
        }
        let mut out = Vec::with_capacity(bytes.len() / 4 + 64);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = bytes.get(done..).unwrap_or_default();
            let result = compress.compress_vec(rest, &mut out, FlushCompress::Full);
            debug_assert!(result.is_ok(), "{result:?}");
            // Room that is left means that all was flushed.
            if result.is_err() || out.len() < out.capacity() {
                break;
            }
            out.reserve(bytes.len() / 4 + 64);
        }
        out
    })
}
