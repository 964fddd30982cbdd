//! The figures of the superposition papers: feature vectors, heat maps, bars, curves and points on axes.

use ndarray::{Array1, Array2};

use super::colour::{coolwarm, series, viridis};
use super::svg::{Anchor, Svg};

const MARGIN: f64 = 14.0;
const TITLE: f64 = 22.0;

/// Small multiples: calls `draw` with the top left corner of each cell.
fn grid(count: usize, columns: usize, cell: (f64, f64), mut draw: impl FnMut(&mut Svg, usize, (f64, f64))) -> String {
    let columns = columns.min(count).max(1);
    let rows = count.div_ceil(columns);
    let (width, height) = (cell.0 + MARGIN, cell.1 + MARGIN + TITLE);
    let mut svg = Svg::new(columns as f64 * width + MARGIN, rows as f64 * height + MARGIN);
    for index in 0..count {
        let (column, row) = ((index % columns) as f64, (index / columns) as f64);
        draw(&mut svg, index, (MARGIN + column * width, MARGIN + TITLE + row * height));
    }
    svg.finish()
}

/// Features of 2-dimensional models as arrows, coloured by importance; one panel per `(title, (2, n))`.
pub fn vectors(panels: &[(String, Array2<f64>)], importance: &Array1<f64>, columns: usize) -> String {
    const SIZE: f64 = 150.0;
    const REACH: f64 = 1.6;
    let (low, high) = importance.iter().fold((f64::MAX, f64::MIN), |(l, h), &i| (l.min(i), h.max(i)));
    grid(panels.len(), columns, (SIZE, SIZE), |svg, index, (x, y)| {
        let (title, w) = &panels[index];
        let place = |a: f64, b: f64| (x + SIZE * (0.5 + a / REACH / 2.0), y + SIZE * (0.5 - b / REACH / 2.0));
        svg.text((x + SIZE / 2.0, y - 6.0), 12.0, Anchor::Middle, title);
        svg.frame((x, y), (SIZE, SIZE));
        svg.line(place(-REACH, 0.0), place(REACH, 0.0), "#e3e3e3", 0.8);
        svg.line(place(0.0, -REACH), place(0.0, REACH), "#e3e3e3", 0.8);
        for (feature, &importance) in w.columns().into_iter().zip(importance) {
            // the most important feature is dark, as in the paper
            let t = if high > low { (high - importance) / (high - low) * 0.85 } else { 0.25 };
            let colour = viridis(t);
            svg.line(place(0.0, 0.0), place(feature[0], feature[1]), &colour, 2.2);
            svg.circle(place(feature[0], feature[1]), 4.0, &colour, 1.0);
        }
    })
}

/// Title, matrix and bias of a heat map.
pub type HeatMap = (String, Array2<f64>, Option<Array1<f64>>);

/// `(n, n)` matrices from -1 (blue) to 1 (red), with a bias column beside each; one panel per `(title, matrix, bias)`.
pub fn heat_maps(panels: &[HeatMap], columns: usize) -> String {
    const SIZE: f64 = 170.0;
    grid(panels.len(), columns, (SIZE + 24.0, SIZE), |svg, index, (x, y)| {
        let (title, matrix, bias) = &panels[index];
        let (rows, cells) = matrix.dim();
        let (high, wide) = (SIZE / rows as f64, SIZE / cells as f64);
        svg.text((x + SIZE / 2.0, y - 6.0), 12.0, Anchor::Middle, title);
        for ((i, j), &value) in matrix.indexed_iter() {
            let corner = (x + j as f64 * wide, y + i as f64 * high);
            svg.rectangle(corner, (wide + 0.3, high + 0.3), &coolwarm(value));
        }
        svg.frame((x, y), (SIZE, SIZE));
        if let Some(bias) = bias {
            for (i, &value) in bias.iter().enumerate() {
                svg.rectangle((x + SIZE + 6.0, y + i as f64 * high), (10.0, high + 0.3), &coolwarm(value));
            }
            svg.frame((x + SIZE + 6.0, y), (10.0, SIZE));
        }
    })
}

/// Feature norms as bars, coloured from dark (alone) to light (superposed); one panel per `(title, norms, scores)`.
pub fn norm_bars(panels: &[(String, Array1<f64>, Array1<f64>)], columns: usize) -> String {
    const SIZE: (f64, f64) = (130.0, 170.0);
    grid(panels.len(), columns, SIZE, |svg, index, (x, y)| {
        let (title, norms, scores) = &panels[index];
        svg.text((x + SIZE.0 / 2.0, y - 6.0), 12.0, Anchor::Middle, title);
        let high = SIZE.1 / norms.len() as f64;
        for (i, (&norm, &score)) in norms.iter().zip(scores).enumerate() {
            let long = (norm / 1.4).min(1.0) * SIZE.0;
            svg.rectangle((x, y + i as f64 * high), (long, (high - 0.6).max(0.4)), &viridis(score.min(1.0) * 0.95));
        }
        svg.frame((x, y), SIZE);
    })
}

