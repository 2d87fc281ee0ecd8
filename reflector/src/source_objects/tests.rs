use serde_json::json;

use super::*;
use crate::config::Refusal;

fn known(name: &str, created: &str, url: &str) -> (Box<str>, Known) {
    let known = Known {
        uid: format!("uid-{name}").into(),
        resource_version: "1".to_owned(),
        generation: 1,
        created: created.to_owned(),
        spec: json!({"url": url}),
        status: Value::Null,
    };
    (name.into(), known)
}

fn sources(set: Set) -> (SourceObjects, channel::Sender<Set>) {
    let (sender, set) = channel::channel(set);
    let sources = SourceObjects {
        place: ObjectPlace {
            kind: ObjectKind::Source,
            namespace: "heliograph".parse().unwrap(),
            selector: proto_types::LabelSelector::default(),
        },
        set,
        seen: FoundSources::default(),
        accepted: HashMap::new(),
        verdicts: channel::Sender::new(Vec::new()),
    };
    (sources, sender)
}

fn filled(sources: &mut SourceObjects) -> Vec<SourceObject> {
    let mut args = <Args as clap::Parser>::parse_from(["reflector"]);
    sources.fill(&mut args);
    args.source_objects.objects.unwrap()
}

fn verdict(name: &str, refused: bool) -> Verdict {
    let reason = "Incompatible";
    let message = String::new();
    Verdict {
        kind: ObjectKind::Source,
        name: name.into(),
        uid: format!("uid-{name}").into(),
        generation: 1,
        refusal: refused.then_some(Refusal { reason, message }),
        in_effect: (!refused).then_some(1),
    }
}

#[test]
fn the_oldest_is_first_and_a_status_alone_changes_nothing() {
    let set = Set {
        objects: Some(BTreeMap::from([
            known("a", "2026-01-02T00:00:00Z", "u"),
            known("c", "2026-01-01T00:00:00Z", "u"),
            known("b", "2026-01-01T00:00:00Z", "u"),
        ])),
        is_recalled: true,
        ..Set::default()
    };
    let (mut sources, sender) = sources(set);
    let names: Vec<_> = filled(&mut sources).into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["b".into(), "c".into(), "a".into()]);
    let change = |change: fn(&mut Known)| {
        sender.send_modify(|it| {
            let objects = it.objects.as_mut().unwrap();
            objects.values_mut().for_each(change);
        });
    };
    change(|it| it.status = json!({"exported": 1}));
    change(|it| "2".clone_into(&mut it.resource_version));
    assert!(!sources.has_changed());
    change(|it| it.spec = json!({"url": "v"}));
    assert!(sources.has_changed());
    assert!(!sources.has_changed());
    sender.send_modify(|it| it.error = Some("no answer".to_owned()));
    assert!(sources.has_changed());
}

#[test]
fn an_accepted_spec_is_kept_for_the_same_object_alone() {
    let set = |url: &str, uid: &str| Set {
        objects: Some(BTreeMap::from([{
            let (name, known) = known("a", "t", url);
            let uid = uid.into();
            (name, Known { uid, ..known })
        }])),
        is_recalled: true,
        ..Set::default()
    };
    let (mut sources, sender) = sources(set("good", "uid-a"));
    filled(&mut sources);
    sources.decided(&[verdict("a", false)]);
    sender.send_replace(set("bad", "uid-a"));
    let former = filled(&mut sources)[0].former.clone().unwrap();
    assert_eq!(former.spec, json!({"url": "good"}));
    // Refused and without effect: it is to be tried once more as it was.
    let again = sources.with_former(&[verdict("a", true)]).unwrap();
    assert!(again[0].refused.is_some());
    sources.decided(&[verdict("a", true)]);
    assert_eq!(
        filled(&mut sources)[0].former,
        Some(former),
        "also after the refusal"
    );
    sender.send_replace(set("bad", "another"));
    assert_eq!(filled(&mut sources)[0].former, None);
    assert_eq!(sources.with_former(&[verdict("a", true)]), None);
}
