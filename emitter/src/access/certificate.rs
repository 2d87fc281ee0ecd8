//! User of a client certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

use super::User;

/// The common name is the user, the organizations are its groups; `None` without a name.
pub(super) fn user(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let text = |it: &AttributeTypeAndValue<'_>| it.as_str().ok().map(str::to_owned);
    let name = subject.iter_common_name().next().and_then(text)?;
    let groups = subject.iter_organization().filter_map(text).collect();
    (!name.is_empty()).then(|| User::known(name, groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn common_name_and_organizations_are_user_and_groups() {
        let made = |names: &[(DnType, &str)]| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (kind, name) in names {
                params.distinguished_name.push(kind.clone(), *name);
            }
            let key = KeyPair::generate().unwrap();
            user(params.self_signed(&key).unwrap().der())
        };
        let west = made(&[
            (DnType::CommonName, "west"),
            (DnType::OrganizationName, "readers"),
        ]);
        let expected = User::known("west", vec!["readers".to_owned()]);
        assert_eq!(west, Some(expected));
        assert_eq!(made(&[(DnType::OrganizationName, "readers")]), None);
    }
}
