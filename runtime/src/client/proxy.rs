//! Proxy that leads to a server: the one that is given with it, or else the one that
//! the variables around this process name, by the rules that kubectl follows.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::proxy::matcher::Matcher;

use super::Error;

/// Returns the proxy that variables name for a server, if any. An invalid value is an error, since
/// a direct connection may not be wanted.
pub(super) fn around(
    server: &Uri,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, Error> {
    let first = |names: [&'static str; 2]| {
        let set = |name: &&str| variable(name).is_some_and(|it| !it.trim().is_empty());
        let name = names.into_iter().find(set)?;
        Some((name, variable(name)?))
    };
    let is_secure = server.scheme() == Some(&Scheme::HTTPS);
    let proxy = if is_secure {
        first(["HTTPS_PROXY", "https_proxy"])
    } else {
        first(["HTTP_PROXY", "http_proxy"])
    };
    let Some((name, text)) = proxy else {
        return Ok(None);
    };
    let exceptions = first(["NO_PROXY", "no_proxy"]);
    let exceptions = exceptions.map_or_else(String::new, |(_, text)| text);
    if is_here(server) || is_excepted(server, &exceptions) {
        return Ok(None);
    }
    parse(&text, &format!("variable {name}")).map(Some)
}

/// The proxy of that URL, which stands in that place; without a scheme, over HTTP.
pub fn parse(text: &str, place: &str) -> Result<Uri, Error> {
    // The text may hold a password.
    let invalid = || Error::Proxy {
        place: place.to_owned(),
    };
    let text = text.trim();
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url: Uri = whole.parse().map_err(|_| invalid())?;
    let is_known = matches!(url.scheme_str(), Some("http" | "https" | "socks5"));
    if is_known && url.host().is_some_and(|it| !it.is_empty()) {
        Ok(url)
    } else {
        Err(invalid())
    }
}

/// Returns whether a server is on this machine, which needs no proxy.
fn is_here(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse().map(|it: IpAddr| it.is_loopback());
    address.unwrap_or_else(|_| host.eq_ignore_ascii_case("localhost"))
}

fn is_excepted(server: &Uri, exceptions: &str) -> bool {
    if exceptions.split(',').any(|it| it.trim() == "*") {
        return true;
    }
    let proxied = Matcher::builder().all("http://proxy").no(exceptions);
    proxied.build().intercept(server).is_none()
}

#[cfg(test)]
mod tests;
