//! Second thoughts about people in view: somebody taken for new who turns out to be known, and somebody taken for known who
//! is not. A first decision rests on a crop or two; more come while the track lasts.

use super::{
    CameraId, Event, Gallery, Sighting,
    binding::TrackKey,
    decision::{Candidate, Judge, Query, Verdict},
};
use crate::core::{
    embedding::Embedding,
    person::{IdentityId, IdentityState},
};

/// A merge of two numbers that were both believed needs this probability.
const SURE_MERGE: f32 = 0.9;
/// A person that was taken for new is compared with the others again after this time, ns, then after twice as long, …
pub(super) const REVIEW_NS: u64 = 500_000_000;
/// … until this age of the track, ns.
const REVIEW_UNTIL_NS: u64 = 64_000_000_000;
/// A track leaves the person that it was taken for when that is less probable than this …
const DOUBT: f32 = 0.2;
/// … after so many crops.
const DOUBT_CROPS: u32 = 5;
/// A person recognised with this probability, who has been in view for so long, ns, teaches how alike one person is across cameras.
const CERTAIN: f32 = 0.95;
const TEACH_NS: u64 = 2_000_000_000;

impl Gallery {
    /// Compares people in view with everybody else again, now that more is known: at most one a frame.
    pub(super) fn review(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let now = self.now_ns;
        let due = sightings.iter().find_map(|s| {
            let key = TrackKey {
                camera,
                track: s.track,
            };
            let binding = self.bindings.get(&key)?;
            let fits = binding.decided
                && binding.state != IdentityState::Pending
                && binding.review_ns <= now
                && !binding.trusted
                && now.saturating_sub(binding.first_ns) <= REVIEW_UNTIL_NS;
            fits.then_some(key)
        });
        let Some(key) = due else { return };
        let Some(binding) = self.bindings.get_mut(&key) else {
            return;
        };
        let age = now.saturating_sub(binding.first_ns);
        binding.review_ns = now.saturating_add(age.max(REVIEW_NS));
        let (Some(own), Some(mean)) = (binding.identity, binding.evidence.mean()) else {
            return;
        };
        if binding.state == IdentityState::New {
            if let Some((other, score, margin)) = self.double_of(own, &mean, key, sightings) {
                self.recognise_merge(key, own, other, score, margin);
            }
        } else {
            self.doubt(key, own, &mean, sightings);
        }
    }

    /// Whether a recognised track still looks like the person, by what is known of the person from elsewhere. If not it
    /// goes to whom it resembles beyond reasonable doubt, or is somebody new; if very much so, it teaches how alike one
    /// person is across cameras.
    fn doubt(
        &mut self,
        key: TrackKey,
        own: IdentityId,
        mean: &Embedding,
        sightings: &[Sighting<'_>],
    ) {
        // Those are told apart all at once, by `regroup`.
        if self.groups_in_view() {
            return;
        }
        let Some((verdict, here, other)) = self.second_look(key, own, mean, sightings) else {
            return;
        };
        let Some(binding) = self.bindings.get_mut(&key) else {
            return;
        };
        if verdict.probability < DOUBT && binding.evidence.crops >= DOUBT_CROPS {
            let into = self.part(key, own, other.map(|c| c.id));
            if let (Some(into), Some(found)) = (into, other) {
                let basis = self.last_elsewhere(into, key);
                if let Some(binding) = self.bindings.get_mut(&key) {
                    binding.take_for_known(basis, found.score, found.score - verdict.score);
                }
            }
            return;
        }
        let long = self.now_ns.saturating_sub(binding.first_ns) >= TEACH_NS;
        if verdict.probability >= CERTAIN && long && !binding.taught {
            binding.taught = true;
            if let Some((from, walk_ns)) = self.walk(own, key) {
                self.transits.add(from, key.camera, walk_ns);
            }
            if let Some(space) = self.space_mut(mean).filter(|_| !here) {
                space.scale.add_across(verdict.score);
            }
        }
    }

    /// A track that stands where a track of another camera stands is the same person, unless their looks contradict that.
    /// Of two numbers that were never seen side by side one goes; else the younger track changes its number.
    pub(super) fn meet(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        // Those are brought together all at once, by `regroup`.
        if self.groups_in_view() {
            return;
        }
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            let Some(binding) = self
                .bindings
                .get_mut(&key)
                .filter(|b| b.decided && b.place_news)
            else {
                continue;
            };
            binding.place_news = false;
            let (Some(own), Some(mean)) = (binding.identity, binding.evidence.mean()) else {
                continue;
            };
            let others = self
                .bindings
                .iter()
                .filter(|(_, b)| b.decided && b.identity.is_some_and(|id| id != own));
            let Some(partner) = self.floor.together(key, others.map(|(k, _)| k)) else {
                continue;
            };
            if let Some((other, verdict)) = self.agreed(key, own, partner, &mean) {
                self.join_place((key, own), (partner, other), verdict);
            }
        }
    }

