//! How far a camera's clock is believed. Every camera has its own time; ages count from the newest of all, so that one corrupt time
//! stamp must not make everybody old.
//!
//! A camera may run ahead of the others by any time in small steps, as a file does that is played without a clock. A jump by more
//! than a minute past every camera's time is held: the camera's time goes on where it was. The jump is believed when another
//! camera's clock says the same; when the camera goes on from there for two seconds and no other camera had a frame meanwhile that
//! says otherwise; or, where there is no other camera, with the next frame. Until then, for ever if it must be, the
//! camera is as late as it was before the jump.

use super::{CameraId, Gallery};

/// A camera may be ahead of all others by so much at once, ns.
const MAX_AHEAD_NS: u64 = 60_000_000_000;
/// A jump that nobody denies is believed when the camera has gone on from there for so long, ns: slower ones are not asked.
const GOES_ON_NS: u64 = 2_000_000_000;

/// What a camera's clock says.
#[derive(Clone, Debug, Default)]
pub(super) struct CameraClock {
    /// Of its newest frame, ns.
    said_ns: Option<u64>,
    held: Option<Held>,
}

/// A jump that is not believed, so far.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Where it led, ns.
    since_ns: u64,
    /// How much the camera's clock is ahead of what it is taken for, ns.
    ahead_ns: u64,
    /// Another camera's clock says otherwise.
    is_denied: bool,
}

impl CameraClock {
    /// What the clock's `said_ns` is taken for, by what is known so far.
    fn taken(&self, said_ns: u64) -> u64 {
        let ahead_ns = self.held.map_or(0, |held| held.ahead_ns);
        said_ns.saturating_sub(ahead_ns)
    }
}

impl Gallery {
    /// What the time `said_ns` of a camera's new frame is taken for.
    pub(super) fn believed(&mut self, camera: CameraId, said_ns: u64) -> u64 {
        let near = |ns: u64| ns.abs_diff(said_ns) <= MAX_AHEAD_NS;
        let newest_ns = self.newest_ns;
        let others = self.cameras.iter().filter(|(id, _)| **id != camera);
        let others: Vec<u64> = others.filter_map(|(_, c)| c.clock.said_ns).collect();
        let is_plain = newest_ns == 0
            || said_ns <= newest_ns.saturating_add(MAX_AHEAD_NS)
            || others.iter().any(|&ns| near(ns));
        let Some(own) = self.cameras.get_mut(&camera) else {
            return said_ns;
        };
        if said_ns < own.time_ns {
            // The end of a stream, or a clock that ran backwards, says nothing.
            return said_ns;
        }
        let before = own.clock.said_ns.replace(said_ns);
        let goes_on = before.is_some_and(|ns| ns <= said_ns && near(ns));
        let patience_ns = if others.is_empty() { 0 } else { GOES_ON_NS };
        let is_settled = own.clock.held.is_some_and(|held| {
            goes_on && !held.is_denied && said_ns >= held.since_ns.saturating_add(patience_ns)
        });
        if is_plain || is_settled {
            own.clock.held = None;
            self.compare_clocks(camera, said_ns);
            return said_ns;
        }
        if own.clock.held.is_none() || !goes_on {
            let last_ns = if before.is_some() {
                own.time_ns
            } else {
                newest_ns
            };
            own.clock.held = Some(Held {
                since_ns: said_ns,
                ahead_ns: said_ns - last_ns.min(said_ns),
                is_denied: false,
            });
        }
        own.clock.taken(said_ns)
    }

    /// A camera's clock is right: others that jumped are right, too, where they say the same, and else wrong.
    fn compare_clocks(&mut self, camera: CameraId, said_ns: u64) {
        let others = self.cameras.iter_mut().filter(|(id, _)| **id != camera);
        for (_, other) in others {
            let theirs = other.clock.said_ns.unwrap_or(said_ns);
            match &mut other.clock.held {
                Some(_) if theirs.abs_diff(said_ns) <= MAX_AHEAD_NS => other.clock.held = None,
                Some(held) => held.is_denied = true,
                None => {}
            }
        }
    }

