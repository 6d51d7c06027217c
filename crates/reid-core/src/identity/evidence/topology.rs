//! Which cameras see the same place, and how long people walk between those that do not: a hard limit on who can be who.
//!
//! ```toml
//! [[link]]
//! cameras = ["door", "hall"]
//! overlap = true
//!
//! [[link]]
//! cameras = ["hall", "yard"]
//! min-seconds = 8
//! max-seconds = 120
//! ```
//!
//! Cameras that the text names and does not say to overlap see different places: nobody is in both at once. Cameras that
//! it does not name are free.

use std::{collections::HashMap, ops::Range, sync::Arc};

use serde::Deserialize;

/// Most links that a topology may have: every pair of a hundred cameras.
pub const MAX_LINKS: usize = 10_000;
/// Longest walk that can be given, s: a day.
const MAX_SECONDS: f64 = 86_400.0;
/// Two cameras' clocks, and a track's last box and its end, are trusted to this much, ns.
const SLACK_NS: u64 = 200_000_000;

/// Why a text is no topology. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TopologyError {
    #[error(
        "line {line}: {what}: write [[link]] sections with cameras = [\"a\", \"b\"] and either overlap = true or min-seconds and max-seconds"
    )]
    Syntax { line: usize, what: String },
    #[error(
        "line {line}: a link joins two different cameras: name them, as in cameras = [\"door\", \"hall\"]"
    )]
    Cameras { line: usize },
    #[error("line {line}: \"{a}\" and \"{b}\" are linked twice: keep one of the two links")]
    Twice { line: usize, a: String, b: String },
    #[error(
        "line {line}: cameras that overlap have no walk between them: remove overlap or the seconds"
    )]
    OverlapAndWalk { line: usize },
    #[error(
        "line {line}: seconds lie between 0 and {MAX_SECONDS}, min-seconds not above max-seconds: correct them"
    )]
    Seconds { line: usize },
    #[error(
        "there are more than {MAX_LINKS} links: leave out those that only repeat that two cameras do not overlap"
    )]
    TooMany,
}

/// What is known of two cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Nothing.
    Free,
    /// They see the same place.
    Overlap,
    /// They see different places.
    Apart {
        /// Nobody is faster, ns.
        min_ns: u64,
        /// Nobody is slower, ns.
        max_ns: Option<u64>,
    },
}

impl Relation {
    /// Whether one person can have been in one camera during `a` and in the other during `b`, ns from first to last
    /// sighting. `direct`: in between no other camera saw it, so that nobody may have been slower either.
    pub fn allows(self, a: &Range<u64>, b: &Range<u64>, direct: bool) -> bool {
        let Self::Apart { min_ns, max_ns } = self else {
            return true;
        };
        let (early, late) = if a.start <= b.start { (a, b) } else { (b, a) };
        if early.end > late.start.saturating_add(SLACK_NS) {
            return false;
        }
        let walk = late.start.saturating_sub(early.end);
        walk.saturating_add(SLACK_NS) >= min_ns
            && (!direct || max_ns.is_none_or(|max| walk <= max.saturating_add(SLACK_NS)))
    }
}

/// How the cameras of a gallery lie to one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    numbers: HashMap<Arc<str>, Place>,
    /// By the smaller number of the two cameras, then by the larger, ascending.
    links: Vec<Vec<(Place, Relation)>>,
}

/// A camera that a topology names. Pairs are looked up for everybody who could be somebody, so not by names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u32);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    link: Vec<toml::Spanned<Link>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Link {
    cameras: Vec<String>,
    #[serde(default)]
    overlap: bool,
    min_seconds: Option<f64>,
    max_seconds: Option<f64>,
}

impl Topology {
    /// Reads the text of a topology file.
    pub fn parse(text: &str) -> Result<Self, TopologyError> {
        let line_at = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let read: Text = toml::from_str(text).map_err(|error| TopologyError::Syntax {
            line: line_at(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        })?;
        if read.link.len() > MAX_LINKS {
            return Err(TopologyError::TooMany);
        }
        let mut topology = Self::default();
        for link in &read.link {
            topology.add(link.get_ref(), line_at(link.span().start))?;
        }
        Ok(topology)
    }

    fn add(&mut self, link: &Link, line: usize) -> Result<(), TopologyError> {
        let [a, b] = &link.cameras[..] else {
            return Err(TopologyError::Cameras { line });
        };
        if a == b || a.is_empty() || b.is_empty() {
            return Err(TopologyError::Cameras { line });
        }
        let relation = relation(link, line)?;
        let (first, second) = (self.number(a), self.number(b));
        let links = &mut self.links[first.min(second).0 as usize];
        let larger = first.max(second);
        match links.binary_search_by_key(&larger, |link| link.0) {
            Ok(_) => Err(TopologyError::Twice {
                line,
                a: a.clone(),
                b: b.clone(),
            }),
            Err(at) => {
                links.insert(at, (larger, relation));
                Ok(())
            }
        }
    }

    fn number(&mut self, name: &str) -> Place {
        if let Some(&place) = self.numbers.get(name) {
            return place;
        }
        // Links are limited, and each names two cameras.
        let place = Place(self.links.len() as u32);
        self.links.push(Vec::new());
        self.numbers.insert(name.into(), place);
        place
    }

    /// The camera of this name, where the text names it.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.numbers.get(name).copied()
    }

