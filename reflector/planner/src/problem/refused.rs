//! Remedies for what an API server refuses, by its words.

/// Words of a refusal, and what helps.
const REMEDIES: [(&str, &str); 8] = [
    (
        "exceeded quota",
        "raise the ResourceQuota of the namespace, or export fewer objects",
    ),
    (
        "failed calling webhook",
        "repair that admission webhook, or exempt objects with the label heliograph.dev/source \
         from it",
    ),
    (
        "denied",
        "change that admission policy or webhook, or exempt objects with the label \
         heliograph.dev/source from it",
    ),
    (
        "range is full",
        "add a ServiceCIDR to the local cluster, delete unused Services, or make the Service \
         headless in the source",
    ),
    (
        "failed to allocate",
        "add a ServiceCIDR to the local cluster, delete unused Services, or make the Service \
         headless in the source",
    ),
    (
        "being terminated",
        "create the namespace again when it is gone; its status names what keeps it",
    ),
    (
        "cannot ",
        "grant that verb to the ServiceAccount of the reflector; where its Role was deleted with \
         the namespace, create both again",
    ),
    (
        "not configured on cluster",
        "give the Service an IP family of the local cluster",
    ),
];

/// Returns what helps where an API server refuses an object with these words.
pub(super) fn remedy(message: &str) -> &'static str {
    let known = REMEDIES.iter().find(|(words, _)| message.contains(words));
    known.map_or(
        "correct it in the source, or what refuses it in the local cluster",
        |(_, remedy)| remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn the_words_of_an_api_server_lead_to_the_remedy() {
        for (message, part) in [
            (
                "services \"a\" is forbidden: exceeded quota: q",
                "ResourceQuota",
            ),
            (
                "Internal error: failed calling webhook \"w\": refused",
                "repair",
            ),
            ("admission webhook \"w\" denied the request: no", "exempt"),
            (
                "failed to allocate a serviceIP: range is full",
                "ServiceCIDR",
            ),
            ("because it is being terminated", "when it is gone"),
            ("User \"r\" cannot create resource \"services\"", "grant"),
            ("spec.ports: Invalid value", "correct it in the source"),
        ] {
            assert!(remedy(message).contains(part), "{message}");
        }
    }
}
