//! Integrated Hessians: how much of a feature's integrated gradients is due to each other feature.
//!
//! ```text
//! Γ_ij = (x_i - b_i)(x_j - b_j) ∫∫ α β ∂²f/∂x_i∂x_j (b + α β (x - b)) dα dβ   [ + (x_i - b_i) ∫∫ ∂f/∂x_i dα dβ  where i = j ]
//!      = integrated gradients of feature j for the integrated gradients of feature i
//! ∫∫ h(α β) dα dβ = ∫_0^1 h(s) (-ln s) ds,   s = u⁴ and Gauss-Legendre points for u
//! ```
//!
//! The matrix is symmetric; its rows sum to integrated gradients, so all of it sums to `f(x) - f(b)`. Second derivatives are
//! central differences of the model's gradients, two evaluations for each column; `asymmetry` and `row_deltas` show what
//! they and the quadrature miss. Features can be taken together in groups, such as tokens: the interaction of two groups is
//! the sum over the pairs of their features, and takes no more than one column.
//!
//! A network of ReLUs has no second derivatives but at its kinks, which quadrature does not see: the source replaces ReLUs by
//! softplus first.
//!
//! Source: Janizek, Sturmfels and Lee, "Explaining Explanations: Axiomatic Feature Interactions for Deep Networks" (arXiv
//! 2002.04138). The single integral is derived here: `-ln s` is the density of the product of two uniform variables.

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, Array3, ArrayRef2, Axis};

use super::integrated_gradients::scaled;
use super::walk::{Walk, add, straight};
use crate::attribution::baseline::BaselineRows;
use crate::attribution::perturbation::Players;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Status, Target};
use crate::error::{check_each, check_limit};
use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Most numbers of a result.
const MAX_PAIRS: usize = 1 << 28;

/// Interactions of all pairs: `steps (2 M + 1)` evaluations with gradient per row for `M` features or groups.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::gradient::IntegratedHessians;
/// use limpid::attribution::network::{Linear, Op, Source};
/// use limpid::attribution::target::Logit;
/// use ndarray::{Axis, array};
///
/// // x₁ x₂ + 3 x₁
/// let mut model = Network::new(2);
/// let first = model.node(Op::Linear(Linear::from_weight(array![[1.0, 0.0]])?), &[Source::Input])?;
/// let second = model.node(Op::Linear(Linear::new(array![[0.0, 1.0]], Some(array![3.0]))?), &[Source::Input])?;
/// model.node(Op::Multiply, &[first, second])?;
/// let found = IntegratedHessians::default().run(&mut model, &array![[2.0, 5.0]], &Logit::of(0))?;
/// // the product is split evenly over the four entries
/// let expected = array![[2.5 + 6.0, 2.5], [2.5, 2.5]];
/// assert!((&found.values.index_axis(Axis(0), 0) - &expected).iter().all(|error: &f64| error.abs() < 1e-8));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct IntegratedHessians<T> {
    /// Where the way starts.
    pub baseline: Baseline<T>,
    /// The group of every feature, `(n)`, each of `0..M` at least once; `None`: every feature is one.
    pub groups: Option<Vec<usize>>,
    /// Points of the quadrature.
    pub steps: usize,
    /// Step of the differences, relative to the larger of 1 and the group's inputs; `None`: the cube root of the precision.
    pub step: Option<f64>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for IntegratedHessians<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, groups: None, steps: 50, step: None, batch: Batch::Auto }
    }
}

/// Interactions of all pairs, from finite differences of gradients.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct HessianInteractions<T> {
    /// `(b, M, M)`, symmetric. The whole interaction of a pair is the sum of both of its entries.
    pub values: Array3<T>,
    /// Integrated gradients of the features, `(b, n)`, from the same points, and all that was run.
    pub attribution: Attribution<T>,
    /// Sums of the rows of `values` less integrated gradients of the groups, `(b, M)`.
    pub row_deltas: Array2<T>,
    /// Largest difference of the two entries of a pair before they were averaged, `(b)`.
    pub asymmetry: Array1<T>,
}

