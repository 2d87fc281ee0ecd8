//! Former spellings of keys and values of the configuration file, which stay accepted for some
//! time.

use runtime::flags::former::warning;
use serde_json::Value;

use super::source::keys;

/// Former keys by the part of the file in which they stand, and their current spelling.
const KEYS: [(&str, &str, &str); 13] = [
    (FILE, "holdSeconds", "deletionHold"),
    (FILE, "localRanges", "localCIDRs"),
    (FILE, "sourceApi", "sourceURLs"),
    ("kubeconfigDir", "each", DEFAULTS),
    ("sourceURLs", "each", DEFAULTS),
    ("global", "localFirst", "localFirstSelector"),
    (SOURCES, "pollEvery", "pollInterval"),
    (SOURCES, "zones", "zoneMap"),
    (SOURCES, "stalenessOf", "stalenessOverrides"),
    ("import", "addresses", "endpointCIDRs"),
    ("naming", "namespaces", "namespaceMap"),
    ("naming", "long", "longNames"),
    ("naming", "aliases", "allowAliases"),
];

/// Former values by their key.
const VALUES: [(&str, &str, &str); 4] = [
    ("longNames", "refuse", "skip"),
    ("longNames", "shorten", "truncate"),
    ("failover", "here", "local"),
    ("precedence", "here", "local"),
];

/// The file as a whole.
const FILE: &str = "";

/// Sources, of which each has the same keys.
const SOURCES: &str = "sources";

/// Keys of sources that are discovered.
const DEFAULTS: &str = "defaults";

/// Returns a warning about each former spelling in a configuration file.
pub(super) fn of_file(text: &str) -> Vec<String> {
    let file = serde_saphyr::from_str(text).unwrap_or_default();
    let mut warnings = Vec::new();
    find(&file, (FILE, ""), &mut warnings);
    warnings
}

/// Returns a warning about each former key of a source behind `--source`.
pub(crate) fn of_flags(words: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let source = match word.strip_prefix("--source") {
            Some("") => words.next(),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        for key in source.into_iter().flat_map(keys) {
            let now = current(SOURCES, &key);
            warnings.extend(now.map(|it| warning(&format!("--source: {key}"), it)));
        }
    }
    warnings
}

/// Finds former spellings in one part of the file, which has that place.
fn find(value: &Value, (part, place): (&str, &str), warnings: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            // Sources that are discovered have the keys of other sources.
            let part = if part == DEFAULTS { SOURCES } else { part };
            for (key, value) in map {
                let now = current(part, key);
                let dot = if place.is_empty() { "" } else { "." };
                let place = format!("{place}{dot}{key}");
                warnings.extend(now.map(|it| warning(&place, it)));
                find(value, (now.unwrap_or(key), &place), warnings);
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                find(value, (part, &format!("{place}[{i}]")), warnings);
            }
        }
        Value::String(text) => {
            let mut values = VALUES.iter();
            let found = values.find(|(key, former, _)| *key == part && former == text);
            warnings
                .extend(found.map(|(_, former, now)| warning(&format!("{place}: {former}"), now)));
        }
        _ => {}
    }
}

/// Returns the current spelling of a former key.
fn current(part: &str, key: &str) -> Option<&'static str> {
    let mut keys = KEYS.iter();
    let found = keys.find(|(of, former, _)| *of == part && *former == key);
    found.map(|(_, _, now)| *now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_spellings_are_found_where_they_stand() {
        let text = "
holdSeconds: 5
global: {cluster: w, localFirst: a=b, zones: [z], failover: [here, east], precedence: [here]}
sourceApi: {file: /x, each: {pollEvery: 5s, import: {addresses: [10.0.0.0/8]}}}
kubeconfigDir: {path: /k, each: {naming: {long: shorten}}}
sources:
- {name: a, url: 'http://a', namespace: zones, zones: {a: b}}
- {name: b, url: 'http://b', import: {namespaces: {allow: [here]}}, naming: {namespaces: {a: here}}}
";
        let mut found = of_file(text);
        found.sort();
        let mut expected = [
            "holdSeconds is deprecated: use deletionHold",
            "global.localFirst is deprecated: use localFirstSelector",
            "global.failover[0]: here is deprecated: use local",
            "global.precedence[0]: here is deprecated: use local",
            "sourceApi is deprecated: use sourceURLs",
            "sourceApi.each is deprecated: use defaults",
            "sourceApi.each.pollEvery is deprecated: use pollInterval",
            "sourceApi.each.import.addresses is deprecated: use endpointCIDRs",
            "kubeconfigDir.each is deprecated: use defaults",
            "kubeconfigDir.each.naming.long is deprecated: use longNames",
            "kubeconfigDir.each.naming.long: shorten is deprecated: use truncate",
            "sources[0].zones is deprecated: use zoneMap",
            "sources[1].naming.namespaces is deprecated: use namespaceMap",
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
        let now = "{deletionHold: 5s, sources: [{name: a, prefix: here, zoneMap: {zones: here}}]}";
        assert_eq!(of_file(now), [""; 0]);
        assert_eq!(of_file("{"), [""; 0], "the error is told elsewhere");
    }

    /// Texts of the types that read the file.
    const TYPES: [&str; 8] = [
        include_str!("file.rs"),
        include_str!("global.rs"),
        include_str!("import.rs"),
        include_str!("limits.rs"),
        include_str!("naming.rs"),
        include_str!("source.rs"),
        include_str!("source_api.rs"),
        include_str!("source_discovery.rs"),
    ];

    #[test]
    fn every_alias_of_a_key_or_a_value_has_a_warning() {
        let aliases = TYPES.iter().flat_map(|it| it.split("alias = \"").skip(1));
        let aliases = aliases.filter_map(|it| it.split('"').next());
        let mut n_aliases = 0;
        for alias in aliases {
            let is_key = KEYS.iter().any(|(_, former, _)| *former == alias);
            let is_value = VALUES.iter().any(|(_, former, _)| *former == alias);
            assert!(is_key || is_value, "{alias} has no warning");
            n_aliases += 1;
        }
        // `holdSeconds` is a key of its own, and `here` a name.
        assert_eq!(n_aliases + 3, KEYS.len() + VALUES.len());
    }

    #[test]
    fn a_source_of_a_flag_has_its_former_keys_named() {
        let of = |line: &str| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            of_flags(&words)
        };
        let expected = ["--source: pollEvery is deprecated: use pollInterval"];
        assert_eq!(of("--source=name=a,url=http://a,pollEvery=9s"), expected);
        assert_eq!(
            of("plan --source name=a,pollEvery=9s --context x"),
            expected
        );
        let now = "--source name=a,selector=b=c,pollEvery!=d,pollInterval=9s --source-objects a=b";
        assert_eq!(of(now), [""; 0], "a part of a selector is no key");
    }
}
