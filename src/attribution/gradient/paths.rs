//! Path integrals: integrated gradients along any way.
//!
//! ```text
//! A_i = ∫_0^1 ∂f/∂x_i (γ(α)) γ_i'(α) dα  ≈  Σ_k w_k ∂f/∂x_i (γ(α_k)) γ_i'(α_k)        γ(1) = x
//! ```
//!
//! Complete for every path: the values sum to `f(x) - f(γ(0))`.
//!
//! Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), on path methods.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array2, ArrayRef2};

use super::walk::{Walk, add, copy, straight};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::error::{check_each, check_finite};
use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Integrates along a path of the caller.
///
/// `path(row, α, point, velocity)` writes `γ(α)` and `γ'(α)` for a row of the input; `γ(1)` must be that row.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::PathIntegral;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// // the first input first, then the second
/// let corner = |_row: usize, alpha: f64, point: &mut [f64], velocity: &mut [f64]| {
///     point.copy_from_slice(&[(4.0 * alpha).min(2.0), (4.0 * alpha - 2.0).max(0.0)]);
///     velocity.copy_from_slice(if alpha < 0.5 { &[4.0, 0.0] } else { &[0.0, 4.0] });
/// };
/// let mut model = Network::new(2).linear(array![[3.0, -1.0]], None)?;
/// let found = PathIntegral::new(corner).attribute(&mut model, &array![[2.0, 2.0]], &Logit::of(0))?;
/// assert!((&found.values - array![[6.0, -2.0]]).iter().all(|error: &f64| error.abs() < 1e-12));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Clone)]
pub struct PathIntegral<P> {
    /// The path.
    pub path: P,
    /// How the integral is approximated.
    pub rule: Rule,
    /// Points of the rule.
    pub steps: usize,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<P> PathIntegral<P> {
    /// Along `path` with 50 Gauss-Legendre points.
    pub fn new(path: P) -> Self {
        Self { path, rule: Rule::GaussLegendre, steps: 50, batch: Batch::Auto }
    }
}

impl<P> fmt::Debug for PathIntegral<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = f.debug_struct("PathIntegral");
        settings.field("rule", &self.rule).field("steps", &self.steps).field("batch", &self.batch).finish()
    }
}

/// The straight path from a baseline to `x: (b, n)`, for paths that are built from it.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::attribution::Baseline;
/// use limpid::attribution::gradient::straight_path;
/// use ndarray::array;
///
/// let path = straight_path(&array![[2.0, 4.0]], &Baseline::Zeros)?;
/// let (mut point, mut velocity) = ([0.0; 2], [0.0; 2]);
/// path(0, 0.25, &mut point, &mut velocity);
/// assert_eq!((point, velocity), ([0.5, 1.0], [2.0, 4.0]));
/// # Ok::<(), limpid::Error>(())
/// ```
#[expect(clippy::type_complexity, reason = "a closure has no shorter name")]
pub fn straight_path<T: Scalar>(
    x: &ArrayRef2<T>,
    baseline: &Baseline<T>,
) -> Result<impl Fn(usize, f64, &mut [T], &mut [T]) + Clone + use<T>> {
    let (x, baseline) = (x.to_owned(), baseline.of(x)?);
    Ok(move |row: usize, alpha: f64, point: &mut [T], velocity: &mut [T]| {
        straight(point, alpha, x.row(row), baseline.row(row));
        let ways = x.row(row).into_iter().zip(baseline.row(row)).map(|(&x, &b)| x - b);
        velocity.iter_mut().zip(ways).for_each(|(velocity, way)| *velocity = way);
    })
}

impl<T: Scalar, M: Differentiable<T> + ?Sized, P: Fn(usize, f64, &mut [T], &mut [T])> Explainer<T, M>
    for PathIntegral<P>
{
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let nodes = self.rule.nodes::<f64>(self.steps)?;
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let starts = self.starts(x)?;
        let output = walk.outputs(&mut probe, x)?;
        let base = walk.outputs(&mut probe, &starts)?;
        let mut sums = Array2::<f64>::zeros(x.raw_dim());
        let mut product = vec![T::zero(); x.ncols()];
        walk.along(
            &mut probe,
            (0..x.nrows()).flat_map(|row| (0..self.steps).map(move |step| (row, step))),
            |(row, _)| row,
            |(row, step), point, velocity| (self.path)(row, nodes.points[step], point, velocity),
            |(row, step), gradient, velocity| {
                product.iter_mut().zip(gradient).zip(velocity).for_each(|((p, &g), &v)| *p = g * v);
                add(sums.row_mut(row), nodes.weights[step], &product);
            },
        )?;
        let mut result = Attribution::new("path_integral", String::new(), sums.mapv(T::of), output);
        result.options = alloc::format!("{self:?}");
        result.status = Status::Finished;
        Ok(probe.account(result.complete_to(base)))
    }
}

