//! The values of all nodes of one run.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::{Node, Source};
use crate::Scalar;

/// The input and the value of every node, `(b, width)` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace<T> {
    input: Array2<T>,
    values: Vec<Array2<T>>,
}

impl<T: Scalar> Default for Trace<T> {
    fn default() -> Self {
        Self { input: Array2::zeros((0, 0)), values: Vec::new() }
    }
}

impl<T: Scalar> Trace<T> {
    /// The value of a source, `(b, width)`.
    ///
    /// # Panics
    /// For a node that is not of the network that was run.
    #[must_use]
    pub fn value(&self, source: Source) -> &Array2<T> {
        match source {
            Source::Input => &self.input,
            Source::Node(node) => &self.values[node],
        }
    }

    /// The values of several sources.
    pub(crate) fn inputs(&self, sources: &[Source]) -> Vec<&ArrayRef2<T>> {
        sources.iter().map(|&source| &**self.value(source)).collect()
    }

    /// Takes the input and makes room for the values of all nodes.
    pub(super) fn prepare(&mut self, x: &ArrayRef2<T>, nodes: &[Node<T>]) {
        if self.input.dim() == x.dim() {
            self.input.assign(x);
        } else {
            self.input = x.as_standard_layout().into_owned();
        }
        self.values.resize_with(nodes.len(), || Array2::zeros((0, 0)));
        for (value, node) in self.values.iter_mut().zip(nodes) {
            if value.dim() != (x.nrows(), node.width) {
                *value = Array2::zeros((x.nrows(), node.width));
            }
        }
    }

    pub(super) fn value_mut(&mut self, node: usize) -> &mut Array2<T> {
        &mut self.values[node]
    }

    /// The inputs of a node, and where its value goes.
    pub(super) fn split(&mut self, node: usize, sources: &[Source]) -> (Vec<&ArrayRef2<T>>, &mut Array2<T>) {
        let (before, rest) = self.values.split_at_mut(node);
        let input = &self.input;
        let value = |source: &Source| match *source {
            Source::Input => &**input,
            Source::Node(node) => &*before[node],
        };
        (sources.iter().map(value).collect(), &mut rest[0])
    }
}
