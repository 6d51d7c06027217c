//! A duration as people write it: `30d`, `12h`, `90s`, or a number of seconds.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl Age {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit: u64 = match &text[digits.len()..] {
            "s" | "" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return None,
        };
        let count: u64 = digits.trim_end().parse().ok()?;
        let seconds = count
            .checked_mul(unit)
            .filter(|s| (1..1 << 33).contains(s))?;
        Some(Self(Duration::from_secs(seconds)))
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Age;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a length of time such as \"30d\", \"12h\", \"15m\" or a number of seconds above 0")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Age, E> {
                Age::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Age, E> {
                Age::parse(&seconds.to_string())
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Age, E> {
                let positive = u64::try_from(seconds);
                positive
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
                    .and_then(|seconds| self.visit_u64(seconds))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Age {
    fn schema_name() -> Cow<'static, str> {
        "Age".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: 30d, 12h, 15m, 90s, or a number of seconds.",
            "type": ["string", "integer"],
            "pattern": "^[0-9]+ ?(s|m|min|h|d|w)?$",
            "minimum": 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_with_their_units() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("12h", 43_200),
            ("5 min", 300),
            ("90", 90),
        ] {
            assert_eq!(Age::parse(text), Some(Age(Duration::from_secs(seconds))));
        }
        for text in [
            "",
            "0s",
            "-1d",
            "1y",
            "h",
            "1.5h",
            "99999999999999999999d",
            "30dé",
        ] {
            assert_eq!(Age::parse(text), None, "{text}");
        }
    }
}
