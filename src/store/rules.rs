//! The rules of a gallery that several elements share: a rule set on one element applies to all, an unset rule has its default, and
//! contradictions are refused.
//!
//! A rule applies from READY of its element on. It stays when that element goes to NULL, so that a stopped camera does not change how
//! long people are kept, until another element sets it or the element is gone.
//!
//! One lock for each gallery's rules; the gallery's lock is taken inside it, never the other way round.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use crate::{
    core::identity::{Gallery, GalleryConfig, topology::Topology},
    sync::lock,
};

/// What one element was given; `None` = nothing was said.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// As [`GalleryConfig::match_threshold`].
    pub match_threshold: Option<Option<f32>>,
    /// As [`GalleryConfig::max_identities`].
    pub max_identities: Option<usize>,
    /// As [`GalleryConfig::max_age_ns`].
    pub max_age_ns: Option<Option<u64>>,
    /// How the cameras lie to one another.
    pub topology: Option<GivenTopology>,
}

/// A file, and what it says.
pub type GivenTopology = (Arc<Path>, Arc<Topology>);

/// Two elements of a gallery were given different rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{property}={ours} of {element} contradicts {property}={theirs} of {other}: elements that share a gallery have one {property}. Set it on one of them alone, or to the same value on both"
)]
pub struct Contradiction {
    property: &'static str,
    element: String,
    ours: String,
    other: String,
    theirs: String,
}

/// The rules of one gallery, element by element.
#[derive(Debug, Default)]
pub struct RuleBook(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    next: u64,
    /// In order of coming.
    pages: BTreeMap<u64, Page>,
    gallery: Weak<Mutex<Gallery>>,
}

#[derive(Debug)]
struct Page {
    element: String,
    /// In READY or above.
    is_up: bool,
    rules: Rules,
}

/// An element's place in a book; its rules are struck out when this is dropped.
#[derive(Debug)]
pub struct Member {
    book: Arc<RuleBook>,
    key: u64,
    is_private: bool,
}

impl RuleBook {
    /// Admits an element, which has said nothing so far. `is_private`: nobody else ever comes.
    pub fn join(self: &Arc<Self>, element: &str, is_private: bool) -> Member {
        let mut pages = lock(&self.0);
        let key = pages.next;
        pages.next += 1;
        let page = Page {
            element: element.to_owned(),
            is_up: true,
            rules: Rules::default(),
        };
        pages.pages.insert(key, page);
        Member {
            book: self.clone(),
            key,
            is_private,
        }
    }

    /// The limits that all elements have given together, with defaults where nobody said anything.
    pub fn limits(&self) -> GalleryConfig {
        lock(&self.0).limits()
    }

    /// From now on the rules are those of this gallery.
    pub(super) fn bind(&self, gallery: &Arc<Mutex<Gallery>>) {
        let mut pages = lock(&self.0);
        pages.gallery = Arc::downgrade(gallery);
        pages.apply();
    }
}

impl Member {
    /// Whether this is the element's place in `book`.
    pub fn is_of(&self, book: &Arc<RuleBook>) -> bool {
        Arc::ptr_eq(&self.book, book)
    }

    /// The rules that it is a member of.
    pub fn book(&self) -> Arc<RuleBook> {
        self.book.clone()
    }

    /// Whether they are those of a gallery of its own.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Says what the element was given, in place of what it said before. What contradicts an element that is in READY or
    /// above is refused, and what was said before stays.
    pub fn declare(&self, rules: Rules) -> Result<(), Contradiction> {
        let mut pages = lock(&self.book.0);
        pages.check(self.key, &rules)?;
        pages.write(self.key, rules);
        Ok(())
    }

    /// Likewise before the element starts, when a contradiction is not an error yet.
    pub fn announce(&self, rules: Rules) {
        lock(&self.book.0).write(self.key, rules);
    }

    /// The element is in NULL: others may overrule it.
    pub fn rest(&self) {
        if let Some(page) = lock(&self.book.0).pages.get_mut(&self.key) {
            page.is_up = false;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut pages = lock(&self.book.0);
        pages.pages.remove(&self.key);
        pages.apply();
    }
}

impl Pages {
    fn write(&mut self, key: u64, rules: Rules) {
        if let Some(page) = self.pages.get_mut(&key) {
            page.rules = rules;
            page.is_up = true;
        }
        self.apply();
    }

