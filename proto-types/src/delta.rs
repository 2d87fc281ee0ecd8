//! Watch events as differences from the former version of their object.
//!
//! The content coding [`CODING`] is a sequence of records, one for each watch event: a head, and a
//! payload that is the event as it is, deflated, or its difference from a former version of the
//! object. A reader asks for it by `Accept-Encoding`, and says with [`HELD_SINCE`] which former
//! versions it holds.
//!
//! A difference is a sequence of runs: bytes that are new, then bytes that the base has. Its head
//! names the base by resource version, length and checksum, and has a checksum of the result: an
//! event is read as it was written, or not at all.

mod difference;

use crate::ResourceVersion;

pub use difference::{apply, difference};

/// Name of the content coding.
pub const CODING: &str = "heliograph-delta";

/// Request header: the reader holds each version of an object that a watch sent at or after this
/// resource version, until a later one replaces it.
pub const HELD_SINCE: &str = "heliograph-held-since";

/// Bytes that a head has at most.
pub const MAX_HEAD: usize = 64;

/// Maximum length of an event, as a multiple of base and payload together: more is no difference.
pub const MAX_GROWTH: usize = 16;

/// Head of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Form of the payload.
    pub form: Form,
    /// Length of the event in bytes.
    pub length: usize,
    /// CRC-32 of the event.
    pub checksum: u32,
    /// Length of the payload in bytes.
    pub payload: usize,
}

/// Form of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The event as it is.
    Plain,
    /// Deflate blocks (RFC 1951) that end at a byte, and not with the last block.
    Deflated,
    /// Difference from the [`base`] of a former version.
    Difference(Former),
}

/// Former version of an object, as a reader finds it and checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// Its resource version.
    pub revision: ResourceVersion,
    /// Its length in bytes.
    pub length: usize,
    /// CRC-32 of it.
    pub checksum: u32,
}

impl Former {
    /// Names a version of an object.
    #[must_use]
    pub fn of(revision: ResourceVersion, object: &[u8]) -> Self {
        Self {
            revision,
            length: object.len(),
            checksum: checksum(object),
        }
    }
}

/// Returns the CRC-32 of some bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Reason why bytes are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A head that no writer makes.
    #[error("a record of the watch has an invalid head")]
    Head,
    /// A difference that does not fit its base or its length.
    #[error("a difference of the watch does not fit its base")]
    Difference,
}

/// Returns the bytes that a difference refers to: the event that a modification to the former
/// version was.
#[must_use]
pub fn base(former: &[u8]) -> Vec<u8> {
    [BEFORE, former, AFTER].concat()
}

const BEFORE: &[u8] = br#"{"type":"MODIFIED","object":"#;
const AFTER: &[u8] = b"}\n";

impl Head {
    /// Writes the head.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.form {
            Form::Plain => 0,
            Form::Deflated => 1,
            Form::Difference(_) => 2,
        });
        write_number(self.length as u64, out);
        out.extend_from_slice(&self.checksum.to_le_bytes());
        write_number(self.payload as u64, out);
        if let Form::Difference(former) = self.form {
            write_number(former.revision.number(), out);
            write_number(former.length as u64, out);
            out.extend_from_slice(&former.checksum.to_le_bytes());
        }
    }

    /// Reads a head at the beginning of some bytes, and returns the rest; none if more bytes have
    /// to come.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, &[u8])>, Broken> {
        let mut rest = bytes;
        match Self::parse(&mut rest) {
            Some(head) => Ok(Some((head.ok_or(Broken::Head)?, rest))),
            None if bytes.len() < MAX_HEAD => Ok(None),
            None => Err(Broken::Head),
        }
    }

    /// Returns none where the bytes end, and `Some(None)` where they are no head.
    fn parse(bytes: &mut &[u8]) -> Option<Option<Self>> {
        let (&tag, rest) = bytes.split_first()?;
        *bytes = rest;
        let length = read_number(bytes)?;
        let checksum = read_checksum(bytes)?;
        let payload = read_number(bytes)?;
        let form = match tag {
            0 => Form::Plain,
            1 => Form::Deflated,
            2 => {
                let revision = read_number(bytes)?;
                let length = read_number(bytes)?;
                let checksum = read_checksum(bytes)?;
                let (Some(revision), Some(length)) = (revision, length) else {
                    return Some(None);
                };
                let Ok(length) = usize::try_from(length) else {
                    return Some(None);
                };
                Form::Difference(Former {
                    revision: ResourceVersion::new(revision),
                    length,
                    checksum,
                })
            }
            _ => return Some(None),
        };
        let (Some(Ok(length)), Some(Ok(payload))) =
            (length.map(usize::try_from), payload.map(usize::try_from))
        else {
            return Some(None);
        };
        Some(Some(Self {
            form,
            length,
            checksum,
            payload,
        }))
    }
}

fn read_checksum(bytes: &mut &[u8]) -> Option<u32> {
    let (checksum, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*checksum))
}

/// Writes seven bits a byte, the lowest first; the highest bit is set if more follow.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while 0x80 <= number {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Returns none where the bytes end, and `Some(None)` for what is longer than any number.
fn read_number(bytes: &mut &[u8]) -> Option<Option<u64>> {
    let mut number = 0_u64;
    for i in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if i == 9 && 1 < byte {
            return Some(None);
        }
        number |= bits << (7 * i);
        if byte < 0x80 {
            return Some(Some(number));
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, proptest};
    use proptest::{prop_assert, prop_assert_eq, prop_oneof};

    use super::*;

    fn form() -> impl Strategy<Value = Form> {
        let former = any::<(u64, usize, u32)>().prop_map(|(revision, length, checksum)| {
            Form::Difference(Former {
                revision: ResourceVersion::new(revision),
                length,
                checksum,
            })
        });
        let plain = any::<bool>().prop_map(|it| match it {
            true => Form::Plain,
            false => Form::Deflated,
        });
        prop_oneof![plain, former]
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            form in form(),
            (length, checksum, payload) in any::<(usize, u32, usize)>(),
        ) {
            let head = Head { form, length, checksum, payload };
            let mut written = Vec::new();
            head.write(&mut written);
            prop_assert!(written.len() <= MAX_HEAD);
            for i in 0..written.len() {
                prop_assert_eq!(Head::read(&written[..i]), Ok(None));
            }
            written.extend_from_slice(b"rest");
            prop_assert_eq!(Head::read(&written), Ok(Some((head, &b"rest"[..]))));
        }

        #[test]
        fn any_bytes_are_a_head_or_not(bytes in any::<Vec<u8>>()) {
            if let Ok(Some((_, rest))) = Head::read(&bytes) {
                prop_assert!(rest.len() < bytes.len());
            }
        }
    }

    #[test]
    fn an_unknown_form_or_an_endless_number_is_no_head() {
        let long = [&[0][..], &[0xff; 70]].concat();
        for bytes in [&[9; 20][..], &long] {
            assert_eq!(Head::read(bytes), Err(Broken::Head), "{bytes:?}");
        }
    }
}
