//! Path patching: what a value of another run does to a metric along one path of the network, and no other.
//!
//! ```text
//! path u -> w -> .. -> v      w' = w with u of the source run and all its other inputs of the starting run,  .. ,  v' likewise
//! effect = m(starting run with v') - m(starting run)
//! ```
//!
//! Nodes off the path, and other readers of the nodes on it, keep their values until `v'` is known; what comes after `v`
//! sees it. A path of two nodes is an edge: the value of `u` as `v` alone sees it.
//!
//! Source: Wang et al., "Interpretability in the Wild" (arXiv 2211.00593); Goldowsky-Dill et al., "Localizing
//! Model Behavior with Path Patching" (arXiv 2304.05969).

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::{PatchDirection, PatchEffects};
use crate::attribution::network::{Source, Trace};
use crate::attribution::probe::Probe;
use crate::attribution::{Evaluations, Explained, Failure, Network, Target};
use crate::error::{check_finite, check_shape};
use crate::{Error, Result, Scalar};

/// Patches along paths of the reference network; the effects come path by path, `(b, paths)`.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::circuits::{PatchDirection, PathPatching};
/// use limpid::attribution::network::{Op, Source};
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // x + relu(x): the direct way, and the one through the relu
/// let mut model = Network::new(1);
/// let relu = model.node(Op::Activation(Activation::Relu), &[Source::Input])?;
/// let sum = model.node(Op::Add, &[Source::Input, relu])?;
/// let paths = vec![vec![Source::Input, sum], vec![Source::Input, relu, sum]];
/// let patching = PathPatching { paths, direction: PatchDirection::Noising };
/// let found = patching.run(&mut model, &array![[3.0]], &array![[-1.0]], &Logit::of(0))?;
/// assert_eq!(found.effect, array![[-4.0, -3.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathPatching {
    /// Nodes in the order of the path, at least two, each reading the one before it.
    pub paths: Vec<Vec<Source>>,
    /// Which run is patched.
    pub direction: PatchDirection,
}

impl PathPatching {
    /// All edges of a network, each as a path of two; an edge that is read twice comes once.
    #[must_use]
    pub fn edges<T: Scalar>(network: &Network<T>, direction: PatchDirection) -> Self {
        let mut paths: Vec<Vec<Source>> = Vec::new();
        for (index, node) in network.nodes().iter().enumerate() {
            for (place, &source) in node.inputs.iter().enumerate() {
                if !node.inputs[..place].contains(&source) {
                    paths.push(alloc::vec![source, Source::Node(index)]);
                }
            }
        }
        Self { paths, direction }
    }

