//! End of validity of the serving certificates, as a metric.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Certificates;

/// File of a certificate, and the time in seconds since 1970 at which it expires.
pub(super) type Expiry = (PathBuf, i64);

/// Collector of the expiration times of the certificates that are served from files.
#[derive(Debug)]
pub struct Expirations(pub Arc<Certificates>);

/// Returns the expiration time of a certificate that was read from a file.
pub(super) fn of(file: &Path, pair: &CertifiedKey) -> Option<Expiry> {
    let (_, leaf) = X509Certificate::from_der(pair.cert.first()?).ok()?;
    Some((file.to_owned(), leaf.validity().not_after.timestamp()))
}

impl Collector for Expirations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "heliograph_emitter_certificate_expiration_timestamp_seconds",
            "Time at which a serving certificate expires, since 1970",
            None,
            MetricType::Gauge,
        )?;
        for (file, seconds) in self.0.expirations() {
            let labels = [("file", file.display().to_string())];
            ConstGauge::new(seconds).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
