//! Who is in a picture without being seen: whom the tracker still believes to be there.

use std::collections::HashSet;

use crate::identity::{CameraId, Gallery};
use crate::{
    person::{Identity, IdentityId},
    tracking::TrackOutput,
};

impl Gallery {
    /// Of a camera's tracks those that are in its picture without being seen ([`TrackOutput::present`]), with the people whom
    /// they carry. A person is in a picture once: whose number is carried by a track that is seen, or was seen later, is left
    /// out, and so is a track that carries nobody (any more).
    pub fn unseen<'a>(
        &self,
        camera: CameraId,
        outputs: &'a [TrackOutput],
    ) -> Vec<(&'a TrackOutput, Identity)> {
        let (seen, mut unseen): (Vec<&TrackOutput>, Vec<&TrackOutput>) =
            outputs.iter().partition(|o| o.observation.is_some());
        unseen.retain(|o| o.present);
        if unseen.is_empty() {
            return Vec::new();
        }
        unseen.sort_by_key(|o| o.unseen_ns);
        let carried = |o: &TrackOutput| self.identity(camera, o.track);
        let numbers = seen.into_iter().filter_map(|o| Some(carried(o)?.id));
        let mut taken: HashSet<IdentityId> = numbers.collect();
        let shown = unseen.into_iter().filter_map(|output| {
            let identity = carried(output)?;
            taken.insert(identity.id).then_some((output, identity))
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        geometry::Rect,
        identity::{GalleryConfig, Sighting, tests::faceless},
        person::{TrackId, TrackState},
    };

    fn output(track: u32, observation: Option<usize>, unseen_ms: u64) -> TrackOutput {
        TrackOutput {
            observation,
            track: TrackId(track),
            state: TrackState::Confirmed,
            rect: Rect::new(10.0, 10.0, 20.0, 50.0),
            class: 0,
            unseen_ns: unseen_ms * 1_000_000,
            age_ns: 1_000_000_000,
            missed: u32::from(observation.is_none()),
            present: unseen_ms <= 200,
        }
    }

    #[test]
    fn a_person_is_in_a_picture_once() {
        let mut gallery = Gallery::new(GalleryConfig::default());
        let camera = gallery.attach("door", false);
        let sightings: Vec<Sighting<'_>> = (1..=4).map(faceless).collect();
        let ids: Vec<IdentityId> = gallery
            .observe(camera, 0, &sightings, &[])
            .identities
            .into_iter()
            .map(|identity| identity.unwrap().id)
            .collect();
        // 1 is seen, 2 and 3 are not, 4 was too long ago, nobody knows 9.
        let outputs = [
            output(1, Some(0), 0),
            output(2, None, 80),
            output(3, None, 40),
            output(4, None, 240),
            output(9, None, 40),
        ];
        let shown = |gallery: &Gallery| -> Vec<(u32, IdentityId)> {
            let unseen = gallery.unseen(camera, &outputs);
            unseen.iter().map(|(o, i)| (o.track.0, i.id)).collect()
        };
        assert_eq!(shown(&gallery), [(3, ids[2]), (2, ids[1])]);
        // Two tracks of one person, one after the other: only the newer is there.
        gallery.observe(
            camera,
            1_000_000_000,
            &sightings[..1],
            &[TrackId(2), TrackId(3)],
        );
        assert_eq!(shown(&gallery), []);
    }
}
