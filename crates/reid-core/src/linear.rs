//! Small systems of linear equations, for least squares.

/// The normal equations of a weighted least squares problem in `N` unknowns, gathered row by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal<const N: usize> {
    matrix: [[f64; N]; N],
    right: [f64; N],
}

impl<const N: usize> Default for Normal<N> {
    fn default() -> Self {
        Self {
            matrix: [[0.0; N]; N],
            right: [0.0; N],
        }
    }
}

impl<const N: usize> Normal<N> {
    /// Takes in the equation `row · unknowns = right`.
    pub fn add(&mut self, row: &[f64; N], right: f64, weight: f64) {
        for i in 0..N {
            for j in 0..N {
                self.matrix[i][j] += weight * row[i] * row[j];
            }
            self.right[i] += weight * row[i] * right;
        }
    }

    /// The unknowns; `None` when the equations do not settle them.
    pub fn solve(&self) -> Option<[f64; N]> {
        solved(self.matrix, self.right)
    }

    /// `row · matrix⁻¹ · row`: how uncertain `row · unknowns` is, as a part of the variance of one equation.
    pub fn leverage(&self, row: &[f64; N]) -> Option<f64> {
        let solution = solved(self.matrix, *row)?;
        Some(solution.iter().zip(row).map(|(a, b)| a * b).sum())
    }
}

/// The solution of `N` linear equations (Gauss with pivots); `None` when there is no single one.
fn solved<const N: usize>(mut m: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let pivot =
            (column..N).max_by(|&a, &b| m[a][column].abs().total_cmp(&m[b][column].abs()))?;
        if m[pivot][column].abs() < 1e-9 {
            return None;
        }
        m.swap(column, pivot);
        right.swap(column, pivot);
        let (top, value) = (m[column], right[column]);
        for row in (0..N).filter(|&row| row != column) {
            let factor = m[row][column] / top[column];
            m[row]
                .iter_mut()
                .zip(top)
                .for_each(|(v, t)| *v -= factor * t);
            right[row] -= factor * value;
        }
    }
    Some(std::array::from_fn(|i| right[i] / m[i][i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved_whatever_their_order() {
        let m = [[0.0, 2.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 3.0]];
        let x = solved(m, [7.0, 5.0, 11.0]).unwrap();
        for (found, wanted) in x.iter().zip([5.0, 2.0, 3.0]) {
            assert!((found - wanted).abs() < 1e-12, "{x:?}");
        }
        assert!(solved([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0]).is_none());
    }

    #[test]
    fn a_line_is_found_and_is_surest_in_the_middle() {
        let mut normal = Normal::<2>::default();
        for x in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            normal.add(&[1.0, x], 3.0 + 0.5 * x, 2.0);
        }
        let [a, b] = normal.solve().unwrap();
        assert!((a - 3.0).abs() < 1e-12 && (b - 0.5).abs() < 1e-12);
        let near = normal.leverage(&[1.0, 0.0]).unwrap();
        assert!((near - 0.1).abs() < 1e-12, "one of five, of weight two");
        assert!(normal.leverage(&[1.0, 4.0]).unwrap() > 5.0 * near);
    }
}
