//! The figures of the superposition papers: feature vectors, heat maps, bars, curves and points on axes.

use ndarray::{Array1, Array2, array};

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
        let (line, dot) = if w.ncols() > 50 { (0.7, 1.8) } else { (2.2, 4.0) };
        for (feature, &importance) in w.columns().into_iter().zip(importance) {
            // the most important feature is dark, as in the paper
            let t = if high > low { (high - importance) / (high - low) * 0.85 } else { 0.25 };
            let colour = viridis(t);
            svg.line(place(0.0, 0.0), place(feature[0], feature[1]), &colour, line);
            svg.circle(place(feature[0], feature[1]), dot, &colour, 1.0);
        }
    })
}

/// `(3, n)` seen at an angle: the third axis points towards the viewer, down to the left.
pub fn oblique(w: &Array2<f64>) -> Array2<f64> {
    array![[1.0, 0.0, -0.5], [0.0, 1.0, -0.35]].dot(w)
}

/// `w` scaled so that its largest entry comes close to the edge of a panel of [`vectors`].
pub fn scaled(w: &Array2<f64>) -> Array2<f64> {
    w * (1.4 / w.iter().fold(1e-9, |most: f64, x| most.max(x.abs())))
}

/// Title, matrix and bias of a heat map.
pub type HeatMap = (String, Array2<f64>, Option<Array1<f64>>);

/// Matrices from -1 (blue) to 1 (red), with a bias column beside each; one panel per `(title, matrix, bias)`.
pub fn heat_maps(panels: &[HeatMap], columns: usize) -> String {
    const SIZE: f64 = 170.0;
    grid(panels.len(), columns, (SIZE + 24.0, SIZE), |svg, index, (x, y)| {
        let (title, matrix, bias) = &panels[index];
        // cells of whole pixels are equally large
        let whole = |count: usize| (SIZE / count as f64).floor().max(1.0) * count as f64;
        let size = (whole(matrix.ncols()), whole(matrix.nrows()));
        svg.text((x + size.0 / 2.0, y - 6.0), 12.0, Anchor::Middle, title);
        svg.cells((x, y), size, matrix.dim(), |i, j| coolwarm(matrix[[i, j]]));
        svg.frame((x, y), size);
        if let Some(bias) = bias {
            let (corner, size) = ((x + size.0 + 6.0, y), (10.0, size.1));
            svg.cells(corner, size, (bias.len(), 1), |i, _| coolwarm(bias[i]));
            svg.frame(corner, size);
        }
    })
}

/// Feature norms as bars, coloured from dark (alone) to light (superposed); one panel per `(title, norms, scores)`.
pub fn norm_bars(panels: &[(String, Array1<f64>, Array1<f64>)], columns: usize) -> String {
    let most = panels.iter().map(|(_, norms, _)| norms.len()).max().unwrap_or(0);
    let size = (100.0, 170.0_f64.max(3.0 * most as f64));
    grid(panels.len(), columns, size, |svg, index, (x, y)| {
        let (title, norms, scores) = &panels[index];
        svg.text((x + size.0 / 2.0, y - 6.0), 11.0, Anchor::Middle, title);
        let high = size.1 / norms.len() as f64;
        for (i, (&norm, &score)) in norms.iter().zip(scores).enumerate() {
            let long = (norm / 1.4).min(1.0) * size.0;
            svg.rectangle((x, y + i as f64 * high), (long, high * 0.88), &viridis(score.min(1.0) * 0.95));
        }
        svg.frame((x, y), size);
    })
}

