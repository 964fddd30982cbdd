//! Golden cases of the estimators.

use limpid::Scalar;
use limpid::influence::estimators::{
    Checkpoint, Complement, ConjugateGradient, Damped, DualFisher, FisherOperator, Lanczos, Lissa, LissaDamping,
    LissaScale, Trak, datainf, gradients, solution_scores, tracin, tracin_self,
};
use limpid::influence::{Damping, LayerRows};
use ndarray::{Array1, Array2, Axis};
use serde_json::Value;

use super::layer::{self, Layer, layers, rows};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive, `None` where it belongs to another family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    let primitive = match name {
        "arnoldi" => arnoldi::<T>,
        "conjugate_gradient" => conjugate_gradient::<T>,
        "datainf" => data_inf::<T>,
        "exact_fisher_scores" => exact_fisher::<T>,
        "lissa" => lissa::<T>,
        "tracin" => checkpoints::<T>,
        "trak" => trak::<T>,
        _ => return None,
    };
    Some(primitive(given))
}

/// The damping of a case beside eigenvalues of this mean.
fn damping(given: &Given<'_>, mean: impl FnOnce() -> limpid::Result<f64>) -> Result<f64, String> {
    match layer::damping(given)? {
        Damping::Absolute(damping) => Ok(damping),
        Damping::RelativeMean(share) => Ok(share * text(mean())?),
        Damping::Factored(_) => Err("factored damping".to_owned()),
    }
}

/// An error of the library in words.
fn text<V>(result: limpid::Result<V>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}

fn arnoldi<T: Scalar>(given: &Given<'_>) -> Answer {
    let (train, query) = (layers::<T>(given, "train")?, layers::<T>(given, "query")?);
    let (train, query) = (rows(&train)?, rows(&query)?);
    let fisher = text(FisherOperator::new(&train))?;
    let lambda = damping(given, || fisher.mean_eigenvalue())?;
    let lanczos = Lanczos { steps: given.count("steps")?, keep: given.count("keep")?, ..Lanczos::default() };
    let found = text(lanczos.run_from(fisher, &given.array::<f64, ndarray::Ix1>("start")?))?;
    let complement = if given.flag("complement")? { Complement::Kept } else { Complement::Dropped };
    let scores = text(found.scores(&query, &train, lambda, complement))?;
    Ok(vec![("eigenvalues", Outcome::tensor(&found.values)), ("scores", Outcome::tensor(&scores))])
}

fn conjugate_gradient<T: Scalar>(given: &Given<'_>) -> Answer {
    if given.has("matrix") {
        let matrix = given.array::<T, ndarray::Ix2>("matrix")?.mapv(Scalar::as_f64);
        let right = given.array::<T, ndarray::Ix2>("right_hand_side")?.mapv(Scalar::as_f64);
        let cg = ConjugateGradient { tolerance: 0.0, max_iterations: given.count("iterations")? };
        let (mut solution, mut residual) = (Array2::zeros(right.dim()), Array1::zeros(right.nrows()));
        for (row, b) in right.rows().into_iter().enumerate() {
            let found = text(cg.solve(matrix.clone(), &b))?;
            let rest = &b - &matrix.dot(&found.x);
            residual[row] = rest.dot(&rest).sqrt();
            solution.index_axis_mut(Axis(0), row).assign(&found.x);
        }
        return Ok(vec![("solution", Outcome::tensor(&solution)), ("residual_norm", Outcome::tensor(&residual))]);
    }
    let (train, query) = (layers::<T>(given, "train")?, layers::<T>(given, "query")?);
    let (train, query) = (rows(&train)?, rows(&query)?);
    let fisher = text(FisherOperator::new(&train))?;
    let lambda = damping(given, || fisher.mean_eigenvalue())?;
    let right = text(gradients(&query))?;
    let plain = Array2::<f64>::eye(right.ncols());
    let cg = ConjugateGradient { tolerance: 1e-12, ..ConjugateGradient::default() };
    let solution = text(cg.solve_rows(text(Damped::new(fisher, lambda))?, plain, &right))?;
    let scores = text(solution_scores(&solution, &train))?;
    Ok(vec![("solution", Outcome::tensor(&solution)), ("scores", Outcome::tensor(&scores))])
}

fn data_inf<T: Scalar>(given: &Given<'_>) -> Answer {
    let (train, query) = (layers::<T>(given, "train")?, layers::<T>(given, "query")?);
    let found = text(datainf(&rows(&train)?, &rows(&query)?, layer::damping(given)?))?;
    Ok(vec![
        ("layer_scores", Outcome::tensor(&found.layer_scores)),
        ("scores", Outcome::tensor(&found.scores())),
        ("damping", Outcome::tensor(&Array1::from(found.damping))),
    ])
}

