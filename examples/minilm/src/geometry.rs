//! Superposition geometry of a layer's MLP output weights: neurons are the features, the residual stream the dimensions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use limpid::Seed;
use limpid::math::random::fill_normal;
use limpid::superposition::geometry::{feature_dimensionality, feature_norms, features_per_dimension, interference};
use ndarray::{Array1, Array2};

use crate::Result;
use crate::bert::Bert;
use crate::look::look_into;
use crate::support::figure::{Axis, Mark, chart};
use crate::support::report::Report;

/// What is measured on one matrix.
struct Shape {
    dimensionality: Array1<f64>,
    norms: Array1<f64>,
    /// Largest `|cos|` of each neuron with another.
    closest: Vec<(usize, f64)>,
    cosines: Vec<f64>,
    per_dimension: f64,
}

impl Shape {
    fn of(w: &Array2<f64>) -> Result<Self> {
        let overlaps = interference(w)?;
        let norms = feature_norms(w)?;
        let cosine = |i: usize, j: usize| match norms[i] * norms[j] {
            both if both > 0.0 => overlaps.interference[[i, j]] / both,
            _ => 0.0,
        };
        let n = w.ncols();
        let larger = |best: (usize, f64), next: (usize, f64)| if next.1.abs() > best.1.abs() { next } else { best };
        let others = |i: usize| (0..n).filter(move |&j| j != i);
        let closest = (0..n).map(|i| others(i).map(|j| (j, cosine(i, j))).fold((i, 0.0), larger)).collect();
        let cosines = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| cosine(i, j)).collect();
        let dimensionality = feature_dimensionality(w)?;
        Ok(Self { dimensionality, closest, cosines, per_dimension: features_per_dimension(w)?, norms })
    }

    fn coherence(&self) -> f64 {
        self.closest.iter().fold(0.0, |most, &(_, c)| c.abs().max(most))
    }

    fn summary(&self, name: &str) -> Vec<String> {
        let d = sorted(&self.dimensionality.to_vec());
        let n = d.len().max(1) as f64;
        let mean_square = self.cosines.iter().map(|c| c * c).sum::<f64>() / self.cosines.len().max(1) as f64;
        let numbers = [
            self.per_dimension,
            d.iter().sum::<f64>() / n,
            d[d.len() / 2],
            d[0],
            d[d.len() - 1],
            mean_square.sqrt(),
            self.coherence(),
        ];
        std::iter::once(name.to_owned()).chain(numbers.iter().map(|x| format!("{x:.4}"))).collect()
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Share of `values` in each of `bins` equal bins, as the outline of a histogram.
fn histogram(values: &[f64], (low, high): (f64, f64), bins: usize) -> Vec<(f64, f64)> {
    let mut counts = vec![0_usize; bins];
    let width = (high - low) / bins as f64;
    for value in values {
        if let Some(bin) = (0..bins).rev().find(|&bin| *value >= low + bin as f64 * width) {
            counts[bin] += 1;
        }
    }
    let share = |count: usize| count as f64 / values.len().max(1) as f64;
    let step = |(bin, &count): (usize, &usize)| {
        let left = low + bin as f64 * width;
        [(left, share(count)), (left + width, share(count))]
    };
    counts.iter().enumerate().flat_map(step).collect()
}

fn two_histograms(real: &[f64], random: &[f64], name: &str, (low, high): (f64, f64)) -> String {
    let marks = [histogram(real, (low, high), 60), histogram(random, (low, high), 60)];
    let top = marks.iter().flatten().fold(0.0_f64, |top, &(_, share)| top.max(share));
    let [real, random] = marks.map(Mark::Line);
    let axes = (Axis::linear(name, low, high), Axis::linear("share", 0.0, top * 1.05));
    chart(&axes.0, &axes.1, &[("trained weights", real), ("random vectors of the same norms", random)], &[])
}

/// Gaussian columns with the norms of `w`.
fn random_like(w: &Array2<f64>, norms: &Array1<f64>) -> Result<Array2<f64>> {
    let mut values = vec![0.0; w.len()];
    fill_normal(&mut Seed(0).stream(0, 0), 1.0, &mut values);
    let mut random = Array2::from_shape_fn(w.dim(), |(i, j)| values[i * w.ncols() + j]);
    let lengths = feature_norms(&random)?;
    for ((mut column, &norm), &length) in random.columns_mut().into_iter().zip(norms).zip(&lengths) {
        column.mapv_inplace(|x| x * norm / length.max(f64::MIN_POSITIVE));
    }
    Ok(random)
}

/// Measures, prints, and writes the page to `out`; with captured activations, also what the neurons answer to.
///
/// # Errors
/// A model or file that is missing, damaged or foreign; a layer out of range.
pub fn geometry(folder: &Path, layer: usize, out: &Path, activations: Option<&PathBuf>) -> Result<ExitCode> {
    let model = Bert::read(folder)?;
    let w = model.output_weights(layer)?;
    let real = Shape::of(&w)?;
    let random = Shape::of(&random_like(&w, &real.norms)?)?;
    let (n, m) = (w.ncols(), w.nrows());
    let mut report = Report::new(&format!("Layer {layer}: {n} neurons write into {m} dimensions"), out);
    let both = [&real, &random];
    let most = both.iter().flat_map(|s| &s.dimensionality).fold(0.0_f64, |top, &d| top.max(d));
    let (a, b) = (real.dimensionality.to_vec(), random.dimensionality.to_vec());
    report.figure(
        two_histograms(&a, &b, "feature dimensionality D_i", (0.0, (most * 1.05).min(1.0))),
        "Feature dimensionality of each neuron's output vector. Vectors that shared the space evenly would all have \
         dimensions / neurons; after \"The Geometry of Superposition\" in Toy Models of Superposition.",
    );
    let reach = real.coherence().max(random.coherence()).min(1.0);
    report.figure(
        two_histograms(&real.cosines, &random.cosines, "cosine of two neurons' output vectors", (-reach, reach)),
        "Interference between every two neurons, as cosines.",
    );
    let points = real.norms.iter().zip(&real.dimensionality).map(|(&x, &y)| (x, y)).collect();
    let top = real.norms.iter().fold(0.0_f64, |top, &x| top.max(x));
    let axes = (Axis::linear("norm of the output vector", 0.0, top * 1.05), Axis::linear("D_i", 0.0, most * 1.05));
    report.figure(
        chart(&axes.0, &axes.1, &[("neuron", Mark::Points(points))], &[("even share", m as f64 / n as f64)]),
        "Norm and dimensionality of each neuron. The line is an even share, dimensions / neurons.",
    );
    let head = ["weights", "‖W‖²/m", "mean D", "median D", "least D", "most D", "rms cosine", "coherence"];
    report.table("geometry", &head, vec![real.summary("trained"), random.summary("random, same norms")]);
    neuron_tables(&mut report, &real);
    if let Some(path) = activations {
        look_into(&mut report, path, folder, &[])?;
    }
    Ok(report.finish())
}

fn neuron_tables(report: &mut Report, shape: &Shape) {
    let mut order: Vec<usize> = (0..shape.norms.len()).collect();
    order.sort_by(|&a, &b| shape.dimensionality[a].total_cmp(&shape.dimensionality[b]));
    let row = |&i: &usize| {
        let (other, cosine) = shape.closest[i];
        let numbers = [shape.dimensionality[i], shape.norms[i], cosine].map(|x| format!("{x:.4}"));
        let [d, norm, cosine] = numbers;
        vec![i.to_string(), d, norm, other.to_string(), cosine]
    };
    let head = ["neuron", "D_i", "norm", "closest neuron", "cosine"];
    report.table("most superposed neurons", &head, order.iter().take(10).map(row).collect());
    report.table("least superposed neurons", &head, order.iter().rev().take(10).map(row).collect());
}