    /// The rule that holds: that of an element that is up, else that of the one that came last of the others.
    fn rule<T>(&self, of: impl Fn(&Rules) -> Option<T>) -> Option<T> {
        let up = self.pages.values().filter(|p| p.is_up);
        let down = self.pages.values().rev().filter(|p| !p.is_up);
        up.chain(down).find_map(|p| of(&p.rules))
    }

    fn limits(&self) -> GalleryConfig {
        let default = GalleryConfig::default();
        GalleryConfig {
            match_threshold: self
                .rule(|r| r.match_threshold)
                .unwrap_or(default.match_threshold),
            max_identities: self
                .rule(|r| r.max_identities)
                .unwrap_or(default.max_identities),
            max_age_ns: self.rule(|r| r.max_age_ns).unwrap_or(default.max_age_ns),
        }
    }

    fn apply(&self) {
        let Some(gallery) = self.gallery.upgrade() else {
            return;
        };
        let topology = self.rule(|r| r.topology.as_ref().map(|(_, t)| t.clone()));
        let mut gallery = lock(&gallery);
        gallery.configure(self.limits());
        gallery.set_topology(topology);
    }

    fn check(&self, key: u64, ours: &Rules) -> Result<(), Contradiction> {
        let element = self.pages.get(&key).map_or("", |p| &p.element);
        let others = self.pages.iter().filter(|(k, p)| **k != key && p.is_up);
        for (_, other) in others {
            if let Some((property, ours, theirs)) = ours.difference(&other.rules) {
                return Err(Contradiction {
                    property,
                    element: element.to_owned(),
                    ours,
                    other: other.element.clone(),
                    theirs,
                });
            }
        }
        Ok(())
    }
}

impl Rules {
    /// The first property that both were given otherwise, with both values as a user writes them.
    fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let threshold = |r: &Self| r.match_threshold.map(|t| t.unwrap_or(-1.0).to_string());
        let people = |r: &Self| r.max_identities.map(|n| n.to_string());
        let age = |r: &Self| r.max_age_ns.map(|ns| ns.unwrap_or(0).to_string());
        let differ = |property, of: &dyn Fn(&Self) -> Option<String>| {
            let (ours, theirs) = of(self).zip(of(other))?;
            (ours != theirs).then_some((property, ours, theirs))
        };
        differ("match-threshold", &threshold)
            .or_else(|| differ("max-identities", &people))
            .or_else(|| differ("max-age", &age))
            .or_else(|| {
                let (ours, theirs) = self.topology.as_ref().zip(other.topology.as_ref())?;
                let shown = |file: &Path| file.display().to_string();
                (ours.1 != theirs.1).then(|| ("topology", shown(&ours.0), shown(&theirs.0)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(ns: u64) -> Rules {
        Rules {
            max_age_ns: Some(Some(ns)),
            ..Rules::default()
        }
    }

    #[test]
    fn what_one_was_given_holds_until_it_is_gone() {
        let book = Arc::<RuleBook>::default();
        let (door, hall) = (book.join("door", false), book.join("hall", false));
        door.declare(age(7)).unwrap();
        hall.declare(Rules::default()).unwrap();
        let gallery = Arc::new(Mutex::new(Gallery::new(GalleryConfig::default())));
        book.bind(&gallery);
        let held = || lock(&gallery).config().max_age_ns;
        assert_eq!(held(), Some(7));
        let refused = hall.declare(age(8)).unwrap_err().to_string();
        for part in ["max-age=8 of hall", "max-age=7 of door", "on one of them"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert_eq!(held(), Some(7));
        // Stopped, it still says something; not against those that run.
        door.rest();
        hall.declare(Rules::default()).unwrap();
        assert_eq!(held(), Some(7));
        hall.declare(age(8)).unwrap();
        assert_eq!(held(), Some(8));
        assert!(door.declare(age(7)).is_err());
        drop(hall);
        assert_eq!(held(), Some(7));
        drop(door);
        assert_eq!(held(), None);
    }
}
