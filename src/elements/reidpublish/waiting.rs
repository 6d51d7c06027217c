//! Messages that wait for a broker or another program: a limited number, frames and events apart; the oldest are dropped and counted.

use std::collections::VecDeque;

use super::output::Counts;

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

/// What waits, and how the connection is.
#[derive(Default)]
pub(super) struct Waiting {
    frames: Line,
    events: Line,
    pub dropped: u64,
    /// Messages that the broker has acknowledged.
    pub acknowledged: u64,
    pub is_connected: bool,
    pub is_closing: bool,
}

impl Waiting {
    /// Adds a message; old ones may go for it.
    pub fn push(&mut self, kind: Kind, text: String) {
        let line = match kind {
            Kind::Frame => &mut self.frames,
            Kind::Event => &mut self.events,
        };
        self.dropped += line.push(text);
    }

    /// The next message, events first.
    pub fn pop(&mut self) -> Option<(Kind, String)> {
        let event = self.events.pop().map(|text| (Kind::Event, text));
        event.or_else(|| self.frames.pop().map(|text| (Kind::Frame, text)))
    }

    pub fn counts(&self) -> Counts {
        Counts {
            written: self.acknowledged,
            dropped: self.dropped,
            waiting: (self.frames.waiting.len() + self.events.waiting.len()) as u64,
            is_connected: self.is_connected,
        }
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
