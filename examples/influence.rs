//! Influence against retraining: what every estimator predicts of leaving one example out, and of training on half of the
//! data. About 20 s on two cores.

#[path = "influence_support/mod.rs"]
mod influence_support;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::influence::evaluate::{Measured, leave_one_out_agreement, linear_datamodeling_score};
use limpid::math::curves::mean;

use influence_support::{Outcome, estimate::Estimates, retrain::Task};
use support::figure::{Axis, Mark, chart};
use support::{cli::Options, report::Report, report::number};

const ABOUT: &str = "a logistic regression and a network with one hidden layer on small data: the loss of queries after\n\
training again without each example, and on random halves of the data, against what every estimator of influence\n\
predicts. About 20 s on two cores.";

fn main() -> ExitCode {
    support::run("influence", ABOUT, (1, 600), experiment)
}

fn experiment(options: &Options) -> Outcome<Report> {
    let mut report = Report::new("Influence against retraining", &options.out);
    let subsets = if options.quick { 60 } else { 200 };
    let convex = Task::new("logistic regression", &[], 0.02, options, subsets)?;
    let deep = Task::new("network", &[16], 0.02, options, subsets)?;
    let found = [task(&mut report, &convex)?, task(&mut report, &deep)?];
    let rows = found[0].iter().zip(&found[1]).map(|(convex, deep)| {
        let numbers = [convex.lds, convex.interval.0, convex.interval.1, convex.loo, deep.lds, deep.loo];
        [convex.name.to_owned()].into_iter().chain(numbers.map(number)).collect()
    });
    let head = ["estimator", "regression LDS", "from", "to", "leave one out", "network LDS", "leave one out"];
    report.table("agreement with retraining", &head, rows.collect());
    let lds = |of: usize, name: &str| found[of].iter().find(|found| found.name == name).map_or(f64::NAN, |f| f.lds);
    report.at_least("regression: LDS of the exact Fisher matrix", lds(0, "exact"), 0.94);
    report.at_least("regression: LDS of EK-FAC", lds(0, "EK-FAC"), 0.94);
    report.at_least(
        "network: LDS of the exact Fisher matrix over that of plain products",
        lds(1, "exact") - lds(1, "identity"),
        0.0,
    );
    Ok(report)
}

/// What an estimator is worth.
struct Worth {
    name: &'static str,
    lds: f64,
    interval: (f64, f64),
    loo: f64,
}

fn task(report: &mut Report, task: &Task) -> Outcome<Vec<Worth>> {
    let estimates = Estimates::of(task)?;
    let mut worth = Vec::new();
    for (name, scores) in &estimates.scores {
        let lds = linear_datamodeling_score(scores, &task.masks, &task.subset_losses, Measured::Loss)?;
        let interval = lds.interval(0.95, 999, task.seed)?.unwrap_or((f64::NAN, f64::NAN));
        let agreement = leave_one_out_agreement(scores, &task.changes)?;
        let loo = mean(agreement.iter().filter_map(|found| found.pearson)).unwrap_or(f64::NAN);
        worth.push(Worth { name, lds: lds.mean.unwrap_or(f64::NAN), interval, loo });
    }
    let difference = estimates.difference("exact", "EK-FAC, then exact");
    report.at_most(&format!("{}: EK-FAC-preconditioned solver against the dual", task.name), difference, 1e-6);
    figure(report, task, &estimates);
    Ok(worth)
}

/// Predicted and actual changes of all queries without each example.
fn figure(report: &mut Report, task: &Task, estimates: &Estimates) {
    let n = task.changes.ncols() as f64;
    let points = |name: &str| -> Vec<(f64, f64)> {
        let scores = estimates.get(name).into_iter().flat_map(|scores| scores.iter());
        scores.map(|s| s / n).zip(task.changes.iter().copied()).collect()
    };
    let (exact, ekfac) = (points("exact"), points("EK-FAC"));
    let all = || exact.iter().chain(&ekfac);
    let x = Axis::fitted("predicted change of the loss: score / N", all().map(|point| point.0));
    let y = Axis::fitted("change after training without the example", all().map(|point| point.1));
    let (low, high) = (x.low.max(y.low), x.high.min(y.high));
    let same = Mark::Line(vec![(low, low), (high, high)]);
    let marks = [("exact Fisher", Mark::Points(exact)), ("EK-FAC", Mark::Points(ekfac)), ("equal", same)];
    let caption = format!(
        "{}: predicted change of the loss of {} queries without each of {n} training examples, against training again.",
        task.name,
        task.changes.nrows()
    );
    report.figure(chart(&x, &y, &marks, &[]), &caption);
}
