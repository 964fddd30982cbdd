//! Golden cases of simulators and self-reports.

use limpid::Scalar;

use crate::golden_runner::Answer;
use crate::golden_runner::case::Given;

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(_name: &str, _given: &Given<'_>) -> Option<Answer> {
    None
}
