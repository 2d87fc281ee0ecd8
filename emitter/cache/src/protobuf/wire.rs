//! Tags, lengths and numbers.

use super::Unreadable;

/// Writes a number in as many bytes as it takes.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while 0x80 <= number {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

/// Writes a field that is a number.
pub(super) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3, out);
    varint(value, out);
}

/// Writes a field that is text, bytes or a message.
pub(crate) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    head(field, value.len(), out);
    out.extend_from_slice(value);
}

/// Writes what stands before so many bytes of a field.
pub(crate) fn head(field: u32, length: usize, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3 | 2, out);
    varint(length as u64, out);
}

/// Value of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Eight bytes, or four, in which nothing of Kubernetes is written.
    Fixed(u64),
}

impl Given<'_> {
    /// The number by which the wire calls its form.
    pub(super) const fn wire_type(self) -> u64 {
        match self {
            Self::Number(_) => 0,
            Self::Bytes(_) => 2,
            Self::Fixed(wire) => wire,
        }
    }
}

/// The fields of a message, with their numbers, as they come.
pub(super) fn fields(
    mut bytes: &[u8],
) -> impl Iterator<Item = Result<(u32, Given<'_>), Unreadable>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes);
        if field.is_err() {
            bytes = b"";
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u32, Given<'a>), Unreadable> {
    let tag = read_varint(bytes)?;
    let unknown = || Unreadable::Value((tag >> 3).to_string());
    let number = u32::try_from(tag >> 3).map_err(|_| unknown())?;
    let given = match tag & 7 {
        0 => Given::Number(read_varint(bytes)?),
        2 => {
            let length = usize::try_from(read_varint(bytes)?).map_err(|_| unknown())?;
            Given::Bytes(take(bytes, length)?)
        }
        wire @ (1 | 5) => {
            take(bytes, if wire == 1 { 8 } else { 4 })?;
            Given::Fixed(wire)
        }
        _ => return Err(unknown()),
    };
    Ok((number, given))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Unreadable> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Unreadable::Cut)?;
    *bytes = rest;
    Ok(taken)
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Unreadable::Cut)
}