    /// What is known of two cameras; `None` is one that the text does not name.
    pub fn relation(&self, a: Option<Place>, b: Option<Place>) -> Relation {
        let (Some(a), Some(b)) = (a, b) else {
            return Relation::Free;
        };
        if a == b {
            return Relation::Free;
        }
        let apart = Relation::Apart {
            min_ns: 0,
            max_ns: None,
        };
        let (links, larger) = (&self.links[a.min(b).0 as usize], a.max(b));
        let found = links.binary_search_by_key(&larger, |link| link.0);
        found.map_or(apart, |at| links[at].1)
    }
}

fn relation(link: &Link, line: usize) -> Result<Relation, TopologyError> {
    let walks = link.min_seconds.is_some() || link.max_seconds.is_some();
    if link.overlap {
        return match walks {
            true => Err(TopologyError::OverlapAndWalk { line }),
            false => Ok(Relation::Overlap),
        };
    }
    let (min, max) = (link.min_seconds.unwrap_or(0.0), link.max_seconds);
    let usable = |seconds: f64| (0.0..=MAX_SECONDS).contains(&seconds);
    if !usable(min) || max.is_some_and(|max| !usable(max) || max < min) {
        return Err(TopologyError::Seconds { line });
    }
    let ns = |seconds: f64| (seconds * 1e9) as u64;
    Ok(Relation::Apart {
        min_ns: ns(min),
        max_ns: max.map(ns),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn links_are_read_and_what_is_not_linked_does_not_overlap() {
        let text = "# lobby\n[[link]]\ncameras = [\"door\", \"hall\"]\noverlap = true\n\n[[link]]\ncameras = [\"hall\", \"yard\"]\nmin-seconds = 8\nmax-seconds = 120\n";
        let topology = Topology::parse(text).unwrap();
        let between = |a, b| topology.relation(topology.place(a), topology.place(b));
        assert_eq!(between("hall", "door"), Relation::Overlap);
        let walk = between("yard", "hall");
        assert_eq!(
            walk,
            Relation::Apart {
                min_ns: 8 * SECOND,
                max_ns: Some(120 * SECOND)
            }
        );
        let unlinked = Relation::Apart {
            min_ns: 0,
            max_ns: None,
        };
        assert_eq!(between("door", "yard"), unlinked);
        assert_eq!(between("door", "roof"), Relation::Free);
        assert_eq!(between("door", "door"), Relation::Free);
        let seen = |from: u64, to: u64| from * SECOND..to * SECOND;
        for (from, allowed, direct) in [
            (5, false, true),
            (16, false, true),
            (18, true, true),
            (130, true, true),
            (131, false, true),
            (131, true, false),
        ] {
            let found = walk.allows(&seen(0, 10), &seen(from, from + 5), direct);
            assert_eq!(found, allowed, "after {from} s");
        }
        assert!(!unlinked.allows(&seen(0, 10), &seen(9, 12), true));
        assert!(Relation::Overlap.allows(&seen(0, 10), &seen(9, 12), true));
    }

    #[test]
    fn a_bad_text_is_refused_with_its_line_and_a_remedy() {
        let link = |rest: &str| format!("\n[[link]]\ncameras = [\"a\", \"b\"]\n{rest}");
        for (text, line, word) in [
            ("[[link]\n".to_owned(), 1, "[[link]]"),
            ("\n[[links]]\n".to_owned(), 2, "[[link]]"),
            (link("min-secs = 3"), 4, "min-seconds"),
            (link("min-seconds = -1"), 2, "correct"),
            (link("min-seconds = 9\nmax-seconds = 3"), 2, "correct"),
            (link("max-seconds = nan"), 2, "correct"),
            (link("overlap = true\nmin-seconds = 1"), 2, "remove"),
            ("[[link]]\ncameras = [\"a\"]".to_owned(), 1, "name them"),
            (
                "[[link]]\ncameras = [\"a\", \"a\"]".to_owned(),
                1,
                "name them",
            ),
            (link("") + &link(""), 5, "keep one"),
        ] {
            let error = Topology::parse(&text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("line {line}:")),
                "{text}: {error}"
            );
            assert!(error.contains(word), "{text}: {error}");
        }
        assert_eq!(Topology::parse("").unwrap(), Topology::default());
    }
}
