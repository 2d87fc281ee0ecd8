//! What starts k8s-endpoints-sync-controller starts ours.

use std::fs;

use super::{check, config, shown};

/// A directory of these files.
fn directory(files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        fs::write(directory.path().join(file), "").unwrap();
    }
    directory
}

#[test]
fn its_directory_and_variables_start_ours_without_a_flag() {
    let directory = directory(&["east", "West_1.yaml"]);
    // As a ConfigMap is mounted.
    fs::create_dir(directory.path().join("..2026")).unwrap();
    std::os::unix::fs::symlink("..2026", directory.path().join("..data")).unwrap();
    let path = directory.path().to_str().unwrap();
    let text = shown(
        &[],
        &[
            ("KUBECONFIGS", path),
            ("EXCLUDE", "kube-system, kube-public"),
        ],
    );
    check(
        &text,
        &[
            "global Services: NAMESPACE/NAME",
            "this cluster: local",
            "members: west-1, east, local",
            "selector: !heliograph.dev/source,replicated!=true",
            "who serves: the first alone, or as vmware.com/syndicate-mode says",
            &format!("source east: kubeconfig {path}/east"),
            "missing namespaces: created",
            "namespaces: *, default but kube-system, kube-public; names: all but kubernetes",
            "labels: *",
        ],
    );
    let notes: Vec<_> = text.lines().filter(|it| it.starts_with("note:")).collect();
    assert!(
        matches!(notes[..], [note] if note.contains("named like a top-level domain")),
        "{notes:?}"
    );
    assert!(!text.contains("2026"), "{text}");
}

#[test]
fn settings_that_gain_an_effect_are_noted() {
    let directory = directory(&["datacenter1", "east"]);
    let path = directory.path().to_str().unwrap();
    let environment = [
        ("KUBECONFIGS", path),
        ("NSTOWATCH", "[\"demo\", shop]"),
        ("EXCLUDE", "Kube,"),
    ];
    let text = shown(&[], &environment);
    check(
        &text,
        &[
            "namespaces: demo, shop",
            "note: NSTOWATCH is heeded, which it was not before: only demo, shop come in",
            "note: EXCLUDE: \"Kube\" is not the name of a namespace, and has no effect",
            "datacenter1 is no source, as it never was: its name contains data",
        ],
    );
    assert!(!text.contains("source datacenter1:"), "{text}");
}

#[test]
fn the_local_cluster_has_a_name_of_its_own() {
    let directory = directory(&["local"]);
    let path = directory.path().to_str().unwrap();
    let text = shown(&[], &[("KUBECONFIGS", path)]);
    check(&text, &["source local:", "this cluster: local-"]);
}

#[test]
fn ours_go_beside_it_and_go_before_it_where_they_say_what_to_reflect() {
    let directory = directory(&["east"]);
    let path = directory.path().to_str().unwrap();
    let environment = [("KUBECONFIGS", path)];
    let compat = [
        "--compat",
        "k8s-endpoints-sync-controller",
        "--leader-elect",
    ];
    check(
        &shown(&compat, &environment),
        &["leader election: lease", "source east:"],
    );
    let own = ["--source=name=north,url=http://north,sameName=true,namespaces=demo"];
    let text = shown(&own, &environment);
    assert!(!text.contains("source east:"), "{text}");
}

#[test]
fn a_wrong_setting_is_reported_with_its_remedy() {
    let compat = ["--compat=k8s-endpoints-sync-controller"];
    let refused = |environment: &[(&str, &str)]| config(&compat, environment).unwrap_err();
    let missing = refused(&[("KUBECONFIGS", "/nowhere/at/all")]);
    check(
        &missing,
        &["cannot read kubeconfigDir /nowhere/at/all: check"],
    );
    check(&missing, &["mounted, and may be read"]);
}

#[test]
fn a_file_that_is_no_source_is_noted_and_the_others_are_followed() {
    let directory = directory(&["east.yaml", "east.yml", "___", "west"]);
    let path = directory.path().to_str().unwrap();
    let text = shown(&[], &[("KUBECONFIGS", path)]);
    check(
        &text,
        &[
            "source east: ",
            "source west: ",
            "east.yml is no source: there is another source east",
            "___ is no source: no letter or digit in its name",
        ],
    );
}
