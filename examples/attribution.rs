//! Six attribution methods side by side on digits of seven segments, with the answer known: why an 8, and not a 0? For the
//! bar in the middle. A classifier is trained on the spot. About 5 s on two cores.

#[path = "attribution_support/mod.rs"]
mod attribution_support;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::attribution::faithfulness::{Comparison, Judging, Sensitivity, judge_side_by_side};
use limpid::attribution::gradient::{InputXGradient, IntegratedGradients, Saliency};
use limpid::attribution::perturbation::{Occlusion, Removal, Sampling, Shapley, Summary};
use limpid::attribution::rules::DeepLift;
use limpid::attribution::target::ContrastLogitDifference;
use limpid::attribution::{Explainer, Failure, Forward, Network};
use limpid::math::directions::largest;
use limpid::{Error, Seed};
use ndarray::{Array2, Axis};

use attribution_support::digits::{CLASSES, Digits, PAIRS, SIDE};
use attribution_support::show::Questions;
use attribution_support::train::train;
use support::{cli::Options, report::Report};

const ABOUT: &str = "a classifier of seven-segment digits is trained on the spot and asked why an image shows this digit and\n\
not another that lacks one segment of it. Six methods answer, and are judged: by the segment, which is known, and by what\n\
the classifier does when pixels are taken away. About 5 s on two cores.";

/// Images of streams that training does not reach.
const HELD_OUT: u64 = 1 << 40;

fn main() -> ExitCode {
    support::run("attribution", ABOUT, (1, 600), experiment)
}

fn experiment(options: &Options) -> Result<Report, Failure<Error>> {
    let seed = Seed(options.seed);
    let mut model = train(options.steps, seed)?;
    let accuracy = accuracy(&mut model, seed)?;
    let count = PAIRS.len() * if options.quick { 2 } else { 6 };
    let questions = Questions::draw(count, seed, 2 * HELD_OUT);
    let found = explain(&mut model, &questions, seed)?;

    let mut report = Report::new("Why this digit and not that one?", &options.out);
    report.figure(
        questions.figure(&found, PAIRS.len()),
        "Images, with the segment by which the two digits differ in blue, and what six methods say speaks for the first \
         digit (red) and against it (blue), each scaled to its strongest pixel. Saliency has no sign.",
    );
    let head: Vec<&str> = ["mean over the images"].into_iter().chain(found.names.iter().map(String::as_str)).collect();
    report.table("how faithful", &head, questions.table(&found)?);
    report.say(&found);
    report.at_least("accuracy of the classifier on new images", accuracy, 0.97);
    check(&mut report, &questions, &found)?;
    Ok(report)
}

fn accuracy(model: &mut Network<f32>, seed: Seed) -> Result<f64, Error> {
    let wanted: Vec<usize> = (0..CLASSES).cycle().take(1000).collect();
    let (x, mut z) = (Digits::draw(&wanted, seed, HELD_OUT).pixels, Array2::zeros((1000, CLASSES)));
    model.forward(&x, &mut z)?;
    let hits = z.rows().into_iter().zip(&wanted).filter(|(z, wanted)| largest(z.view()).0 == **wanted);
    Ok(hits.count() as f64 / 1000.0)
}

fn explain(model: &mut Network<f32>, asked: &Questions, seed: Seed) -> Result<Comparison<f32>, Failure<Error>> {
    let (saliency, integrated, deep_lift) = (Saliency::default(), IntegratedGradients::default(), DeepLift::default());
    let side = vec![SIDE, SIDE];
    let occlusion = Occlusion { input_shape: side, window: vec![2, 2], ..Occlusion::default() };
    let sampling = Sampling { budget: 4096, seed, ..Sampling::default() };
    let shapley = Shapley { sampling, ..Shapley::default() }.by_removal(Removal::default());
    let methods: [(&str, &dyn Explainer<f32, Network<f32>>); 6] = [
        ("saliency", &saliency),
        ("input x gradient", &InputXGradient),
        ("integrated gradients", &integrated),
        ("DeepLIFT", &deep_lift),
        ("occlusion 2 x 2", &occlusion),
        ("Shapley", &shapley),
    ];
    let target = ContrastLogitDifference::of(asked.asked.clone(), asked.other.clone());
    let judging = Judging { sensitivity: Some(Sensitivity::default()), top: 10, seed, ..Judging::default() };
    judge_side_by_side(&methods, model, &asked.images.pixels, &target, &judging)
}

fn check(report: &mut Report, questions: &Questions, found: &Comparison<f32>) -> Result<(), Error> {
    let random = found.judged[0].report.reference.as_ref().map(|orders| &orders.random_comprehensiveness);
    let random = random.and_then(|random| random.mean()).unwrap_or(f64::NAN);
    let even = questions.answer.iter().filter(|&&inside| inside).count() as f64 / questions.answer.len() as f64;
    for (name, judged) in found.names.iter().zip(&found.judged) {
        let comprehensiveness =
            judged.report.erasure.comprehensiveness.mean_axis(Axis(0)).map_or(0.0, |x| x.into_scalar());
        report.at_least(
            &format!("{name}: comprehensiveness over that of random orders"),
            comprehensiveness / random,
            1.2,
        );
        let [mass, ..] = questions.localisation(judged)?;
        report.at_least(&format!("{name}: relevance on the segment over an even spread"), mass / even, 2.0);
    }
    for (name, bar) in [("integrated gradients", 0.05), ("DeepLIFT", 1e-4), ("Shapley", 1e-4)] {
        let judged = found.names.iter().position(|other| other == name).map(|at| &found.judged[at]);
        let gaps = judged.and_then(|judged| judged.attribution.delta.as_ref());
        let worst = gaps.map_or(f64::NAN, |gaps| gaps.iter().fold(0.0, |worst, gap| gap.abs().max(worst)).into());
        report.at_most(&format!("{name}: largest completeness gap"), worst, bar);
    }
    Ok(())
}
