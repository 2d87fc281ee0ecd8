//! Verification of signatures of tokens, by the cryptography that TLS uses too.
//!
//! The JWT library brings providers of its own; the library `ring` is used instead, so that a
//! program has one implementation of each algorithm. Nothing is ever signed.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwkUtils, JwtSigner, JwtVerifier};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use signature::Verifier;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    jwk_utils: JwkUtils::new_unimplemented(),
};

/// Makes the JWT library use these algorithms, in this process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // A concurrent call installed the same.
        let _ = PROVIDER.install_default();
    });
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library names the type"
)]
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library names the type"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let rsa = |parameters| Kind::Rsa(parameters);
    let (family, kind) = match algorithm {
        Algorithm::RS256 => (AlgorithmFamily::Rsa, rsa(&RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => (AlgorithmFamily::Rsa, rsa(&RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => (AlgorithmFamily::Rsa, rsa(&RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::ES256 => (AlgorithmFamily::Ec, Kind::Ecdsa(&ECDSA_P256_SHA256_FIXED)),
        Algorithm::ES384 => (AlgorithmFamily::Ec, Kind::Ecdsa(&ECDSA_P384_SHA384_FIXED)),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    if key.family() != family {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Signed {
        algorithm: *algorithm,
        kind,
        key: key.clone(),
    }))
}

/// A key, and the algorithm that it is used with.
struct Signed {
    algorithm: Algorithm,
    kind: Kind,
    key: DecodingKey,
}

enum Kind {
    Rsa(&'static RsaParameters),
    Ecdsa(&'static dyn VerificationAlgorithm),
}

impl Verifier<Vec<u8>> for Signed {
    fn verify(
        &self,
        message: &[u8],
        signed: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        let verified = match (&self.kind, self.key.kind()) {
            (Kind::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signed)
            }
            (Kind::Ecdsa(algorithm), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*algorithm, point).verify(message, signed)
            }
            (Kind::Rsa(_) | Kind::Ecdsa(_), _) => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Signed {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