impl<P> PathIntegral<P> {
    /// Where the paths start, `(b, n)`; checks that they end at the input.
    fn starts<T: Scalar>(&self, x: &ArrayRef2<T>) -> Result<Array2<T>>
    where
        P: Fn(usize, f64, &mut [T], &mut [T]),
    {
        let mut starts = Array2::zeros(x.raw_dim());
        let [mut point, mut velocity] = [vec![T::zero(); x.ncols()], vec![T::zero(); x.ncols()]];
        for (row, mut start) in starts.rows_mut().into_iter().enumerate() {
            (self.path)(row, 1.0, &mut point, &mut velocity);
            check_end(&point, x.row(row))?;
            (self.path)(row, 0.0, &mut point, &mut velocity);
            copy(start.as_slice_mut().expect("a row of a new matrix"), &point);
        }
        check_finite("start of the path", &starts)?;
        Ok(starts)
    }
}

/// Checks that a path ends where it should, up to half of the digits.
pub(super) fn check_end<'a, T: Scalar>(
    end: impl IntoIterator<Item = &'a T>,
    x: impl IntoIterator<Item = &'a T>,
) -> Result<()> {
    let misses = end.into_iter().zip(x).map(|(&end, &x)| (end - x).abs() / (T::one() + x.abs()));
    let (misses, slack) = (misses.collect::<Vec<T>>(), T::epsilon().sqrt());
    check_each("distance of the path's end from x", &misses, "0", |miss| miss <= slack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::IntegratedGradients;
    use crate::attribution::network::{Op, Source};
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use ndarray::array;

    /// `x y`.
    fn product() -> Network<f64> {
        let mut model = Network::new(2);
        let pick = |row| Op::Linear(crate::attribution::network::Linear::new(row, None).unwrap());
        let x = model.node(pick(array![[1.0, 0.0]]), &[Source::Input]).unwrap();
        let y = model.node(pick(array![[0.0, 1.0]]), &[Source::Input]).unwrap();
        model.node(Op::Multiply, &[x, y]).unwrap();
        model
    }

    #[test]
    fn the_straight_path_is_integrated_gradients() {
        let (x, baseline) = (array![[2.0, 3.0], [-1.0, 0.5]], Baseline::from(array![0.5, 1.0]));
        let along = PathIntegral::new(straight_path(&x, &baseline).unwrap());
        let found = along.attribute(&mut product(), &x, &Logit::of(0)).unwrap();
        let plain = IntegratedGradients { baseline, ..Default::default() };
        let plain = plain.attribute(&mut product(), &x, &Logit::of(0)).unwrap();
        assert!((&found.values - &plain.values).iter().all(|error| error.abs() < 1e-14));
        assert_eq!((found.base_value, found.evaluations), (plain.base_value, plain.evaluations));
    }

    #[test]
    fn who_comes_last_gets_the_product() {
        // along a parabola (2 α, 3 α²): ∫ 3 α² 2 dα = 2 for x, ∫ 2 α 6 α dα = 4 for y
        let parabola = |_: usize, alpha: f64, point: &mut [f64], velocity: &mut [f64]| {
            point.copy_from_slice(&[2.0 * alpha, 3.0 * alpha * alpha]);
            velocity.copy_from_slice(&[2.0, 6.0 * alpha]);
        };
        for batch in [Batch::Rows(1), Batch::Rows(3), Batch::Auto] {
            let method = PathIntegral { steps: 2, batch, ..PathIntegral::new(parabola) };
            let found = method.attribute(&mut product(), &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
            assert!((found.values[[0, 0]] - 2.0).abs() < 1e-14 && (found.values[[0, 1]] - 4.0).abs() < 1e-14);
            assert!(found.delta.unwrap()[0].abs() < 1e-14);
        }
    }

    #[test]
    fn a_path_must_end_at_the_input() {
        let nowhere = |_: usize, _: f64, point: &mut [f64], velocity: &mut [f64]| {
            point.fill(0.0);
            velocity.fill(0.0);
        };
        let found = PathIntegral::new(nowhere).attribute(&mut product(), &array![[2.0, 3.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(crate::Error::OutOfRange { index: 0, .. }))));
    }
}
