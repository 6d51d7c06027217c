//! Who is who at the smallest total cost: an assignment of rows (tracks, people) to columns (boxes, identities) when
//! only some pairs are possible.
//!
//! The pairs come as a list, most being impossible: the list falls into small groups that share no row and no column,
//! and each is solved alone by shortest augmenting paths (Jonker and Volgenant 1987, in the form with potentials that
//! is known as the Hungarian method). A pair at the limit is worth nothing and leaving both alone costs nothing, so the
//! result is the set of pairs with the smallest sum of `cost - limit`, what `lap.lapjv(…, cost_limit)` gives the
//! published trackers.

/// A possible pair and its cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Row number.
    pub row: usize,
    /// Column number.
    pub column: usize,
    /// What the pair costs, finite; smaller is better.
    pub cost: f32,
}

/// A pair of the solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Row number.
    pub row: usize,
    /// Column number.
    pub column: usize,
}

/// The best one-to-one pairs among `edges` whose cost is below `limit`, in order of their rows. Costs that are not
/// finite are no pairs.
pub fn assign(edges: &[Edge], limit: f32) -> Vec<Pair> {
    let usable: Vec<Edge> = edges
        .iter()
        .copied()
        .filter(|e| e.cost.is_finite() && e.cost < limit)
        .collect();
    let mut pairs = Vec::new();
    for group in groups(&usable) {
        solve_group(&group, limit, &mut pairs);
    }
    pairs.sort_unstable();
    pairs
}

/// The edges in groups that share neither rows nor columns.
fn groups(edges: &[Edge]) -> Vec<Vec<Edge>> {
    let rows = edges.iter().map(|e| e.row + 1).max().unwrap_or(0);
    let columns = edges.iter().map(|e| e.column + 1).max().unwrap_or(0);
    let mut parents: Vec<usize> = (0..rows + columns).collect();
    for edge in edges {
        let (a, b) = (
            root(&mut parents, edge.row),
            root(&mut parents, rows + edge.column),
        );
        parents[a] = b;
    }
    let mut slots = vec![usize::MAX; rows + columns];
    let mut groups: Vec<Vec<Edge>> = Vec::new();
    for edge in edges {
        let top = root(&mut parents, edge.row);
        if slots[top] == usize::MAX {
            slots[top] = groups.len();
            groups.push(Vec::new());
        }
        groups[slots[top]].push(*edge);
    }
    groups
}

/// The representative of a node, with path halving.
fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

/// Adds the best pairs of one group.
fn solve_group(edges: &[Edge], limit: f32, pairs: &mut Vec<Pair>) {
    if let [only] = edges {
        let Edge { row, column, .. } = *only;
        pairs.push(Pair { row, column });
        return;
    }
    let rows = numbered(edges.iter().map(|e| e.row));
    let columns = numbered(edges.iter().map(|e| e.column));
    // Every row has a column of its own that means "alone" and costs nothing.
    let width = columns.len() + rows.len();
    let mut costs = vec![f64::INFINITY; rows.len() * width];
    for edge in edges {
        let (Ok(row), Ok(column)) = (
            rows.binary_search(&edge.row),
            columns.binary_search(&edge.column),
        ) else {
            continue;
        };
        let cost = &mut costs[row * width + column];
        *cost = cost.min(f64::from(edge.cost) - f64::from(limit));
    }
    for row in 0..rows.len() {
        costs[row * width + columns.len() + row] = 0.0;
    }
    for (row, column) in shortest_paths(&costs, rows.len(), width)
        .into_iter()
        .enumerate()
    {
        if column < columns.len() {
            pairs.push(Pair {
                row: rows[row],
                column: columns[column],
            });
        }
    }
}

