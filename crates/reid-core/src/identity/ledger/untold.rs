//! What happened and was not told yet, because no frame came that it could be told with. Others who feed the gallery, as those on a
//! server do, go on while every pipeline of this process is paused: what waits is bounded.

use crate::identity::{Event, Gallery};

/// Most events that wait while no frame comes: a few MB.
const MAX_UNTOLD: usize = 65_536;
/// So many rounds of the persistence worker without a frame are a pause: a camera that runs has several frames in each.
const PAUSED_ROUNDS: u32 = 4;

/// What waits for a frame.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Untold {
    /// Rounds since the last frame.
    rounds: u32,
    /// How many events were dropped.
    dropped: u64,
}

impl Gallery {
    /// A frame came: what happened is told with it.
    pub(in crate::identity) fn note_frame(&mut self) {
        self.untold.rounds = 0;
    }

    /// A round of the persistence worker. While no frame comes, events beyond the limit are dropped and counted: who appeared and
    /// who left before which id became which, older ones before newer ones.
    pub(in crate::identity) fn bound_events(&mut self) {
        self.untold.rounds = self.untold.rounds.saturating_add(1);
        let before = self.events.len();
        if self.untold.rounds < PAUSED_ROUNDS || before <= MAX_UNTOLD {
            return;
        }
        self.events.retain(changes_ids);
        let surplus = self.events.len().saturating_sub(MAX_UNTOLD);
        self.events.drain(..surplus);
        self.events.shrink_to(MAX_UNTOLD);
        self.untold.dropped += (before - self.events.len()) as u64;
    }

    /// How many events were dropped since this was last asked, because no frame came for long while others fed the gallery.
    pub fn take_dropped_events(&mut self) -> u64 {
        std::mem::take(&mut self.untold.dropped)
    }
}

/// Whether whoever keeps ids of their own must know of it.
fn changes_ids(event: &Event) -> bool {
    matches!(
        event,
        Event::Merged { .. } | Event::Split { .. } | Event::Corrected { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{Authority, Fate, GalleryConfig, SavedPerson},
        person::IdentityId,
    };

    const WALL_NS: u64 = 1_700_000_000_000_000_000;

    fn stranger(id: u32) -> SavedPerson {
        SavedPerson {
            id: IdentityId(id),
            first_ns: WALL_NS,
            last_ns: WALL_NS,
            name: None,
            previous: [].into(),
            apart: Vec::new(),
            rows: Vec::new(),
            is_new: false,
        }
    }

    /// Others take people in and let them go: `merges` of them by a merge.
    fn fed(gallery: &mut Gallery, people: std::ops::Range<u32>, merges: u32) {
        let begins = people.start;
        for id in people {
            gallery.adopt(stranger(id), Authority::Neighbour);
            let fate = if id - begins < merges {
                Fate::Merged(IdentityId(1))
            } else {
                Fate::Expired
            };
            gallery.depart(IdentityId(id), fate);
        }
    }

    #[test]
    fn what_others_do_during_a_pause_is_bounded_and_merges_are_told() {
        let mut gallery = Gallery::new(GalleryConfig::default());
        gallery.keep_journal();
        let camera = gallery.attach("door", true);
        gallery.observe(camera, 0, &[], &[]);
        let round = MAX_UNTOLD as u32 / 2;
        for n in 0..6 {
            fed(&mut gallery, 2 + n * round..2 + (n + 1) * round, 100);
            gallery.idle(WALL_NS);
        }
        assert!(gallery.events.len() <= MAX_UNTOLD);
        let dropped = gallery.take_dropped_events();
        let told = gallery.observe(camera, 1, &[], &[]).events;
        assert_eq!(told.len() as u64 + dropped, u64::from(6 * round));
        let merges = told.iter().filter(|e| changes_ids(e)).count();
        assert_eq!(merges, 600);
        assert_eq!(gallery.take_dropped_events(), 0);
    }

    #[test]
    fn nothing_is_lost_for_those_who_run() {
        let mut gallery = Gallery::new(GalleryConfig::default());
        gallery.keep_journal();
        let camera = gallery.attach("door", true);
        let (round, mut told) = (2 * MAX_UNTOLD as u32, 0);
        for n in 0..6 {
            fed(&mut gallery, 2 + n * round..2 + (n + 1) * round, 0);
            gallery.idle(WALL_NS);
            told += gallery.observe(camera, u64::from(n), &[], &[]).events.len();
        }
        assert_eq!((told as u32, gallery.take_dropped_events()), (6 * round, 0));
    }
}
