//! Each source: connection, certificate, authorization and identity, as the reflector reports
//! them, and the CA certificates of its configuration.

use jiff::Timestamp;
use reflector::status::SourceStatus;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::facts::{Facts, OtherCluster};
use super::finding::Finding;

const CHECK: &str = "sources";
/// Days before its end at which a certificate is a warning.
const SOON: i64 = 30;
const DAY: i64 = 86_400;

/// Findings about all sources.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(status) = &facts.status {
        if status.sources.is_empty() {
            let remedy = ("add a source with heliograph link", "cli.md");
            findings.push(Finding::warning(CHECK, "there is no source", remedy));
        }
        findings.extend(status.sources.iter().map(connection));
        findings.extend(status.sources.iter().filter_map(|it| identity(it, facts)));
    }
    if let Ok((config, files)) = &facts.config {
        for source in &config.sources {
            let path = source.ca_file.as_ref().and_then(|it| it.file_name());
            let pem = path.and_then(|it| files[it.to_string_lossy().as_ref()].as_str());
            let pem = pem.or(source.ca.as_deref());
            let now = Timestamp::now().as_second();
            let name = source.name.as_str();
            findings.extend(pem.and_then(|it| expiry(name, it, now)));
            let is_plain = source
                .url
                .as_deref()
                .is_some_and(|it| it.starts_with("http://"));
            if is_plain {
                findings.push(Finding::warning(
                    CHECK,
                    format!("source {name} is read over plain HTTP"),
                    (
                        "use an https:// URL: heliograph link sets it up",
                        "access.md",
                    ),
                ));
            }
            findings.extend(authority(name, pem, &facts.others));
        }
    }
    findings
}

/// Returns the state of a source, with the remedy for its last error.
fn connection(source: &SourceStatus) -> Finding {
    let name = &source.name;
    let error = source.feeds.iter().find_map(|it| it.last_error.as_deref());
    if let Some(error) = error {
        let (remedy, page) = remedy(error);
        return Finding::failed(CHECK, format!("source {name}: {error}"), (remedy, page));
    }
    let behind = source.feeds.iter().find(|it| it.state != "synced");
    if let Some(feed) = behind {
        return Finding::failed(
            CHECK,
            format!("source {name}: {} are {}", feed.resource, feed.state),
            (
                "wait for its first list, and run the check again",
                "operating.md#status",
            ),
        );
    }
    let n_services = source.feeds.iter().find(|it| it.resource == "services");
    let n_services = n_services.map_or(0, |it| it.objects);
    if n_services == 0 {
        return Finding::warning(
            CHECK,
            format!("source {name} is synced and exports no Service"),
            (
                "label Services with heliograph.dev/export=true in the source cluster, and compare \
                 the selector of its emitter and the namespaces of the grant",
                "concepts.md",
            ),
        );
    }
    Finding::ok(
        CHECK,
        format!("source {name} is synced, {n_services} Services"),
    )
}

/// The remedy for the error of a request.
fn remedy(error: &str) -> (&'static str, &'static str) {
    // What follows is the advice of the reflector.
    let error = error.split("; ").next().unwrap_or_default().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|it| error.contains(it));
    if has(&["certificate", "unknownissuer", "tls", "notvalidforname"]) {
        (
            "compare caFile and serverName of the source with the emitter's certificate: heliograph \
             link writes both",
            "troubleshooting.md#certificates-that-are-not-trusted",
        )
    } else if has(&["401", "unauthorized"]) {
        (
            "compare issuer, audience and keys of the access configuration with the token, and the \
             clocks: heliograph link writes them",
            "access.md",
        )
    } else if has(&["403", "forbidden"]) {
        (
            "add the reflector to consumers of the emitter: heliograph link does it",
            "access.md",
        )
    } else if has(&["429", "too many"]) {
        ("wait, or raise the limits of the emitter", "limits.md")
    } else if has(&["dns", "resolve", "name or service", "lookup"]) {
        (
            "correct the host name in the URL of the source, or its DNS record",
            "configuration.md",
        )
    } else if has(&[
        "refused",
        "unreachable",
        "timed out",
        "timeout",
        "deadline",
        "no route",
    ]) {
        (
            "check that the emitter runs, that the URL leads to it, and that no firewall or \
             NetworkPolicy is in the way",
            "runbooks.md#heliographsourcedisconnected",
        )
    } else if has(&["cluster"]) {
        (
            "check that the URL leads to the right cluster",
            "configuration.md#which-cluster-a-source-is",
        )
    } else {
        (
            "follow the runbook",
            "runbooks.md#heliographsourcedisconnected",
        )
    }
}

