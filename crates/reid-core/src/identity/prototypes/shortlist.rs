//! A first look at everybody: one small vector a person, eight bits a number, to find the few who are worth a second one.
//!
//! Reading all rows of 100,000 people takes longer than a frame. Their means are 51 MB: 2.5 ms for one look-up of 512
//! numbers on one core (AVX-512), against 18 to 30 ms for the same means in f32. Only the order matters here; whoever
//! comes through is compared row by row.

use crate::identity::quantised::Block;

/// People who get a second look. The right one is among them in at least 99 of 100 look-ups (`recall` in the tests).
pub(in crate::identity) const SHORTLIST: usize = 128;
/// With so few people everybody gets a second look at once.
pub(in crate::identity) const EVERYBODY: usize = 2 * SHORTLIST;
/// The small vectors of all slots.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Sketch(Block);

impl Sketch {
    pub fn new(dimension: usize) -> Self {
        Self(Block::new(dimension))
    }

    /// Puts the mean of a slot's rows in its place; an empty one is passed over from then on.
    pub fn set(&mut self, slot: usize, mean: Option<&[f32]>) {
        self.0.grow(slot + 1);
        match mean {
            Some(mean) => self.0.set(slot, mean),
            None => self.0.clear(slot),
        }
    }

    /// The slots among those that `wanted` lets through that are most alike, in order of their places.
    pub fn nearest(&self, query: &[f32], wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut ranked: Vec<(f32, usize)> = Vec::with_capacity(2 * EVERYBODY);
        let mut least = f32::NEG_INFINITY;
        self.0.each_dot(query, |slot, score| {
            if score > least && wanted(slot) {
                ranked.push((score, slot));
                if ranked.len() == ranked.capacity() {
                    least = keep_best(&mut ranked);
                }
            }
        });
        keep_best(&mut ranked);
        let mut slots: Vec<usize> = ranked.into_iter().map(|(_, slot)| slot).collect();
        slots.sort_unstable();
        slots
    }
}

/// Leaves those with the highest scores; returns a score that a further one must surpass.
fn keep_best(ranked: &mut Vec<(f32, usize)>) -> f32 {
    if ranked.len() <= SHORTLIST {
        return f32::NEG_INFINITY;
    }
    let (_, last, _) = ranked.select_nth_unstable_by(SHORTLIST - 1, |a, b| b.0.total_cmp(&a.0));
    let least = last.0;
    ranked.truncate(SHORTLIST);
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::dot;

    fn noise(state: &mut u64) -> f32 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn unit(mut v: Vec<f32>) -> Vec<f32> {
        let length = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|v| *v /= length);
        v
    }

    #[test]
    fn recall() {
        // Strangers at 0.4, one and the same person at 0.55: harder than MATRIX with retail-0267.
        const DIMENSION: usize = 128;
        const PEOPLE: usize = 5000;
        let mut state = 3;
        let mut random = |scale: f32| {
            (0..DIMENSION)
                .map(|_| scale * noise(&mut state))
                .collect::<Vec<f32>>()
        };
        let common = random(1.0);
        let people: Vec<Vec<f32>> = (0..PEOPLE).map(|_| random(1.22)).collect();
        let mut sketch = Sketch::new(DIMENSION);
        for (slot, person) in people.iter().enumerate() {
            let look = person
                .iter()
                .zip(&common)
                .zip(random(0.6))
                .map(|((p, c), n)| p + c + n);
            sketch.set(slot, Some(&unit(look.collect())));
        }
        let found = (0..500)
            .filter(|&q| {
                let query = people[q]
                    .iter()
                    .zip(&common)
                    .zip(random(1.0))
                    .map(|((p, c), n)| p + c + n);
                sketch
                    .nearest(&unit(query.collect()), |_| true)
                    .contains(&q)
            })
            .count();
        assert!(found >= 495, "{found} of 500");
        sketch.set(7, None);
        assert!(
            !sketch
                .nearest(&unit(people[7].clone()), |_| true)
                .contains(&7)
        );
        assert!(
            sketch
                .nearest(&unit(people[8].clone()), |slot| slot != 8)
                .len()
                == SHORTLIST
        );
    }
}
