//! Access to a source: the keys about its server and its credentials.

use http::Uri;
use proto_types::escape;
use runtime::client::ClientCertificate;
use runtime::{Access, Authority, Token};

use super::{InvalidSource, Provided, SourceEntry, url};

impl SourceEntry {
    pub(super) fn uri(&self, url: &str) -> Result<Uri, InvalidSource> {
        url::parse(url).map_err(|why| InvalidSource::Url {
            name: self.name.clone(),
            url: escape::without_user_info(url).into_owned(),
            why,
        })
    }

    pub(super) fn access(&self) -> Result<Access, InvalidSource> {
        let name = &self.name;
        let stray = |key, with| InvalidSource::Stray {
            name: name.clone(),
            key,
            with,
        };
        if let Some(Provided { origin, kubeconfig }) = &self.provided {
            return Ok(Access::Provided {
                origin: origin.clone(),
                kubeconfig: kubeconfig.clone(),
            });
        }
        match (&self.url, &self.kubeconfig) {
            (None, None) => Err(InvalidSource::NoAccess(name.clone())),
            (Some(_), Some(_)) => Err(InvalidSource::TwoAccesses(name.clone())),
            (Some(_), None) if self.context.is_some() => Err(stray("context", "kubeconfig")),
            (Some(url), None) => Ok(Access::Url {
                url: self.uri(url)?,
                authority: self.authority()?,
                token: self.token()?,
                identity: self.identity()?.map(Box::new),
                proxy: self.proxy()?.map(Box::new),
            }),
            (None, Some(path)) => match self.credentials().next() {
                Some(key) => Err(stray(key, "url")),
                None if self.is_inline => Ok(Access::InlineKubeconfig { path: path.clone() }),
                None => Ok(Access::Kubeconfig {
                    path: path.clone(),
                    context: self.context.clone(),
                }),
            },
        }
    }

    /// Keys that a kubeconfig replaces.
    fn credentials(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("caFile", self.ca_file.is_some()),
            ("ca", self.ca.is_some()),
            ("caUrl", self.ca_url.is_some()),
            ("serverName", self.server_name.is_some()),
            ("tokenFile", self.token_file.is_some()),
            ("tokenVariable", self.token_variable.is_some()),
            (
                "clientCertificateFile",
                self.client_certificate_file.is_some(),
            ),
            ("clientKeyFile", self.client_key_file.is_some()),
            ("proxyUrl", self.proxy_url.is_some()),
        ];
        let given = keys.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(key, _)| key)
    }

    fn authority(&self) -> Result<Option<Authority>, InvalidSource> {
        let mut keys = self.credentials().filter(|it| it.starts_with("ca"));
        if let (Some(one), Some(other)) = (keys.next(), keys.next()) {
            let name = self.name.clone();
            return Err(InvalidSource::Both { name, one, other });
        }
        let file = self.ca_file.clone().map(Authority::File);
        let authority = file.or_else(|| self.ca.clone().map(Authority::Pem));
        Ok(match &self.server_name {
            None => authority,
            Some(name) => Some(Authority::Named {
                name: name.clone(),
                authority: authority.map(Box::new),
            }),
        })
    }

    fn identity(&self) -> Result<Option<ClientCertificate>, InvalidSource> {
        let half = |key, with| InvalidSource::Stray {
            name: self.name.clone(),
            key,
            with,
        };
        let (certificate, key) = ("clientCertificateFile", "clientKeyFile");
        match (&self.client_certificate_file, &self.client_key_file) {
            (Some(certificate), Some(key)) => Ok(Some(ClientCertificate {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            (Some(_), None) => Err(half(certificate, key)),
            (None, Some(_)) => Err(half(key, certificate)),
            (None, None) => Ok(None),
        }
    }

    fn proxy(&self) -> Result<Option<Uri>, InvalidSource> {
        let proxy = self.proxy_url.as_ref();
        let proxy = proxy.map(|it| runtime::client::proxy(it, "proxyUrl"));
        let proxy = proxy.transpose();
        proxy.map_err(|why| self.unclear(why.to_string()))
    }

    fn token(&self) -> Result<Option<Token>, InvalidSource> {
        match (&self.token_file, &self.token_variable) {
            (Some(_), Some(_)) => Err(InvalidSource::Both {
                name: self.name.clone(),
                one: "tokenFile",
                other: "tokenVariable",
            }),
            (Some(path), None) => Ok(Some(Token::File(path.clone()))),
            (None, Some(name)) => Ok(Some(Token::Variable(name.clone()))),
            (None, None) => Ok(None),
        }
    }
}
