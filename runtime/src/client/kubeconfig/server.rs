//! Server addresses of kubeconfigs, completed as client-go's `DefaultServerURL` does.

use http::Uri;
use proto_types::escape;

use super::Invalid;

/// Returns a server as a URL with scheme, host and at most a path. Without a scheme it gets
/// the given one; without a host it is this machine, which is where Go connects to.
pub(super) fn normalized(text: &str, default_scheme: &str) -> Result<String, Invalid> {
    let refuse = |why| Invalid::Server {
        server: escape::without_user_info(text).into_owned(),
        why,
    };
    let trimmed = text.trim();
    let (scheme, rest) = match trimmed.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) && !rest.starts_with('/') && !rest.is_empty() => {
            (scheme.to_ascii_lowercase(), rest)
        }
        _ => {
            let path = trimmed.split_once('/').map_or("", |(_, path)| path);
            if !path.is_empty() {
                return Err(refuse("without a scheme it must be HOST:PORT"));
            }
            (default_scheme.to_owned(), trimmed)
        }
    };
    if scheme != "http" && scheme != "https" {
        return Err(refuse("the scheme must be http or https"));
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(refuse("write an IPv6 address in brackets"));
    }
    let host = if rest.starts_with(':') {
        "localhost"
    } else {
        ""
    };
    let url: Uri = format!("{scheme}://{host}{rest}")
        .parse()
        .map_err(|_| refuse("it is not a URL"))?;
    let authority = url.authority().ok_or_else(|| refuse("it has no host"))?;
    if authority.host().is_empty() {
        return Err(refuse("it has no host"));
    }
    if authority.host().starts_with('[') && address(authority.host()).is_none() {
        return Err(refuse("its IPv6 address is not valid"));
    }
    let after_host = authority.as_str().rsplit_once(authority.host());
    let port = after_host.map_or("", |(_, port)| port);
    match port.strip_prefix(':') {
        None if !port.is_empty() => return Err(refuse("write an IPv6 address in brackets")),
        Some(digits) if !digits.is_empty() && digits.parse::<u16>().is_err() => {
            return Err(refuse("its port is not valid"));
        }
        _ => {}
    }
    if authority.host().contains(':') && !authority.host().starts_with('[') {
        return Err(refuse("write an IPv6 address in brackets"));
    }
    Ok(url.to_string())
}

fn address(host: &str) -> Option<std::net::Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn is_scheme(text: &str) -> bool {
    let is_valid = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
    text.starts_with(|it: char| it.is_ascii_alphabetic()) && text.chars().all(is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_completed_as_client_go_completes_them() {
        for (server, url) in [
            ("127.0.0.1:31040", "http://127.0.0.1:31040/"),
            ("localhost:8080", "http://localhost:8080/"),
            ("localhost", "http://localhost/"),
            ("emitter.demo.svc:8080/", "http://emitter.demo.svc:8080/"),
            (":8080", "http://localhost:8080/"),
            ("https://:6443", "https://localhost:6443/"),
            ("[::1]:6443", "http://[::1]:6443/"),
            ("https://[2001:db8::1]:6443/", "https://[2001:db8::1]:6443/"),
            ("HTTPS://API.example:6443", "https://API.example:6443/"),
            (
                "https://rancher/k8s/clusters/c-1/",
                "https://rancher/k8s/clusters/c-1/",
            ),
            ("https://a:6443?x=y#z", "https://a:6443/"),
            ("https://a:", "https://a:/"),
            (" https://a ", "https://a/"),
        ] {
            assert_eq!(
                normalized(server, "http").as_deref().ok(),
                Some(url),
                "{server}"
            );
        }
        let secure = normalized("10.0.0.1:6443", "https").ok();
        assert_eq!(secure.as_deref(), Some("https://10.0.0.1:6443/"));
    }

    #[test]
    fn servers_that_are_none_are_refused_with_the_reason() {
        for (server, why) in [
            ("10.0.0.1:6443/prefix", "HOST:PORT"),
            ("ftp://a", "http or https"),
            ("https://a:99999", "port"),
            ("https://a:port", ""),
            ("https://", "HOST:PORT"),
            ("https:///path", "HOST:PORT"),
            ("::1", "brackets"),
            ("2001:db8::1", "brackets"),
            ("https://[::g]:1", "IPv6"),
            ("https://a b", "not a URL"),
        ] {
            let refused = normalized(server, "http").unwrap_err().to_string();
            assert!(refused.contains(why), "{server}: {refused}");
        }
    }
}
