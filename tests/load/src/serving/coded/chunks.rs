//! Chunks of an HTTP/1.1 body, as they come.

/// Reads chunked transfer coding piece by piece.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// The length of the next chunk, as far as it came.
    head: Vec<u8>,
    /// Bytes of the chunk that are still to come, with the line break after it.
    left: usize,
}

impl Chunks {
    /// Takes in some bytes, and calls back with each piece of a chunk's content, and whether
    /// it is the last one.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8], bool)) {
        while let Some(&first) = bytes.first() {
            if 0 < self.left {
                let taken = bytes.len().min(self.left);
                let content = taken.min(self.left.saturating_sub(2));
                self.left -= taken;
                // The content is complete with the line break after it.
                piece(&bytes[..content], self.left == 0);
                bytes = &bytes[taken..];
                continue;
            }
            bytes = &bytes[1..];
            match first {
                b'\n' => {
                    let length = std::str::from_utf8(&self.head).unwrap_or_default();
                    let length = usize::from_str_radix(length.trim(), 16).unwrap_or_default();
                    self.left = length + 2;
                    self.head.clear();
                }
                other => self.head.push(other),
            }
        }
    }
}
