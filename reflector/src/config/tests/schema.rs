//! The schema and the program refuse the same, as far as a schema can tell.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::config::{File, schema};

const FILE: &str = "docs/reflector.schema.json";

/// What the program refuses and the schema does not, by words of the message: what
/// flags may complete, what has a grammar of its own, and what two places say together.
const BEYOND: [&str; 12] = [
    "no sources",
    "there is no namespace",
    "selector",
    "is called",
    "bits behind its mask",
    "range of ports",
    "never comes along",
    "make it longer",
    "moves Services under their own names",
    "chooses the local namespaces",
    "over plain HTTP",
    "global.precedence",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Why the schema refuses a configuration.
fn refusal(configuration: &Value) -> Option<String> {
    let mut compiler = Compiler::new();
    compiler.add_resource("schema.json", schema()).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    let refusal = schemas.validate(configuration, index).err();
    refusal.map(|why| format!("{why:#}"))
}

/// Checks that the schema says of a configuration what the program says of it.
#[track_caller]
pub(crate) fn agrees(text: &str, error: Option<&str>) {
    let Ok(configuration) = serde_saphyr::from_str(text) else {
        assert!(error.is_some(), "no YAML, and accepted: {text}");
        return;
    };
    let refusal = refusal(&configuration);
    match error {
        None => assert_eq!(refusal, None, "accepted by the program: {text}"),
        Some(error) => {
            let is_beyond = BEYOND.iter().any(|it| error.contains(it));
            let is_refused = refusal.is_some();
            assert!(is_refused || is_beyond, "{error}: {text}");
        }
    }
}

/// The same for what stands under a key of a source.
#[track_caller]
pub(crate) fn agrees_of_source(key: &str, yaml: &str, error: Option<&str>) {
    let source = format!("{{name: a, url: 'http://a', prefix: a, {key}: {yaml}}}");
    agrees(&format!("{{sources: [{source}]}}"), error);
}

#[test]
fn the_schema_that_is_published_is_current() {
    let now = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(FILE), &now).unwrap();
    }
    let published = fs::read_to_string(root().join(FILE)).unwrap();
    assert!(
        published == now,
        "cargo run -p reflector -- config --schema > {FILE}"
    );
}

/// All YAML in a page.
fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```yaml\n").skip(1);
    blocks.map(|it| it.split("```").next().unwrap_or_default())
}

/// A configuration that has what a page shows of one, if it shows some.
fn whole(block: &str) -> Option<String> {
    let first = block.trim_start().split(':').next()?;
    match first {
        "import" | "naming" => Some(format!(
            "sources:\n  - name: a\n    url: http://a\n    prefix: a\n{block}"
        )),
        // Such a part is shown where global Services are described.
        "sources" => Some(format!("global: {{cluster: west}}\n{block}")),
        "mirrorNamespace" | "global" | "kubeconfigDir" | "sourceURLs" => Some(block.to_owned()),
        _ => None,
    }
}

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        if path.is_dir() {
            files.extend(self::files(name, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    files
}

#[test]
fn examples_of_the_pages_are_accepted_by_both() {
    let mut n_examples = 0;
    for path in files("docs", "md") {
        let page = fs::read_to_string(&path).unwrap();
        for example in blocks(&page).filter_map(whole) {
            let file = serde_saphyr::from_str::<File>(&example);
            assert!(file.is_ok(), "{}: {file:?}", path.display());
            agrees(&example, None);
            n_examples += 1;
        }
    }
    assert!(7 < n_examples, "{n_examples}");
}

#[test]
fn configurations_of_the_manifests_are_accepted_by_both() {
    let mut n_configurations = 0;
    for path in files("manifests", "yaml") {
        let text = fs::read_to_string(&path).unwrap();
        let Ok(manifest) = serde_saphyr::from_str::<Value>(&text) else {
            continue;
        };
        if let Some(text) = manifest["data"]["config.yaml"].as_str() {
            let file = serde_saphyr::from_str::<File>(text);
            assert!(file.is_ok(), "{}: {file:?}", path.display());
            agrees(text, None);
            n_configurations += 1;
        }
    }
    assert!(4 < n_configurations, "{n_configurations}");
}

#[test]
fn contradicting_keys_of_a_source_are_rejected_by_both() {
    let whole = |source: &str| {
        let file = format!("{{mirrorNamespace: m, sources: [{{name: a, {source}}}]}}");
        super::from_file(&file)
    };
    let good = "url: 'http://a', prefix: p";
    assert!(whole(good).is_ok());
    assert!(whole("url: null, kubeconfig: /k, ca: null, prefix: p, sameName: false").is_ok());
    let shown = "url: 'https://a', prefix: p, clientCertificateFile: /c, clientKeyFile: /k";
    assert!(whole(shown).is_ok());
    for bad in [
        "prefix: p",
        "url: 'http://a', kubeconfig: /k, prefix: p",
        "url: 'http://a'",
        "url: 'http://a', sameName: false",
        "url: 'http://a', prefix: p, sameName: true",
        "url: 'http://a', prefix: gl",
        "url: 'http://a', prefix: 1st",
        "url: 'http://a', prefix: p, context: c",
        "kubeconfig: /k, prefix: p, tokenFile: /t",
        "kubeconfig: /k, prefix: p, caUrl: 'http://c'",
        "kubeconfig: /k, prefix: p, proxyUrl: 'http://p'",
        "url: 'http://a', prefix: p, ca: x, caUrl: 'http://c'",
        "url: 'http://a', prefix: p, ca: x, caFile: /c",
        "url: 'http://a', prefix: p, tokenFile: /t, tokenVariable: T",
        "url: 'https://a', prefix: p, clientCertificateFile: /c",
        "url: 'https://a', prefix: p, clientKeyFile: /k",
        "kubeconfig: /k, prefix: p, clientCertificateFile: /c, clientKeyFile: /k",
        "url: 'http://a', prefix: p, global: maybe",
        "url: 'http://a', prefix: p, zoneMap: [x]",
        "url: 'http://a', prefix: p, colour: red",
    ] {
        assert!(whole(bad).is_err(), "{bad}");
    }
    // A source is there for something.
    let in_set = |source: &str| {
        let file = format!("{{clusterSet: {{cluster: b}}, sources: [{{name: a, {source}}}]}}");
        super::from_file(&file)
    };
    assert!(in_set("url: 'http://a'").is_ok());
    assert!(in_set("url: 'http://a', clusterSet: false").is_err());
}
