//! Dispatch of golden cases by primitive, and the comparison of what comes back.

mod attribution;
pub mod case;
mod explain;
mod influence;
mod sae;
mod sae_metrics;
mod sae_training;
mod superposition;
mod superposition_training;

use limpid::Scalar;

use case::{Case, Given, Outcome, Produced};

/// All failures of one case in the precision `T`.
pub fn run<T: Scalar>(primitive: &str, case: &Case, tolerance: (f64, f64)) -> Vec<String> {
    let given = Given::new(&case.given);
    let produced = match primitive.split_once('/') {
        Some(("attribution", name)) => attribution::run::<T>(name, &given),
        Some(("explain", name)) => explain::run::<T>(name, &given),
        Some(("influence", name)) => influence::run::<T>(name, &given),
        Some(("superposition", name)) => superposition::run::<T>(name, &given),
        Some(("sae", name)) => sae::run::<T>(name, &given),
        _ => Err(format!("unknown primitive {primitive}")),
    };
    let produced = match produced {
        Ok(produced) => produced,
        Err(error) => return vec![error],
    };
    let mut failures: Vec<String> = given.unused().map(|key| format!("unknown key {key} in given")).collect();
    for (key, expected) in &case.expect {
        match (produced.iter().find(|(name, _)| name == key), Outcome::parse(expected)) {
            (None, _) => failures.push(format!("unknown key {key} in expect")),
            (_, Err(error)) => failures.push(format!("{key}: {error}")),
            (Some((_, got)), Ok(expected)) => failures.extend(compare(key, got, &expected, tolerance)),
        }
    }
    failures
}

fn compare(key: &str, got: &Outcome, expected: &Outcome, tolerance: (f64, f64)) -> Option<String> {
    let (absolute, relative) = tolerance;
    let close = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= absolute + relative * y.abs();
    match (got, expected) {
        (Outcome::Undefined, Outcome::Undefined) => None,
        (Outcome::Flag(x), Outcome::Flag(y)) if x == y => None,
        (Outcome::Text(x), Outcome::Text(y)) if x == y => None,
        (Outcome::List(x), Outcome::List(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(i, (x, y))| compare(&format!("{key}[{i}]"), x, y, tolerance))
        }
        (Outcome::Object(x), Outcome::Object(y)) => y.iter().find_map(|(name, y)| match x.get(name) {
            Some(x) => compare(&format!("{key}.{name}"), x, y, tolerance),
            None => Some(format!("unknown key {name} in {key}")),
        }),
        (Outcome::Number(x), Outcome::Number(y)) if close(*x, *y) => None,
        (Outcome::Tensor(shape, x), Outcome::Tensor(other, y)) if shape == other => {
            let index = x.iter().zip(y).position(|(&x, &y)| !close(x, y))?;
            Some(format!("{key}[{index}]: got {:?}, expected {:?}", x[index], y[index]))
        }
        _ => Some(format!("{key}: got {got:?}, expected {expected:?}")),
    }
}

/// What a primitive gives back, key by key.
pub type Answer = Result<Produced, String>;
