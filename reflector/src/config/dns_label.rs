//! Names of what has none that is legal.

use proto_types::name::{DnsLabel, InvalidLabel};

/// A DNS label that is made of a text, the same at all times.
pub(crate) fn label_of(text: &str) -> Result<DnsLabel, InvalidLabel> {
    let lower = text.to_lowercase();
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let label: String = lower.chars().map(legal).collect();
    let label = label.trim_matches('-');
    // It may stand before something else in a name of 63 characters.
    const LONGEST: usize = 40;
    if label.len() <= LONGEST {
        return label.parse();
    }
    let hash = hash_of(text);
    format!("{}-{hash}", label[..LONGEST].trim_end_matches('-')).parse()
}

/// Hash of eight digits, the same in all releases: FNV-1a.
pub(crate) fn hash_of(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}")
}
