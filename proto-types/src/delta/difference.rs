//! Differences between two texts.

use super::{Broken, MAX_GROWTH, read_number, write_number};

/// Length of the blocks by which a base is searched, and of the shortest run that is copied.
const BLOCK: usize = 16;

/// Positions of one block that are compared: a text of alike parts has many.
const MAX_CANDIDATES: usize = 16;

/// A run so long is taken without a look at other positions.
const LONG: usize = 256;

/// Returns the difference that makes a text of its base.
#[must_use]
pub fn difference(base: &[u8], text: &[u8]) -> Vec<u8> {
    let index = Index::of(base);
    let mut out = Vec::with_capacity(256);
    let mut at = 0;
    // First byte that is not written yet, and where the base goes on if bytes were replaced by
    // as many others.
    let (mut unwritten, mut expected) = (0, 0);
    while at < text.len() {
        let same = expected + (at - unwritten);
        let Some(mut run) = index.find(&text[at..], same) else {
            at += 1;
            continue;
        };
        // What comes before it may be there too.
        let before = backwards(&base[..run.from], &text[unwritten..at]);
        run.from -= before;
        run.length += before;
        at -= before;
        let is_end = at + run.length == text.len();
        if run.length < BLOCK && !is_end {
            at += before + 1;
            continue;
        }
        write_run(&text[unwritten..at], &run, &mut out);
        at += run.length;
        (unwritten, expected) = (at, run.from + run.length);
    }
    if unwritten < text.len() {
        let nothing = Run { from: 0, length: 0 };
        write_run(&text[unwritten..], &nothing, &mut out);
    }
    out
}

/// Makes a text of that length of its base and the difference.
pub fn apply(base: &[u8], mut difference: &[u8], length: usize) -> Result<Vec<u8>, Broken> {
    let most = base.len().saturating_add(difference.len());
    if most.saturating_mul(MAX_GROWTH) < length {
        return Err(Broken::Difference);
    }
    let mut out = Vec::with_capacity(length);
    while !difference.is_empty() {
        let n_new = number(&mut difference)?;
        let new = difference.split_off(..n_new).ok_or(Broken::Difference)?;
        let from = number(&mut difference)?;
        let n_copied = number(&mut difference)?;
        let end = from.checked_add(n_copied).ok_or(Broken::Difference)?;
        let copied = base.get(from..end).ok_or(Broken::Difference)?;
        if length - out.len() < new.len() + copied.len() {
            return Err(Broken::Difference);
        }
        out.extend_from_slice(new);
        out.extend_from_slice(copied);
    }
    match out.len() == length {
        true => Ok(out),
        false => Err(Broken::Difference),
    }
}

fn number(bytes: &mut &[u8]) -> Result<usize, Broken> {
    let number = read_number(bytes).flatten();
    let number = number.and_then(|it| usize::try_from(it).ok());
    number.ok_or(Broken::Difference)
}

/// Bytes that the base has.
struct Run {
    from: usize,
    length: usize,
}

fn write_run(new: &[u8], run: &Run, out: &mut Vec<u8>) {
    write_number(new.len() as u64, out);
    out.extend_from_slice(new);
    write_number(run.from as u64, out);
    write_number(run.length as u64, out);
}

/// Blocks of a base by their hash.
struct Index<'a> {
    base: &'a [u8],
    /// The last block of each hash, counted from one; zero is none.
    heads: Vec<u32>,
    /// The block of the same hash before each block.
    previous: Vec<u32>,
}

impl<'a> Index<'a> {
    fn of(base: &'a [u8]) -> Self {
        let n_blocks = base.len() / BLOCK;
        let size = (2 * n_blocks).next_power_of_two();
        let mut index = Self {
            base,
            heads: vec![0; size],
            previous: Vec::with_capacity(n_blocks),
        };
        for (i, block) in (1_u32..).zip(base.chunks_exact(BLOCK)) {
            let slot = index.slot(block);
            index.previous.push(index.heads[slot]);
            index.heads[slot] = i;
        }
        index
    }

    fn slot(&self, block: &[u8]) -> usize {
        let word = |range| block.get(range).and_then(|it| <[u8; 8]>::try_from(it).ok());
        let first = u64::from_le_bytes(word(0..8).unwrap_or_default());
        let second = u64::from_le_bytes(word(8..16).unwrap_or_default());
        let mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ second;
        let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(mixed).unwrap_or_default() & (self.heads.len() - 1)
    }

