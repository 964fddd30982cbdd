//! One-to-one assignment with the largest total score.
//!
//! ```text
//! max Σ score[i, π(i)]  over one-to-one maps of the smaller side into the larger
//! ```
//!
//! Source: shortest augmenting paths with potentials, Jonker and Volgenant (1987); `O(r² c)` for `r <= c`.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::error::{check_finite, check_limit};
use crate::{Result, Scalar};

/// For each row of `score: (r, c)` its column, or `None` for rows that go without because `r > c`.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::TooLarge`](crate::Error::TooLarge) above 16,384 rows or columns.
///
/// # Example
/// ```
/// use limpid::math::assignment::assign;
/// use ndarray::array;
///
/// // row 0 would like column 0 too, but row 1 loses more without it
/// assert_eq!(assign(&array![[0.9, 0.8], [0.9, 0.1]])?, [Some(1), Some(0)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn assign<T: Scalar>(score: &ArrayRef2<T>) -> Result<Vec<Option<usize>>> {
    check_limit("rows or columns of an assignment", score.nrows().max(score.ncols()), 1 << 14)?;
    check_finite("score", score)?;
    if score.nrows() <= score.ncols() {
        return Ok(assign_rows(score).into_iter().map(Some).collect());
    }
    let mut columns = vec![None; score.nrows()];
    for (column, row) in assign_rows(&score.t()).into_iter().enumerate() {
        columns[row] = Some(column);
    }
    Ok(columns)
}

/// Column of each row, for no more rows than columns.
fn assign_rows<T: Scalar>(score: &ArrayRef2<T>) -> Vec<usize> {
    let (rows, columns) = score.dim();
    // indices are shifted by one; 0 stands for "none yet"
    let mut row_of = vec![0; columns + 1];
    let (mut potential_row, mut potential_column) = (vec![0.0; rows + 1], vec![0.0; columns + 1]);
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut slack = vec![f64::INFINITY; columns + 1];
        let mut from = vec![0; columns + 1];
        let mut visited = vec![false; columns + 1];
        while row_of[column] != 0 {
            visited[column] = true;
            let current = row_of[column];
            let (mut step, mut next) = (f64::INFINITY, 0);
            for j in (1..=columns).filter(|&j| !visited[j]) {
                let reduced = -score[[current - 1, j - 1]].as_f64() - potential_row[current] - potential_column[j];
                if reduced < slack[j] {
                    (slack[j], from[j]) = (reduced, column);
                }
                if slack[j] < step {
                    (step, next) = (slack[j], j);
                }
            }
            for j in 0..=columns {
                if visited[j] {
                    potential_row[row_of[j]] += step;
                    potential_column[j] -= step;
                } else {
                    slack[j] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[from[column]];
            column = from[column];
        }
    }
    let mut result = vec![0; rows];
    for column in 1..=columns {
        if row_of[column] != 0 {
            result[row_of[column] - 1] = column - 1;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::uniform;
    use ndarray::Array2;

    fn best(score: &Array2<f64>, row: usize, free: &mut Vec<usize>) -> f64 {
        if row == score.nrows() {
            return 0.0;
        }
        let mut largest = f64::NEG_INFINITY;
        for k in 0..free.len() {
            let column = free.swap_remove(k);
            largest = largest.max(score[[row, column]] + best(score, row + 1, free));
            free.push(column);
            let last = free.len() - 1;
            free.swap(k, last);
        }
        largest
    }

    #[test]
    fn equals_the_best_of_all_permutations() {
        let mut stream = Seed(2).stream(0, 0);
        for (rows, columns) in [(1, 1), (2, 3), (3, 3), (4, 6), (5, 5), (0, 2)] {
            let score = Array2::from_shape_simple_fn((rows, columns), || uniform::<f64>(&mut stream) - 0.5);
            let total = |pairs: &[Option<usize>], score: &Array2<f64>| -> f64 {
                pairs.iter().enumerate().filter_map(|(i, j)| j.map(|j| score[[i, j]])).sum()
            };
            let expected = best(&score, 0, &mut (0..columns).collect());
            assert!((total(&assign(&score).unwrap(), &score) - expected).abs() < 1e-12);
            let flipped = score.t().to_owned();
            assert!((total(&assign(&flipped).unwrap(), &flipped) - expected).abs() < 1e-12);
        }
    }
}
