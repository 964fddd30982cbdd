//! The page on a layer's MLP output weights: how the neurons share the residual stream.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use limpid::superposition::geometry::{feature_dimensionality, features_per_dimension};

use crate::Result;
use crate::bert::Bert;
use crate::look::{Look, check_folder, finish};
use crate::shape::{Shape, random_like};
use crate::support::figure::{Axis, Mark, chart, outline};
use crate::support::report::Report;

/// Bins of a histogram.
const BINS: usize = 60;
/// Neurons in a table.
const SHOWN: usize = 10;

/// Measures, prints, and writes the page to `out`; with captured activations, also what the neurons answer to.
///
/// # Errors
/// A model or file that is missing, damaged or foreign; a layer out of range; a folder that cannot be made.
pub fn geometry(folder: &Path, layer: usize, out: &Path, activations: Option<&PathBuf>) -> Result<ExitCode> {
    check_folder(out)?;
    let model = Bert::read(folder)?;
    let w = model.output_weights(layer)?;
    let (m, n) = w.dim();
    let mut look = activations.map(|file| Look::open(file, folder)).transpose()?;
    if let Some(look) = &mut look {
        look.check_origin(layer, n)?;
        look.read()?;
    }
    let real = Shape::of(&w)?;
    let random = Shape::of(&random_like(&w, &real.norms)?)?;
    let mut report = Report::new(&format!("Layer {layer}: {n} neurons write into {m} dimensions"), out);
    all_layers(&mut report, &model, layer)?;
    dimensionality_figure(&mut report, &real, &random, m as f64 / n as f64);
    interference_figure(&mut report, &real, &random);
    norm_figure(&mut report, &real, m as f64 / n as f64);
    summary(&mut report, &real, &random);
    neuron_tables(&mut report, &real, look.as_mut())?;
    finish(report, out)
}

/// Features per dimension of every layer, and how much of a dimension a neuron has.
fn all_layers(report: &mut Report, model: &Bert, chosen: usize) -> Result<()> {
    let (mut features, mut rows) = (Vec::new(), Vec::new());
    for layer in 0..model.config.layers {
        let w = model.output_weights(layer)?;
        let (each, shares) = (features_per_dimension(&w)?, feature_dimensionality(&w)?);
        features.push(each);
        let used = shares.sum() / w.nrows() as f64;
        let numbers = [each, shares.mean().unwrap_or(0.0), used].map(|x| format!("{x:.4}"));
        rows.push(std::iter::once(layer.to_string()).chain(numbers).collect());
    }
    let (d, neurons) = (model.config.hidden as f64, model.config.neurons as f64);
    let top = features.iter().fold(neurons / d, |top, &y| top.max(y)) * 1.1;
    let axes =
        (Axis::linear("layer", -0.7, features.len() as f64 - 0.3), Axis::linear("features per dimension", 0.0, top));
    let bar = |(x, &y): (f64, &f64)| [(x - 0.35, 0.0), (x - 0.35, y), (x + 0.35, y), (x + 0.35, 0.0)];
    let bars: Vec<_> = (0..).map(f64::from).zip(&features).flat_map(bar).collect();
    let here = bars.iter().skip(4 * chosen).take(4).copied().collect();
    let marks = [("output weights of each layer", Mark::Line(bars)), ("this layer", Mark::Line(here))];
    report.figure(
        chart(&axes.0, &axes.1, &marks, &[("neurons/dimension", neurons / d)]),
        "Features per dimension, ‖W‖² / dimensions, of each layer's MLP output weights. A neuron whose output vector has \
         length 1 counts as one feature; the line, neurons / dimensions, is what it would be if all had. After \"Geometry of \
         Superposition\" in Toy Models of Superposition (2022).",
    );
    report.table("layers", &["layer", "features per dimension", "mean D_i", "sum of D_i / dimensions"], rows);
    Ok(())
}

fn dimensionality_figure(report: &mut Report, real: &Shape, random: &Shape, even: f64) {
    let (a, b) = (real.dimensionality.to_vec(), random.dimensionality.to_vec());
    let most = a.iter().chain(&b).fold(even, |top, &d| top.max(d));
    let range = (0.0, (most * 1.05).min(1.0));
    let marks = [outline(&a, range, BINS), outline(&b, range, BINS)];
    let top = highest(&marks);
    let [a, b] = marks.map(Mark::Line);
    let marks = [
        ("trained weights", a),
        ("random vectors of the same norms", b),
        ("even share", Mark::Line(vec![(even, 0.0), (even, top)])),
    ];
    let axes =
        (Axis::linear("feature dimensionality D_i", range.0, range.1), Axis::linear("share of neurons", 0.0, top));
    report.figure(
        chart(&axes.0, &axes.1, &marks, &[]),
        "Histogram of the feature dimensionality D_i: how much of a dimension each neuron's output vector has to itself. 1 \
         is a dimension of its own, 1/2 half of an antipodal pair; the upright line is an even share, dimensions / \
         neurons. Left of the random vectors, neurons share directions that others use too.",
    );
}

