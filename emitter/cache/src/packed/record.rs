//! Events as records of the content coding `heliograph-delta`, made once for all watches.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use proto_types::ResourceVersion;
use proto_types::delta::{self, Form, Former, Head, MAX_GROWTH, MAX_HEAD};

use crate::Entry;

/// Records of an event, each made for the first watch that needs it.
#[derive(Debug, Default)]
pub(super) struct Records {
    whole: OnceLock<Bytes>,
    difference: OnceLock<Option<Bytes>>,
    /// Version of the object before, if the watches of the event were sent exactly that. History
    /// holds it: without it there is no difference.
    former: Option<(ResourceVersion, Weak<Entry>)>,
}

impl Records {
    pub(super) fn after(former: &Arc<Entry>) -> Self {
        Self {
            former: Some((former.revision(), Arc::downgrade(former))),
            ..Self::default()
        }
    }

    /// Returns the record that needs nothing else, and counts it once.
    pub(super) fn whole(&self, make: impl FnOnce() -> Bytes, count: impl FnOnce(usize)) -> Bytes {
        let whole = self.whole.get_or_init(|| {
            let whole = make();
            count(whole.len());
            whole
        });
        whole.clone()
    }

    /// Returns the difference for a watch that holds what it was sent since a resource version.
    pub(super) fn difference(
        &self,
        frame: &[u8],
        held_since: ResourceVersion,
        count: impl FnOnce(usize),
    ) -> Option<Bytes> {
        let (revision, former) = self.former.as_ref()?;
        if *revision < held_since {
            return None;
        }
        let difference = self.difference.get_or_init(|| {
            let made = difference(frame, &*former.upgrade()?)?;
            count(made.len());
            Some(made)
        });
        difference.clone()
    }

    /// Returns the bytes of all records.
    pub(super) fn held(&self) -> usize {
        let difference = self.difference.get().and_then(Option::as_ref);
        self.whole.get().map_or(0, Bytes::len) + difference.map_or(0, Bytes::len)
    }
}

/// None where it would not be worth it.
fn difference(frame: &[u8], former: &Entry) -> Option<Bytes> {
    let json = former.json();
    let base = delta::base(json);
    let payload = delta::difference(&base, frame);
    // What is changed altogether is smaller when it is deflated.
    let pays = payload.len() < frame.len() / 8;
    let fits = frame.len() <= MAX_GROWTH * (base.len() + payload.len());
    (pays && fits).then(|| {
        let form = Form::Difference(Former::of(former.revision(), json));
        record(frame, form, &payload)
    })
}

/// Makes a record of an encoded event.
pub(super) fn record(frame: &[u8], form: Form, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(MAX_HEAD + payload.len());
    let head = Head {
        form,
        length: frame.len(),
        checksum: delta::checksum(frame),
        payload: payload.len(),
    };
    head.write(&mut out);
    out.extend_from_slice(payload);
    out.into()
}
