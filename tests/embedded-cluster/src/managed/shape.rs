//! How values are merged and owned: as a whole, field by field, or element by element.
//!
//! What stands here is what Kubernetes' OpenAPI schema says with `x-kubernetes-list-type`
//! and `x-kubernetes-map-type`. A field that is not here is one value, or, where it holds
//! an object, owned field by field.

use serde_json::{Map, Value};

use super::set::Step;
use crate::Kind;

/// How a value is owned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// As a whole.
    Atomic,
    /// As what it holds: a list as a whole, an object field by field.
    Plain,
    /// Field by field, some of which have a shape of their own.
    Fields(&'static [(&'static str, Self)]),
    /// Key by key.
    Keys,
    /// Element by element, which are told apart by these fields.
    Elements(&'static [Name]),
    /// Element by element, which are texts and stand once.
    Texts,
}

/// A field by which elements are told apart, and what it is where nothing is said.
type Name = (&'static str, Unsaid);

/// What is meant where nothing is said.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unsaid {
    Text(&'static str),
    Number(u16),
}

use self::Unsaid::{Number, Text};
use Shape::{Atomic, Elements, Fields, Keys, Plain, Texts};

/// The objects of a kind.
pub(crate) const fn of(kind: Kind) -> Shape {
    match kind {
        Kind::ConfigMaps => Fields(&[("metadata", METADATA), ("data", Keys), ("binaryData", Keys)]),
        Kind::Secrets => Fields(&[("metadata", METADATA), ("data", Keys), ("stringData", Keys)]),
        Kind::Endpoints => Fields(&[("metadata", METADATA), ("subsets", Atomic)]),
        Kind::EndpointSlices => Fields(&[
            ("metadata", METADATA),
            ("endpoints", Atomic),
            ("ports", Atomic),
        ]),
        Kind::Services => Fields(&[
            ("metadata", METADATA),
            ("spec", Fields(&[("ports", PORTS), ("selector", Atomic)])),
            ("status", Fields(&[("conditions", CONDITIONS)])),
        ]),
        Kind::Namespaces => Fields(&[
            ("metadata", METADATA),
            ("status", Fields(&[("conditions", CONDITIONS)])),
        ]),
        Kind::Leases => Fields(&[("metadata", METADATA)]),
        Kind::CoreEvents => Fields(&[
            ("metadata", METADATA),
            ("involvedObject", Atomic),
            ("related", Atomic),
        ]),
        Kind::Events => Fields(&[
            ("metadata", METADATA),
            ("regarding", Atomic),
            ("related", Atomic),
        ]),
        Kind::ServiceExports | Kind::ServiceImports => Fields(&[
            ("metadata", METADATA),
            ("spec", Fields(&[("ports", Atomic), ("ips", Atomic)])),
            (
                "status",
                Fields(&[
                    ("conditions", CONDITIONS),
                    ("clusters", Elements(&[("cluster", Text(""))])),
                ]),
            ),
        ]),
    }
}

const METADATA: Shape = Fields(&[
    ("labels", Keys),
    ("annotations", Keys),
    ("finalizers", Texts),
    ("ownerReferences", Elements(&[("uid", Text(""))])),
]);

const PORTS: Shape = Elements(&[("port", Number(0)), ("protocol", Text("TCP"))]);

const CONDITIONS: Shape = Elements(&[("type", Text(""))]);

impl Shape {
    /// The shape of one of its fields.
    pub(crate) fn field(self, name: &str) -> Self {
        match self {
            Fields(fields) => {
                let found = fields.iter().find(|(it, _)| *it == name);
                found.map_or(Plain, |(_, shape)| *shape)
            }
            Plain => Plain,
            Atomic | Keys | Elements(_) | Texts => Atomic,
        }
    }

    /// The shape of its elements.
    pub(crate) const fn element(self) -> Self {
        match self {
            // Only owners are elements that are owned as a whole.
            Elements([(field, _)]) if matches!(field.as_bytes(), b"uid") => Atomic,
            Elements(_) => Plain,
            Atomic | Plain | Fields(_) | Keys | Texts => Atomic,
        }
    }

    /// Whether its fields have names that the kind gives, and not the user.
    pub(crate) const fn has_named_fields(self) -> bool {
        matches!(self, Fields(_) | Plain)
    }

    /// How it goes on inside of values that are of it; not at all if it is one whole.
    pub(crate) fn inside(self, values: [Option<&Value>; 2]) -> Inside {
        let is_object = |it: &&Value| it.is_object();
        match self {
            Fields(_) | Keys => Inside::Object,
            Elements(_) | Texts => Inside::List,
            Plain if values.iter().flatten().any(is_object) => Inside::Object,
            Plain | Atomic => Inside::Nothing,
        }
    }

    /// By what an element is told apart.
    pub(crate) fn step(self, at: usize, element: &Value) -> Step {
        match self {
            Elements(names) => {
                let keys = names.iter().map(|(field, default)| {
                    let said = element.get(field).filter(|it| !it.is_null());
                    let value = said.cloned().unwrap_or(match default {
                        Text(text) => (*text).into(),
                        Number(number) => (*number).into(),
                    });
                    ((*field).to_owned(), value)
                });
                Step::Key(Value::Object(keys.collect::<Map<_, _>>()).to_string())
            }
            Texts => Step::Value(element.to_string()),
            Atomic | Plain | Fields(_) | Keys => Step::Index(at),
        }
    }
}

/// What is inside of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Nothing that is owned apart from it.
    Nothing,
    /// Fields or keys.
    Object,
    /// Elements.
    List,
}
