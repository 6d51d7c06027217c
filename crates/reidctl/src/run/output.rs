//! Output while cameras run: a live table on a terminal, lines in a pipe, JSON lines on request.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::TryRecvError};

use super::{
    board::{Board, Note, Status, now_ns},
    table::Table,
};
use crate::gallery::date;

/// The output, and what it has not shown yet.
pub struct Output {
    notes: broadcast::Receiver<Arc<Note>>,
    interval: Duration,
    last: Option<Instant>,
    kind: Kind,
}

enum Kind {
    Plain,
    Json,
    Table(Option<Table>),
}

impl Output {
    /// A status line of every camera comes each `interval`; a table is drawn on terminals that can.
    pub fn new(is_json: bool, is_terminal: bool, interval: Duration, board: &Board) -> Self {
        let table = || Table::open().map(|table| Kind::Table(Some(table)));
        let kind = match (is_json, is_terminal) {
            (true, _) => Kind::Json,
            // A terminal that cannot be drawn on gets lines.
            (false, true) => table().unwrap_or(Kind::Plain),
            (false, false) => Kind::Plain,
        };
        Self {
            notes: board.listen(),
            interval,
            last: None,
            kind,
        }
    }

    /// Shows what is new; false when the user wants to end.
    pub fn show(&mut self, board: &Board, out: &mut dyn Write) -> io::Result<bool> {
        let notes = self.news();
        let is_due = self.last.is_none_or(|last| last.elapsed() >= self.interval);
        match &mut self.kind {
            Kind::Table(Some(table)) => return table.draw(&board.statuses(), &notes),
            Kind::Table(None) => return Ok(true),
            Kind::Plain => {
                for note in &notes {
                    writeln!(out, "{}", plain(note))?;
                }
            }
            Kind::Json => {
                for note in &notes {
                    serde_json::to_writer(&mut *out, &**note)?;
                    writeln!(out)?;
                }
            }
        }
        if is_due {
            self.last = Some(Instant::now());
            let statuses = board.statuses();
            if matches!(self.kind, Kind::Json) {
                let line = json!({ "time_ns": now_ns(), "event": "status", "cameras": statuses });
                writeln!(out, "{line}")?;
            } else {
                for status in &statuses {
                    writeln!(out, "{}", line(status))?;
                }
            }
        }
        out.flush()?;
        Ok(true)
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        if let Kind::Table(table) = &mut self.kind {
            *table = None;
        }
    }

    fn news(&mut self) -> Vec<Arc<Note>> {
        let mut notes = Vec::new();
        loop {
            match self.notes.try_recv() {
                Ok(note) => notes.push(note),
                // Some were missed; the newest are still there.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return notes,
            }
        }
    }
}

/// An event as a line.
pub fn plain(note: &Note) -> String {
    let mut line = date(note.time_ns);
    if let Some(camera) = &note.camera {
        let _ = write!(line, " {camera}");
    }
    let _ = write!(line, " {}", note.event);
    for (key, value) in &note.facts {
        let _ = match value {
            Value::String(text) if key == "text" || key == "state" => write!(line, " {text}"),
            Value::String(text) => write!(line, " {key}: {text}"),
            Value::Number(number) if number.is_f64() => {
                write!(line, " {key}={:.2}", number.as_f64().unwrap_or_default())
            }
            Value::Number(id) if matches!(key.as_str(), "id" | "from" | "into" | "against") => {
                write!(line, " {key}=P{id}")
            }
            other => write!(line, " {key}={other}"),
        };
    }
    line
}

fn line(status: &Status) -> String {
    let latency = status
        .latency_ms
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    format!(
        "{} {} status {} {:.1} fps, latency {latency}, {} in view, {} today, {} restarts",
        date(now_ns()),
        status.name,
        status.state.as_str(),
        status.fps,
        status.people.len(),
        status.today,
        status.restarts
    )
}
