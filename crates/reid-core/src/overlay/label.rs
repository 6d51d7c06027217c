//! The text of a label: a template with placeholders.

use crate::person::{Identity, IdentityState, Person};

/// The default template: a person's name, else the id.
pub const DEFAULT_FORMAT: &str = "{name}";

/// What may stand in a template.
const PLACEHOLDERS: &str =
    "{id}, {name}, {track}, {state}, {score}, {margin}, {confidence}, {class}";

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FormatError {
    #[error("unknown placeholder {{{0}}}; available: {PLACEHOLDERS}")]
    Unknown(String),
    #[error("a '{{' has no '}}' (available: {PLACEHOLDERS})")]
    Open,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Id,
    Name,
    Track,
    State,
    Score,
    Margin,
    Confidence,
    Class,
}

/// A template, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFormat(Vec<Part>);

impl std::str::FromStr for LabelFormat {
    type Err = FormatError;

    /// Parses text with placeholders in braces: `{id}` (17), `{name}` (Anna, or P17 without a name), `{track}` (the number in
    /// this camera), `{state}` (pending, new, matched), `{score}` and `{margin}` (similarities), `{confidence}` (the
    /// detector's), `{class}`.
    fn from_str(format: &str) -> Result<Self, FormatError> {
        let mut parts = Vec::new();
        let mut rest = format;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(FormatError::Open)?;
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            parts.push(match name {
                "id" => Part::Id,
                "name" => Part::Name,
                "track" => Part::Track,
                "state" => Part::State,
                "score" => Part::Score,
                "margin" => Part::Margin,
                "confidence" => Part::Confidence,
                "class" => Part::Class,
                other => return Err(FormatError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl Default for LabelFormat {
    fn default() -> Self {
        Self(vec![Part::Name])
    }
}

impl LabelFormat {
    /// The label of somebody who has an identity and is called `name`.
    pub fn filled(&self, person: &Person, identity: &Identity, name: Option<&str>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Id => format!("{}{}", identity.id.0, doubt(identity)),
            Part::Name => match name {
                Some(name) => name.to_owned(),
                None => format!("{}{}", identity.id, doubt(identity)),
            },
            Part::Track => person
                .track
                .map(|track| track.id.0.to_string())
                .unwrap_or_default(),
            Part::State => identity.state.as_str().to_owned(),
            Part::Score => format!("{:.2}", identity.score),
            Part::Margin => format!("{:.2}", identity.margin),
            Part::Confidence => format!("{:.2}", person.confidence),
            Part::Class => person.label.to_string(),
        };
        self.0.iter().map(part).collect()
    }
}

/// What a provisional identity has behind it.
fn doubt(identity: &Identity) -> &'static str {
    match identity.state {
        IdentityState::Pending => "?",
        IdentityState::New | IdentityState::Matched => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        geometry::Rect,
        person::{IdentityId, IdentityState, Track, TrackId, TrackState},
    };

    fn check(format: &str, name: Option<&str>, expected: &str) {
        let mut person = Person::detected(Rect::default(), 0.875, "person".into(), 0);
        person.track = Some(Track {
            id: TrackId(4),
            state: TrackState::Confirmed,
            unseen_ns: 0,
            age_ns: 0,
        });
        let identity = Identity {
            id: IdentityId(17),
            state: IdentityState::Matched,
            score: 0.5,
            margin: 0.25,
            evidence: None,
            previous: [].into(),
            name: name.map(Into::into),
        };
        let format: LabelFormat = format.parse().unwrap();
        assert_eq!(
            format.filled(&person, &identity, identity.name.as_deref()),
            expected
        );
    }

    #[test]
    fn a_provisional_identity_has_a_question_mark() {
        let person = Person::detected(Rect::default(), 0.9, "person".into(), 0);
        let mut identity = Identity {
            id: IdentityId(17),
            state: IdentityState::Pending,
            score: 0.0,
            margin: 0.0,
            evidence: None,
            previous: [].into(),
            name: None,
        };
        let label = |identity: &Identity| LabelFormat::default().filled(&person, identity, None);
        assert_eq!(label(&identity), "P17?");
        identity.state = IdentityState::New;
        assert_eq!(label(&identity), "P17");
    }

    #[test]
    fn placeholders_are_filled() {
        check(DEFAULT_FORMAT, None, "P17");
        check(DEFAULT_FORMAT, Some("Anna"), "Anna");
        check("#{id} {name} t{track}", Some("Ωδή"), "#17 Ωδή t4");
        check(
            "{state} {score} {margin} {confidence} {class}",
            None,
            "matched 0.50 0.25 0.88 person",
        );
        check("", None, "");
        check("no } here", None, "no } here");
        assert_eq!(
            DEFAULT_FORMAT.parse::<LabelFormat>(),
            Ok(LabelFormat::default())
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            "{nam}".parse::<LabelFormat>(),
            Err(FormatError::Unknown("nam".into()))
        );
        assert_eq!("a {".parse::<LabelFormat>(), Err(FormatError::Open));
        assert!(FormatError::Open.to_string().contains("{id}"));
        assert!(
            FormatError::Unknown("x".into())
                .to_string()
                .starts_with("unknown placeholder {x}")
        );
    }
}