/// Square maps of cells coloured by class, with a legend; one panel per title and classes, row by row from the bottom.
pub fn class_maps(panels: &[(&str, Vec<usize>)], classes: &[&str], x: &Axis, y: &Axis) -> String {
    const SIZE: f64 = 240.0;
    const STEP: f64 = SIZE + 64.0;
    let mut svg = Svg::new(panels.len() as f64 * STEP + 14.0, SIZE + 116.0);
    for (index, (title, map)) in panels.iter().enumerate() {
        let plot = Plot { corner: (58.0 + index as f64 * STEP, 34.0), size: (SIZE, SIZE), x, y };
        let side = map.len().isqrt();
        svg.text((plot.corner.0 + SIZE / 2.0, plot.corner.1 - 8.0), 13.0, Anchor::Middle, title);
        svg.cells(plot.corner, plot.size, (side, side), |i, j| series(map[(side - 1 - i) * side + j]).to_owned());
        plot.scales(&mut svg);
    }
    legend(&mut svg, (58.0, SIZE + 90.0), classes);
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

    /// An axis that fits `values`: logarithmic where they are positive and span decades.
    pub fn fitted(name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = values.into_iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
        if low > 0.0 && high / low > 30.0 {
            return Self::log(name, low / 1.3, high * 1.3);
        }
        let room = (0.05 * (high - low)).max(1e-3 * high.abs() + 1e-9);
        Self::linear(name, low - room, high + room)
    }

    /// Position of `value` between 0 and 1; what lies outside goes to the edge.
    pub fn place(&self, value: f64) -> f64 {
        let t = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        t.clamp(0.0, 1.0)
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

/// Two axes and the rectangle between them.
struct Plot<'a> {
    corner: (f64, f64),
    size: (f64, f64),
    x: &'a Axis,
    y: &'a Axis,
}

impl Plot<'_> {
    fn place(&self, (a, b): (f64, f64)) -> (f64, f64) {
        let ((left, top), (wide, high)) = (self.corner, self.size);
        (left + wide * self.x.place(a), top + high * (1.0 - self.y.place(b)))
    }

    /// Lines behind the data.
    fn grid_lines(&self, svg: &mut Svg) {
        let ((left, top), (wide, high)) = (self.corner, self.size);
        for at in self.x.ticks().into_iter().map(|tick| self.place((tick, self.y.low)).0) {
            svg.line((at, top), (at, top + high), "#eee", 0.8);
        }
        for at in self.y.ticks().into_iter().map(|tick| self.place((self.x.low, tick)).1) {
            svg.line((left, at), (left + wide, at), "#eee", 0.8);
        }
    }

    /// Frame, ticks with their numbers, and names.
    fn scales(&self, svg: &mut Svg) {
        let ((left, top), (wide, high)) = (self.corner, self.size);
        svg.frame(self.corner, self.size);
        for tick in self.x.ticks() {
            let (at, _) = self.place((tick, self.y.low));
            svg.line((at, top + high), (at, top + high + 4.0), "#999", 0.7);
            svg.text((at, top + high + 16.0), 11.0, Anchor::Middle, &label(tick));
        }
        for tick in self.y.ticks() {
            let (_, at) = self.place((self.x.low, tick));
            svg.line((left - 4.0, at), (left, at), "#999", 0.7);
            svg.text((left - 7.0, at + 4.0), 11.0, Anchor::End, &label(tick));
        }
        svg.text((left + wide / 2.0, top + high + 34.0), 12.0, Anchor::Middle, &self.x.name);
        svg.upright_text((left - 42.0, top + high / 2.0), 12.0, &self.y.name);
    }

    /// Named horizontal lines, the highest first.
    fn levels(&self, svg: &mut Svg, levels: &[(&str, f64)]) {
        let (left, right) = (self.corner.0, self.corner.0 + self.size.0);
        let mut free = self.corner.1 - 11.0;
        for (name, level) in levels {
            let (_, at) = self.place((self.x.low, *level));
            svg.line((left, at), (right, at), "#aaa", 0.9);
            // names of close levels move apart
            free = (free + 11.0).max(at + 4.0);
            svg.text((right + 5.0, free), 10.0, Anchor::Start, name);
        }
    }
}

/// Height of a line of a legend.
const LEGEND_LINE: f64 = 20.0;

/// Where the names of a legend go, in lines no wider than a chart; an empty name takes no room.
fn legend_places(names: &[&str]) -> Vec<(usize, (f64, f64))> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut places = Vec::new();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let wide = 44.0 + 6.6 * name.len() as f64;
        if x > 0.0 && x + wide > 670.0 {
            (x, y) = (0.0, y + LEGEND_LINE);
        }
        places.push((index, (x, y)));
        x += wide;
    }
    places
}

/// Names of the series from the first on.
fn legend(svg: &mut Svg, (left, top): (f64, f64), names: &[&str]) {
    for (index, (x, y)) in legend_places(names) {
        svg.rectangle((left + x, top + y), (14.0, 10.0), series(index));
        svg.text((left + x + 20.0, top + y + 9.0), 12.0, Anchor::Start, names[index]);
    }
}

/// Curves and points on two axes, with named horizontal lines (the highest first) and a legend below.
pub fn chart(x: &Axis, y: &Axis, marks: &[(&str, Mark)], levels: &[(&str, f64)]) -> String {
    let plot = Plot { corner: (64.0, 18.0), size: (560.0, 320.0), x, y };
    let names: Vec<&str> = marks.iter().map(|(name, _)| *name).collect();
    let bottom = legend_places(&names).last().map_or(384.0, |(_, (_, y))| 414.0 + y);
    let mut svg = Svg::new(734.0, bottom);
    plot.grid_lines(&mut svg);
    plot.levels(&mut svg, levels);
    for (index, (_, mark)) in marks.iter().enumerate() {
        match mark {
            Mark::Line(points) => {
                let points: Vec<_> = points.iter().map(|&point| plot.place(point)).collect();
                svg.path(&points, series(index), 2.0);
            }
            Mark::Points(points) => {
                points.iter().for_each(|&point| svg.circle(plot.place(point), 2.4, series(index), 0.55));
            }
        }
    }
    plot.scales(&mut svg);
    legend(&mut svg, (64.0, 390.0), &names);
    svg.finish()
}

/// A title, and scores with the ends of their intervals: `(score, low, high)` between -1 and 1.
pub type Scored = (String, Vec<(f64, f64, f64)>);