fn interference_figure(report: &mut Report, real: &Shape, random: &Shape) {
    let reach = (real.coherence.max(random.coherence) * 1.05).clamp(f64::EPSILON, 1.0);
    let least = 0.5 / real.cosines.len().max(1) as f64;
    let floored = |values: &[f64]| {
        let bins = outline(values, (-reach, reach), BINS).into_iter();
        bins.map(|(x, share)| (x, share.max(least))).collect::<Vec<_>>()
    };
    let marks = [floored(&real.cosines), floored(&random.cosines)];
    let top = highest(&marks).max(least * 10.0);
    let [real, random] = marks.map(Mark::Line);
    let axes = (
        Axis::linear("cosine of two neurons' output vectors", -reach, reach),
        Axis::log("share of pairs", least, top * 1.5),
    );
    report.figure(
        chart(&axes.0, &axes.1, &[("trained weights", real), ("random vectors of the same norms", random)], &[]),
        "Interference: the cosine of every two neurons' output vectors, with shares on a logarithmic axis so that the few \
         pairs far out can be seen. At 0 two neurons do not disturb each other; at 1 they write the same, at -1 the \
         opposite.",
    );
}

fn norm_figure(report: &mut Report, real: &Shape, even: f64) {
    let points: Vec<_> = real.norms.iter().zip(&real.dimensionality).map(|(&x, &y)| (x, y)).collect();
    let (right, top) = points.iter().fold((0.0_f64, even), |(x, y), point| (x.max(point.0), y.max(point.1)));
    let axes = (
        Axis::linear("norm of the output vector", 0.0, right.max(f64::MIN_POSITIVE) * 1.05),
        Axis::linear("feature dimensionality D_i", 0.0, (top * 1.05).min(1.05)),
    );
    report.figure(
        chart(&axes.0, &axes.1, &[("neuron", Mark::Points(points))], &[("even share", even)]),
        "Norm and dimensionality of each neuron. A long vector outweighs what others write in its \
         direction. The tables below call a neuron the more polysemantic the smaller its D_i, which is its capacity in \
         Polysemanticity and Capacity in Neural Networks (2022); \"dimensions written to\" is a participation ratio, 1 for \
         a vector along one axis.",
    );
}

fn summary(report: &mut Report, real: &Shape, random: &Shape) {
    let row = |name: &str, shape: &Shape| -> Vec<String> {
        let order = shape.by_dimensionality();
        let at = |rank: usize| order.get(rank).map_or(0.0, |&i| shape.dimensionality[i]);
        let numbers = [
            shape.per_dimension,
            shape.dimensionality.mean().unwrap_or(0.0),
            at(order.len() / 2),
            at(0),
            at(order.len().saturating_sub(1)),
            shape.root_mean_square_cosine(),
            shape.coherence,
        ];
        std::iter::once(name.to_owned()).chain(numbers.iter().map(|x| format!("{x:.4}"))).collect()
    };
    let head = [
        "weights",
        "features per dimension",
        "mean D_i",
        "median D_i",
        "least D_i",
        "most D_i",
        "rms cosine",
        "largest |cosine|",
    ];
    report.table("geometry", &head, vec![row("trained", real), row("random, same norms", random)]);
}

/// The neurons that have least and most of a dimension to themselves, with what excites them where that is known.
fn neuron_tables(report: &mut Report, shape: &Shape, mut look: Option<&mut Look>) -> Result<()> {
    let order = shape.by_dimensionality();
    let most: Vec<usize> = order.iter().take(SHOWN).copied().collect();
    let least: Vec<usize> = order.iter().rev().take(SHOWN).copied().collect();
    let mut head = vec!["neuron", "D_i", "norm", "dimensions written to", "closest neuron", "cosine"];
    head.extend(look.is_some().then_some("answers most to"));
    for (name, chosen) in [("most polysemantic neurons", &most), ("least polysemantic neurons", &least)] {
        let mut rows = Vec::new();
        for &i in chosen {
            let (other, cosine) = shape.closest[i];
            let [d, norm, cosine] = [shape.dimensionality[i], shape.norms[i], cosine].map(|x| format!("{x:.4}"));
            let mut row = vec![i.to_string(), d, norm, format!("{:.1}", shape.spread[i]), other.to_string(), cosine];
            if let Some(look) = &mut look {
                row.push(look.words(i)?);
            }
            rows.push(row);
        }
        report.table(name, &head, rows);
    }
    match look {
        Some(look) => look.tables(report, &[&most[..most.len().min(5)], &least[..least.len().min(5)]].concat()),
        None => Ok(()),
    }
}

fn highest(outlines: &[Vec<(f64, f64)>]) -> f64 {
    outlines.iter().flatten().fold(0.0_f64, |top, &(_, share)| top.max(share)) * 1.05
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_puts_its_ends_into_the_outer_bins() {
        let outline = outline(&[0.0, 1.0, 1.0, 0.5], (0.0, 1.0), BINS);
        assert_eq!((outline.len(), outline[0], outline[2 * BINS - 1]), (2 * BINS, (0.0, 0.25), (1.0, 0.5)));
        assert_eq!(outline.iter().map(|point| point.1).sum::<f64>(), 2.0);
    }
}
