//! Conductance: how much of the change from a baseline to the input flows through each inner unit.
//!
//! ```text
//! C_u = ∫ ∂f/∂h_u dh_u along x(α) = x' + α (x - x')        Σ_u C_u = f(x) - f(x') for a layer that everything passes
//!
//! cells   Σ_k ∂f/∂h(α_k) (h(β_{k+1}) - h(β_k))             β_k = w_1 + .. + w_k, so that β_0 = 0 and β_n = 1
//! nodes   Σ_{k<n} ∂f/∂h(α_k) (h(α_{k+1}) - h(α_k))         α of the rule with n + 1 nodes, without its weights
//! ```
//!
//! The weights of a rule cut the path into cells, one about each node; the activation is compared at their ends, which are
//! the baseline and the input themselves. At the input layer this is integrated gradients with the same rule. The second
//! form is Captum's: it misses the ends of the path, as much as two parts in a thousand with 50 nodes.
//!
//! Source: Dhamdhere et al., "How Important Is a Neuron?" (arXiv 1805.12233), equation 3.

use alloc::format;

use ndarray::{Array1, Array2, ArrayRef2, Zip};

use super::walk::{Buffers, Part, Walk, activations, scaled, values};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Layers, Status, Target};
use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Between which points of the path activations are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Differences {
    /// The ends of the cell that each node stands for; the outermost ends are those of the path.
    #[default]
    Cells,
    /// One node and the next one, to reproduce Captum.
    Nodes,
}

/// Conductance of the units of a layer.
///
/// # Example
/// ```
/// use limpid::attribution::layer::LayerConductance;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // relu(x) + relu(x - 2)
/// let model = Network::new(1).linear(array![[1.0], [1.0]], Some(array![0.0, -2.0]))?;
/// let mut model = model.activation(Activation::Relu)?.linear(array![[1.0, 1.0]], None)?;
/// let found = LayerConductance::at(1).attribute(&mut model, &array![[5.0]], &Logit::of(0))?;
/// assert!((found.values[[0, 0]] - 5.0_f64).abs() < 1e-12 && (found.values[[0, 1]] - 3.0).abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LayerConductance<T> {
    /// The layer.
    pub layer: usize,
    /// Gradients along the path.
    pub steps: usize,
    /// Where they are taken.
    pub rule: Rule,
    /// Between which points activations are compared.
    pub differences: Differences,
    /// Where the path starts.
    pub baseline: Baseline<T>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> LayerConductance<T> {
    /// Fifty equal cells from zeros to the input, at `layer`.
    #[must_use]
    pub fn at(layer: usize) -> Self {
        let (rule, differences) = (Rule::Middle, Differences::Cells);
        Self { layer, steps: 50, rule, differences, baseline: Baseline::Zeros, batch: Batch::Auto }
    }
}

impl<T> Default for LayerConductance<T> {
    fn default() -> Self {
        Self::at(0)
    }
}

/// Where gradients are taken, `(n)`, where the path starts, and where each step ends, `(n)`.
struct Cells {
    nodes: Array1<f64>,
    start: f64,
    ends: Array1<f64>,
}

impl Differences {
    fn cells(self, rule: Rule, steps: usize) -> Result<Cells> {
        match self {
            Self::Cells => {
                let nodes = rule.nodes::<f64>(steps)?;
                let sums = nodes.weights.iter().scan(0.0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                });
                let mut ends: Array1<f64> = sums.collect();
                // weights sum to 1 up to rounding
                ends[steps - 1] = 1.0;
                Ok(Cells { nodes: nodes.points, start: 0.0, ends })
            }
            Self::Nodes => {
                let points = rule.nodes::<f64>(steps.saturating_add(1))?.points;
                let take = |skip| points.iter().skip(skip).take(steps).copied().collect();
                rule.nodes::<f64>(steps)?;
                Ok(Cells { nodes: take(0), start: points[0], ends: take(1) })
            }
        }
    }
}

impl<T: Scalar> LayerConductance<T> {
    fn conductance<M: Layers<T> + ?Sized>(
        &self,
        probe: &mut Probe<'_, T, M>,
        ends: (&ArrayRef2<T>, &ArrayRef2<T>),
        rows: usize,
    ) -> Explained<Array2<f64>, M::Error> {
        let (b, units) = (ends.1.nrows(), probe.layer_width(self.layer)?);
        let cells = self.differences.cells(self.rule, self.steps)?;
        let mut start = Array2::zeros(ends.1.raw_dim());
        for part in Walk::new(b, 1, b)?.parts() {
            part.line(ends, &Array1::from_elem(1, cells.start), &mut start);
        }
        let mut last = activations(probe, self.layer, &start, rows)?;
        let (mut sums, mut buffers) = (Array2::zeros((b, units)), Buffers::new(ends.1.ncols(), units));
        for part in Walk::new(b, self.steps, rows)?.parts() {
            buffers.fit(part.rows);
            part.line(ends, &cells.nodes, &mut buffers.x);
            probe.layer(self.layer, &buffers.x, &mut buffers.h)?;
            buffers.differentiate(probe, self.layer, part)?;
            part.line(ends, &cells.ends, &mut buffers.x);
            probe.layer(self.layer, &buffers.x, &mut buffers.h)?;
            advance(part, &buffers, &mut last, &mut sums);
        }
        Ok(sums)
    }
}

