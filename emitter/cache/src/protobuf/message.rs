//! Messages as tables of fields, for reading and writing.

/// The fields of a message, by ascending number.
pub type Message = &'static [Field];

/// One field.
#[derive(Debug)]
pub struct Field {
    number: u32,
    name: &'static str,
    kind: Kind,
    rule: Rule,
}

/// Type of a field.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text.
    Text,
    /// A boolean.
    Truth,
    /// A number.
    Integer,
    /// A number or a name, such as a target port.
    IntegerOrText,
    /// A moment, to the second.
    Time,
    /// A moment, to the microsecond.
    MicroTime,
    /// Texts by their names.
    Map,
    /// Bytes by their names, which JSON has in base64.
    ByteMap,
    /// JSON, as it stands.
    Raw,
    /// A message.
    Nested(Message),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Always,
    IfPresent,
    Repeated,
    Never,
}

/// A field that is written also where it is empty.
pub const fn always(number: u32, name: &'static str, kind: Kind) -> Field {
    Field::new(number, name, kind, Rule::Always)
}

/// A field that is written where it is there: a pointer in Go, or a map.
pub const fn present(number: u32, name: &'static str, kind: Kind) -> Field {
    Field::new(number, name, kind, Rule::IfPresent)
}

/// A field that is written once for each element.
pub const fn repeated(number: u32, name: &'static str, kind: Kind) -> Field {
    Field::new(number, name, kind, Rule::Repeated)
}

/// A field of the JSON which protobuf has elsewhere.
pub const fn unwritten(name: &'static str) -> Field {
    Field::new(0, name, Kind::Text, Rule::Never)
}

impl Field {
    const fn new(number: u32, name: &'static str, kind: Kind, rule: Rule) -> Self {
        Self {
            number,
            name,
            kind,
            rule,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the name in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the rule that decides whether the field is written.
    pub(super) const fn rule(&self) -> Rule {
        self.rule
    }
}
