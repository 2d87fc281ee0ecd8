//! Staleness policy of a source, as in the file.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use reflector_planner::import::Pattern;
use reflector_planner::{Staleness, StalenessOf};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::schema::{Duration as DurationText, ServicePattern};

/// `keep`, or `notReadyAfter` and `dropAfter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StalenessEntry(pub Staleness);

/// Exception for some Services.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "StalenessOverride")]
pub struct StalenessOfEntry {
    /// For which Services.
    #[schemars(with = "Vec<ServicePattern>")]
    services: Vec<String>,
    /// Treatment of their endpoints.
    staleness: StalenessEntry,
}

impl StalenessOfEntry {
    /// Checks the entry.
    pub(super) fn check(&self) -> Result<StalenessOf, String> {
        let pattern = |text: &String| match text.parse::<Pattern>() {
            Ok(pattern) if text == "*" || text.contains('/') => Ok(pattern),
            Ok(_) => Err(format!(
                "stalenessOverrides: {text:?} names no Service: write it as demo/web, demo/web-* or demo/*"
            )),
            Err(why) => Err(format!("stalenessOverrides: {why}")),
        };
        Ok(StalenessOf {
            services: self
                .services
                .iter()
                .map(pattern)
                .collect::<Result<_, _>>()?,
            staleness: self.staleness.0,
        })
    }
}

impl JsonSchema for StalenessEntry {
    fn schema_name() -> Cow<'static, str> {
        "Staleness".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rules = generator.subschema_for::<Rules>();
        json_schema!({
            "description": "What becomes of endpoints while their source is silent.",
            "anyOf": [{"const": "keep"}, rules],
        })
    }
}

/// Both count from the last contact with the source; `dropAfter` is the longer one.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "StalenessRules")]
struct Rules {
    /// Time after which endpoints count as not ready.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    not_ready_after: Option<Duration>,
    /// Time after which endpoints are removed.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    drop_after: Option<Duration>,
}

struct Either;

impl<'de> Deserialize<'de> for StalenessEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Visitor<'de> for Either {
    type Value = StalenessEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keep, or notReadyAfter and dropAfter")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "keep" => Ok(StalenessEntry::default()),
            _ => Err(E::custom(format!(
                "staleness {word:?} is neither keep nor notReadyAfter: 5m, dropAfter: 1h"
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let rules = Rules::deserialize(MapAccessDeserializer::new(map))?;
        let Rules {
            not_ready_after,
            drop_after,
        } = rules;
        if let (Some(not_ready), Some(drop)) = (not_ready_after, drop_after)
            && drop <= not_ready
        {
            return Err(A::Error::custom(
                "dropAfter comes before notReadyAfter would: make it longer, or leave that out",
            ));
        }
        Ok(StalenessEntry(Staleness {
            not_ready_after,
            drop_after,
        }))
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map(Some).map_err(D::Error::custom)
}

/// Reads a duration as Kubernetes' users write it: `90s`, `5m`, `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    let duration = parsed.and_then(|it| Duration::try_from(it).ok());
    let duration = duration.filter(|it| !it.is_zero());
    duration.ok_or_else(|| format!("{text:?} is not a duration: write it as 90s, 5m or 1h"))
}
