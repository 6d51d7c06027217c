//! Keeping up with a live stream: which frames come too late for inference, and which latency an element has.
//!
//! A late frame passes without inference, so a stream that is too much for the machine loses inferences and never its place.
//! Late is what the sink calls late (QoS events), and in live pipelines what comes out of the queues later than frames usually do.

use std::time::Duration;

/// A frame of a live stream is late when it lags this much more behind the clock than the promptest ones, ns.
const SLACK_NS: u64 = 100_000_000;
/// However late the frames are, one of so much stream time is inferred, ns.
const FLOOR_NS: u64 = 1_000_000_000;
/// The promptest frame is believed a little less with time, for clocks drift: one ns in so many.
const DRIFT: u64 = 1_000;
/// Frames whose times are remembered.
const SAMPLES: usize = 256;
/// Frames after which the latency is told for the first time, and the least number between two changes.
const FIRST_TOLD: u64 = 5;
const BETWEEN_TOLD: u64 = 250;

/// How an element keeps up.
#[derive(Debug, Default)]
pub(in crate::elements) struct Pace {
    /// What the sink said: frames before this running time are late, ns.
    earliest_ns: Option<u64>,
    /// The promptest frame of a live stream: clock minus running time, and the frame's running time, ns.
    promptest: Option<(i64, u64)>,
    /// Running time of the last frame that was inferred, ns.
    inferred_ns: Option<u64>,
    times: Times,
    latency_ns: u64,
    told_at: u64,
}

impl Pace {
    /// A flush or a new stream: what was late says nothing of what follows. Times stay.
    pub fn cut(&mut self) {
        self.earliest_ns = None;
        self.promptest = None;
        self.inferred_ns = None;
    }

    /// The sink's QoS: a frame of running time `frame_ns` came `late_ns` too late (early, when below 0).
    pub fn note_qos(&mut self, frame_ns: Option<u64>, late_ns: i64) {
        let reach = if late_ns > 0 { 2 * late_ns } else { late_ns };
        self.earliest_ns = frame_ns.map(|ns| ns.saturating_add_signed(reach));
    }

    /// Whether a frame is to pass without inference. `now_ns` is the clock's running time; none where the pipeline is not live.
    pub fn is_late(&mut self, frame_ns: u64, now_ns: Option<u64>) -> bool {
        let by_sink = self.earliest_ns.is_some_and(|earliest| frame_ns < earliest);
        let by_clock = now_ns.is_some_and(|now| self.lag_ns(frame_ns, now) > SLACK_NS);
        let is_due = self
            .inferred_ns
            .is_none_or(|last| frame_ns < last || frame_ns - last >= FLOOR_NS);
        let is_late = (by_sink || by_clock) && !is_due;
        if !is_late {
            self.inferred_ns = Some(frame_ns);
        }
        is_late
    }

    /// How much further behind the clock than the promptest frame.
    fn lag_ns(&mut self, frame_ns: u64, now_ns: u64) -> u64 {
        let behind = now_ns.cast_signed().saturating_sub(frame_ns.cast_signed());
        let (best, since) = self.promptest.unwrap_or((behind, frame_ns));
        let drift = frame_ns.saturating_sub(since) / DRIFT;
        let best = best.saturating_add_unsigned(drift).min(behind);
        self.promptest = Some((best, frame_ns));
        behind.abs_diff(best)
    }

    /// Notes how long an inferred frame took. True when the latency has changed and is to be told.
    pub fn note_time(&mut self, took: Duration) -> bool {
        self.times.add(took);
        let count = self.times.count;
        let wait = if self.told_at == 0 {
            FIRST_TOLD
        } else {
            BETWEEN_TOLD
        };
        if count < self.told_at + wait {
            return false;
        }
        let needed = self.times.percentile(95).as_nanos() as u64;
        if needed <= self.latency_ns && needed * 3 >= self.latency_ns {
            return false;
        }
        self.told_at = count;
        self.latency_ns = needed + needed / 4;
        true
    }

    /// What the element adds to the pipeline's latency, ns.
    pub fn latency_ns(&self) -> u64 {
        self.latency_ns
    }

    /// How long inferred frames take.
    pub fn times(&self) -> &Times {
        &self.times
    }
}

/// Durations of the last frames.
#[derive(Debug, Default)]
pub(in crate::elements) struct Times {
    last: Vec<Duration>,
    count: u64,
}

impl Times {
    fn add(&mut self, took: Duration) {
        if self.last.len() < SAMPLES {
            self.last.push(took);
        } else {
            self.last[self.count as usize % SAMPLES] = took;
        }
        self.count += 1;
    }

    /// The duration that `percent` of the last frames did not exceed; zero before the first.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_stream_that_is_too_slow_loses_inferences_and_not_its_place() {
        let mut pace = Pace::default();
        // 25 frames a second, 60 ms an inference: the clock stands where the work has brought it.
        let (mut now, mut inferred, mut worst) = (0, 0, 0);
        for frame in (0..250).map(|n| n * 40 * MS) {
            now = now.max(frame + 7 * MS);
            worst = worst.max(now - frame);
            if !pace.is_late(frame, Some(now)) {
                inferred += 1;
                now += 60 * MS;
            }
        }
        assert!(worst < 180 * MS, "{worst}");
        // 10 s have room for 166.
        assert!((150..=170).contains(&inferred), "{inferred}");
    }

    #[test]
    fn frames_that_are_all_as_late_are_in_time() {
        let mut pace = Pace::default();
        for frame in (0..500).map(|n| n * 40 * MS) {
            assert!(!pace.is_late(frame, Some(frame + 3_000 * MS)));
        }
        // Not live: however long it takes.
        for frame in (0..500).map(|n| n * 40 * MS) {
            assert!(!pace.is_late(frame, None));
        }
    }

    #[test]
    fn what_the_sink_calls_late_is_passed_over_but_for_one_frame_a_second() {
        let mut pace = Pace::default();
        assert!(!pace.is_late(0, None));
        pace.note_qos(Some(0), 2_000_000 * MS as i64 / 1_000);
        let late = (1..100).map(|n| n * 40 * MS);
        let inferred = late.filter(|&frame| !pace.is_late(frame, None)).count();
        assert_eq!(inferred, 3);
        pace.note_qos(Some(4_000 * MS), -20 * MS as i64);
        assert!(!pace.is_late(4_040 * MS, None));
        pace.note_qos(Some(4_040 * MS), 500 * MS as i64);
        pace.cut();
        assert!(!pace.is_late(4_080 * MS, None));
    }

    #[test]
    fn latency_is_told_early_and_then_seldom() {
        let mut pace = Pace::default();
        let told = |pace: &mut Pace, frames: u64, ms: u64| {
            let took = Duration::from_millis(ms);
            (0..frames).filter(|_| pace.note_time(took)).count()
        };
        assert_eq!((told(&mut pace, 4, 8), pace.latency_ns()), (0, 0));
        assert_eq!((told(&mut pace, 1, 8), pace.latency_ns()), (1, 10 * MS));
        assert_eq!(told(&mut pace, 1_000, 9), 0);
        // A busier machine.
        assert_eq!((told(&mut pace, 600, 20), pace.latency_ns()), (1, 25 * MS));
        assert_eq!(pace.times().percentile(50), Duration::from_millis(20));
        // A faster one.
        assert_eq!((told(&mut pace, 600, 4), pace.latency_ns()), (1, 5 * MS));
    }
}
