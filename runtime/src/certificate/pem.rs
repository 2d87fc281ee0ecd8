//! Certificates in PEM format, read as Go reads those of an authority.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Returns the certificates of a text. What is none is left out: other text, other blocks, and
/// blocks that are cut off or hold something else.
#[must_use]
pub fn read(text: &[u8]) -> Vec<CertificateDer<'static>> {
    let text = String::from_utf8_lossy(text);
    let blocks = text.split(BEGIN).skip(1);
    let blocks = blocks.filter_map(|it| Some(it.split_once(END)?.0));
    blocks.filter_map(certificate).collect()
}

fn certificate(block: &str) -> Option<CertificateDer<'static>> {
    let encoded: String = block.split_ascii_whitespace().collect();
    let der = STANDARD.decode(encoded).ok()?;
    let is_whole = X509Certificate::from_der(&der).is_ok_and(|(rest, _)| rest.is_empty());
    is_whole.then(|| CertificateDer::from(der))
}

/// Returns certificates as text.
#[must_use]
pub fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        let encoded = STANDARD.encode(certificate);
        text.push_str(BEGIN);
        for line in encoded.as_bytes().chunks(64) {
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(line));
        }
        text.push('\n');
        text.push_str(END);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn invalid_certificates_are_left_out() {
        let (first, second) = (one(), one());
        let broken = format!("{BEGIN}\nnot base64!!\n{END}\n");
        let other = format!("{BEGIN}\nAAAA\n{END}\n");
        for (text, count) in [
            (first.clone(), 1),
            (format!("{first}{second}"), 2),
            (format!("{first}# a comment\n{second}garbage"), 2),
            (first.replace('\n', "\r\n"), 1),
            (format!("\u{feff}{first}"), 1),
            (format!("{broken}{first}{other}"), 1),
            (format!("{first}{BEGIN}\nAAAA\n"), 1),
            (broken, 0),
            ("nothing".to_owned(), 0),
            (String::new(), 0),
        ] {
            let found = read(text.as_bytes());
            assert_eq!(found.len(), count, "{text}");
            assert_eq!(read(pem(&found).as_bytes()), found);
        }
    }
}
