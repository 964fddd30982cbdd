//! One feature made sparser or denser: a pentagon gives way to two digons (Toy Models of Superposition, "Non-Uniform
//! Superposition"). About 5 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::canonical_2d;
use limpid::superposition::geometry::polytope::{cross_polytope, polygon};
use limpid::superposition::{
    Architecture, Data, FeatureDistribution, Joint, Problem, Start, ToyModel, Trained, Training, Value,
};
use ndarray::{Array1, Array2, array, concatenate};

use support::figure::{Axis, Curve, curves, vectors};
use support::training::{settings, train};
use support::{cli::Options, report::Report};

const ABOUT: &str = "five equal features in two dimensions; the density of one is varied around 0.05: exact expected loss of the\n\
pentagon and of two digons, and where they cross (figure of the section \"Perturbing a Single Feature\" of Toy\n\
Models of Superposition). About 5 s on two cores.";

fn main() -> ExitCode {
    support::run("perturb", ABOUT, (1, 800), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("One feature perturbed: pentagon or two digons", &options.out);
    let ratios: Vec<f64> = (0..49).map(|i| 10.0_f64.powf(-1.0 + 1.5 * f64::from(i) / 48.0)).collect();
    let densities = ratios.iter().map(|ratio| array![0.05 * ratio, 0.05, 0.05, 0.05, 0.05]).collect();
    let branches = Branches::follow(options, densities, "one feature varied")?;
    draw(&mut report, &ratios, &branches)?;
    let at = branches.crossing(&ratios);
    report.within("density ratio at which both are equal", at, &(0.2589..=0.2789));
    let common: Vec<f64> = (0..21).map(|i| 0.19 + 0.0035 * f64::from(i)).collect();
    let densities = common.iter().map(|&p| Array1::from_elem(5, p)).collect();
    let at = Branches::follow(options, densities, "all features")?.crossing(&common);
    report.within("common density at which both are equal", at, &(0.2239..=0.2259));
    Ok(report)
}

fn draw(report: &mut Report, ratios: &[f64], branches: &Branches) -> limpid::Result<()> {
    let curve = |losses: &[Option<f64>]| -> Curve {
        ratios.iter().zip(losses).filter_map(|(&ratio, &loss)| Some((ratio, loss?))).collect()
    };
    let (pentagon, digons) = (branches.losses(true), branches.losses(false));
    let both = vec![("pentagon", curve(&pentagon)), ("two digons", curve(&digons))];
    let x = Axis::log("density of the varied feature / 0.05", 0.095, 3.3);
    let y = Axis::fitted("expected loss", both.iter().flat_map(|(_, curve)| curve).map(|&(_, loss)| loss));
    report.figure(
        curves(&x, &y, both, &[]),
        "Figure of \"Perturbing a Single Feature\": exact loss of both solutions over the density of one feature, each as \
         far as the descent stays with it.",
    );
    let panel = |i: usize| Ok((format!("ratio {:.2}", ratios[i]), canonical_2d(&branches.better(i).model.weight)?));
    let panels = [0, 10, 16, 24, 32, 40, 48].into_iter().map(panel).collect::<limpid::Result<Vec<_>>>()?;
    report.figure(
        vectors(&panels, &array![1.0, 0.2, 0.2, 0.2, 0.2], 7),
        "Figure of \"Perturbing a Single Feature\": the better solution; the varied feature is dark.",
    );
    let cell = |loss: Option<f64>| loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.6}"));
    let rows = (0..ratios.len()).step_by(4);
    let rows = rows.map(|i| vec![format!("{:.3}", ratios[i]), cell(pentagon[i]), cell(digons[i])]).collect();
    report.table("losses", &["ratio", "pentagon", "two digons"], rows);
    Ok(())
}

/// Two solutions, each followed to its own minimum at every density.
struct Branches {
    pentagon: Vec<Trained<f64>>,
    digons: Vec<Trained<f64>>,
}

impl Branches {
    fn follow(options: &Options, densities: Vec<Array1<f64>>, what: &str) -> limpid::Result<Self> {
        let settings = Training { steps: options.steps.max(600), ..settings(options, 0.01) };
        let branch = |w: Array2<f64>, b: f64| -> limpid::Result<Vec<Trained<f64>>> {
            let model = ToyModel::new(Architecture::ReluOutput, w, Array1::from_elem(5, b))?;
            let problem = |p: &Array1<f64>| {
                let law = FeatureDistribution::new(p.clone(), Value::Uniform, Joint::Independent)?;
                let start = Start::Model { model: model.clone(), noise: 0.0 };
                Ok(Problem { data: Data::Expected(law.clone()), start, ..Problem::new(2, Array1::ones(5), law) })
            };
            train(&densities.iter().map(problem).collect::<limpid::Result<Vec<_>>>()?, &settings, what)
        };
        let digons = concatenate![ndarray::Axis(1), Array2::zeros((2, 1)), cross_polytope::<f64>(2)];
        Ok(Self { pentagon: branch(polygon(5) * 1.1, -0.2)?, digons: branch(digons, 0.01)? })
    }

    /// Losses of a branch where it is a solution of its own: far out it loses its stability and turns into the other.
    fn losses(&self, pentagon: bool) -> Vec<Option<f64>> {
        let branch = if pentagon { &self.pentagon } else { &self.digons };
        let represented = |model: &Trained<f64>| model.model.weight.column(0).iter().any(|x| x.abs() > 0.3);
        branch.iter().map(|model| (represented(model) == pentagon).then_some(model.evaluation.loss)).collect()
    }

    fn better(&self, i: usize) -> &Trained<f64> {
        let (a, b) = (&self.pentagon[i], &self.digons[i]);
        if a.evaluation.loss < b.evaluation.loss { a } else { b }
    }

    /// Where the losses cross, by linear interpolation; NaN where they do not.
    fn crossing(&self, x: &[f64]) -> f64 {
        let gaps: Vec<Option<f64>> = (self.losses(true).into_iter().zip(self.losses(false)))
            .map(|(pentagon, digons)| Some(pentagon? - digons?))
            .collect();
        let at = (1..x.len()).find_map(|i| match (gaps[i - 1], gaps[i]) {
            (Some(a), Some(b)) if a * b < 0.0 => Some(x[i - 1] + (x[i] - x[i - 1]) * a / (a - b)),
            _ => None,
        });
        at.unwrap_or(f64::NAN)
    }
}
