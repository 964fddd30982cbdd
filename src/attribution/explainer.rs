//! What every method is: settings that can be run on a model.

use ndarray::ArrayRef2;

use super::failure::Explained;
use super::model::Forward;
use super::result::Attribution;
use super::target::Target;
use crate::Scalar;

/// A method with its settings, for models of type `M`.
///
/// Rows are explained independently of each other, and the result depends neither on [`Batch`](super::Batch) nor on threads.
pub trait Explainer<T: Scalar, M: Forward<T> + ?Sized> {
    /// Explains the value of `target` for every row of `x: (b, n)`.
    ///
    /// # Errors
    /// [`Failure::Input`](super::Failure::Input) for empty or non-finite inputs and for settings out of range,
    /// [`Failure::Model`](super::Failure::Model) with the model's own error,
    /// [`Failure::NotFinite`](super::Failure::NotFinite) where the model gives NaN or infinity.
    fn attribute(&self, model: &mut M, x: &ArrayRef2<T>, target: &dyn Target<T>)
    -> Explained<Attribution<T>, M::Error>;

    /// Whether the settings hold something for each row of `x`, such as a baseline of its own.
    ///
    /// Where they do not, a wrapper may hand over rows several times in one call, and only some of them; the target knows
    /// which row is which.
    fn is_per_row(&self) -> bool {
        true
    }

    /// Whether the values are changes of the target per unit of the input, as gradients are; else they are parts of it.
    fn gives_slopes(&self) -> bool {
        false
    }
}
