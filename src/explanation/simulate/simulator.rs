//! The trait of everything that predicts activations from an explanation.

use alloc::string::String;

use super::simulation::Simulation;
use crate::Scalar;

/// Predicts what a neuron does, from an explanation of it.
///
/// A language model enters by an implementation of the caller, which asks with [`Asking`](super::Asking) and reads with
/// [`Digits`](super::Digits) or [`Completion`](super::Completion). The simulators here need no model; those that have seen
/// records of the neuron ignore the explanation, and say how far it takes to be better than them.
pub trait Simulator<T: Scalar> {
    /// What the simulator says when it cannot predict.
    type Error;

    /// Predictions for the `tokens: (t)` of a text.
    ///
    /// # Errors
    /// Whatever the simulator reports.
    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<T>, Self::Error>;
}

impl<T: Scalar, S: Simulator<T> + ?Sized> Simulator<T> for &mut S {
    type Error = S::Error;

    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<T>, Self::Error> {
        (**self).simulate(explanation, tokens)
    }
}