impl<T: Scalar> IntegratedHessians<T> {
    /// Interactions of the features or groups for every row of `x: (b, n)`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`](crate::attribution::Explainer::attribute), and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for more than 2²⁸ pairs.
    pub fn run<M: Differentiable<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<HessianInteractions<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let (baselines, players) = (self.baseline.rows(x)?, Players::new(self.groups.as_deref(), x.ncols())?);
        check_limit("pairs", x.nrows().saturating_mul(players.count).saturating_mul(players.count), MAX_PAIRS)?;
        let columns = Columns::new(self.relative_step()?, players, (x, &baselines));
        let nodes = nodes(self.steps)?;
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let (output, base) = walk.ends(&mut probe, x, &baselines)?;
        let mut sums = Sums::new(x.dim(), columns.players.count);
        let points = |row| {
            let columns = &columns;
            (0..self.steps).flat_map(move |step| columns.points(row).map(move |column| (row, step, column)))
        };
        walk.gradients(
            &mut probe,
            (0..x.nrows()).flat_map(points),
            |(row, _, _)| row,
            |(row, step, column), point| {
                straight(point, nodes[step].place, x.row(row), baselines.row(row));
                columns.shift(row, column, point);
            },
            |(row, step, column), _, gradient| sums.take((row, column), nodes[step], gradient, &columns),
        )?;
        let values = scaled(&sums.means, x, &baselines, true);
        let mut attribution = Attribution::new("integrated_hessians", format!("{self:?}"), values, output);
        attribution.status = Status::Finished;
        Ok(sums.finish(probe.account(attribution.complete_to(base)), &columns))
    }

    fn relative_step(&self) -> Result<f64> {
        check_each("step", &self.step, "0 < step", |step: f64| step > 0.0 && step.is_finite())?;
        Ok(self.step.unwrap_or_else(|| libm::cbrt(T::epsilon().as_f64())))
    }
}

/// A point `b + s (x - b)` of the way, and the weights of what is found there.
#[derive(Clone, Copy)]
struct Node {
    place: f64,
    /// Of `∫ h(s) ds`.
    single: f64,
    /// Of `∫ h(s) (-ln s) ds`.
    double: f64,
}

/// Gauss-Legendre in `u`, where `s = u⁴` makes the logarithm harmless.
fn nodes(steps: usize) -> Result<Vec<Node>> {
    let nodes = Rule::GaussLegendre.nodes::<f64>(steps)?;
    let node = |(&u, &weight): (&f64, &f64)| {
        let single = 4.0 * u * u * u * weight;
        Node { place: u * u * u * u, single, double: -4.0 * libm::log(u) * single }
    };
    Ok(nodes.points.iter().zip(&nodes.weights).map(node).collect())
}

/// Where gradients are taken: at the point itself, or moved up or down along a group's way.
#[derive(Clone, Copy)]
enum Column {
    Itself,
    Moved(usize, f64),
}

/// The groups, their ways, and how far the points are moved along them.
struct Columns {
    players: Players,
    /// `x - b`, `(b, n)`.
    ways: Array2<f64>,
    /// Share of the way of every group that points are moved by, `(b, M)`; 0 for a group that has no way.
    shares: Array2<f64>,
}

impl Columns {
    fn new<T: Scalar>(step: f64, players: Players, (x, baselines): (&ArrayRef2<T>, &BaselineRows<'_, T>)) -> Self {
        let at = |row: usize, i: usize| (x[[row, i]].as_f64(), baselines.row(row)[i].as_f64());
        let ways = Array2::from_shape_fn(x.dim(), |(row, i)| at(row, i).0 - at(row, i).1);
        let mut scales = Array2::from_elem((x.nrows(), players.count), 1.0_f64);
        let mut lengths = Array2::<f64>::zeros(scales.raw_dim());
        for ((row, i), way) in ways.indexed_iter() {
            let place = [row, players.of_feature[i]];
            scales[place] = scales[place].max(at(row, i).0.abs()).max(at(row, i).1.abs());
            lengths[place] = lengths[place].max(way.abs());
        }
        scales
            .zip_mut_with(&lengths, |scale, &length| *scale = if length > 0.0 { step * *scale / length } else { 0.0 });
        Self { players, ways, shares: scales }
    }

    /// All that is looked at for one point of a row.
    fn points(&self, row: usize) -> impl Iterator<Item = Column> + '_ {
        let moves = (0..self.players.count).filter(move |&group| self.shares[[row, group]] > 0.0);
        let both = moves.flat_map(|group| [Column::Moved(group, 1.0), Column::Moved(group, -1.0)]);
        core::iter::once(Column::Itself).chain(both)
    }

    fn shift<T: Scalar>(&self, row: usize, column: Column, point: &mut [T]) {
        let Column::Moved(group, sign) = column else { return };
        let share = sign * self.shares[[row, group]];
        for ((slot, &player), way) in point.iter_mut().zip(&self.players.of_feature).zip(self.ways.row(row)) {
            if player == group {
                *slot += T::of(share * way);
            }
        }
    }
}