/// Cells coloured by class, with a legend; one panel per `(title, classes)`, the first row at the bottom.
pub fn class_maps(panels: &[(String, Array2<usize>)], classes: &[&str], axes: (&str, &str)) -> String {
    const SIZE: f64 = 230.0;
    let width = panels.len() as f64 * (SIZE + 40.0) + 30.0;
    let mut svg = Svg::new(width, SIZE + 110.0);
    for (index, (title, map)) in panels.iter().enumerate() {
        let (x, y) = (40.0 + index as f64 * (SIZE + 40.0), 34.0);
        let (rows, cells) = map.dim();
        let (high, wide) = (SIZE / rows as f64, SIZE / cells as f64);
        svg.text((x + SIZE / 2.0, y - 8.0), 13.0, Anchor::Middle, title);
        for ((i, j), &class) in map.indexed_iter() {
            let corner = (x + j as f64 * wide, y + SIZE - (i + 1) as f64 * high);
            svg.rectangle(corner, (wide + 0.3, high + 0.3), series(class));
        }
        svg.frame((x, y), (SIZE, SIZE));
        svg.text((x + SIZE / 2.0, y + SIZE + 18.0), 12.0, Anchor::Middle, axes.0);
        svg.upright_text((x - 10.0, y + SIZE / 2.0), 12.0, axes.1);
    }
    let mut x = 40.0;
    for (class, name) in classes.iter().enumerate() {
        svg.rectangle((x, SIZE + 72.0), (14.0, 14.0), series(class));
        svg.text((x + 20.0, SIZE + 84.0), 12.0, Anchor::Start, name);
        x += 46.0 + 7.0 * name.len() as f64;
    }
    svg.finish()
}

/// An axis of [`chart`].
pub struct Axis {
    pub name: String,
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

impl Axis {
    pub fn linear(name: &str, low: f64, high: f64) -> Self {
        Self { name: name.to_owned(), low, high, log: false }
    }

    pub fn log(name: &str, low: f64, high: f64) -> Self {
        Self { name: name.to_owned(), low, high, log: true }
    }

    /// Position of `value` between 0 and 1.
    pub fn place(&self, value: f64) -> f64 {
        let t = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        t.clamp(-0.02, 1.02)
    }

    /// Round numbers within the axis.
    pub fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let few = self.high / self.low < 300.0;
            let steps: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let all = decades.flat_map(|power| steps.iter().map(move |step| step * 10.0_f64.powi(power)));
            return all.filter(|&t| t >= self.low * 0.999 && t <= self.high * 1.001).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10.0_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * power).into_iter().find(|&s| s >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|&t| t <= self.high + step * 1e-9).collect()
    }
}

/// What a [`chart`] shows.
pub enum Mark {
    Line(Vec<(f64, f64)>),
    Points(Vec<(f64, f64)>),
}

/// Curves and points on two axes, with named horizontal lines and a legend below.
pub fn chart(x: &Axis, y: &Axis, marks: &[(&str, Mark)], levels: &[(&str, f64)]) -> String {
    const LEFT: f64 = 64.0;
    const TOP: f64 = 18.0;
    const WIDE: f64 = 560.0;
    const HIGH: f64 = 320.0;
    let mut svg = Svg::new(LEFT + WIDE + 80.0, TOP + HIGH + 84.0);
    let place = |(a, b): (f64, f64)| (LEFT + WIDE * x.place(a), TOP + HIGH * (1.0 - y.place(b)));
    for tick in x.ticks() {
        let (at, _) = place((tick, y.low));
        svg.line((at, TOP), (at, TOP + HIGH), "#eee", 0.8);
        svg.text((at, TOP + HIGH + 16.0), 11.0, Anchor::Middle, &label(tick));
    }
    for tick in y.ticks() {
        let (_, at) = place((x.low, tick));
        svg.line((LEFT, at), (LEFT + WIDE, at), "#eee", 0.8);
        svg.text((LEFT - 6.0, at + 4.0), 11.0, Anchor::End, &label(tick));
    }
    for (name, level) in levels {
        let (_, at) = place((x.low, *level));
        svg.line((LEFT, at), (LEFT + WIDE, at), "#aaa", 0.9);
        svg.text((LEFT + WIDE + 5.0, at + 4.0), 10.0, Anchor::Start, name);
    }
    for (index, (_, mark)) in marks.iter().enumerate() {
        match mark {
            Mark::Line(points) => {
                let points: Vec<_> = points.iter().map(|&point| place(point)).collect();
                svg.path(&points, series(index), 2.0);
            }
            Mark::Points(points) => {
                points.iter().for_each(|&point| svg.circle(place(point), 2.4, series(index), 0.55));
            }
        }
    }
    svg.frame((LEFT, TOP), (WIDE, HIGH));
    svg.text((LEFT + WIDE / 2.0, TOP + HIGH + 36.0), 13.0, Anchor::Middle, &x.name);
    svg.upright_text((16.0, TOP + HIGH / 2.0), 13.0, &y.name);
    let mut at = LEFT;
    for (index, (name, _)) in marks.iter().enumerate().filter(|(_, (name, _))| !name.is_empty()) {
        svg.rectangle((at, TOP + HIGH + 56.0), (14.0, 6.0), series(index));
        svg.text((at + 20.0, TOP + HIGH + 63.0), 12.0, Anchor::Start, name);
        at += 44.0 + 6.6 * name.len() as f64;
    }
    svg.finish()
}

/// A number as short as it may be.
fn label(x: f64) -> String {
    if x != 0.0 && (x.abs() >= 1e5 || x.abs() < 1e-3) {
        return format!("{x:.0e}");
    }
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