    /// The effect on `target` of every path, for pairs of rows of `clean` and `corrupted`, `(b, n)` each.
    ///
    /// The values of all nodes are kept for both runs. One forward row for every example and path, and two besides.
    ///
    /// # Errors
    /// [`Failure::Input`] for inputs that are empty, not finite or of different shapes, [`Error::OutOfRange`] naming a path
    /// that does not lead through the network; [`Failure::NotFinite`].
    pub fn run<T: Scalar>(
        &self,
        network: &mut Network<T>,
        clean: &ArrayRef2<T>,
        corrupted: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<PatchEffects<T>, Error> {
        Probe::new(&mut *network, clean, target)?;
        Probe::new(&mut *network, corrupted, target)?;
        check_shape("corrupted", corrupted, clean.shape())?;
        self.check(network)?;
        let (base, source) = self.direction.order(clean, corrupted);
        let traces = [trace(network, base, 0)?, trace(network, source, 1)?];
        let metric = |trace: &Trace<T>| metric(trace.value(network.output()), target);
        let (base_metric, source_metric) = (metric(&traces[0]), metric(&traces[1]));
        let mut effect = Array2::zeros((base.nrows(), self.paths.len()));
        let mut patched = Trace::default();
        for (path, (nodes, mut effect)) in self.paths.iter().zip(effect.columns_mut()).enumerate() {
            let call = path as u64 + 2;
            let (last, value) = carried(network, nodes, &traces).map_err(|error| Failure::Model { call, error })?;
            let ran = network.run(base, Some((last, &value)), &mut patched);
            ran.map_err(|error| Failure::Model { call, error })?;
            finite(patched.value(network.output()), call)?;
            effect.assign(&(metric(&patched) - &base_metric));
        }
        let rows = base.nrows() as u64;
        let evaluations = Evaluations { forward: rows * (2 + self.paths.len() as u64), gradient: 0 };
        Ok(PatchEffects { effect, base_metric, source_metric, evaluations })
    }

    /// Every path leads from a source over edges of the network.
    fn check<T: Scalar>(&self, network: &Network<T>) -> Result<()> {
        for (index, path) in self.paths.iter().enumerate() {
            let wrong =
                |node: usize, expected| Err(Error::OutOfRange { what: "path", index, value: node as f64, expected });
            if path.len() < 2 {
                return wrong(path.len(), "at least two nodes");
            }
            for edge in path.windows(2) {
                match edge[1] {
                    Source::Input => return wrong(0, "nothing leads to the input"),
                    Source::Node(node) => match network.nodes().get(node) {
                        Some(reader) if reader.inputs.contains(&edge[0]) => {}
                        _ => return wrong(node, "a node that reads the one before it"),
                    },
                }
            }
        }
        Ok(())
    }
}

/// The last node of a path, and its value once the first one's is that of the source run.
fn carried<T: Scalar>(
    network: &Network<T>,
    path: &[Source],
    [base, source]: &[Trace<T>; 2],
) -> Result<(usize, Array2<T>)> {
    let (mut last, mut value) = (0, source.value(path[0]).clone());
    for edge in path.windows(2) {
        let Source::Node(index) = edge[1] else { continue };
        let node = &network.nodes()[index];
        let input = |&source: &Source| -> &ArrayRef2<T> { if source == edge[0] { &value } else { base.value(source) } };
        let inputs: Vec<&ArrayRef2<T>> = node.inputs.iter().map(input).collect();
        let mut next = Array2::zeros((value.nrows(), node.width));
        node.op.forward(&inputs, &mut next)?;
        (last, value) = (index, next);
    }
    Ok((last, value))
}

fn trace<T: Scalar>(network: &Network<T>, x: &ArrayRef2<T>, call: u64) -> Explained<Trace<T>, Error> {
    let trace = network.trace(x).map_err(|error| Failure::Model { call, error })?;
    finite(trace.value(network.output()), call)?;
    Ok(trace)
}

fn metric<T: Scalar>(outputs: &ArrayRef2<T>, target: &dyn Target<T>) -> Array1<T> {
    outputs.rows().into_iter().enumerate().map(|(row, z)| target.value(row, &z.to_vec())).collect()
}

fn finite<T: Scalar>(outputs: &ArrayRef2<T>, call: u64) -> Explained<(), Error> {
    match check_finite("output", outputs) {
        Err(Error::NotFinite { index, .. }) => {
            let columns = outputs.ncols().max(1);
            Err(Failure::NotFinite { what: "output", call, row: index / columns, column: index % columns })
        }
        checked => Ok(checked?),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ActivationPatching;
    use super::*;
    use crate::attribution::layer::testing::smooth;
    use crate::attribution::network::Op;
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use alloc::vec;
    use ndarray::array;

    /// `a = relu(x)`, `b = a²`, `z = a + b + a`.
    fn branching() -> (Network<f64>, [Source; 3]) {
        let mut model = Network::new(1);
        let a = model.node(Op::Activation(Activation::Relu), &[Source::Input]).unwrap();
        let b = model.node(Op::Multiply, &[a, a]).unwrap();
        let z = model.node(Op::Add, &[a, b, a]).unwrap();
        (model, [a, b, z])
    }

    #[test]
    fn edges_and_paths_by_hand() {
        let (mut model, [a, b, z]) = branching();
        let (clean, corrupted) = (array![[3.0], [1.0]], array![[5.0], [2.0]]);
        let paths =
            vec![vec![a, z], vec![a, b], vec![a, b, z], vec![Source::Input, a], vec![Source::Input, a, z], vec![b, z]];
        let patching = PathPatching { paths, direction: PatchDirection::Noising };
        let found = patching.run(&mut model, &clean, &corrupted, &Logit::of(0)).unwrap();
        // 2a + a² is 15 and 3 in the clean run, 35 and 8 in the corrupted one
        assert_eq!((found.base_metric, found.source_metric), (array![15.0, 3.0], array![35.0, 8.0]));
        assert_eq!(found.effect, array![[4.0, 16.0, 16.0, 20.0, 4.0, 16.0], [2.0, 3.0, 3.0, 5.0, 2.0, 3.0]]);
        assert_eq!(found.evaluations.forward, 16);
        let edges = PathPatching::edges(&model, PatchDirection::Denoising);
        assert_eq!(edges.paths, [vec![Source::Input, a], vec![a, b], vec![a, z], vec![b, z]]);
        let found = edges.run(&mut model, &clean, &corrupted, &Logit::of(0)).unwrap();
        assert_eq!(found.effect.row(0), array![-20.0, -16.0, -4.0, -16.0]);
    }

    #[test]
    fn in_a_chain_an_edge_is_the_whole_layer() {
        let (mut model, x) = smooth();
        let other = x.mapv(|x| 0.3 - x);
        let paths = vec![vec![Source::Node(1), Source::Node(2)]];
        let path = PathPatching { paths, direction: PatchDirection::Noising };
        let path = path.run(&mut model, &x, &other, &Logit::of(0)).unwrap();
        let whole =
            ActivationPatching { groups: Some(vec![0; 5]), ..ActivationPatching::at(1, PatchDirection::Noising) };
        let whole = whole.run(&mut model, &x, &other, &Logit::of(0)).unwrap();
        assert!(path.effect.iter().zip(&whole.effect).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn a_path_that_is_none_is_named() {
        let (mut model, [a, b, z]) = branching();
        let x = array![[1.0]];
        for bad in
            [vec![a], vec![], vec![b, a], vec![a, Source::Input], vec![a, Source::Node(7)], vec![Source::Input, z]]
        {
            let patching = PathPatching { paths: vec![vec![a, z], bad], direction: PatchDirection::Noising };
            let found = patching.run(&mut model, &x, &x, &Logit::of(0));
            assert!(matches!(found, Err(Failure::Input(Error::OutOfRange { what: "path", index: 1, .. }))));
        }
        let patching = PathPatching { paths: vec![], direction: PatchDirection::Noising };
        assert_eq!(patching.run(&mut model, &x, &x, &Logit::of(0)).unwrap().effect.dim(), (1, 0));
        let huge = array![[f64::MAX]];
        let failed = patching.run(&mut model, &x, &huge, &Logit::of(0));
        assert!(matches!(failed, Err(Failure::NotFinite { what: "output", call: 1, row: 0, column: 0 })));
    }
}
