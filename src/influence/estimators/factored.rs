//! A factored curvature as preconditioner of an exact solver: what the factors get wrong, the iteration repairs.
//!
//! ```text
//! M⁻¹ v = the layers' φ_l(C_l) v^l, one after another,  φ a damped inverse
//! ```
//!
//! Source: Wang et al., "Better Training Data Attribution via Better Inverse Hessian-Vector Products" (2025), for EK-FAC in this
//! role.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef1, Axis, Slice};

use super::operator::LinearOperator;
use crate::error::check_length;
use crate::influence::Preconditioner;
use crate::{Error, Result};

/// Functions of the curvature of each layer as one operator on all parameters.
#[derive(Debug)]
pub struct Factored<'a> {
    layers: Vec<Preconditioner<'a>>,
}

impl<'a> Factored<'a> {
    /// The layers in the order of the gradients.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{ConjugateGradient, Damped, Factored, FisherOperator};
    /// use limpid::influence::{Damping, Examples, LayerRows, LayerSpec, Spectral, Strategy, fit_layer};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]], array![[1.0], [2.0], [-1.0]]);
    /// let layers = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let curvature = fit_layer(LayerSpec::of(0, &layers[0]), Strategy::Ekfac, &layers[0])?;
    /// let ekfac = curvature.preconditioner(&Spectral::DampedInverse(Damping::Absolute(0.1)))?;
    /// let fisher = Damped::new(FisherOperator::new(&layers)?, 0.1)?;
    /// let found = ConjugateGradient::default().solve_preconditioned(fisher, Factored::new([ekfac]), &array![1.0, 0.0])?;
    /// assert!(found.converged);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(layers: impl IntoIterator<Item = Preconditioner<'a>>) -> Self {
        Self { layers: layers.into_iter().collect() }
    }
}

impl LinearOperator for Factored<'_> {
    type Error = Error;

    fn dim(&self) -> usize {
        self.layers.iter().map(|layer| layer.filter().len()).sum()
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        check_length("x", x.len(), self.dim())?;
        check_length("out", out.len(), self.dim())?;
        let mut start = 0;
        for layer in &self.layers {
            let part = Slice::from(start..start + layer.filter().len());
            let v = Array2::from_shape_vec(layer.filter().dim(), x.slice_axis(Axis(0), part).to_vec());
            let solved = layer.apply(&v.map_err(|_| Error::Unsupported { what: "a vector of another length" })?)?;
            out.slice_axis_mut(Axis(0), part).iter_mut().zip(&solved).for_each(|(to, &from)| *to = from);
            start += layer.filter().len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::LayerRows;
    use crate::influence::estimators::testing::{layers, noise_layers_of};
    use crate::influence::estimators::{
        ConjugateGradient, Damped, DualFisher, FisherOperator, gradients, solution_scores,
    };
    use crate::influence::{Damping, LayerSpec, Spectral, Strategy, fit_layer};

    /// Steps without and with EK-FAC in front.
    fn steps(train: &[LayerRows<'_, f64>], query: &[LayerRows<'_, f64>], cg: ConjugateGradient) -> (usize, usize) {
        let fisher = FisherOperator::new(train).unwrap();
        let blocks = fisher.blocks(1e-3).unwrap();
        let damping: Vec<f64> = blocks.iter().map(|block| block.1).collect();
        let curvatures: Vec<_> =
            train.iter().map(|layer| fit_layer(LayerSpec::of(0, layer), Strategy::Ekfac, layer).unwrap()).collect();
        let parts = curvatures.iter().zip(&damping).map(|(curvature, damping)| {
            curvature.preconditioner(&Spectral::DampedInverse(Damping::Absolute(*damping))).unwrap()
        });
        let mut ekfac = Factored::new(parts);
        let mut damped = Damped::per_block(fisher, &blocks).unwrap();
        let right = gradients(query).unwrap();
        let solved = cg.solve_rows(&mut damped, &mut ekfac, &right).unwrap();
        let scores = solution_scores(&solved, train).unwrap();
        let exact = DualFisher::per_layer(train, &damping).unwrap().scores(query, train).unwrap();
        let largest = exact.iter().fold(0.0, |largest: f64, s| largest.max(s.abs()));
        assert!((&scores - &exact).iter().all(|e| e.abs() < 1e-6 * largest));
        let plain = cg.solve(&mut damped, &right.row(0)).unwrap().iterations();
        (plain, cg.solve_preconditioned(&mut damped, &mut ekfac, &right.row(0)).unwrap().iterations())
    }

    #[test]
    fn the_preconditioned_solver_is_exact_and_saves_steps() {
        let sizes = [(12, 8), (8, 3)];
        let (mut data, other) = (noise_layers_of(sizes, 300, 7), noise_layers_of(sizes, 3, 8));
        // sizes that differ from input to input and from output to output: what conjugate gradients alone are slow with
        for (a, g, _, _) in &mut data {
            for x in [a, g] {
                x.columns_mut().into_iter().enumerate().for_each(|(j, mut column)| column *= libm::exp2(-(j as f64)));
            }
        }
        let (plain, helped) = steps(&layers(&data), &layers(&other), ConjugateGradient::default());
        assert!(2 * helped < plain, "{helped} {plain}");
    }
}
