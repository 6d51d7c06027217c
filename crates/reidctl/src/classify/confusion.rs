//! The confusion matrix: counts, accuracy, and a picture.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
};

use gstreid::{
    core::{
        colour::Rgb,
        image::{Colorimetry, PixelFormat},
        image_mut::{ImageMut, PlaneMut},
        overlay::{Area, Painter, TextCache, readable_on},
    },
    fonts::SystemLetters,
};
use serde_json::json;

use super::{machine::Classifier, people::Crowd};
use crate::pictures::Picture;

/// Most people for whom the whole table is printed; of more, the worst mix-ups.
const TABLE: usize = 20;

/// Mix-ups that are printed then.
const LISTED: usize = 20;

/// Side of a cell of the picture, width of the names beside it and height of a letter, px.
const CELL: usize = 36;
const NAMES: usize = 120;
const LETTER: u32 = 14;

/// Most people whose picture is drawn.
const MAX_DRAWN: usize = 200;

/// What a file of it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows of numbers.
    Csv,
    /// A picture.
    Png,
}

/// The kind that a file's name asks for.
pub fn kind(path: &Path) -> Result<Kind, String> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Kind::Csv),
        Some("png") => Ok(Kind::Png),
        _ => Err(format!(
            "--confusion {}: the name must end in .csv or .png",
            path.display()
        )),
    }
}

/// Counts of tested pictures: one row per true person, one column per predicted person.
pub struct Confusion {
    names: Vec<String>,
    counts: Vec<Vec<usize>>,
}

/// A confusion of two people.
struct MixUp<'a> {
    count: usize,
    is: &'a str,
    taken_for: &'a str,
}

impl Confusion {
    /// Tests a classifier. People it does not know cannot be right: they are left out, and named on stderr.
    pub fn new(classifier: &Classifier, tested: &Crowd) -> Result<Self, String> {
        let names: Vec<String> = classifier
            .machines
            .iter()
            .map(|machine| machine.name.clone())
            .collect();
        let places: Vec<Option<usize>> = tested
            .names
            .iter()
            .map(|name| names.iter().position(|known| known == name))
            .collect();
        let mut counts = vec![vec![0; names.len()]; names.len()];
        for (&class, vector) in tested.classes.iter().zip(&tested.vectors) {
            if let Some(row) = places[class] {
                counts[row][classifier.verdict(vector.values()).class] += 1;
            }
        }
        let unknown: Vec<&str> = tested
            .names
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        if !unknown.is_empty() {
            eprintln!(
                "reidctl: {} people were not learnt and are left out: {}",
                unknown.len(),
                unknown.join(", ")
            );
        }
        if counts.iter().flatten().sum::<usize>() == 0 {
            return Err("there is nobody to test: no picture of a person who was learnt is left; give two pictures or more of \
                        each, or --test DIR"
                .into());
        }
        Ok(Self { names, counts })
    }

    fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Share of pictures that are named rightly.
    fn accuracy(&self) -> f64 {
        let right: usize = (0..self.names.len()).map(|i| self.counts[i][i]).sum();
        right as f64 / self.total().max(1) as f64
    }

    /// Share of a person's pictures that are named rightly; `None` where none was tested.
    fn recall(&self, person: usize) -> Option<f64> {
        let all: usize = self.counts[person].iter().sum();
        (all > 0).then(|| self.counts[person][person] as f64 / all as f64)
    }

    /// Mean of the people's shares: everybody counts the same, however many pictures there are.
    fn balanced(&self) -> f64 {
        let shares: Vec<f64> = (0..self.names.len())
            .filter_map(|person| self.recall(person))
            .collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }

