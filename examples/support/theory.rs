//! The theory of the phase diagrams: a few fixed solutions, and which of them has the smallest loss.

use limpid::Result;
use limpid::superposition::phase::{three_in_two, two_in_one};
use ndarray::{Array1, Array2, array};

/// Weights of the solutions for `n` features in `n - 1` dimensions, where the last feature is the extra one.
pub fn solutions(n: usize) -> Vec<Array2<f64>> {
    match n {
        2 => vec![array![[1.0, 0.0]], array![[1.0, -1.0]], array![[0.0, 1.0]]],
        _ => vec![
            array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            array![[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
            array![[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
            array![[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
        ],
    }
}

/// What becomes of the extra feature at densities `p` and importances `r`: 0 not represented, 1 in superposition, 2 alone
/// in its dimension.
pub fn phases(n: usize, p: &Array1<f64>, r: &Array1<f64>) -> Result<Vec<usize>> {
    let losses = if n == 2 {
        let theory = two_in_one(p, r)?;
        [theory.ignored, theory.antipodal, theory.dedicated]
    } else {
        let theory = three_in_two(p, r)?;
        let alone = theory.other_ignored.iter().zip(&theory.others_antipodal).map(|(a, b)| a.min(*b)).collect();
        [theory.ignored, theory.antipodal, alone]
    };
    let best = |c: usize| (0..3).fold(0, |best, i| if losses[i][c] < losses[best][c] { i } else { best });
    Ok((0..p.len()).map(best).collect())
}