/// Adds gradient times change of every step, and remembers where it ended.
fn advance<T: Scalar>(part: Part, buffers: &Buffers<T>, last: &mut Array2<T>, sums: &mut Array2<f64>) {
    for (row, (gradient, h)) in buffers.gradient.rows().into_iter().zip(buffers.h.rows()).enumerate() {
        let (sum, last) = (sums.row_mut(part.example(row)), last.row_mut(part.example(row)));
        Zip::from(sum).and(last).and(gradient).and(h).for_each(|sum, last, &g, &h| {
            *sum += g.as_f64() * (h - *last).as_f64();
            *last = h;
        });
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for LayerConductance<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let rows = self.batch.rows(x.ncols().max(probe.layer_width(self.layer)?))?;
        let baseline = self.baseline.of(x)?;
        let found = self.conductance(&mut probe, (&baseline, x), rows)?;
        let output = values(&mut probe, x, rows)?;
        let base = values(&mut probe, &baseline, rows)?;
        let result = Attribution::new("layer_conductance", format!("{self:?}"), scaled(&found, None), output);
        let mut result = result.complete_to(base);
        result.status = Status::Finished;
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerIntegratedGradients;
    use super::super::testing::{c1, smooth, unchanged_by_batches};
    use super::*;
    use crate::attribution::target::Logit;
    use ndarray::array;

    fn conduct(method: &LayerConductance<f64>) -> Attribution<f64> {
        method.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]], &Logit::of(0)).unwrap()
    }

    #[test]
    fn layers_by_hand() {
        let rows = [
            array![0.0, 390.0, 0.0],
            array![90.0, 100.0, 100.0, 100.0],
            array![90.0, 100.0, 100.0, 100.0],
            array![390.0, 0.0],
        ];
        for (layer, expected) in rows.iter().enumerate() {
            let found = conduct(&LayerConductance::at(layer));
            assert!(found.values.row(0).iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-9), "layer {layer}");
            assert!(found.delta.unwrap()[0].abs() < 1e-9);
            assert_eq!((found.base_value.unwrap()[0], found.output_value[0]), (2.0, 392.0));
        }
    }

    #[test]
    fn the_end_points_count_unless_captum_is_asked_for() {
        let captum = |steps, differences| {
            let rule = Rule::GaussLegendre;
            conduct(&LayerConductance { steps, rule, differences, ..LayerConductance::at(0) }).values[[0, 1]]
        };
        assert!((captum(50, Differences::Nodes) - 389.25).abs() < 0.01);
        assert!((captum(500, Differences::Nodes) - 389.991).abs() < 0.001);
        assert!((conduct(&LayerConductance::at(0)).values[[0, 1]] - 390.0).abs() < 1e-9);
        // with cells, nothing but the place of the kink is missed
        assert!((captum(50, Differences::Cells) - 390.0).abs() < 1.0);
    }

    #[test]
    fn every_rule_reaches_both_ends() {
        for rule in [Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid] {
            for steps in [1, 2, 7] {
                let cells = Differences::Cells.cells(rule, steps).unwrap();
                let inside = cells.nodes.iter().zip(&cells.ends).all(|(node, end)| *node <= *end + 1e-15);
                assert!(inside && cells.start == 0.0 && cells.ends[steps - 1] == 1.0, "{rule:?} {steps}");
            }
        }
        let nodes = Differences::Nodes.cells(Rule::Trapezoid, 2).unwrap();
        assert_eq!((nodes.start, nodes.nodes, nodes.ends), (0.0, array![0.0, 0.5], array![0.5, 1.0]));
        assert!(Differences::Nodes.cells(Rule::Left, 0).is_err());
        assert!(Differences::Nodes.cells(Rule::Left, usize::MAX).is_err());
    }

    #[test]
    fn at_a_linear_layer_it_is_layer_integrated_gradients() {
        let (mut model, x) = smooth();
        let rule = Rule::GaussLegendre;
        let conductance = LayerConductance { rule, steps: 9, ..LayerConductance::at(0) };
        let integrated = LayerIntegratedGradients { rule, steps: 9, ..LayerIntegratedGradients::at(0) };
        let found = conductance.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        let other = integrated.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        assert!(found.iter().zip(&other).all(|(x, y)| (x - y).abs() < 1e-13));
    }

    #[test]
    fn batches_do_not_show_and_an_input_at_the_baseline_gives_nothing() {
        for differences in [Differences::Cells, Differences::Nodes] {
            unchanged_by_batches(|batch| LayerConductance { batch, steps: 6, differences, ..LayerConductance::at(1) });
        }
        let (mut model, x) = smooth();
        let method = LayerConductance { baseline: x.clone().into(), ..LayerConductance::at(1) };
        let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap();
        assert!(found.values.iter().all(|value| *value == 0.0));
    }
}
