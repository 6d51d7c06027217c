//! The live table on a terminal.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Block, Paragraph, Row, Table as Rows},
};

use super::{
    board::{Condition, Note, Status},
    output::plain,
};

/// Events shown below the cameras.
const EVENTS: usize = 8;

/// A terminal that shows the cameras; dropping it gives the terminal back.
pub struct Table {
    terminal: DefaultTerminal,
    events: VecDeque<Arc<Note>>,
}

impl Drop for Table {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Table {
    /// Takes the terminal over.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            terminal: ratatui::try_init()?,
            events: VecDeque::new(),
        })
    }

    /// Draws; false when the user wants to end.
    pub fn draw(&mut self, statuses: &[Status], notes: &[Arc<Note>]) -> io::Result<bool> {
        self.events.extend(notes.iter().cloned());
        let excess = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..excess);
        let Self { terminal, events } = self;
        terminal.draw(|frame| show(frame, statuses, events))?;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let is_interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
                if is_interrupt || key.code == KeyCode::Char('q') {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn show(frame: &mut Frame, statuses: &[Status], events: &VecDeque<Arc<Note>>) {
    let heights = [Constraint::Min(4), Constraint::Length(EVENTS as u16 + 2)];
    let [upper, lower] = Layout::vertical(heights).areas(frame.area());
    // What is wrong with a camera has the rest of the line.
    let longest = statuses
        .iter()
        .map(|status| status.name.chars().count())
        .max();
    let names = longest.unwrap_or(0).clamp(6, 24) as u16;
    let widths = [
        Constraint::Length(names),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    let header = [
        "camera", "state", "fps", "latency", "in view", "today", "restarts", "",
    ];
    let rows = Rows::new(statuses.iter().map(row), widths)
        .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::bordered().title(" reidctl run "));
    frame.render_widget(rows, upper);
    let lines: Vec<Line> = events.iter().map(|note| Line::from(plain(note))).collect();
    let block = Block::bordered().title(" events; q ends ");
    frame.render_widget(Paragraph::new(lines).block(block), lower);
}

fn row(status: &Status) -> Row<'static> {
    let colour = match status.state {
        Condition::Running => Color::Green,
        Condition::Waiting => Color::Red,
        _ => Color::Yellow,
    };
    Row::new([
        Line::from(status.name.to_string()),
        Line::styled(status.state.as_str(), Style::new().fg(colour)),
        Line::from(format!("{:.1}", status.fps)),
        Line::from(
            status
                .latency_ms
                .map_or_else(String::new, |ms| format!("{ms:.0} ms")),
        ),
        Line::from(status.people.len().to_string()),
        Line::from(status.today.to_string()),
        Line::from(status.restarts.to_string()),
        Line::from(status.error.clone().unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::run::board::Board;

    #[test]
    fn the_table_shows_cameras_and_why_they_wait() {
        let board = Board::default();
        let mut notes = board.listen();
        let door = board.add("door", "test:0".into());
        board.turn(
            &door,
            Condition::Waiting,
            Some("Could not open resource for reading and writing.".into()),
        );
        let events = VecDeque::from([notes.try_recv().unwrap()]);
        let mut terminal = Terminal::new(TestBackend::new(120, 24)).unwrap();
        terminal
            .draw(|frame| show(frame, &board.statuses(), &events))
            .unwrap();
        let drawn = terminal.backend().to_string();
        for part in ["door", "waiting", "reading and writing.", "q ends"] {
            assert!(drawn.contains(part), "no {part} in\n{drawn}");
        }
    }
}
