//! Golden cases of the influence area, by family.

mod curvature;
mod estimators;
mod evaluate;
pub mod layer;
mod score;

use limpid::Scalar;

use super::Answer;
use super::case::Given;

/// Runs one primitive of the area.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let families = [curvature::run::<T>, estimators::run::<T>, evaluate::run::<T>, score::run::<T>];
    families
        .iter()
        .find_map(|family| family(name, given))
        .unwrap_or_else(|| Err(format!("unknown primitive influence/{name}")))
}