    /// Finds a run that some text begins with: where the base goes on, or else the longest.
    fn find(&self, text: &[u8], expected: usize) -> Option<Run> {
        let run = |from: usize| Run {
            from,
            length: forwards(self.base.get(from..).unwrap_or_default(), text),
        };
        let first = run(expected);
        let is_rest = first.length == text.len() && 0 < first.length;
        if BLOCK <= first.length || is_rest {
            return Some(first);
        }
        let mut next = self.heads[self.slot(text.get(..BLOCK)?)];
        let mut best: Option<Run> = None;
        for _ in 0..MAX_CANDIDATES {
            let Some(block) = (next as usize).checked_sub(1) else {
                break;
            };
            let found = run(block * BLOCK);
            if best.as_ref().map_or(BLOCK - 1, |it| it.length) < found.length {
                let is_long = LONG <= found.length;
                best = Some(found);
                if is_long {
                    break;
                }
            }
            next = self.previous[block];
        }
        best
    }
}

fn forwards(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8));
    let n = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = a[n..].iter().zip(&b[n..]);
    n + rest.take_while(|(a, b)| a == b).count()
}

fn backwards(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.iter().rev().zip(b.iter().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn check(base: &str, text: &str, most: usize) {
        let found = difference(base.as_bytes(), text.as_bytes());
        let made = apply(base.as_bytes(), &found, text.len()).unwrap();
        assert_eq!(String::from_utf8(made).unwrap(), text);
        assert!(found.len() <= most, "{} bytes", found.len());
    }

    fn endpoints(range: std::ops::Range<u32>) -> String {
        range
            .map(|i| {
                let uid = i.wrapping_mul(2_654_435_761);
                format!(r#"{{"addresses":["10.0.3.{i}"],"conditions":{{"ready":true,"serving":true}},"uid":"{uid:08x}"}},"#)
            })
            .collect()
    }

    #[test]
    fn a_small_change_is_a_small_difference() {
        let base = endpoints(0..100);
        check(&base, &base, 8);
        check("", &base, base.len() + 8);
        check(&base, "", 0);
        // One endpoint fewer, one more, one replaced, and one moved.
        check(&base, &(endpoints(0..40) + &endpoints(41..100)), 40);
        check(&base, &endpoints(0..101), 100);
        let replaced = endpoints(0..40) + &endpoints(200..201) + &endpoints(41..100);
        check(&base, &replaced, 60);
        let moved = endpoints(0..40) + &endpoints(41..100) + &endpoints(40..41);
        check(&base, &moved, 40);
        check(&base, &base.replacen("true", "false", 1), 40);
    }

    /// Texts of few words, which have much in common.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "endpoints and addresses",
            "0123456789abcdef",
            "ready",
            "{\"a\":1},",
            "x",
        ];
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..40)
            .prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_difference_makes_the_text(base in text(), text in text()) {
            let found = difference(&base, &text);
            prop_assert!(found.len() <= text.len() + 16);
            if text.len() <= MAX_GROWTH * (base.len() + found.len()) {
                prop_assert_eq!(apply(&base, &found, text.len()), Ok(text));
            }
        }

        #[test]
        fn any_bytes_are_a_difference_or_broken(
            base in any::<Vec<u8>>(),
            difference in any::<Vec<u8>>(),
            length in 0..1000_usize,
        ) {
            if let Ok(made) = apply(&base, &difference, length) {
                prop_assert_eq!(made.len(), length);
            }
        }
    }

    #[test]
    fn a_difference_that_does_not_fit_is_broken() {
        let base = b"0123456789";
        let broken: [(&[u8], usize); 6] = [
            // Beyond the base, beyond the length, short of it, without its bytes, huge numbers.
            (&[0, 5, 6], 6),
            (&[0, 0, 10], 9),
            (&[0, 0, 10], 11),
            (&[4, b'a'], 4),
            (
                &[
                    0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 9,
                ],
                8,
            ),
            (&[0, 0, 1], usize::MAX),
        ];
        for (difference, length) in broken {
            let made = apply(base, difference, length);
            assert_eq!(made, Err(Broken::Difference), "{difference:?}");
        }
    }
}
