//! What hostile sources send: lists of any framing, and objects with names, nesting and
//! numbers of any size, taken into the world of a reflector and planned.

use bytes::Bytes;
use proto_types::frame::{List, WatchEvent};
use proto_types::object::{MAX_NAME, MAX_NAMESPACE};
use proto_types::{RawObject, Resource, ResourceVersion};
use reflector_planner::{
    Change, Exported, Index, LocalChange, LocalList, Placement, Policy, SourcePolicy, Update,
    explain, plan, steps,
};

pub(crate) const LISTS: &[&str] = &[
    r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"t"},"items":["#,
    r#"{"metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","labels":{"a":"b"}},"spec":{"ports":[{"name":"http","port":80}],"clusterIP":"10.0.0.1"}}"#,
    r#"{"metadata":{"name":"web-1","namespace":"demo","resourceVersion":"8","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":true},"zone":"z"}],"ports":[{"name":"http","port":8080,"protocol":"TCP"}]}"#,
    r#"{"metadata":{"name":"web","namespace":"demo","resourceVersion":"9"},"subsets":[{"addresses":[{"ip":"10.1.0.1"}],"ports":[{"port":1}]}]}"#,
    r#"{"type":"ADDED","object":"#,
    r#""metadata":{"name":"@","namespace":"@","resourceVersion":"18446744073709551615"}"#,
    r##""annotations":{"heliograph.dev/alias":"@"}"##,
    r##""creationTimestamp":"@""##,
    "\"items\":null",
    "\"name\":\"~\"",
    "\"\\ud800\"",
    "\"port\":1e999",
    "\"port\":-1",
    "99999999999",
    "#",
    "@",
    "~",
    "]}",
    "[",
    "{",
    "}",
    ",",
    "\n",
];

/// Makes long what no input could be long enough for: `@` is 80 000 bytes of characters of
/// two bytes, `~` a name that is just too long, `#` a nesting.
fn expanded(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(data.len());
    let mut n_long = 0;
    for byte in data {
        match byte {
            b'@' if n_long < 4 => {
                n_long += 1;
                text.extend("\u{e9}".repeat(40_000).bytes());
            }
            b'#' if n_long < 4 => {
                n_long += 1;
                text.extend("[".repeat(5000).bytes());
            }
            b'~' => text.extend("x".repeat(254).bytes()),
            byte => text.push(*byte),
        }
    }
    text
}

/// A page is refused as a whole, or each of its objects is refused or taken in.
pub(crate) fn lists(data: &[u8]) {
    let text = Bytes::from(expanded(data));
    let objects: Vec<&serde_json::value::RawValue> = match serde_json::from_slice::<List<'_>>(&text)
    {
        Ok(list) => list.items.unwrap_or_default(),
        Err(_) => match serde_json::from_slice::<WatchEvent<'_>>(&text) {
            Ok(event) => vec![event.object],
            Err(_) => serde_json::from_slice(&text).into_iter().collect(),
        },
    };
    let mut index = index();
    for json in objects {
        let json = Bytes::copy_from_slice(json.get().as_bytes());
        for resource in Resource::ALL {
            if let Ok(object) = RawObject::parse(resource, &json) {
                take_in(&mut index, resource, &object);
            }
        }
    }
}

fn index() -> Index {
    let source = |name: &str, placement| {
        let name = name.parse().expect("it is a label");
        SourcePolicy::new(name, placement)
    };
    let label = |text: &str| text.parse().expect("it is a label");
    let prefixed = Placement::Prefixed {
        prefix: label("east"),
        namespace: label("mirrors"),
    };
    let sources = vec![
        source("east", prefixed),
        source("west", Placement::SameName),
    ];
    let mut index = Index::new(Policy::new(sources).expect("they go together"));
    let nothing = || LocalList {
        revision: ResourceVersion::new(1),
        rewound: false,
        objects: Vec::new(),
    };
    index.update(Update::LocalServices(LocalChange::Listed(nothing())));
    let slices = LocalList {
        revision: ResourceVersion::new(1),
        rewound: false,
        objects: Vec::new(),
    };
    index.update(Update::LocalSlices(LocalChange::Listed(slices)));
    index
}

/// Takes an object in from two sources, and plans all that it touches.
fn take_in(index: &mut Index, resource: Resource, object: &RawObject) {
    assert!(object.key.name().len() <= MAX_NAME, "{}", object.key);
    assert!(object.key.namespace().len() <= MAX_NAMESPACE);
    assert!(object.json.len() <= object.cost());
    for source in ["east", "west"] {
        let name = || source.parse().expect("it is a label");
        let listed = match resource {
            Resource::Services => {
                Update::Services(name(), Change::Listed(vec![Exported::service(object)]))
            }
            Resource::EndpointSlices => {
                Update::Slices(name(), Change::Listed(vec![Exported::slice(object)]))
            }
            Resource::Endpoints => {
                Update::Endpoints(name(), Change::Listed(vec![Exported::endpoints(object)]))
            }
        };
        for key in index.update(listed) {
            let plan = plan(index, &key);
            let steps = steps(&plan, &key, index.local());
            for problem in &plan.problems {
                assert!(problem.to_string().len() < 100_000, "a message has a limit");
            }
            for step in steps {
                assert!(step.key.name().len() <= MAX_NAME, "{}", step.key);
            }
            let _ = explain(index, key.object());
        }
    }
}
