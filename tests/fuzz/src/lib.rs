//! What anybody can send, and what must hold whatever it is.
//!
//! A target takes bytes and panics where something does not hold. `cargo test -p
//! fuzz-targets` runs each for a while on input that is mutated at random, and on every
//! input that once did harm (`regressions/`).

mod conversations;
pub mod driver;
mod objects;
mod requests;
mod sources;
mod texts;

/// Something that bytes are thrown at.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder of regressions.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
    /// What input is made of: pieces that mean something there.
    pub seeds: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "selectors",
        run: texts::selectors,
        seeds: texts::SELECTORS,
    },
    Target {
        name: "continue_tokens",
        run: texts::continue_tokens,
        seeds: texts::TOKENS,
    },
    Target {
        name: "queries",
        run: requests::queries,
        seeds: requests::QUERIES,
    },
    Target {
        name: "accepts",
        run: requests::accepts,
        seeds: requests::ACCEPTS,
    },
    Target {
        name: "bearer_tokens",
        run: requests::bearer_tokens,
        seeds: requests::BEARERS,
    },
    Target {
        name: "watch_lines",
        run: objects::watch_lines,
        seeds: objects::LINES,
    },
    Target {
        name: "lists",
        run: sources::lists,
        seeds: sources::LISTS,
    },
    Target {
        name: "conversations",
        run: conversations::conversations,
        seeds: conversations::FRAMES,
    },
    Target {
        name: "protobuf",
        run: objects::protobuf,
        seeds: objects::OBJECTS,
    },
];
