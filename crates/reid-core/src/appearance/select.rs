//! Selects the people of a frame that get a vector.

use crate::person::{Person, is_person_name};

/// What is asked of a person before a vector is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Names of classes, without regard to case; empty: all. `None`: whatever people are commonly called.
    classes: Option<Vec<String>>,
    /// Least height of the visible box, px.
    min_height_px: f32,
    /// Most people a frame, the largest; `None`: all.
    limit: Option<usize>,
}

impl Selection {
    /// `classes` is a list separated by commas, empty for all; without one, people by their common names.
    pub fn new(classes: Option<&str>, min_height_px: u32, limit: Option<usize>) -> Self {
        let names = |list: &str| {
            let names = list.split(',').map(str::trim);
            let names = names.filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        Self {
            classes: classes.map(names),
            min_height_px: min_height_px as f32,
            limit,
        }
    }

    /// Indices of the people selected in a frame of `width` × `height` px, largest first. Boxes that are empty, not
    /// finite or outside the frame are not among them.
    pub fn select(&self, people: &[Person], width: f32, height: f32) -> Vec<usize> {
        let visible_area = |(index, person): (usize, &Person)| {
            let visible = person.rect.clipped(width, height)?;
            let is_wanted = visible.h >= self.min_height_px && self.is_wanted(&person.label);
            is_wanted.then(|| (index, visible.area()))
        };
        let mut found: Vec<(usize, f32)> =
            people.iter().enumerate().filter_map(visible_area).collect();
        // Stable: people of one size keep their order.
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found.into_iter().map(|(index, _)| index).collect()
    }

    /// Whether objects of this class are embedded.
    pub fn is_wanted(&self, label: &str) -> bool {
        match &self.classes {
            None => is_person_name(label),
            Some(classes) => {
                classes.is_empty() || classes.iter().any(|c| c.eq_ignore_ascii_case(label))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    fn check(selection: &Selection, boxes: &[(&str, [f32; 4])], expected: &[usize]) {
        let people: Vec<Person> = boxes
            .iter()
            .map(|(label, [x, y, w, h])| {
                Person::detected(Rect::new(*x, *y, *w, *h), 1.0, (*label).into(), 0)
            })
            .collect();
        assert_eq!(selection.select(&people, 100.0, 100.0), expected);
    }

    #[test]
    fn classes_height_and_number() {
        let boxes = [
            ("person", [0.0, 0.0, 10.0, 20.0]),
            ("dog", [0.0, 0.0, 50.0, 50.0]),
            ("Person", [0.0, 0.0, 20.0, 40.0]),
            ("person", [0.0, 0.0, 5.0, 5.0]),
            ("person", [0.0, 95.0, 50.0, 50.0]),
        ];
        check(
            &Selection::new(Some("person"), 0, None),
            &boxes,
            &[2, 4, 0, 3],
        );
        check(
            &Selection::new(Some(" person , dog"), 20, None),
            &boxes,
            &[1, 2, 0],
        );
        check(&Selection::new(Some("person"), 10, Some(1)), &boxes, &[2]);
        check(&Selection::new(Some(""), 0, Some(2)), &boxes, &[1, 2]);
        check(&Selection::new(Some("cat"), 0, None), &boxes, &[]);
        check(&Selection::new(Some(""), 0, None), &[], &[]);
    }

    #[test]
    fn people_have_many_names_where_none_was_chosen() {
        let box_of = |label| (label, [0.0, 0.0, 10.0, 20.0]);
        let boxes = ["Pedestrian", "car", "0", "", "human", "1", "dog"].map(box_of);
        check(&Selection::new(None, 0, None), &boxes, &[0, 2, 3, 4]);
        check(&Selection::new(Some("person"), 0, None), &boxes, &[]);
    }

    #[test]
    fn boxes_that_show_nothing_are_left_out() {
        let boxes = [
            ("person", [f32::NAN, 0.0, 10.0, 10.0]),
            ("person", [0.0, 0.0, 0.0, 10.0]),
            ("person", [200.0, 0.0, 10.0, 10.0]),
            ("person", [0.0, 0.0, -10.0, 10.0]),
            ("person", [0.0, 0.0, f32::INFINITY, 10.0]),
            ("person", [-5.0, -5.0, 10.0, 10.0]),
        ];
        check(&Selection::new(Some(""), 0, None), &boxes, &[5]);
    }
}
