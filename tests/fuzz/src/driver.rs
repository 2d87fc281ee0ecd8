//! Throws mutated input at a target, which knows nothing of what code it reaches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::Target;

/// Input that did harm, and what it did.
#[derive(Debug)]
pub struct Harm {
    /// The input.
    pub input: Vec<u8>,
    /// What did not hold.
    pub why: String,
}

/// Input is no longer than this, in bytes.
const MAX_INPUT: usize = 4096;

/// Where the inputs are that once did harm to a target.
#[must_use]
pub fn regressions(target: &Target) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("regressions").join(target.name)
}

/// Runs a target on one input.
pub fn run(target: &Target, input: &[u8]) -> Result<(), Harm> {
    let run = AssertUnwindSafe(|| (target.run)(input));
    catch_unwind(run).map_err(|what| {
        let text = what.downcast_ref::<String>().cloned();
        let text = text.or_else(|| what.downcast_ref::<&str>().map(|&it| it.to_owned()));
        Harm {
            input: input.to_owned(),
            why: text.unwrap_or_else(|| "it panicked".to_owned()),
        }
    })
}

/// Runs a target on mutated input for so long; how many inputs that were.
pub fn throw(target: &Target, time: Duration, seed: u64) -> Result<u64, Harm> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut corpus: Vec<Vec<u8>> = target
        .seeds
        .iter()
        .map(|it| it.as_bytes().to_vec())
        .collect();
    for input in &corpus {
        run(target, input)?;
    }
    let begun = Instant::now();
    let mut n_inputs = 0;
    while begun.elapsed() < time {
        let input = mutate(&corpus, &mut random);
        run(target, &input)?;
        n_inputs += 1;
        // What came by many steps is a place to go on from, now and then.
        if n_inputs % 64 == 0 {
            let n_seeds = target.seeds.len();
            if corpus.len() < 8 * n_seeds {
                corpus.push(input);
            } else {
                let at = random.usize(n_seeds..corpus.len());
                corpus[at] = input;
            }
        }
    }
    Ok(n_inputs)
}

fn mutate(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..=random.usize(..6) {
        let at = random.usize(..=input.len());
        let end = random.usize(at..=input.len());
        match random.u8(..7) {
            0 => input.insert(at, random.u8(..)),
            1 => input.insert(at, random.u8(b' '..=b'~')),
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            4 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            5 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = random.usize(from..=other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let other = corpus[random.usize(..corpus.len())].clone();
                input.splice(at..at, other);
            }
        }
        input.truncate(MAX_INPUT);
    }
    input
}
