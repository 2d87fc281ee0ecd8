use serde_json::json;

use super::*;
use crate::config::{Args, Config, Former};

const FILE: &str = "{mirrorNamespace: m, sourcesFromCRD: {namespace: heliograph}, \
                    removedSources: delete, sources: [{name: east, url: 'http://east', prefix: east}]}";

fn object(name: &str, spec: Value) -> SourceObject {
    SourceObject {
        name: name.into(),
        uid: format!("uid-{name}").into(),
        generation: 1,
        spec,
        former: None,
        refused: None,
    }
}

fn at(prefix: &str) -> Value {
    json!({"url": format!("http://{prefix}"), "prefix": prefix})
}

fn config(file: &str, objects: Option<Vec<SourceObject>>) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, file).unwrap();
    let words = [
        "reflector".to_owned(),
        format!("--config={}", path.display()),
    ];
    let mut args = <Args as clap::Parser>::parse_from(words);
    args.source_objects.objects = objects;
    Config::try_from(args).unwrap()
}

/// The sources that are followed, and why which objects are refused.
fn decided(
    file: &str,
    objects: Vec<SourceObject>,
) -> (Vec<String>, Vec<(String, &'static str, String)>) {
    let config = config(file, Some(objects));
    let names = config.sources.iter().map(|it| it.name.to_string());
    let refused = config.verdicts.iter().filter_map(|it| {
        let refusal = it.refusal.as_ref()?;
        Some((it.name.to_string(), refusal.reason, refusal.message.clone()))
    });
    (names.collect(), refused.collect())
}

#[test]
fn each_valid_object_is_a_source_after_those_of_the_file() {
    let (names, refused) = decided(FILE, vec![object("west", at("west")), object("a", at("a"))]);
    assert_eq!(names, ["east", "west", "a"]);
    assert_eq!(refused, []);
}

/// A name, a spec, the reason of the refusal and words of its message.
type Wrong = (&'static str, Value, &'static str, &'static str);

fn wrong_names() -> Vec<Wrong> {
    let taken = "takes precedence; rename the Source";
    let reserved = "metadata.name: local is reserved";
    vec![
        ("east", at("other"), "NameTaken", taken),
        ("local", at("other"), "Invalid", reserved),
        ("a.b", at("other"), "Invalid", "metadata.name"),
        ("b", at("a"), "Incompatible", "have the same prefix a"),
    ]
}

fn wrong_specs() -> Vec<Wrong> {
    let with = |key: &str, value: &str| {
        let mut spec = json!({"url": "https://b", "prefix": "b"});
        spec[key] = value.into();
        spec
    };
    let variable = "spec.tokenVariable is not possible: use tokenFile";
    let file = "spec.tokenFile: \"/var/run/token\": Sources may not name files";
    let kubeconfig = json!({"kubeconfig": "/etc/k", "prefix": "b"});
    let open_it = "set sourcesFromCRD.fileDirectory";
    vec![
        ("b", json!({}), "Invalid", "spec: "),
        ("b", json!({"url": "http://b"}), "Incompatible", "prefix"),
        (
            "b",
            with("url", "east"),
            "Invalid",
            "does not begin with http",
        ),
        ("b", with("color", "red"), "Invalid", "color"),
        ("b", with("name", "c"), "Invalid", "spec.name"),
        ("b", with("selector", "a in"), "Invalid", "selector"),
        ("b", with("caUrl", "http://ca"), "Invalid", "caUrl"),
        ("b", with("tokenVariable", "HOME"), "Invalid", variable),
        (
            "b",
            with("tokenFile", "/var/run/token"),
            "FileNotAllowed",
            file,
        ),
        ("b", kubeconfig, "FileNotAllowed", open_it),
    ]
}

#[test]
fn a_wrong_object_is_refused_with_field_and_remedy_and_costs_no_other() {
    for (name, spec, reason, words) in wrong_names().into_iter().chain(wrong_specs()) {
        let objects = vec![
            object("a", at("a")),
            object(name, spec),
            object("z", at("z")),
        ];
        let (names, refused) = decided(FILE, objects);
        assert_eq!(names, ["east", "a", "z"], "{name}");
        let [(_, its_reason, message)] = &refused[..] else {
            panic!("{words}: {refused:?}");
        };
        assert_eq!(
            (*its_reason, message.contains(words)),
            (reason, true),
            "{message}"
        );
    }
}

#[test]
fn a_wrong_change_leaves_the_former_spec_in_effect() {
    let former = |spec| {
        Some(Former {
            generation: 1,
            spec,
        })
    };
    let changed = SourceObject {
        generation: 2,
        former: former(at("b")),
        ..object("b", json!({"url": "nowhere"}))
    };
    let it = config(FILE, Some(vec![changed.clone()]));
    assert_eq!(it.sources.len(), 2);
    assert_eq!(it.verdicts[0].in_effect, Some(1));
    assert!(
        it.notes[0].contains("generation 1 stays in effect"),
        "{:?}",
        it.notes
    );
    assert_eq!(
        it.policy.removed_sources,
        reflector_planner::RemovedSources::Delete
    );
    // What does not go together is known after all are read; the caller asks again.
    let changed = SourceObject {
        spec: at("east"),
        ..changed
    };
    let it = config(FILE, Some(vec![changed.clone()]));
    assert_eq!((it.sources.len(), it.verdicts[0].in_effect), (1, None));
    let again = SourceObject {
        refused: it.verdicts[0].refusal.clone(),
        ..changed
    };
    let it = config(FILE, Some(vec![again]));
    assert_eq!((it.sources.len(), it.verdicts[0].in_effect), (2, Some(1)));
    assert_eq!(
        it.verdicts[0].refusal.as_ref().unwrap().reason,
        "Incompatible"
    );
}

#[test]
fn a_source_that_is_not_known_was_not_removed() {
    use reflector_planner::RemovedSources::{Delete, Keep};
    for (objects, expected) in [
        (None, Keep),
        (Some(vec![]), Keep),
        (Some(vec![object("a", at("a"))]), Delete),
        (
            Some(vec![object("a", json!({})), object("b", at("b"))]),
            Keep,
        ),
        (Some(vec![object("east", at("a"))]), Delete),
    ] {
        let removed = config(FILE, objects.clone()).policy.removed_sources;
        assert_eq!(removed, expected, "{objects:?}");
    }
    let notes = config(FILE, Some(vec![])).notes;
    assert!(notes[0].contains("they stay"), "{notes:?}");
}

#[test]
fn files_are_below_the_directory_that_the_operator_opened() {
    let directory = Path::new("/etc/sources");
    for (path, expected) in [
        ("/etc/sources/east/token", true),
        ("/etc/sources/east", true),
        ("/etc/sources", false),
        ("/etc/sources/", false),
        ("/etc/sources/../passwd", false),
        ("/etc/sources-other/token", false),
        ("etc/sources/east", false),
        ("/var/run/secrets/token", false),
        ("", false),
    ] {
        assert_eq!(is_below(Path::new(path), directory), expected, "{path}");
    }
    let file = FILE.replace(
        "namespace: heliograph",
        "namespace: h, fileDirectory: /etc/sources",
    );
    let spec = json!({"kubeconfig": "/etc/sources/west", "prefix": "w"});
    let it = config(&file, Some(vec![object("west", spec)]));
    let access = format!("{:?}", it.sources[1].access);
    assert!(access.starts_with("InlineKubeconfig"), "{access}");
}

#[test]
fn one_that_another_needs_may_come_later() {
    let file = FILE.replace(
        "sources: ",
        "global: {cluster: here, precedence: [z]}, sources: ",
    );
    let objects = vec![
        object("a", at("a")),
        object("b", json!({"url": "http://b", "prefix": "a"})),
        object("z", at("z")),
    ];
    let (mut names, refused) = decided(&file, objects);
    names.sort();
    assert_eq!(names, ["a", "east", "z"]);
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[test]
fn flags_go_before_the_file_and_without_a_namespace_the_remedy_is_told() {
    let place = |words: &[&str], file: Option<&str>| {
        let words = ["reflector"].iter().chain(words);
        let args = <Args as clap::Parser>::parse_from(words);
        let file = file.map(|it| serde_saphyr::from_str(it).unwrap());
        Objects::of(&args)?.at(file).map(|it| it.place)
    };
    let wrong = place(&["--sources-from-crd=Not a label"], None);
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("is not a namespace")
    );
    let nowhere = place(&["--sources-from-crd"], None);
    let nowhere = nowhere.unwrap_err().to_string();
    assert!(
        nowhere.contains("--sources-from-crd=NAMESPACE"),
        "{nowhere}"
    );
    let none = place(&["--source-file-directory=/d"], None).unwrap();
    assert_eq!(none, None, "a directory alone reads no Sources");
    let file = Some("{namespace: there, fileDirectory: /e}");
    let both = place(
        &["--sources-from-crd=here", "--source-file-directory=/d"],
        file,
    );
    let both = both.unwrap().unwrap();
    assert_eq!(both.namespace.unwrap().as_str(), "here");
    assert_eq!(both.file_directory, Some("/d".into()));
    let both = place(&["--sources-from-crd"], file).unwrap().unwrap();
    assert_eq!(both.namespace.unwrap().as_str(), "there");
}
