//! The parts of certificates that signatures are verified with, as they are encoded.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::SignatureVerificationAlgorithm;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A public key and its algorithm.
pub(super) struct PublicKey<'a> {
    algorithm: &'a [u8],
    key: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// Reads a `SubjectPublicKeyInfo`.
    pub(super) fn of(encoded: &'a [u8]) -> Option<Self> {
        let (inner, _) = element(encoded, SEQUENCE)?.parts();
        let (algorithm, rest) = element(inner, SEQUENCE)?.parts();
        let (key, _) = element(rest, BIT_STRING)?.parts();
        let key = key.strip_prefix(&[0])?;
        Some(Self { algorithm, key })
    }

    /// Returns whether the key made a signature by that algorithm.
    pub(super) fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8],
        algorithm: &dyn SignatureVerificationAlgorithm,
    ) -> bool {
        algorithm.public_key_alg_id().as_ref() == self.algorithm
            && algorithm
                .verify_signature(self.key, message, signature)
                .is_ok()
    }
}

/// Content of a certificate, and the signature of its issuer.
pub(super) struct Signed<'a> {
    said: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads a certificate.
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        let (inner, _) = element(certificate, SEQUENCE)?.parts();
        let said = element(inner, SEQUENCE)?;
        let (algorithm, rest) = element(said.rest, SEQUENCE)?.parts();
        let (signature, _) = element(rest, BIT_STRING)?.parts();
        Some(Self {
            said: said.whole,
            algorithm,
            signature: signature.strip_prefix(&[0])?,
        })
    }

    /// Returns whether the signature is of that key.
    pub(super) fn is_by(
        &self,
        key: &PublicKey<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let mut algorithms = algorithms.all.iter();
        algorithms.any(|it| {
            it.signature_alg_id().as_ref() == self.algorithm
                && key.has_signed(self.said, self.signature, *it)
        })
    }
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn parts(self) -> (&'a [u8], &'a [u8]) {
        (self.content, self.rest)
    }
}

/// Reads the first element, which must have that tag.
fn element(encoded: &[u8], tag: u8) -> Option<Element<'_>> {
    let (first, after) = encoded.split_first()?;
    let (short, after) = after.split_first()?;
    let (length, after) = if *short < 0x80 {
        (usize::from(*short), after)
    } else {
        let n = usize::from(*short & 0x7f);
        let (bytes, after) = after.split_at_checked(n).filter(|_| (1..=4).contains(&n))?;
        let length = bytes.iter().fold(0, |sum, it| sum << 8 | usize::from(*it));
        (length, after)
    };
    let (content, rest) = after.split_at_checked(length)?;
    let whole = encoded.get(..encoded.len() - rest.len())?;
    (*first == tag).then_some(Element {
        whole,
        content,
        rest,
    })
}