/// The distinct numbers, sorted.
fn numbered(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The column of every row at the smallest sum, for a matrix of `rows` × `width` costs (`rows` ≤ `width`, infinite where
/// impossible) in which a full assignment exists.
fn shortest_paths(costs: &[f64], rows: usize, width: usize) -> Vec<usize> {
    const FREE: usize = usize::MAX;
    let mut row_potential = vec![0.0_f64; rows];
    let mut column_potential = vec![0.0_f64; width];
    let mut owner = vec![FREE; width];
    let mut distance = vec![0.0_f64; width];
    let mut previous = vec![FREE; width];
    let mut done = vec![false; width];
    for start in 0..rows {
        distance.fill(f64::INFINITY);
        previous.fill(FREE);
        done.fill(false);
        let mut row = start;
        let mut column = FREE;
        let mut length = 0.0;
        let end = loop {
            for candidate in (0..width).filter(|&c| !done[c]) {
                let reduced = costs[row * width + candidate]
                    - row_potential[row]
                    - column_potential[candidate];
                if length + reduced < distance[candidate] {
                    distance[candidate] = length + reduced;
                    previous[candidate] = column;
                }
            }
            let Some(nearest) = (0..width)
                .filter(|&c| !done[c])
                .min_by(|&a, &b| distance[a].total_cmp(&distance[b]))
            else {
                break FREE;
            };
            done[nearest] = true;
            length = distance[nearest];
            if owner[nearest] == FREE {
                break nearest;
            }
            column = nearest;
            row = owner[nearest];
        };
        if end == FREE || !length.is_finite() {
            continue;
        }
        row_potential[start] += length;
        for c in (0..width).filter(|&c| done[c] && c != end) {
            row_potential[owner[c]] += length - distance[c];
            column_potential[c] -= length - distance[c];
        }
        let mut c = end;
        while c != FREE {
            let before = previous[c];
            owner[c] = if before == FREE { start } else { owner[before] };
            c = before;
        }
    }
    let mut columns = vec![width; rows];
    for (column, &row) in owner.iter().enumerate() {
        if row != FREE {
            columns[row] = column;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gain(edges: &[Edge], pairs: &[Pair], limit: f32) -> f64 {
        pairs
            .iter()
            .map(|p| {
                let cost = edges
                    .iter()
                    .filter(|e| e.row == p.row && e.column == p.column)
                    .map(|e| f64::from(e.cost))
                    .fold(f64::INFINITY, f64::min);
                f64::from(limit) - cost
            })
            .sum()
    }

    /// The best gain by trying everything.
    fn brute_force(edges: &[Edge], limit: f32, row: usize, used: u32) -> f64 {
        if row > 8 {
            return 0.0;
        }
        let alone = brute_force(edges, limit, row + 1, used);
        edges
            .iter()
            .filter(|e| e.row == row && e.cost < limit && used & (1 << e.column) == 0)
            .map(|e| {
                f64::from(limit) - f64::from(e.cost)
                    + brute_force(edges, limit, row + 1, used | 1 << e.column)
            })
            .fold(alone, f64::max)
    }

    fn check_one_to_one(pairs: &[Pair]) {
        for (i, a) in pairs.iter().enumerate() {
            for b in &pairs[..i] {
                assert!(a.row != b.row && a.column != b.column, "{pairs:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_other_assignment_is_better(
            cells in proptest::collection::vec((0_usize..6, 0_usize..6, 0.0_f32..1.2), 0..24)
        ) {
            let edges: Vec<Edge> =
                cells.into_iter().map(|(row, column, cost)| Edge { row, column, cost }).collect();
            let pairs = assign(&edges, 0.9);
            check_one_to_one(&pairs);
            let best = brute_force(&edges, 0.9, 0, 0);
            prop_assert!((gain(&edges, &pairs, 0.9) - best).abs() < 1e-6);
        }

        #[test]
        fn equal_costs_still_give_a_best_assignment(
            cells in proptest::collection::vec((0_usize..5, 0_usize..5, 0_u8..3), 0..25)
        ) {
            let edges: Vec<Edge> = cells
                .into_iter()
                .map(|(row, column, cost)| Edge { row, column, cost: f32::from(cost) / 4.0 })
                .collect();
            let pairs = assign(&edges, 0.75);
            check_one_to_one(&pairs);
            prop_assert!((gain(&edges, &pairs, 0.75) - brute_force(&edges, 0.75, 0, 0)).abs() < 1e-6);
        }
    }

    #[test]
    fn what_costs_too_much_or_is_no_number_is_no_pair() {
        let edge = |row, column, cost| Edge { row, column, cost };
        let edges = [
            edge(0, 0, 0.9),
            edge(1, 1, f32::NAN),
            edge(2, 2, f32::NEG_INFINITY),
            edge(3, 3, 0.5),
        ];
        assert_eq!(assign(&edges, 0.9), [Pair { row: 3, column: 3 }]);
        assert_eq!(assign(&[], 0.9), []);
    }

    #[test]
    fn a_thousand_people_in_a_crowd_are_assigned() {
        // Every row can take its own column or one of its neighbours': one group of a thousand.
        let edges: Vec<Edge> = (0..1000_usize)
            .flat_map(|row| {
                (row.saturating_sub(1)..=(row + 1).min(999)).map(move |column| Edge {
                    row,
                    column,
                    cost: if row == column { 0.2 } else { 0.3 },
                })
            })
            .collect();
        let pairs = assign(&edges, 0.8);
        assert_eq!(pairs.len(), 1000);
        assert!(pairs.iter().all(|p| p.row == p.column));
    }
}
