//! Messages that wait for a broker or another program: a limited number, frames and events apart; the oldest are dropped and counted.

use std::collections::VecDeque;

/// Most messages that wait, of each kind. Two minutes of frames at 25 a second.
const MOST_WAITING: usize = 3_000;
/// Most bytes that wait, of each kind.
const MOST_BYTES: usize = 32 << 20;
/// Largest message with its topic and head, bytes: a crowd with embeddings.
pub(super) const LARGEST: usize = 16 << 20;
/// The same without topic and head.
const LARGEST_TEXT: usize = LARGEST - (128 << 10);

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Frame,
    Event,
}

/// In which order messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Events before frames, each kind with its own limit.
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    EventsFirst,
    /// As they came.
    AsPushed,
}

/// What waits.
pub(super) struct Waiting {
    order: Order,
    frames: Line,
    events: Line,
    pub dropped: u64,
}

impl Waiting {
    pub fn new(order: Order) -> Self {
        Self {
            order,
            frames: Line::default(),
            events: Line::default(),
            dropped: 0,
        }
    }

    /// Adds a message; old ones may go for it.
    pub fn push(&mut self, kind: Kind, text: String) {
        let line = match kind {
            Kind::Event if self.order != Order::AsPushed => &mut self.events,
            Kind::Frame | Kind::Event => &mut self.frames,
        };
        self.dropped += line.push(text);
    }

    /// The next message. One that kept its place between others is a frame.
    pub fn pop(&mut self) -> Option<(Kind, String)> {
        let event = self.events.pop().map(|text| (Kind::Event, text));
        event.or_else(|| self.frames.pop().map(|text| (Kind::Frame, text)))
    }

    /// How many messages wait.
    pub fn len(&self) -> u64 {
        (self.frames.waiting.len() + self.events.waiting.len()) as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Messages of one kind, the oldest first.
#[derive(Default)]
struct Line {
    waiting: VecDeque<String>,
    bytes: usize,
}

impl Line {
    /// Appends a message; how many were dropped for it. One that no broker would take is dropped itself.
    fn push(&mut self, text: String) -> u64 {
        if text.len() > LARGEST_TEXT {
            return 1;
        }
        self.bytes += text.len();
        self.waiting.push_back(text);
        let mut dropped = 0;
        while self.waiting.len() > MOST_WAITING || self.bytes > MOST_BYTES {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    fn pop(&mut self) -> Option<String> {
        let text = self.waiting.pop_front()?;
        self.bytes -= text.len();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_first_or_keep_their_place() {
        let mut waiting = Waiting::new(Order::AsPushed);
        waiting.push(Kind::Frame, "1".into());
        waiting.push(Kind::Event, "2".into());
        assert_eq!(waiting.len(), 2);
        assert_eq!(waiting.pop(), Some((Kind::Frame, "1".into())));
        assert_eq!(waiting.pop(), Some((Kind::Frame, "2".into())));
        assert!(waiting.is_empty());
        #[cfg(any(feature = "mqtt", feature = "kafka"))]
        {
            let mut waiting = Waiting::new(Order::EventsFirst);
            waiting.push(Kind::Frame, "1".into());
            waiting.push(Kind::Event, "2".into());
            assert_eq!(waiting.pop(), Some((Kind::Event, "2".into())));
        }
    }

    #[test]
    fn the_oldest_messages_go_when_too_many_wait() {
        let mut line = Line::default();
        let dropped: u64 = (0..MOST_WAITING + 5)
            .map(|i| line.push(i.to_string()))
            .sum();
        assert_eq!((dropped, line.waiting.len()), (5, MOST_WAITING));
        assert_eq!(line.pop().as_deref(), Some("5"));
        let mut line = Line::default();
        let large = "x".repeat(MOST_BYTES / 3);
        let dropped: Vec<u64> = (0..5).map(|_| line.push(large.clone())).collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(line.bytes, 3 * large.len());
        assert_eq!(line.push("y".repeat(LARGEST)), 1, "too large for a broker");
        assert_eq!(line.waiting.len(), 3);
    }
}