/// The integrals so far.
struct Sums {
    /// `∫ ∂f/∂x_i ds`, `(b, n)`.
    means: Array2<f64>,
    /// `(b, M, M)`, the second group the one that was moved.
    pairs: Array3<f64>,
}

impl Sums {
    fn new((rows, features): (usize, usize), groups: usize) -> Self {
        Self { means: Array2::zeros((rows, features)), pairs: Array3::zeros((rows, groups, groups)) }
    }

    fn take<T: Scalar>(&mut self, (row, column): (usize, Column), node: Node, gradient: &[T], columns: &Columns) {
        if matches!(column, Column::Itself) {
            add(self.means.row_mut(row), node.single, gradient);
        }
        let terms = columns.players.of_feature.iter().zip(columns.ways.row(row)).zip(gradient);
        for ((&group, way), g) in terms {
            let (other, weight) = match column {
                Column::Itself => (group, node.double),
                Column::Moved(other, sign) => {
                    (other, sign * node.double * node.place / (2.0 * columns.shares[[row, other]]))
                }
            };
            self.pairs[[row, group, other]] += weight * way * g.as_f64();
        }
    }

    fn finish<T: Scalar>(mut self, attribution: Attribution<T>, columns: &Columns) -> HessianInteractions<T> {
        let (rows, groups, _) = self.pairs.dim();
        let (mut asymmetry, mut row_deltas) = (Array1::<f64>::zeros(rows), Array2::zeros((rows, groups)));
        for (row, mut pairs) in self.pairs.outer_iter_mut().enumerate() {
            for (i, j) in (0..groups).flat_map(|i| (0..i).map(move |j| (i, j))) {
                let (above, below) = (pairs[[j, i]], pairs[[i, j]]);
                asymmetry[row] = asymmetry[row].max((above - below).abs());
                pairs[[i, j]] = 0.5 * (above + below);
                pairs[[j, i]] = pairs[[i, j]];
            }
            let mut deltas = pairs.sum_axis(Axis(1));
            let single = columns.players.of_feature.iter().zip(columns.ways.row(row)).zip(self.means.row(row));
            single.for_each(|((&group, way), mean)| deltas[group] -= way * mean);
            row_deltas.row_mut(row).assign(&deltas.mapv(T::of));
        }
        let (values, asymmetry) = (self.pairs.mapv(T::of), asymmetry.mapv(T::of));
        HessianInteractions { values, attribution, row_deltas, asymmetry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::IntegratedGradients;
    use crate::attribution::network::{Linear, Op, Source};
    use crate::attribution::target::Logit;
    use crate::attribution::{Explainer, Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    /// `x² y`.
    fn cubic<T: Scalar>() -> Network<T> {
        let mut model = Network::new(2);
        let pick = |i: usize| {
            let weight = Array2::from_shape_fn((1, 2), |(_, j)| if i == j { T::one() } else { T::zero() });
            Op::Linear(Linear::new(weight, None).unwrap())
        };
        let x = model.node(pick(0), &[Source::Input]).unwrap();
        let y = model.node(pick(1), &[Source::Input]).unwrap();
        let square = model.node(Op::Multiply, &[x, x]).unwrap();
        model.node(Op::Multiply, &[square, y]).unwrap();
        model
    }

    fn smooth() -> Network<f64> {
        let weight = array![[1.0, -2.0, 0.5, 0.3], [0.3, 0.4, -1.0, 0.0]];
        let first = Network::new(4).linear(weight, Some(array![0.2, -0.1])).unwrap();
        first.activation(Activation::Tanh).unwrap().linear(array![[1.0, -0.7]], None).unwrap()
    }

    fn largest<'a>(errors: impl IntoIterator<Item = &'a f64>) -> f64 {
        errors.into_iter().fold(0.0, |most: f64, error| most.max(error.abs()))
    }

    #[test]
    fn a_cubic_by_hand() {
        // ∫ s² (-ln s) ds = 1/9: Γ_xx = 4/9, Γ_xy = 2/9, Γ_yy = 1/9 of x² y = 12
        let found = IntegratedHessians::default().run(&mut cubic::<f64>(), &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
        let expected = array![[48.0, 24.0], [24.0, 12.0]] / 9.0;
        assert!(largest(&(&found.values.index_axis(Axis(0), 0) - &expected)) < 1e-8);
        assert!(largest(&(&found.attribution.values - &array![[8.0, 4.0]])) < 1e-12);
        assert!(largest(&found.row_deltas) < 1e-8 && found.asymmetry[0] < 1e-8);
        assert_eq!((found.attribution.evaluations.gradient, found.attribution.evaluations.forward), (250, 2));
        let single =
            IntegratedHessians::default().run(&mut cubic::<f32>(), &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
        let errors = single.values.index_axis(Axis(0), 0).mapv(f64::from) - expected;
        assert!(largest(&errors) < 2e-3);
    }

    #[test]
    fn from_another_baseline() {
        // x² y on the way (1 + s, 3 s): Γ_xy = 1·3 ∫ s 2 (1 + s)(-ln s) ds = 6 (1/4 + 1/9)
        let method = IntegratedHessians { baseline: array![1.0, 0.0].into(), ..Default::default() };
        let found = method.run(&mut cubic::<f64>(), &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
        assert!((found.values[[0, 0, 1]] - 13.0 / 6.0).abs() < 1e-8);
        // Γ_xx = ∫ (s 2·3 s + 2 (1 + s) 3 s)(-ln s) ds = 12/9 + 6/4, Γ_yy = 3 ∫ (1 + s)² (-ln s) ds = 3 (1 + 1/2 + 1/9)
        assert!((found.values[[0, 0, 0]] - (4.0 / 3.0 + 1.5)).abs() < 1e-8);
        assert!((found.values[[0, 1, 1]] - 29.0 / 6.0).abs() < 1e-8);
        assert!((found.values.sum() - 12.0).abs() < 1e-8);
    }

    #[test]
    fn rows_sum_to_integrated_gradients_in_any_batch() {
        let x = array![[0.7, -0.4, 1.2, 0.0], [2.0, 1.0, 0.0, -3.0]];
        let run = |batch| {
            let method = IntegratedHessians { batch, ..Default::default() };
            method.run(&mut smooth(), &x, &Logit::of(0)).unwrap()
        };
        let found = run(Batch::Auto);
        assert!(largest(&found.row_deltas) < 1e-8 && found.asymmetry.iter().all(|error| *error < 1e-8));
        let plain = IntegratedGradients::default().attribute(&mut smooth(), &x, &Logit::of(0)).unwrap();
        assert!(largest(&(&found.values.sum_axis(Axis(2)) - &plain.values)) < 1e-8);
        // a feature that does not move interacts with none
        assert!(found.values.index_axis(Axis(0), 0).row(3).iter().all(|value| *value == 0.0));
        let small = run(Batch::Rows(7));
        assert_eq!(
            (small.values, small.row_deltas, small.asymmetry),
            (found.values, found.row_deltas, found.asymmetry)
        );
    }

    #[test]
    fn groups_are_sums_over_their_features() {
        let x = array![[0.7, -0.4, 1.2, 0.5]];
        let single = IntegratedHessians::default().run(&mut smooth(), &x, &Logit::of(0)).unwrap();
        let groups = [0, 1, 0, 1];
        let method = IntegratedHessians { groups: Some(groups.to_vec()), ..Default::default() };
        let found = method.run(&mut smooth(), &x, &Logit::of(0)).unwrap();
        let mut expected = Array2::<f64>::zeros((2, 2));
        for ((i, j), value) in single.values.index_axis(Axis(0), 0).indexed_iter() {
            expected[[groups[i], groups[j]]] += value;
        }
        assert!(largest(&(&found.values.index_axis(Axis(0), 0) - &expected)) < 1e-8);
        assert_eq!(found.attribution.evaluations.gradient, 50 * 5);
    }

    #[test]
    fn bad_settings_are_named() {
        let run = |method: IntegratedHessians<f64>| {
            method.run(&mut cubic::<f64>(), &array![[2.0, 3.0]], &Logit::of(0)).map(|_| ()).unwrap_err()
        };
        let step = run(IntegratedHessians { step: Some(0.0), ..Default::default() });
        assert!(matches!(step, Failure::Input(crate::Error::OutOfRange { what: "step", .. })));
        let steps = run(IntegratedHessians { steps: 0, ..Default::default() });
        assert!(matches!(steps, Failure::Input(crate::Error::OutOfRange { what: "nodes", .. })));
        let groups = run(IntegratedHessians { groups: Some(alloc::vec![0, 2]), ..Default::default() });
        assert!(matches!(groups, Failure::Input(_)));
    }
}
