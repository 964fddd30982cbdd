//! Scores of all estimators for one task.

use limpid::influence::estimators::{
    Checkpoint, Complement, ConjugateGradient, Damped, DualFisher, Factored, FisherOperator, Lanczos, Lissa,
    LissaDamping, LissaScale, LoGra, LoGraInit, Margins, Projection, Similarity, TrackStar, Trak, datainf, gradients,
    similarity, solution_scores, tracin,
};
use limpid::influence::{Curvature, Damping, LayerRows, QuerySettings, Spectral, Strategy};
use ndarray::Array2;

use super::Outcome;
use super::model::{Data, Model, RATE, Rows};
use super::retrain::Task;

/// Dimensions that TRAK projects to, and those of a side of LoGra.
const DIMENSIONS: usize = 48;
const SIDE: usize = 4;

/// Scores `(queries, examples)` by name.
pub struct Estimates {
    pub scores: Vec<(&'static str, Array2<f64>)>,
}

impl Estimates {
    pub fn of(task: &Task) -> Outcome<Self> {
        let (train, query) = (Rows::of_losses(&task.model, &task.train)?, Rows::of_losses(&task.model, &task.query)?);
        let fit = Rows::of_fisher(&task.model, &task.train.x)?;
        let (train, query, fit) = (train.layers()?, query.layers()?, fit.layers()?);
        let mut scores = factored(task, &fit, &train, &query)?;
        scores.extend(operators(task, &fit, &train, &query)?);
        scores.push(("DataInf", datainf(&train, &query, Damping::Absolute(task.ridge))?.scores()));
        scores.push(("TracIn", traced(task)?));
        scores.push(("TRAK, 1 model", trak(task, &[&task.model])?));
        scores.push(("TRAK, 5 halves", trak(task, &task.halves.iter().collect::<Vec<_>>())?));
        let damping = Damping::Absolute(task.ridge);
        let projection = Projection::new(SIDE, task.seed);
        for (name, init) in [
            ("LoGra, random", LoGraInit::Random(projection)),
            ("LoGra, principal", LoGraInit::PrincipalComponents { rank: SIDE }),
        ] {
            scores.push((name, LoGra::fit(&fit, init, damping)?.scores(&query, &train)?));
        }
        let star = TrackStar::new(projection).embed(&train, &query, None)?.scores()?;
        scores.push(("TrackStar", star.mapv(|score| score.unwrap_or(0.0))));
        let last = |data: &Data| Ok::<_, limpid::Error>(task.model.trace(&data.x)?.inputs.pop().unwrap_or_default());
        let alike = similarity(&last(&task.query)?, &last(&task.train)?, Similarity::Cosine)?;
        scores.push(("similarity", alike.mapv(|score| score.unwrap_or(0.0))));
        Ok(Self { scores })
    }

    pub fn get(&self, name: &str) -> Option<&Array2<f64>> {
        self.scores.iter().find(|(other, _)| *other == name).map(|(_, scores)| scores)
    }

    /// Largest difference of two estimators, relative to the largest score; NaN where one is not there.
    pub fn difference(&self, one: &str, other: &str) -> f64 {
        let largest = |x: &Array2<f64>| x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        match (self.get(one), self.get(other)) {
            (Some(one), Some(other)) => largest(&(one - other)) / largest(one),
            _ => f64::NAN,
        }
    }
}

type Scores = Outcome<Vec<(&'static str, Array2<f64>)>>;
type Layers<'a> = [LayerRows<'a, f64>];

/// Curvatures with one part per layer.
fn factored(task: &Task, fit: &Layers<'_>, train: &Layers<'_>, query: &Layers<'_>) -> Scores {
    let inverse = Spectral::DampedInverse(Damping::Absolute(task.ridge));
    let mut all = Vec::new();
    for (name, strategy) in [
        ("identity", Strategy::Identity),
        ("diagonal", Strategy::Diagonal),
        ("K-FAC", Strategy::Kfac),
        ("EK-FAC", Strategy::Ekfac),
    ] {
        let queries = Curvature::fit(strategy, fit)?.queries(&inverse, query, &QuerySettings::default())?;
        all.push((name, queries.scores(train)?));
    }
    Ok(all)
}

/// The exact Fisher matrix, and what approximates its inverse.
fn operators(task: &Task, fit: &Layers<'_>, train: &Layers<'_>, query: &Layers<'_>) -> Scores {
    let fisher = FisherOperator::new(fit)?;
    let right = gradients(query)?;
    let exact = DualFisher::new(fit, task.ridge)?.scores(query, train)?;
    let curvature = Curvature::fit(Strategy::Ekfac, fit)?;
    let inverse = Spectral::DampedInverse(Damping::Absolute(task.ridge));
    let parts = curvature.layers().iter().map(|layer| layer.preconditioner(&inverse));
    let ekfac = Factored::new(parts.collect::<Result<Vec<_>, _>>()?);
    let damped = Damped::new(fisher.clone(), task.ridge)?;
    let solved = ConjugateGradient::default().solve_rows(damped, ekfac, &right)?;
    let (damping, scale) = (LissaDamping::Added(task.ridge), LissaScale::Auto);
    let lissa = Lissa { damping, scale, steps: 100, batch: 30, repeats: 2, seed: task.seed };
    let mut series = Array2::zeros(right.dim());
    for (v, mut row) in right.rows().into_iter().zip(series.rows_mut()) {
        row.assign(&lissa.solve_stochastic(fisher.clone(), &v)?.x);
    }
    let largest = Lanczos { steps: 40, keep: 10, seed: task.seed }.run(fisher)?;
    Ok(vec![
        ("exact", exact),
        ("EK-FAC, then exact", solution_scores(&solved, train)?),
        ("LiSSA", solution_scores(&series, train)?),
        ("Lanczos", largest.scores(query, train, task.ridge, Complement::Dropped)?),
        ("Lanczos, complement", largest.scores(query, train, task.ridge, Complement::Kept)?),
    ])
}

/// `TracIn` at some checkpoints of the training.
fn traced(task: &Task) -> Outcome<Array2<f64>> {
    let rows =
        |data: &Data| task.checkpoints.iter().map(|model| Rows::of_losses(model, data)).collect::<Result<Vec<_>, _>>();
    let (train, query) = (rows(&task.train)?, rows(&task.query)?);
    let mut sum = None;
    for (train, query) in train.iter().zip(&query) {
        let (train, query) = (train.layers()?, query.layers()?);
        let scores = tracin(&[Checkpoint { learning_rate: RATE, train: &train, query: &query }])?;
        sum = Some(sum.map_or(scores.clone(), |sum: Array2<f64>| sum + scores));
    }
    sum.ok_or_else(|| "no checkpoint".into())
}

/// TRAK from projected gradients of the margin.
fn trak(task: &Task, models: &[&Model]) -> Outcome<Array2<f64>> {
    let mut trak = Trak::new(task.query.labels.len(), task.train.labels.len(), 1e-3)?;
    for (number, model) in models.iter().enumerate() {
        let projection = Projection::new(DIMENSIONS, task.seed.child(6, number as u64));
        let features = |data: &Data| {
            let trace = model.trace(&data.x)?;
            let margins = Margins::of(&trace.logits, &data.labels)?;
            let rows = Rows::new(&trace, model.backward(&trace, margins.gradient)?);
            Ok::<_, limpid::Error>((projection.gradients(&rows.layers()?)?, margins.weight))
        };
        let ((of_train, weight), (of_query, _)) = (features(&task.train)?, features(&task.query)?);
        trak.add(&of_train, &of_query, &weight)?;
    }
    trak.scores().ok_or_else(|| "no model".into())
}
