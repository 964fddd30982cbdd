//! Golden cases of the attribution area, by family.

mod circuits;
mod faithfulness;
mod gradient;
mod judging;
mod layer;
mod network;
mod perturbation;
mod rules;
mod shapley;
mod targets;

use limpid::Scalar;

use super::Answer;
use super::case::Given;

/// Runs one primitive of the area.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let families = [
        circuits::run::<T>,
        gradient::run::<T>,
        judging::run::<T>,
        layer::run::<T>,
        perturbation::run::<T>,
        rules::run::<T>,
        shapley::run::<T>,
        targets::run::<T>,
    ];
    families
        .iter()
        .find_map(|family| family(name, given))
        .unwrap_or_else(|| Err(format!("unknown primitive attribution/{name}")))
}
