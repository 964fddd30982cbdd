//! What a run wrote down on its way: a table that survives a stop, and curves.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use limpid::files::write_atomically;
use limpid::sae::train::SaeStep;

use super::Result;
use crate::support::figure::{Axis, Curve, curves};
use crate::support::report::Report;

const HEAD: &str = "step,loss,reconstruction,l0,dead_fraction,learning_rate,explained_variance";

/// Numbers of one step, in the order of the table; the explained variance where it was measured.
type Line = ([f64; 6], Option<f64>);

/// The table of a run.
#[derive(Default)]
pub struct Log(Vec<Line>);

impl Log {
    /// The lines of an earlier part of the run, up to `step`.
    pub fn read(path: &Path, step: usize) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines: Option<Vec<Line>> = text.lines().skip(1).map(parse).collect();
        let mut lines = lines.ok_or_else(|| format!("{}: not a table of a run", path.display()))?;
        lines.retain(|(numbers, _)| numbers[0] <= step as f64);
        Ok(Self(lines))
    }

    pub fn add(&mut self, step: &SaeStep<f32>, explained: Option<f64>) {
        let (loss, reconstruction) = (step.terms.total().into(), step.terms.reconstruction.into());
        self.0.push((
            [step.step as f64, loss, reconstruction, step.l0, step.dead_fraction, step.learning_rate],
            explained,
        ));
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("{HEAD}\n");
        for (numbers, explained) in &self.0 {
            let numbers = numbers.map(|x| x.to_string()).join(",");
            let _ = writeln!(text, "{numbers},{}", explained.map_or(String::new(), |x| x.to_string()));
        }
        Ok(write_atomically(path, text.as_bytes())?)
    }

    /// Adds the curves to the report.
    pub fn draw(&self, report: &mut Report) {
        let curve =
            |index: usize| -> Curve { self.0.iter().map(|(numbers, _)| (numbers[0], numbers[index])).collect() };
        let explained: Curve =
            self.0.iter().filter_map(|(numbers, explained)| Some((numbers[0], (*explained)?))).collect();
        let step = || Axis::linear("step", 0.0, self.0.last().map_or(1.0, |(numbers, _)| numbers[0].max(1.0)));
        let mut add = |axis: Axis, lines: Vec<(&str, Curve)>, caption: &str| {
            report.figure(curves(&step(), &axis, lines, &[]), caption);
        };
        let height = |curve: &Curve| curve.iter().map(|point| point.1).collect::<Vec<_>>();
        let share = Axis::linear("share", explained.iter().fold(0.0, |low: f64, point| low.min(point.1)), 1.0);
        let shares = vec![("explained variance, held out", explained), ("dead latents", curve(4))];
        add(
            share,
            shares,
            "Explained variance of held-out rows (ratio of means), and the share of latents that count as dead.",
        );
        add(
            Axis::fitted("loss", height(&curve(1))),
            vec![("", curve(1))],
            "Loss of the training batches, in normalised units.",
        );
        add(Axis::fitted("L0", height(&curve(3))), vec![("", curve(3))], "Active latents per sample.");
        add(Axis::fitted("learning rate", height(&curve(5))), vec![("", curve(5))], "Learning rate.");
    }
}

fn parse(line: &str) -> Option<Line> {
    let cells: Vec<&str> = line.split(',').collect();
    let (last, numbers) = cells.split_last()?;
    let numbers: Vec<f64> = numbers.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
    let explained = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((numbers.try_into().ok()?, explained))
}
