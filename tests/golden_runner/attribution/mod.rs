//! Golden cases of the attribution area, by family.

mod circuits;
mod faithfulness;
mod gradient;
mod network;
mod perturbation;
mod targets;

use limpid::Scalar;

use super::Answer;
use super::case::Given;

/// Runs one primitive of the area.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let families =
        [circuits::run::<T>, faithfulness::run::<T>, gradient::run::<T>, perturbation::run::<T>, targets::run::<T>];
    families
        .iter()
        .find_map(|family| family(name, given))
        .unwrap_or_else(|| Err(format!("unknown primitive attribution/{name}")))
}
