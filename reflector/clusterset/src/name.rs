//! Names of derived Services and of copied EndpointSlices.

use proto_types::ObjectKey;
use sha2::{Digest, Sha256};

use crate::id::ClusterId;

/// Digits of base32hex (RFC 4648, section 7), in lower case.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

const LENGTH: usize = 10;

/// Returns the key of the Service that gives an import its addresses: `derived-` and ten
/// digits, as the reference implementation and Cilium name it.
#[must_use]
pub fn derived_service(import: &ObjectKey) -> ObjectKey {
    let name = format!("derived-{}", hash(import.as_str()));
    ObjectKey::new(import.namespace(), &name)
}

/// Returns the key of the copy of an EndpointSlice of a cluster.
#[must_use]
pub fn copied_slice(import: &ObjectKey, cluster: &ClusterId, slice: &ObjectKey) -> ObjectKey {
    let hash = hash(&format!("{cluster}/{slice}"));
    let name = format!("{}-{cluster}-{hash}", import.name());
    ObjectKey::new(import.namespace(), &name)
}

fn hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let bits = hash
        .iter()
        .take(8)
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let digit = |i: usize| {
        let index = (bits >> (59 - 5 * i)) & 31;
        char::from(DIGITS[usize::try_from(index).unwrap_or_default()])
    };
    (0..LENGTH).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_services_have_the_names_of_the_reference_implementation() {
        // lower(base32hex(sha256("test/svc")))[:10], computed with Python's base64 module.
        let derived = derived_service(&ObjectKey::new("demo", "web"));
        assert_eq!(derived.as_str(), "demo/derived-scaifns3gd");
    }

    #[test]
    fn copies_of_different_slices_have_different_names() {
        let import = ObjectKey::new("demo", "web");
        let slice = |name: &str| ObjectKey::new("demo", name);
        let east: ClusterId = "east".parse().unwrap();
        let west: ClusterId = "west".parse().unwrap();
        let names = [
            copied_slice(&import, &east, &slice("web-1")),
            copied_slice(&import, &east, &slice("web-2")),
            copied_slice(&import, &west, &slice("web-1")),
        ];
        assert!(names[0] != names[1] && names[0] != names[2]);
        assert!(names[0].name().starts_with("web-east-"));
    }
}
