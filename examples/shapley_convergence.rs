//! What an evaluation of the model buys: Shapley values and integrated gradients against their exact values, and how often the
//! 95 % intervals hold the truth. About 40 s on two cores.

#[path = "shapley_convergence_support/mod.rs"]
mod shapley_convergence_support;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::math::pointwise::Activation;

use shapley_convergence_support::Outcome;
use shapley_convergence_support::games::{Known, network, synergies, vote};
use shapley_convergence_support::integrals::{Integrals, RULES};
use shapley_convergence_support::methods::Method;
use shapley_convergence_support::show::{best, figure, table};
use support::figure::Curve;
use support::{cli::Options, report::Report, report::number};

const ABOUT: &str = "games of 12 to 14 players whose Shapley values are known, and networks whose integrated gradients are:\n\
error against the number of evaluations for every estimator, beside plain sampling, plain weighted least squares and\n\
the rules of Captum; and how often the reported 95 % intervals hold the truth. About 40 s on two cores.";

const BUDGETS: [u64; 5] = [128, 256, 512, 1024, 2048];
const STEPS: [usize; 8] = [4, 8, 16, 32, 64, 128, 256, 512];
const TOLERANCES: [f64; 7] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8];
/// Coalitions behind an interval.
const INTERVAL_BUDGET: u64 = 1024;

fn main() -> ExitCode {
    support::run("shapley_convergence", ABOUT, (1, 200), experiment)
}

fn experiment(options: &Options) -> Outcome<Report> {
    let seed = Seed(options.seed);
    let mut report = Report::new("Error against evaluations", &options.out);
    let games = [network(seed)?, vote(seed)?, synergies(seed)?];
    for (game, bar) in games.iter().zip([0.5, 1.0, 0.5]) {
        errors(&mut report, game, options.steps as u64, bar)?;
    }
    coverage(&mut report, &games, 2 * options.steps as u64)?;
    integrals(&mut report, Integrals::new("smooth network", Activation::Tanh, seed)?)?;
    integrals(&mut report, Integrals::new("network of rectifiers", Activation::Relu, seed)?)?;
    Ok(report)
}

/// Root mean square errors of all methods at all budgets.
fn errors(report: &mut Report, game: &Known, repeats: u64, bar: f64) -> Outcome<()> {
    let mut series = Vec::new();
    for method in Method::ALL {
        let point = |&budget: &u64| Ok((budget as f64, method.error(game, budget, repeats)?));
        series.push((method.name(), BUDGETS.iter().map(point).collect::<Outcome<Curve>>()?));
    }
    let title = format!("{} of {} players", game.name, game.players());
    table(report, &title, "coalitions", &series);
    let (plain, ours) = series.split_at(2);
    report.at_most(&format!("{title}: best error at 2048, over the better plain one"), best(ours) / best(plain), bar);
    let caption =
        format!("The {title}: root mean square error of a Shapley value against coalitions that were asked for.");
    figure(report, "coalitions", &caption, series);
    Ok(())
}

/// Shares of intervals that hold the truth. In the vote most players matter in few units, and nobody can tell from none or one
/// how often that is: it is shown, and not checked.
fn coverage(report: &mut Report, games: &[Known], repeats: u64) -> Outcome<()> {
    let mut rows = Vec::new();
    for method in Method::ALL {
        let mut row = vec![method.name().to_owned()];
        for game in games {
            let share = method.coverage(game, INTERVAL_BUDGET, repeats)?;
            row.push(share.map_or("-".to_owned(), number));
            if let Some(share) = share.filter(|_| game.name != "vote") {
                report.within(&format!("{}, {}: coverage", game.name, method.name()), share, &(0.93..=0.97));
            }
        }
        rows.push(row);
    }
    let head: Vec<&str> = ["intervals of"].into_iter().chain(games.iter().map(|game| game.name)).collect();
    report.table("coverage of 95 % intervals", &head, rows);
    Ok(())
}

fn integrals(report: &mut Report, mut integrals: Integrals) -> Outcome<()> {
    let mut series = Vec::new();
    for (name, rule) in RULES {
        series.push((name, integrals.rule(rule, &STEPS)?));
    }
    let name = integrals.name;
    table(report, name, "steps", &series);
    let adaptive = integrals.adaptive(&TOLERANCES)?;
    let rows = TOLERANCES.iter().zip(&adaptive);
    let rows = rows.map(|(tolerance, point)| [*tolerance, point.0, point.1].map(number).to_vec()).collect();
    report.table(&format!("{name} to a tolerance"), &["tolerance", "evaluations", "error"], rows);
    let kept = TOLERANCES.iter().zip(&adaptive).all(|(tolerance, point)| point.1 <= *tolerance);
    report.claim(&format!("{name}: every tolerance is kept"), kept);
    report.at_most(&format!("{name}: evaluations for an error of 1e-4"), adaptive[3].0, 200.0);
    let gain = best(&series[..4]) / adaptive[3].1;
    report.at_least(&format!("{name}: error of the best sum of 512 steps over ours at 1e-4"), gain, 1000.0);
    series.push(("to a tolerance", adaptive));
    let caption = format!("The {name}: sum of the errors of integrated gradients against evaluations of the gradient.");
    figure(report, "evaluations", &caption, series);
    Ok(())
}
