//! Golden cases of the explanation area, by family.

mod collect;
#[cfg(feature = "formats")]
mod records;
mod score;
mod simulate;

use limpid::Scalar;

use super::Answer;
use super::case::Given;

/// Runs one primitive of the area.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let families = [collect::run::<T>, score::run::<T>, simulate::run::<T>];
    families
        .iter()
        .find_map(|family| family(name, given))
        .unwrap_or_else(|| Err(format!("unknown primitive explain/{name}")))
}