    fn mix_ups(&self) -> Vec<MixUp<'_>> {
        let mut mix_ups = Vec::new();
        for (row, counts) in self.counts.iter().enumerate() {
            for (column, &count) in counts
                .iter()
                .enumerate()
                .filter(|&(column, &count)| column != row && count > 0)
            {
                mix_ups.push(MixUp {
                    count,
                    is: &self.names[row],
                    taken_for: &self.names[column],
                });
            }
        }
        mix_ups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.is.cmp(b.is)));
        mix_ups
    }

    /// Accuracy, and the table or the worst mix-ups.
    pub fn print(&self, is_json: bool, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
        if is_json {
            let value = json!({
                "pictures": self.total(), "accuracy": self.accuracy(), "balanced_accuracy": self.balanced(),
                "people": self.names, "confusion": self.counts,
            });
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?);
        }
        writeln!(
            out,
            "accuracy {:.2} %, of everybody alike {:.2} % ({} pictures of {} people)",
            100.0 * self.accuracy(),
            100.0 * self.balanced(),
            self.total(),
            self.names.len()
        )?;
        if self.names.len() <= TABLE {
            return Ok(self.print_table(out)?);
        }
        for mix_up in self.mix_ups().iter().take(LISTED) {
            writeln!(
                out,
                "{:>6} pictures of {} taken for {}",
                mix_up.count, mix_up.is, mix_up.taken_for
            )?;
        }
        Ok(())
    }

    fn print_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self
            .names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max(6);
        write!(out, "{:<width$}", "")?;
        for name in &self.names {
            write!(out, " {:>6}", name.chars().take(6).collect::<String>())?;
        }
        writeln!(out, "   right")?;
        for (person, counts) in self.counts.iter().enumerate() {
            write!(out, "{:<width$}", self.names[person])?;
            for count in counts {
                write!(out, " {count:>6}")?;
            }
            let share = self
                .recall(person)
                .map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
            writeln!(out, " {share:>7}")?;
        }
        Ok(())
    }

    /// Writes it as the file's name asks.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        match kind(path)? {
            Kind::Csv => fs::write(path, self.csv())
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?,
            Kind::Png => self
                .picture()?
                .save_png(path)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?,
        }
        Ok(())
    }

    fn csv(&self) -> String {
        let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
        let header: Vec<String> = self.names.iter().map(quoted).collect();
        let mut text = format!("\"is \\ taken for\",{}\n", header.join(","));
        for (name, counts) in self.names.iter().zip(&self.counts) {
            let numbers: Vec<String> = counts.iter().map(usize::to_string).collect();
            text += &format!("{},{}\n", quoted(name), numbers.join(","));
        }
        text
    }

    fn picture(&self) -> Result<Picture, Box<dyn Error>> {
        let people = self.names.len();
        if people > MAX_DRAWN {
            return Err(format!("a picture of {people} people cannot be looked at ({MAX_DRAWN} are the most): write a .csv file").into());
        }
        let (width, height) = (NAMES + people * CELL, people * CELL + CELL);
        let mut data = vec![255; width * height * 3];
        let plane = PlaneMut {
            data: &mut data,
            stride: width * 3,
        };
        let mut image = ImageMut::new(
            PixelFormat::Rgb,
            width,
            height,
            vec![plane],
            Colorimetry::default(),
        )?;
        let (mut painter, mut texts) = (
            Painter::new(&mut image),
            TextCache::with_letters(Box::new(SystemLetters)),
        );
        let black = Rgb { r: 0, g: 0, b: 0 };
        let mut text =
            |painter: &mut Painter<'_, '_>, words: &str, x: usize, y: usize, colour: Rgb| {
                let mask = texts.mask(words, LETTER);
                let brush = painter.brush(colour);
                painter.stamp(
                    &mask,
                    x as i32 + 4,
                    (y + (CELL - LETTER as usize) / 2) as i32,
                    brush,
                );
            };
        for (row, counts) in self.counts.iter().enumerate() {
            let (top, all) = (CELL * (row + 1), counts.iter().sum::<usize>().max(1));
            text(
                &mut painter,
                &shortened(&self.names[row], 14),
                0,
                top,
                black,
            );
            text(
                &mut painter,
                &shortened(&self.names[row], 4),
                NAMES + row * CELL,
                0,
                black,
            );
            for (column, &count) in counts.iter().enumerate() {
                let colour = shade(count as f64 / all as f64, row == column);
                let brush = painter.brush(colour);
                let left = NAMES + column * CELL;
                painter.fill(
                    Area::new(left as i32, top as i32, CELL as i32 - 1, CELL as i32 - 1),
                    brush,
                );
                if count > 0 {
                    text(
                        &mut painter,
                        &count.to_string(),
                        left,
                        top,
                        readable_on(colour),
                    );
                }
            }
        }
        Ok(Picture::from_rgb(width, height, data))
    }
}

fn shortened(name: &str, most: usize) -> String {
    name.chars().take(most).collect()
}

/// White for none, blue for right and orange for wrong.
fn shade(share: f64, is_right: bool) -> Rgb {
    let full: [u8; 3] = if is_right {
        [0, 114, 178]
    } else {
        [213, 94, 0]
    };
    // The root makes single mistakes visible.
    let [r, g, b] =
        full.map(|value| (255.0 + (f64::from(value) - 255.0) * share.sqrt()).round() as u8);
    Rgb { r, g, b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion() -> Confusion {
        Confusion {
            names: vec!["anna".into(), "b\"ert".into(), "nobody".into()],
            counts: vec![vec![8, 2, 0], vec![1, 1, 0], vec![0, 0, 0]],
        }
    }

    #[test]
    fn shares_and_mix_ups() {
        let c = confusion();
        assert_eq!(c.accuracy(), 0.75);
        // 8 of 10 and 1 of 2; of the third nothing was tested.
        assert!((c.balanced() - 0.65).abs() < 1e-12);
        let mix_ups: Vec<_> = c
            .mix_ups()
            .iter()
            .map(|m| (m.count, m.is, m.taken_for))
            .collect();
        assert_eq!(mix_ups, [(2, "anna", "b\"ert"), (1, "b\"ert", "anna")]);
        let mut table = Vec::new();
        c.print(false, &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(
            table
                .contains("accuracy 75.00 %, of everybody alike 65.00 % (12 pictures of 3 people)"),
            "{table}"
        );
        assert!(
            table.contains("80.0 %") && table.contains("      -"),
            "{table}"
        );
    }

    #[test]
    fn files_of_both_kinds() {
        let csv = confusion().csv();
        assert!(csv.contains("\"b\"\"ert\",1,1,0\n"), "{csv}");
        let picture = confusion().picture().unwrap();
        assert_eq!(
            (picture.columns(), picture.rows()),
            (NAMES + 3 * CELL, 4 * CELL)
        );
        assert!(kind(Path::new("a.txt")).is_err());
    }
}