/// Compares the identity of a source with those of clusters that are known.
fn identity(source: &SourceStatus, facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "identity";
    let name = &source.name;
    let page = "configuration.md#which-cluster-a-source-is";
    let Some(uid) = &source.cluster else {
        let why = source.cluster_unknown.as_deref()?;
        let message = format!("source {name} does not report its cluster: {why}");
        let remedy = ("allow the emitter to get namespace kube-system", page);
        return Some(Finding::warning(CHECK, message, remedy));
    };
    if facts.local.uid.as_ref() == Ok(uid) {
        let message = format!("source {name} is the local cluster");
        let remedy = ("remove the source, or correct its URL", page);
        return Some(Finding::failed(CHECK, message, remedy));
    }
    let known = facts.others.iter().find(|it| it.uid.as_ref() == Ok(uid));
    known.map(|it| Finding::ok(CHECK, format!("source {name} is cluster {}", it.name)))
}

/// Days left of the CA certificate that ends first.
fn expiry(name: &str, pem: &str, now: i64) -> Option<Finding> {
    const CHECK: &str = "certificates";
    let page = "runbooks.md#heliographcertificateexpiressoon";
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let ends = certificates.map(|it| {
        let der = it.ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        Some(parsed.validity().not_after.timestamp())
    });
    let ends: Option<Vec<_>> = ends.collect();
    let Some(ends) = ends.filter(|it| !it.is_empty()) else {
        let message = format!("the CA certificates of source {name} cannot be read");
        return Some(Finding::failed(
            CHECK,
            message,
            ("run heliograph link again", page),
        ));
    };
    // While one of several is valid, a rotation is in progress.
    let days = (ends.into_iter().max()? - now).div_euclid(DAY);
    let message = format!("the CA certificate of source {name} ends in {days} days");
    let remedy = (
        "rotate the CA of the emitter, and run heliograph link again",
        page,
    );
    Some(if days < 0 {
        let message = format!("the CA certificate of source {name} has expired");
        Finding::failed(CHECK, message, remedy)
    } else if days < SOON {
        Finding::warning(CHECK, message, remedy)
    } else {
        Finding::ok(CHECK, message)
    })
}

/// Returns whether a source's CA is the one that a known cluster publishes now.
fn authority(name: &str, pem: Option<&str>, others: &[OtherCluster]) -> Option<Finding> {
    let known = others.iter().find(|it| it.name == name)?;
    let emitter = known.emitter.as_ref().ok()?.as_ref()?;
    let has_own = emitter.flag("--ca-secret").is_some();
    (has_own && pem.is_none()).then(|| {
        Finding::failed(
            "certificates",
            format!("the emitter of {name} has a CA of its own, and the source has no caFile"),
            ("run heliograph link again", "access.md"),
        )
    })
}

#[cfg(test)]
mod tests {
    use reflector::status::{FeedStatus, SourceStatus};

    use super::{connection, expiry, remedy};
    use crate::output::Mark;

    fn source(state: &str, objects: usize, error: Option<&str>) -> SourceStatus {
        SourceStatus {
            name: "east".to_owned(),
            cluster: None,
            cluster_unknown: None,
            feeds: vec![FeedStatus {
                resource: "services".to_owned(),
                state: state.to_owned(),
                objects,
                age_seconds: None,
                last_error: error.map(str::to_owned),
            }],
        }
    }

    #[test]
    fn a_source_is_judged_by_its_state_and_last_error() {
        assert_eq!(connection(&source("synced", 3, None)).mark, Mark::Ok);
        assert_eq!(connection(&source("synced", 0, None)).mark, Mark::Warning);
        assert_eq!(connection(&source("unsynced", 0, None)).mark, Mark::Failed);
        let lost = connection(&source("synced", 3, Some("connection refused")));
        assert_eq!(lost.mark, Mark::Failed);
        assert!(lost.remedy.contains("the emitter runs"), "{lost:?}");
    }

    #[test]
    fn each_kind_of_error_has_its_remedy() {
        for (error, wanted) in [
            (
                "UnknownIssuer: the server's certificate (CN=a) is not accepted",
                "caFile",
            ),
            (
                "Unauthorized; renew the token or the client certificate",
                "issuer",
            ),
            ("the server answered 401 Unauthorized", "issuer, audience"),
            ("services is forbidden: 403", "consumers"),
            (
                "failed to lookup address information: Name or service not known",
                "DNS record",
            ),
            ("operation timed out", "firewall"),
            ("it is another cluster", "right cluster"),
            ("something else", "runbook"),
        ] {
            let said = remedy(error).0;
            assert!(said.contains(wanted), "{error}: {said}");
        }
    }

    #[test]
    fn a_certificate_that_ends_soon_is_found() {
        let made = rcgen::generate_simple_self_signed(vec!["east".to_owned()]).unwrap();
        let pem = made.cert.pem();
        // Of rcgen's default validity, the year 4096.
        let end = 67_090_000_000;
        let mark = |now: i64| expiry("east", &pem, now).unwrap().mark;
        assert_eq!(mark(0), Mark::Ok);
        assert_eq!(mark(end + 200 * 365 * 86_400), Mark::Failed);
        assert_eq!(expiry("east", "nonsense", 0).unwrap().mark, Mark::Failed);
    }
}
