//! What happened while cameras run, kept for those who come later. Bounded: the oldest are dropped.

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value};

use super::shared_text;

/// Events kept.
const MAX_EVENTS: usize = 1_000;
/// Decisions about people kept, for their pages.
const MAX_DECISIONS: usize = 10_000;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// ns since 1970.
    pub time_ns: i64,
    /// What, such as `identity-matched` or `camera`.
    pub event: &'static str,
    /// Where.
    #[serde(serialize_with = "shared_text::some")]
    pub camera: Option<Arc<str>>,
    /// The rest.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Note {
    /// The ids whom it is about.
    fn people(&self) -> impl Iterator<Item = u64> {
        let facts = ["id", "from", "into"].map(|key| self.facts.get(key));
        facts.into_iter().flatten().filter_map(Value::as_u64)
    }

    /// Whether it says who somebody is: by the cameras, or by a user.
    fn is_decision(&self) -> bool {
        match self.event {
            "identity-lost" => false,
            event => event.starts_with("identity-") || event == "change",
        }
    }
}

/// The last events, and what was decided about people who are still known.
#[derive(Debug, Default)]
pub struct History {
    events: VecDeque<Arc<Note>>,
    decisions: VecDeque<Arc<Note>>,
}

impl History {
    /// Something happened. Of a person who leaves the gallery no decision is kept.
    pub fn add(&mut self, note: &Arc<Note>) {
        keep(&mut self.events, MAX_EVENTS, note);
        if note.event == "identity-left" {
            let is_gone = |id| note.people().any(|gone| gone == id);
            self.decisions.retain(|old| !old.people().any(is_gone));
        } else if note.is_decision() {
            keep(&mut self.decisions, MAX_DECISIONS, note);
        }
    }

    /// The last events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Note>> {
        self.events.iter()
    }

    /// What was decided about whom `is_own` accepts, newest first, `most` at most.
    pub fn decisions(&self, is_own: impl Fn(u64) -> bool, most: usize) -> Vec<Arc<Note>> {
        let newest = self.decisions.iter().rev();
        let own = newest.filter(|note| note.people().any(&is_own));
        own.take(most).cloned().collect()
    }
}

fn keep(list: &mut VecDeque<Arc<Note>>, most: usize, note: &Arc<Note>) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(note.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(history: &mut History, event: &'static str, ids: &[(&str, u32)]) {
        let facts = ids
            .iter()
            .map(|(key, id)| ((*key).to_owned(), (*id).into()));
        history.add(&Arc::new(Note {
            time_ns: 0,
            event,
            camera: None,
            facts: facts.collect(),
        }));
    }

    fn of(history: &History, id: u64) -> Vec<&'static str> {
        let own = history.decisions(|other| other == id, 10);
        own.iter().map(|note| note.event).collect()
    }

    #[test]
    fn decisions_outlast_other_events_and_go_with_the_person() {
        let mut history = History::default();
        tell(&mut history, "identity-new", &[("id", 7)]);
        tell(
            &mut history,
            "identity-matched",
            &[("id", 7), ("against", 8)],
        );
        tell(&mut history, "identity-merged", &[("from", 7), ("into", 5)]);
        for _ in 0..MAX_EVENTS {
            tell(&mut history, "camera", &[]);
            tell(&mut history, "identity-lost", &[("id", 7)]);
        }
        let all = ["identity-merged", "identity-matched", "identity-new"];
        assert_eq!(of(&history, 7), all);
        assert_eq!(of(&history, 5), ["identity-merged"]);
        assert!(of(&history, 8).is_empty());
        tell(&mut history, "identity-left", &[("id", 7)]);
        assert!(of(&history, 7).is_empty() && of(&history, 5).is_empty());
    }

    #[test]
    fn a_day_of_events_stays_bounded() {
        let mut history = History::default();
        for _ in 0..MAX_DECISIONS + 10 {
            tell(&mut history, "identity-new", &[("id", 9)]);
        }
        assert_eq!(history.events().count(), MAX_EVENTS);
        assert_eq!(history.decisions(|_| true, usize::MAX).len(), MAX_DECISIONS);
    }
}
