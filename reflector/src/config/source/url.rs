//! URLs of sources.

use http::Uri;
use http::uri::Scheme;

/// Reads a URL that leads to a server; else why it does not. What would be left out of
/// each request is no part of it.
pub(super) fn parse(text: &str) -> Result<Uri, String> {
    let url: Uri = text
        .parse()
        .map_err(|why: http::uri::InvalidUri| why.to_string())?;
    let speaks_http = |it: &Scheme| *it == Scheme::HTTP || *it == Scheme::HTTPS;
    let (Some(authority), true) = (url.authority(), url.scheme().is_some_and(speaks_http)) else {
        return Err("it does not begin with http:// or https://".to_owned());
    };
    let host = authority.host();
    let whole = match url.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    if host.is_empty() || authority.as_str() != whole {
        return Err("its server is not a host, or a host and a port".to_owned());
    }
    match url.query() {
        Some(_) => Err("it has a query".to_owned()),
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_what_leads_to_a_server_is_a_url() {
        for good in [
            "http://east",
            "https://10.1.255.10:6443",
            "http://[fd00::1]:8080",
            "https://east.example.org/behind/a/path",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "empty"),
            ("east", "does not begin with"),
            ("10.1.255.10:8080", "does not begin with"),
            ("ftp://east", "does not begin with"),
            ("/api", "does not begin with"),
            ("http://", "empty"),
            ("http://east:99999", "a host and a port"),
            ("http://east:", "a host and a port"),
            ("http://me:secret@east", "a host and a port"),
            ("http://east/?x=y", "query"),
            ("http://a b", "invalid"),
        ] {
            let said = parse(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
