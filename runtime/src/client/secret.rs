//! Servers that credentials may be sent to.

use std::net::IpAddr;

use http::Uri;

/// Returns whether a request to a URL can be read or changed by nothing on the way: it is
/// encrypted, or it stays on this machine.
#[must_use]
pub fn is_protected(url: &Uri) -> bool {
    url.scheme_str() == Some("https") || is_loopback(url)
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_protected;

    #[test]
    fn plain_http_is_protected_on_this_machine_alone() {
        for url in [
            "https://east.example.org",
            "http://127.0.0.1:8080",
            "http://127.1.2.3",
            "http://[::1]:8080/x",
            "http://[::ffff:127.0.0.1]",
            "http://localhost:1",
        ] {
            assert!(is_protected(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "http://east.example.org",
            "http://10.1.0.1:8080",
            "http://localhost.example.org",
            "http://127.0.0.1.nip.io",
            "http://[fd00::1]",
            "socks5://127.0.0.1.example.org",
        ] {
            assert!(!is_protected(&url.parse().unwrap()), "{url}");
        }
    }
}
