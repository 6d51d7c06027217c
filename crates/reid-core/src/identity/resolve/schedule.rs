//! When tracks ask, and cameras compare.

use super::*;

impl Gallery {
    /// The tracks of a picture whose evidence has grown enough to ask again.
    pub(super) fn asked(&self, camera: CameraId, sightings: &[Sighting<'_>]) -> Vec<TrackKey> {
        let now = self.now_ns;
        let keys = sightings.iter().filter(|s| s.confirmed).map(|s| TrackKey {
            camera,
            track: s.track,
        });
        let mut due: Vec<(u64, TrackKey)> = keys
            .filter_map(|key| {
                let binding = self.bindings.get(&key)?;
                let due = binding.ask_ns <= now || binding.place_news;
                let fits = binding.visit.crops > 0 && !binding.trusted && due;
                fits.then_some((binding.ask_ns, key))
            })
            .collect();
        due.sort_unstable();
        due.truncate(MAX_ASKED);
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// When those who asked ask again.
    pub(super) fn schedule(&mut self, asked: &[TrackKey]) {
        let (now, soon) = (self.now_ns, self.stretched(ASK_NS));
        for key in asked {
            if let Some(binding) = self.bindings.get_mut(key) {
                let age = now.saturating_sub(binding.first_ns);
                let wait = if binding.decided && age >= ENOUGH_NS {
                    age.clamp(REVIEW_NS, REVIEW_AT_LEAST_NS)
                } else {
                    soon
                };
                binding.ask_ns = now.saturating_add(wait);
                binding.place_news = false;
            }
        }
    }

    /// A time between two questions, longer where many tracks ask.
    pub(super) fn stretched(&self, ns: u64) -> u64 {
        let times = self.bindings.len().max(AT_FULL_RATE) as f64 / AT_FULL_RATE as f64;
        (ns as f64 * times * times) as u64
    }

    /// Whether people are in view of this camera and of others, and it is time to compare them.
    pub(super) fn together_due(&mut self, camera: CameraId) -> bool {
        let (now, between) = (self.now_ns, self.stretched(TOGETHER_NS));
        let elsewhere = self
            .bindings
            .iter()
            .any(|(key, b)| key.camera != camera && now.abs_diff(b.seen_ns) <= TOGETHER_NS);
        let Some(about) = self.cameras.get_mut(&camera).filter(|_| elsewhere) else {
            return false;
        };
        let due = about
            .together_ns
            .is_none_or(|t| now.saturating_sub(t) >= between);
        if due {
            about.together_ns = Some(now);
        }
        due
    }
}
