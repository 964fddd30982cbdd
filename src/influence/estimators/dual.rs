//! The exact damped Fisher inverse where examples are fewer than parameters: a system of the size of the examples.
//!
//! ```text
//! s(q, i) = v_qᵀ (F + Λ)⁻¹ v_i = k_qi - k_q· (W I + K)⁻¹ k_·i
//! k_xy = Σ_l ⟨G_x^l, G_y^l⟩/λ_l        K over the fitted examples, their gradients times √w_e;   W = Σ_e w_e
//! ```
//!
//! With one damping `λ` this is `(1/λ)[g_qi - g_q· (W λ I + G)⁻¹ g_·i]`, the matrix inversion lemma. Only inner products of
//! gradients enter, so that no gradient is ever formed; blocks between layers are included. It is the exact answer that
//! every factored curvature approximates: use it to re-score the best candidates of a scan, and to say how good the scan is.
//!
//! Source: Woodbury (1950); Golub and Van Loan, "Matrix Computations", 4th edition, section 2.1.4.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, Axis};

use super::layers::{MAX_VALUES, check_layers, check_like};
use super::operator::example_weights;
use super::trak::solve_rows;
use crate::error::{check_each, check_length, check_limit};
use crate::influence::LayerRows;
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Result, Scalar};

/// Most examples that are fitted: the factor of their matrix takes the third power of it.
const MAX_EXAMPLES: usize = 1 << 14;

/// The exact Fisher matrix of some layers, in the form that scores need.
#[derive(Debug, Clone)]
pub struct DualFisher<'l, 'a, T> {
    fit: &'l [LayerRows<'a, T>],
    damping: Vec<f64>,
    /// `√w_e`.
    roots: Array1<f64>,
    factor: Cholesky,
}

impl<'l, 'a, T: Scalar> DualFisher<'l, 'a, T> {
    /// Fits the Fisher matrix to the examples of `fit`, damped by the same `damping > 0` everywhere.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a damping that is not positive,
    /// [`Error::TooLarge`](crate::Error::TooLarge) beyond 16,384 examples, [`Error::Singular`](crate::Error::Singular) where
    /// the damping vanishes beside the gradients.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::DualFisher;
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let train = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// // F = diag(1/2, 2)
    /// let scores = DualFisher::new(&train, 1.0)?.scores(&train, &train)?;
    /// assert!((scores[[0, 0]] - 1.0 / 1.5).abs() < 1e-15 && (scores[[1, 1]] - 4.0 / 3.0).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(fit: &'l [LayerRows<'a, T>], damping: f64) -> Result<Self> {
        Self::per_layer(fit, &alloc::vec![damping; fit.len()])
    }

    /// As [`DualFisher::new`], with a damping of each layer's own.
    ///
    /// # Errors
    /// As [`DualFisher::new`].
    pub fn per_layer(fit: &'l [LayerRows<'a, T>], damping: &[f64]) -> Result<Self> {
        let n = check_layers("fit", fit)?;
        check_length("damping", damping.len(), fit.len())?;
        check_each("damping", damping, "finite and > 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
        check_limit("examples to fit", n, MAX_EXAMPLES)?;
        let weights = Array1::from(example_weights(fit)?);
        let total = weights.sum();
        check_each("sum of the weights", &[total], "> 0", |x: f64| x > 0.0)?;
        let roots = weights.mapv(libm::sqrt);
        let mut kernel =
            gram(fit, fit, damping)? * roots.view().insert_axis(Axis(0)) * roots.view().insert_axis(Axis(1));
        kernel.diag_mut().iter_mut().for_each(|x| *x += total);
        let factor = Cholesky::new(&kernel, "the damped matrix of inner products")?;
        Ok(Self { fit, damping: damping.to_vec(), roots, factor })
    }

    /// Scores `v_qᵀ (F + Λ)⁻¹ v_i`, `(queries, examples)`; no minus sign, no `1/N`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where layers differ, [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ inner
    /// products.
    pub fn scores(&self, query: &[LayerRows<'_, T>], train: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
        check_like("query", query, self.fit)?;
        check_like("train", train, self.fit)?;
        let roots = self.roots.view().insert_axis(Axis(0));
        let to_fit = gram(query, self.fit, &self.damping)? * roots;
        let from_fit = gram(train, self.fit, &self.damping)? * roots;
        let solved = solve_rows(&self.factor, to_fit)?;
        Ok(gram(query, train, &self.damping)? - product(&solved, &from_fit.t())?)
    }
}

/// `Σ_l ⟨G_x^l, G_y^l⟩/λ_l`.
fn gram<T: Scalar>(x: &[LayerRows<'_, T>], y: &[LayerRows<'_, T>], damping: &[f64]) -> Result<Array2<f64>> {
    let (n, m) = (check_layers("layers", x)?, check_layers("layers", y)?);
    check_limit("inner products", n.saturating_mul(m), MAX_VALUES)?;
    let mut sum = Array2::zeros((n, m));
    for ((x, y), damping) in x.iter().zip(y).zip(damping) {
        sum += &(x.gram(y)? / *damping);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::estimators::{ConjugateGradient, Damped, FisherOperator, gradients, solution_scores};

    #[test]
    fn the_dual_is_the_primal() {
        let (data, other) = (noise_layers(7, 3), noise_layers(3, 4));
        let (train, query) = (layers(&data), layers(&other));
        let fisher = FisherOperator::new(&train).unwrap();
        let blocks = fisher.blocks(0.1).unwrap();
        let damping: Vec<f64> = blocks.iter().map(|block| block.1).collect();
        let dual = DualFisher::per_layer(&train, &damping).unwrap().scores(&query, &train).unwrap();
        let damped = Damped::per_block(fisher, &blocks).unwrap();
        let right = gradients(&query).unwrap();
        let plain = Array2::eye(right.ncols());
        let solved =
            ConjugateGradient { tolerance: 1e-13, ..Default::default() }.solve_rows(damped, plain, &right).unwrap();
        let primal = solution_scores(&solved, &train).unwrap();
        assert!((&dual - &primal).iter().all(|e| e.abs() < 1e-10), "{dual} {primal}");
    }

    #[test]
    fn bad_input_is_named() {
        let data = noise_layers(3, 3);
        let train = layers(&data);
        assert!(matches!(DualFisher::new(&train, 0.0), Err(Error::OutOfRange { what: "damping", .. })));
        assert!(matches!(DualFisher::<f64>::new(&[], 1.0), Err(Error::Empty { .. })));
        let dual = DualFisher::new(&train, 1.0).unwrap();
        assert!(matches!(dual.scores(&train[..1], &train), Err(Error::Shape { what: "query", .. })));
    }
}