    /// The number of a track that stands in the same place, and what speaks for it, if looks do not contradict.
    fn agreed(
        &self,
        key: TrackKey,
        own: IdentityId,
        partner: TrackKey,
        mean: &Embedding,
    ) -> Option<(IdentityId, Verdict)> {
        let other = self.bindings.get(&partner)?.identity?;
        if self.people.get(&own)?.parted.contains(&other) {
            return None;
        }
        let space = self.spaces.iter().find(|s| s.takes(mean))?;
        let mut found = space
            .scan(&[self.mean_of(key, mean)?], |id| id != own)
            .pop()?;
        self.consider_places(key, &mut found, space.people());
        let judge = Judge::new(&space.scale, self.config.match_threshold);
        let contest = judge.hear(&found);
        let verdict = contest.verdict(found.iter().find(|c| c.id == other)?);
        (verdict.probability >= SURE_MERGE).then_some((other, verdict))
    }

    /// Acts on that: one number goes, or of the two tracks that may change theirs the younger does.
    fn join_place(
        &mut self,
        (key, own): (TrackKey, IdentityId),
        (partner, other): (TrackKey, IdentityId),
        verdict: Verdict,
    ) {
        let may = self.may_become(key, other);
        let apart = |a: IdentityId, b| self.people.get(&a).is_some_and(|r| r.apart.contains(&b));
        if !self.shows(key.camera, other) && !apart(own, other) && !apart(other, own) {
            return self.recognise_merge(key, own, other, verdict.score, verdict.margin);
        }
        let began = |k| self.bindings.get(&k).map_or(0, |b| b.first_ns);
        if self.may_become(partner, own) && (!may || began(key) < began(partner)) {
            // The partner's camera asks, in its next picture.
            if let Some(b) = self.bindings.get_mut(&partner) {
                b.place_news = true;
            }
            return;
        }
        let basis = self.last_elsewhere(other, key);
        if !may || self.part(key, own, Some(other)).is_none() {
            return;
        }
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.take_for_known(basis, verdict.score, verdict.margin);
        }
    }

    /// Whether nothing forbids that a track carries a number: no user's word, nobody beside it who does.
    fn may_become(&self, key: TrackKey, id: IdentityId) -> bool {
        let trusted = self.bindings.get(&key).is_none_or(|b| b.trusted);
        !trusted && !self.shows(key.camera, id)
    }

    /// Whether somebody in the newest picture of a camera carries a number.
    fn shows(&self, camera: CameraId, id: IdentityId) -> bool {
        let own = || self.bindings.iter().filter(|(k, _)| k.camera == camera);
        let newest = own().map(|(_, b)| b.seen_ns).max();
        own().any(|(_, b)| b.identity == Some(id) && Some(b.seen_ns) == newest)
    }

    fn mean_of<'a>(&self, key: TrackKey, mean: &'a Embedding) -> Option<Query<'a>> {
        Some(Query {
            values: mean.values(),
            crops: self.bindings.get(&key)?.evidence.crops,
            camera: key.camera,
        })
    }

    /// What is known of a track's person from elsewhere says about the track: the verdict, whether that was seen by the
    /// same camera, and whom the track resembles beyond reasonable doubt instead.
    fn second_look(
        &self,
        key: TrackKey,
        own: IdentityId,
        mean: &Embedding,
        sightings: &[Sighting<'_>],
    ) -> Option<(Verdict, bool, Option<Candidate>)> {
        let space = self.spaces.iter().find(|s| s.takes(mean))?;
        let query = self.mean_of(key, mean)?;
        let mine = space.without_track(&query, own, key)?;
        let visible = self.visible(key.camera, sightings);
        let mut found = space.scan(&[query], |id| {
            id != own && !visible.contains(&id) && self.can_be(key, id)
        });
        let mut found = found.pop()?;
        found.push(mine);
        self.consider_places(key, &mut found, space.people());
        let judge = Judge::new(&space.scale, self.config.match_threshold);
        let best = found.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
        let contest = judge.hear(&found);
        let other =
            (best.id != own && contest.verdict(best).probability >= SURE_MERGE).then_some(*best);
        let mine = *found.iter().find(|c| c.id == own)?;
        Some((contest.verdict(&mine), mine.here, other))
    }

    /// Somebody else who is `own`, beyond reasonable doubt.
    fn double_of(
        &self,
        own: IdentityId,
        mean: &Embedding,
        key: TrackKey,
        sightings: &[Sighting<'_>],
    ) -> Option<(IdentityId, f32, f32)> {
        let index = self.spaces.iter().position(|s| s.takes(mean))?;
        let (space, grouped) = (&self.spaces[index], self.groups_in_view());
        let in_view = |id| self.people.get(&id).is_some_and(|r| r.tracks > 0);
        let visible = self.visible(key.camera, sightings);
        let apart = &self.people.get(&own)?.apart;
        let query = self.mean_of(key, mean)?;
        let mut found = space.scan(&[query], |id| {
            let free = id != own && !visible.contains(&id) && !apart.contains(&id);
            free && !(grouped && in_view(id)) && self.can_be(key, id)
        });
        let mut found = found.pop()?;
        self.consider_places(key, &mut found, space.people());
        let judge = Judge::new(&space.scale, self.config.match_threshold);
        let best = found.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
        let verdict = judge.hear(&found).verdict(best);
        (verdict.probability >= SURE_MERGE).then_some((best.id, best.score, verdict.margin))
    }

    fn recognise_merge(
        &mut self,
        key: TrackKey,
        own: IdentityId,
        other: IdentityId,
        score: f32,
        margin: f32,
    ) {
        // The number that has been there longer stays.
        let (from, into) = (own.max(other), own.min(other));
        let basis = self.last_elsewhere(other, key);
        self.unite(from, into);
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.take_for_known(basis, score, margin);
        }
        self.events.push(Event::Matched {
            id: into,
            track: key.track,
            score,
            margin,
        });
    }

    /// A user says that a number is one person: its tracks keep it.
    pub(super) fn trust(&mut self, id: IdentityId) {
        let own = self.bindings.values_mut();
        own.filter(|b| b.identity == Some(id))
            .for_each(|b| b.trusted = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        identity::{GalleryConfig, tests::faceless},
        person::TrackId,
    };

    #[test]
    fn a_track_takes_no_number_of_its_own_picture_nor_against_a_users_word() {
        let mut gallery = Gallery::new(GalleryConfig::default());
        let (a, b) = (gallery.attach("a", false), gallery.attach("b", false));
        let number = |gallery: &Gallery, camera, track| {
            gallery.identity(camera, TrackId(track)).map(|i| i.id)
        };
        gallery.observe(a, 1, &[faceless(1), faceless(2)], &[]);
        gallery.observe(b, 1, &[faceless(1)], &[]);
        let key = TrackKey {
            camera: a,
            track: TrackId(1),
        };
        let beside = number(&gallery, a, 2).expect("a number");
        let elsewhere = number(&gallery, b, 1).expect("a number");
        assert!(!gallery.may_become(key, beside));
        assert!(gallery.may_become(key, elsewhere));
        // The neighbour has left the picture, if not the tracker's mind.
        gallery.observe(a, 2, &[faceless(1)], &[]);
        assert!(gallery.may_become(key, beside));
        let own = number(&gallery, a, 1).expect("a number");
        gallery.trust(own);
        assert!(!gallery.may_become(key, elsewhere));
    }
}
