//! A visit that is somebody else's leaves: what was known of it goes with it.

use super::*;
use crate::{identity::people::Stay, person::IdentityState};

impl Gallery {
    /// A track leaves an identity that others keep: for `to`, or to be somebody new. Returns the identity it has then.
    pub(in crate::identity) fn part(
        &mut self,
        key: TrackKey,
        from: IdentityId,
        to: Option<IdentityId>,
    ) -> Option<IdentityId> {
        let into = self.known_or_new(to)?;
        let is_new = to != Some(into);
        for space in &mut self.spaces {
            space.move_track(key, from, into);
        }
        self.move_stay(key, from, into);
        self.bind(key, into);
        self.forget_company(key.camera, from, into);
        self.tell_parted(key, from, into, is_new);
        if let Some(binding) = self.bindings.get_mut(&key).filter(|_| is_new) {
            binding.state = IdentityState::Pending;
            binding.decided = false;
            binding.basis = None;
        }
        self.drop_track(from);
        Some(into)
    }

    /// A visit that is over leaves a person whom others still are: for `to`, or to be somebody new. Returns whose it is then.
    pub(in crate::identity) fn part_visit(
        &mut self,
        key: TrackKey,
        from: IdentityId,
        to: Option<IdentityId>,
    ) -> Option<IdentityId> {
        let into = self.known_or_new(to)?;
        for space in &mut self.spaces {
            space.move_visit(key, from, into);
        }
        self.move_past(key, from, into);
        self.past_visits.give(key, into);
        self.tell_parted(key, from, into, to != Some(into));
        if self.people.get(&into).is_some_and(|r| r.tracks == 0) {
            self.rest(into);
        }
        Some(into)
    }

    /// Whom a visit goes to: `to`, or somebody new where that is nobody known. `None` when there are no ids left.
    fn known_or_new(&mut self, to: Option<IdentityId>) -> Option<IdentityId> {
        match to.filter(|to| self.people.contains_key(to)) {
            Some(to) => Some(to),
            None => self.next_identity(),
        }
    }

    /// Writes down and tells that a visit has gone from one person to another, who may be new.
    fn tell_parted(&mut self, key: TrackKey, from: IdentityId, into: IdentityId, is_new: bool) {
        self.note_changed(from);
        self.note_changed(into);
        self.note_parted(key, from, into);
        if is_new {
            self.events.push(Event::Split { from, into });
        }
        let camera = self.cameras.get(&key.camera);
        self.events.push(Event::Corrected {
            camera: camera.map_or_else(|| "".into(), |c| c.name.clone()),
            track: key.track,
            from,
            into,
        });
    }

    /// When a visit was, and with whom, is another person's.
    fn move_past(&mut self, key: TrackKey, from: IdentityId, into: IdentityId) {
        let Some(visit) = self.past_visits.get(key).cloned() else {
            return;
        };
        let stay = Stay {
            camera: key.camera,
            times: visit.times.clone(),
        };
        if let Some(record) = self.people.get_mut(&from) {
            let is_it = |s: &Stay| s.camera == key.camera && s.times.end <= visit.times.end;
            record.stays.retain(|s| !is_it(s));
        }
        if let Some(record) = self.people.get_mut(&into) {
            record.first_ns = record.first_ns.min(visit.times.start);
            if record.tracks == 0 && record.stays.is_empty() {
                record.last_ns = visit.times.end;
            }
            record.last_ns = record.last_ns.max(visit.times.end);
            record.take_stays(vec![stay]);
        }
        self.move_former(key, &visit, from, into);
        self.move_company(key, &visit, from, into);
    }

    /// The id under which a visit was shown is a former one of whoever it is now, when no other visit was shown under it.
    fn move_former(
        &mut self,
        key: TrackKey,
        visit: &PastVisit,
        from: IdentityId,
        into: IdentityId,
    ) {
        let shown = visit.shown;
        if shown == from || shown == into || self.past_visits.are_shown_as(shown, from, key) {
            return;
        }
        let Some(record) = self.people.get_mut(&from) else {
            return;
        };
        if !record.previous.contains(&shown) {
            return;
        }
        record.previous = record
            .previous
            .iter()
            .filter(|id| **id != shown)
            .copied()
            .collect();
        if let Some(record) = self.people.get_mut(&into) {
            let former = record.previous.iter().copied().chain([shown]);
            let former: Vec<IdentityId> = former.collect();
            let skip = former.len().saturating_sub(MAX_PREVIOUS);
            record.previous = former[skip..].into();
        }
        self.note_heir(shown, into);
    }

    /// With whom a visit was in one picture, another person was.
    fn move_company(
        &mut self,
        key: TrackKey,
        visit: &PastVisit,
        from: IdentityId,
        into: IdentityId,
    ) {
        let company = self.past_visits.company(key);
        let company: Vec<(IdentityId, f32)> = company
            .map(|(_, v)| (v.id, v.weight * visit.weight))
            .collect();
        for (other, weight) in company {
            for (one, two, gain) in [
                (from, other, -weight),
                (other, from, -weight),
                (into, other, weight),
                (other, into, weight),
            ] {
                if one != two
                    && self.people.contains_key(&two)
                    && let Some(record) = self.people.get_mut(&one)
                {
                    record.saw(two, gain);
                }
            }
        }
    }

    /// Where a track was, another person was.
    fn move_stay(&mut self, key: TrackKey, from: IdentityId, into: IdentityId) {
        let now = self.now_ns;
        if let Some(record) = self.people.get_mut(&from) {
            record.stays.retain(|s| s.camera != key.camera);
        }
        if let Some(record) = self.people.get_mut(&into) {
            record.stay(key.camera, now);
        }
    }

    /// The company that a track kept says nothing about the identity that it carried by mistake.
    fn forget_company(&mut self, camera: CameraId, wrong: IdentityId, right: IdentityId) {
        let company: Vec<IdentityId> = self
            .bindings
            .iter()
            .filter(|(key, _)| key.camera == camera)
            .filter_map(|(_, b)| b.identity)
            .filter(|id| *id != right)
            .collect();
        for (one, other) in company.iter().flat_map(|&c| [(wrong, c), (c, wrong)]) {
            if let Some(record) = self.people.get_mut(&one)
                && record
                    .apart
                    .get(&other)
                    .is_some_and(|weight| *weight <= 0.0)
            {
                record.apart.remove(&other);
            }
        }
    }
}
