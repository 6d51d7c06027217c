//! Delay before a camera is restarted: doubled each time, reset once it ran well.

use std::time::Duration;

/// The waits of one camera.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// `first` and `longest` seconds; both are checked to be above 0.
    pub fn new(first: f32, longest: f32) -> Self {
        let first = Duration::from_secs_f32(first);
        Self {
            first,
            longest: Duration::from_secs_f32(longest),
            next: first,
        }
    }

    /// The wait after the camera ran for `ran`.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= self.longest {
            self.next = self.first;
        }
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(1.0, 6.0);
        let mut after = |ran| backoff.after(Duration::from_secs(ran)).as_secs();
        assert_eq!([after(0), after(1), after(0), after(0)], [1, 2, 4, 6]);
        assert_eq!(after(0), 6);
        assert_eq!([after(6), after(0)], [1, 2]);
    }
}