/// Named scores as points on lines from their lower to their upper end; one panel per title.
pub fn intervals(panels: &[Scored], names: &[&str], columns: usize) -> String {
    const NAMES: f64 = 112.0;
    const LINE: f64 = 19.0;
    const WIDE: f64 = 180.0;
    let axis = Axis::linear("", -0.25, 1.05);
    let high = LINE * names.len() as f64 + 8.0;
    grid(panels.len(), columns, (NAMES + WIDE, high + 20.0), |svg, index, (left, top)| {
        let (title, scores) = &panels[index];
        let place = |value: f64| left + NAMES + WIDE * axis.place(value);
        svg.text((left + NAMES + WIDE / 2.0, top - 6.0), 12.0, Anchor::Middle, title);
        for tick in [0.0, 0.5, 1.0] {
            svg.line((place(tick), top), (place(tick), top + high), "#ddd", 0.8);
            svg.text((place(tick), top + high + 14.0), 10.0, Anchor::Middle, &label(tick));
        }
        for (at, (name, (score, low, high))) in names.iter().zip(scores).enumerate() {
            let y = top + LINE * (at as f64 + 0.7);
            svg.text((left + NAMES - 8.0, y + 4.0), 11.0, Anchor::End, name);
            svg.line((place(*low), y), (place(*high), y), series(at), 2.0);
            svg.circle((place(*score), y), 3.6, series(at), 1.0);
        }
        svg.frame((left + NAMES, top), (WIDE, high));
    })
}

/// Points of a curve.
pub type Curve = Vec<(f64, f64)>;

/// Share of `values` in each of `bins` equal bins, as the outline of a histogram; what lies outside counts in the outer ones.
pub fn outline(values: &[f64], (low, high): (f64, f64), bins: usize) -> Curve {
    let mut counts = vec![0_usize; bins];
    let width = (high - low) / bins as f64;
    for value in values {
        // saturates below 0
        counts[(((value - low) / width) as usize).min(bins - 1)] += 1;
    }
    let share = |count: usize| count as f64 / values.len().max(1) as f64;
    let step = |(bin, &count): (usize, &usize)| {
        let left = low + bin as f64 * width;
        [(left, share(count)), (left + width, share(count))]
    };
    counts.iter().enumerate().flat_map(step).collect()
}

/// A [`chart`] of named curves.
pub fn curves(x: &Axis, y: &Axis, curves: Vec<(&str, Curve)>, levels: &[(&str, f64)]) -> String {
    let marks: Vec<_> = curves.into_iter().map(|(name, points)| (name, Mark::Line(points))).collect();
    chart(x, y, &marks, levels)
}

/// A number as short as it may be.
fn label(x: f64) -> String {
    if x != 0.0 && (x.abs() >= 1e5 || x.abs() < 1e-3) {
        return format!("{x:.0e}");
    }
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Neurons (the rows of `w`) sorted by the feature with their largest weight.
pub fn order(w: &Array2<f64>) -> Vec<usize> {
    let size = |k: usize, i: usize| w[[k, i]].abs();
    let largest = |k: usize| (0..w.ncols()).fold(0, |best, i| if size(k, i) > size(k, best) { i } else { best });
    let mut order: Vec<usize> = (0..w.nrows()).collect();
    order.sort_by_key(|&k| largest(k));
    order
}

/// One stacked bar per neuron, one colour per feature, negative weights below the axis; one panel per `(title, (m, n))`.
pub fn stacked_bars(panels: &[(String, Array2<f64>)], columns: usize) -> String {
    const SIZE: (f64, f64) = (200.0, 150.0);
    grid(panels.len(), columns, SIZE, |svg, index, (x, y)| {
        let (title, w) = &panels[index];
        let (neurons, features) = w.dim();
        let tallest = |sign: f64| {
            let sums = w.rows().into_iter().map(|row| row.iter().map(|v| (sign * v).max(0.0)).sum::<f64>());
            sums.fold(0.0, f64::max)
        };
        let scale = SIZE.1 / (tallest(1.0) + tallest(-1.0)).max(1e-9);
        let (wide, axis) = (SIZE.0 / neurons as f64, y + scale * tallest(1.0));
        svg.text((x + SIZE.0 / 2.0, y - 6.0), 12.0, Anchor::Middle, title);
        svg.crisp(|svg| {
            for (neuron, row) in w.rows().into_iter().enumerate() {
                let left = x + neuron as f64 * wide;
                for sign in [1.0, -1.0] {
                    let (mut end, mut drawn) = (0.0, 0.0);
                    for (feature, &weight) in row.iter().enumerate() {
                        end += scale * (sign * weight).max(0.0);
                        // what is too thin to see goes into the next piece
                        if end - drawn > 0.3 {
                            let colour = viridis(feature as f64 / features.max(2) as f64);
                            // an overlap, so that rounding leaves no gap
                            let from = (drawn - 0.5_f64).max(0.0);
                            let top = if sign > 0.0 { axis - end } else { axis + from };
                            svg.rectangle((left, top), (wide * 0.85, end - from), &colour);
                            drawn = end;
                        }
                    }
                }
            }
        });
        svg.line((x, axis), (x + SIZE.0, axis), "#999", 0.7);
        svg.frame((x, y), SIZE);
    })
}
