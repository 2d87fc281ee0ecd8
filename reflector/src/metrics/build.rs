//! Version of the program, as a metric.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const NAME: &str = "heliograph_reflector_build_info";

/// Registers a gauge that is always 1 and has the version as a label.
pub(super) fn register(registry: &mut Registry, names: &mut Vec<String>) {
    let info = Family::<[(&str, &str); 2], Gauge>::default();
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", runtime::REVISION),
    ];
    info.get_or_create(&labels).set(1);
    let help = "1, with version and revision of the program as labels";
    registry.register(NAME, help, info);
    names.push(NAME.to_owned());
}