    /// The gallery's time of a camera's frame, ns: `time_ns` is as in [`Self::observe`]. What [`crate::person::Seen`] says is on
    /// the same clock.
    pub fn time_of(&self, camera: CameraId, time_ns: u64) -> u64 {
        let Some(own) = self.cameras.get(&camera) else {
            return time_ns;
        };
        let said_ns = self.clock.said(time_ns).unwrap_or(self.newest_ns);
        own.time_ns.max(own.clock.taken(said_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{GalleryConfig, tests::faceless},
        person::TrackId,
    };

    const SECOND: u64 = 1_000_000_000;
    const FRAME: u64 = SECOND / 25;
    const HOUR: u64 = 3600 * SECOND;
    /// The machine had been up for so long.
    const UPTIME: u64 = 5 * HOUR;

    /// A gallery that forgets people after half an hour, and so many cameras.
    fn gallery(cameras: usize) -> (Gallery, Vec<CameraId>) {
        let mut gallery = Gallery::new(GalleryConfig {
            max_age_ns: Some(HOUR / 2),
            ..GalleryConfig::default()
        });
        let ids = (0..cameras).map(|n| gallery.attach(&format!("cam{n}"), true));
        let ids = ids.collect();
        (gallery, ids)
    }

    /// Somebody whom the first camera saw and who is known by name.
    fn remember(gallery: &mut Gallery, camera: CameraId) {
        for frame in 0..3 {
            gallery.observe(camera, UPTIME + frame * FRAME, &[faceless(1)], &[]);
        }
        let id = gallery.list()[0].id;
        gallery.rename(id, "Ada").unwrap();
        gallery.observe(camera, UPTIME + 3 * FRAME, &[], &[TrackId(1)]);
    }

    #[test]
    fn one_corrupt_time_stamp_makes_nobody_old() {
        for cameras in [1, 2] {
            let (mut gallery, ids) = gallery(cameras);
            remember(&mut gallery, ids[0]);
            for frame in 4..100 {
                for &camera in &ids {
                    let time = UPTIME + frame * FRAME;
                    // Of the last camera alone.
                    let is_corrupt = camera == ids[cameras - 1] && frame == 50;
                    let jump = if is_corrupt { 26 * HOUR } else { 0 };
                    gallery.observe(camera, time + jump, &[], &[]);
                }
            }
            assert_eq!(gallery.len(), 1, "{cameras} cameras");
            let end = UPTIME + 99 * FRAME;
            assert_eq!((gallery.newest_ns, gallery.now_ns), (end, end));
        }
    }

    #[test]
    fn a_camera_whose_clock_is_wrong_for_good_goes_on_where_it_was() {
        let (mut gallery, ids) = gallery(2);
        remember(&mut gallery, ids[0]);
        for frame in 4..1000 {
            for &camera in &ids {
                let is_wrong = camera == ids[1] && frame >= 50;
                let jump = if is_wrong { 26 * HOUR } else { 0 };
                gallery.observe(camera, UPTIME + frame * FRAME + jump, &[], &[]);
                assert!(gallery.now_ns.abs_diff(UPTIME + frame * FRAME) <= 2 * FRAME);
            }
        }
        assert_eq!(gallery.len(), 1);
        let said = UPTIME + 26 * HOUR + 1000 * FRAME;
        let taken = gallery.time_of(ids[1], said);
        assert!(taken.abs_diff(UPTIME + 1000 * FRAME) <= 2 * FRAME);
    }

    #[test]
    fn time_that_really_passed_counts() {
        // Nobody had a frame for an hour: the network was down.
        for cameras in [1, 2, 3] {
            let (mut gallery, ids) = gallery(cameras);
            remember(&mut gallery, ids[0]);
            for frame in 0..100 {
                let later = if frame < 50 { 0 } else { HOUR };
                for &camera in &ids {
                    gallery.observe(camera, UPTIME + frame * FRAME + later, &[], &[]);
                }
            }
            assert!(gallery.is_empty(), "{cameras} cameras");
            assert_eq!(gallery.now_ns, UPTIME + HOUR + 99 * FRAME);
        }
        // The others are still down.
        let (mut gallery, ids) = gallery(2);
        remember(&mut gallery, ids[0]);
        gallery.observe(ids[1], UPTIME, &[], &[]);
        for frame in 0..100 {
            gallery.observe(ids[0], UPTIME + HOUR + frame * FRAME, &[], &[]);
        }
        assert!(gallery.is_empty());
        // In small steps a camera may be ahead by any time.
        let (mut gallery, ids) = self::gallery(2);
        remember(&mut gallery, ids[0]);
        for second in 0..3600 {
            gallery.observe(ids[0], UPTIME + second * SECOND, &[], &[]);
            gallery.observe(ids[1], UPTIME + second * FRAME, &[], &[]);
        }
        assert!(gallery.is_empty());
    }
}
