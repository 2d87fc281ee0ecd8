//! Records of the content coding `heliograph-delta`, read one by one.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress};
use parking_lot::Mutex;
use proto_types::delta::{self, Broken, Form, Head, checksum};

use crate::watcher::formers::Formers;

/// Bytes by which a payload may be longer than its event: deflate keeps what it cannot make
/// smaller, in blocks.
const OVERHEAD: usize = 1024;

/// Reader of records. One is decoded only after the event of the one before was taken: it may be
/// what the next one refers to.
pub(in crate::watcher) struct Records {
    buffer: BytesMut,
    formers: Arc<Mutex<Formers>>,
    /// Bytes of an event at most.
    limit: usize,
}

/// Reason why a record is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::watcher) enum Unread {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("an event of the watch has more than {0} bytes")]
    TooLarge(usize),
    #[error("an event of the watch refers to a former version that is not held")]
    NotHeld,
    #[error("an event of the watch is not what its checksum says")]
    Checksum,
    #[error("the watch ended within an event")]
    Cut,
}

impl Records {
    pub(in crate::watcher) fn new(formers: Arc<Mutex<Formers>>, limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            formers,
            limit,
        }
    }

    /// Takes in what came.
    pub(in crate::watcher) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next event, if all of it came.
    pub(in crate::watcher) fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        let event = self.read();
        if event.is_err() {
            self.formers.lock().broke();
        }
        event
    }

    fn read(&mut self) -> Result<Option<Bytes>, Unread> {
        let Some((head, rest)) = Head::read(&self.buffer)? else {
            return Ok(None);
        };
        // A line break comes on top of what an event may have.
        if self.limit < head.length.saturating_sub(1) {
            return Err(Unread::TooLarge(self.limit));
        }
        if head.length.saturating_add(OVERHEAD) < head.payload {
            return Err(Broken::Head.into());
        }
        let Some(payload) = rest.get(..head.payload) else {
            return Ok(None);
        };
        let event = self.event(&head, payload)?;
        if event.len() != head.length || checksum(&event) != head.checksum {
            return Err(Unread::Checksum);
        }
        let n_read = self.buffer.len() - rest.len() + head.payload;
        self.buffer.advance(n_read);
        Ok(Some(event.into()))
    }

    fn event(&self, head: &Head, payload: &[u8]) -> Result<Vec<u8>, Unread> {
        match &head.form {
            Form::Plain => Ok(payload.to_vec()),
            Form::Deflated => inflated(payload, head.length),
            Form::Difference(former) => {
                let former = self.formers.lock().get(former).ok_or(Unread::NotHeld)?;
                let base = delta::base(&former);
                Ok(delta::apply(&base, payload, head.length)?)
            }
        }
    }

    /// Checks that nothing is missing at the end.
    pub(in crate::watcher) fn end(&self) -> Result<(), Unread> {
        match self.buffer.is_empty() {
            true => Ok(()),
            false => Err(Unread::Cut),
        }
    }
}

/// A thousand times as many bytes may come of a payload, and no more: that is all that deflate
/// can do.
fn inflated(payload: &[u8], length: usize) -> Result<Vec<u8>, Unread> {
    const MOST: usize = 1100;
    if payload.len().saturating_mul(MOST) < length {
        return Err(Broken::Head.into());
    }
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        let mut out = Vec::with_capacity(length);
        let status = decompress.decompress_vec(payload, &mut out, FlushDecompress::Sync);
        status.map_err(|_| Unread::Checksum)?;
        Ok(out)
    })
}

thread_local! {
    /// One for each thread: its window is large, and one for each record would leave holes between
    /// the objects in memory.
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::{any, proptest};
    use proto_types::ResourceVersion;
    use proto_types::delta::Former;

    use super::*;

    fn record(form: Form, length: usize, payload: &[u8]) -> Vec<u8> {
        let head = Head {
            form,
            length,
            checksum: 0,
            payload: payload.len(),
        };
        let mut out = Vec::new();
        head.write(&mut out);
        out.extend_from_slice(payload);
        out
    }

    fn read(bytes: &[u8]) -> Result<Option<Bytes>, Unread> {
        let mut records = Records::new(Arc::default(), 8 << 20);
        records.push(bytes);
        records.next()
    }

    #[test]
    fn a_record_that_claims_to_be_large_takes_no_memory() {
        let large = record(Form::Plain, 9 << 20, b"x");
        assert_eq!(read(&large), Err(Unread::TooLarge(8 << 20)));
        // Little that is said to become much, much that is said to become little.
        for (form, length, payload) in [
            (Form::Deflated, 8 << 20, 100),
            (Form::Plain, 10, 10_000),
            (Form::Deflated, usize::MAX, 0),
        ] {
            let read = read(&record(form, length, &vec![0; payload]));
            assert!(read.is_err(), "{form:?} {length} {payload}");
        }
        let mut bomb = Vec::with_capacity(100_000);
        let zeros = vec![0; 8 << 20];
        let mut compress = Compress::new(Compression::best(), false);
        let packed = compress.compress_vec(&zeros, &mut bomb, FlushCompress::Full);
        packed.unwrap();
        // More than it says, and as much as it says.
        assert_eq!(
            read(&record(Form::Deflated, 1000, &bomb[..500])),
            Err(Unread::Checksum)
        );
        assert_eq!(
            read(&record(Form::Deflated, 8 << 20, &bomb)),
            Err(Unread::Checksum)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_broken(bytes in any::<Vec<u8>>(), form in 0..3_u8) {
            let former = Former { revision: ResourceVersion::new(1), length: 1, checksum: 0 };
            let form = [Form::Plain, Form::Deflated, Form::Difference(former)][usize::from(form)];
            let _ = read(&bytes);
            assert!(!matches!(read(&record(form, 300, &bytes)), Ok(Some(_))));
        }
    }
}
