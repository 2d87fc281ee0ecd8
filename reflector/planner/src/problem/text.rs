//! Problems as text and as JSON.

use std::fmt;

use proto_types::escape;
use serde::{Serialize, Serializer};

use super::Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            object,
            cause,
        } = self;
        let text = format!("Service {object} of source {source}: {cause}");
        f.write_str(&escape::text(&text))
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Problem", 4)?;
        fields.serialize_field("reason", self.cause.reason())?;
        fields.serialize_field("object", self.object.as_str())?;
        fields.serialize_field("source", &self.source)?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