fn exact_fisher<T: Scalar>(given: &Given<'_>) -> Answer {
    let (train, query) = (layers::<T>(given, "train")?, layers::<T>(given, "query")?);
    let fit = layers::<T>(given, if given.has("fit") { "fit" } else { "train" })?;
    let (train, query, fit) = (rows(&train)?, rows(&query)?, rows(&fit)?);
    let fisher = text(FisherOperator::new(&fit))?;
    let lambda = damping(given, || fisher.mean_eigenvalue())?;
    let scores = text(text(DualFisher::new(&fit, lambda))?.scores(&query, &train))?;
    // the same by the operator: two ways, one answer
    let right = text(gradients(&query))?;
    let cg = ConjugateGradient { tolerance: 1e-12, ..ConjugateGradient::default() };
    let plain = Array2::<f64>::eye(right.ncols());
    let solved = text(cg.solve_rows(text(Damped::new(fisher, lambda))?, plain, &right))?;
    let primal = text(solution_scores(&solved, &train))?;
    if (&primal - &scores).iter().zip(&scores).any(|(e, s)| e.abs() > 1e-7 * (1.0 + s.abs())) {
        return Err(format!("the dual {scores} is not the primal {primal}"));
    }
    Ok(vec![("scores", Outcome::tensor(&scores)), ("damping", Outcome::Number(lambda))])
}

fn lissa<T: Scalar>(given: &Given<'_>) -> Answer {
    let (train, query) = (layers::<T>(given, "train")?, layers::<T>(given, "query")?);
    let (train, query) = (rows(&train)?, rows(&query)?);
    let example = |value: &Value| value.as_u64().and_then(|e| usize::try_from(e).ok()).ok_or("order of no counts");
    let batch = |value: &Value| value.as_array().ok_or("order of no lists")?.iter().map(example).collect();
    let order = given.list("order")?.iter().map(batch).collect::<Result<Vec<Vec<usize>>, &str>>()?;
    let fisher = text(FisherOperator::new(&train))?;
    let lambda = damping(given, || fisher.mean_eigenvalue())?;
    let (damping, scale) = (LissaDamping::Added(lambda), LissaScale::Fixed(given.number("scale")?));
    let settings = Lissa { damping, scale, ..Lissa::default() };
    let right = text(gradients(&query))?;
    let mut solution = Array2::zeros(right.dim());
    for (v, mut row) in right.rows().into_iter().zip(solution.rows_mut()) {
        row.assign(&text(settings.solve_batches(fisher.clone(), &v, &order))?.x);
    }
    let scores = text(solution_scores(&solution, &train))?;
    Ok(vec![("solution", Outcome::tensor(&solution)), ("scores", Outcome::tensor(&scores))])
}

/// Learning rate, rows of the training examples, rows of the queries.
type Loaded<T> = (f64, Vec<Layer<T>>, Vec<Layer<T>>);

fn checkpoints<T: Scalar>(given: &Given<'_>) -> Answer {
    let read = |value: &Value| -> Result<Loaded<T>, String> {
        let given = Given::new(value.as_object().ok_or("a checkpoint that is not an object")?);
        let (train, query) = (layers(&given, "train")?, layers(&given, "query")?);
        let rate = given.number("learning_rate")?;
        given.done().map(|()| (rate, train, query))
    };
    let loaded = given.list("checkpoints")?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    type Views<'a, T> = (f64, Vec<LayerRows<'a, T>>, Vec<LayerRows<'a, T>>);
    let views: Vec<Views<'_, T>> = loaded
        .iter()
        .map(|(rate, train, query)| Ok((*rate, rows(train)?, rows(query)?)))
        .collect::<Result<_, String>>()?;
    let checkpoints: Vec<Checkpoint<'_, '_, T>> =
        views.iter().map(|(rate, train, query)| Checkpoint { learning_rate: *rate, train, query }).collect();
    let (scores, own) = (text(tracin(&checkpoints))?, text(tracin_self(&checkpoints))?);
    Ok(vec![("scores", Outcome::tensor(&scores)), ("self_scores", Outcome::tensor(&own))])
}

fn trak<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut trak = None;
    for value in given.list("checkpoints")? {
        let checkpoint = Given::new(value.as_object().ok_or("a checkpoint that is not an object")?);
        let (features, query) = (checkpoint.array::<T, ndarray::Ix2>("features")?, checkpoint.array("query_features")?);
        if trak.is_none() {
            trak = Some(text(Trak::new(query.nrows(), features.nrows(), given.number("regularization")?))?);
        }
        let weights = checkpoint.array("weights")?;
        checkpoint.done()?;
        text(trak.as_mut().ok_or("no checkpoint")?.add(&features, &query, &weights))?;
    }
    let scores = trak.and_then(|trak| trak.scores()).ok_or("no checkpoint")?;
    Ok(vec![("scores", Outcome::tensor(&scores))])
}
