//! One row on its way to a tolerance: which points it wants next, and what it makes of them.
//!
//! A piece of the way is closed once its error estimate fits into what is left of the tolerance; only then is its share
//! added to the sums. Pieces that wait are four numbers each, so that memory grows neither with steps nor with kinks.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use super::piece::{Gap, Interval, Sample, jump, sketch, sketched_jump};
use crate::Scalar;
use crate::math::quadrature::{KRONROD, gauss_kronrod};

/// Splits of a gap without success after which it becomes an interval.
const TRIES: u8 = 2;

/// Gaps of constant gradient from which on an interval is taken for piecewise linear.
const LINEAR_GAPS: usize = 2;

/// What the points that were asked for are for.
#[derive(Debug)]
enum Work<T> {
    /// Both ends of the way.
    Ends,
    /// The rule on a whole interval.
    Panel(Interval),
    /// The value at one point, where the interval is cut in two.
    Cut(Interval),
    /// Two points in each gap; `width` is that of the interval that they come from.
    Gaps { gaps: Vec<Gap<T>>, width: f64 },
    /// Nothing is left.
    Done,
}

/// One row.
#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) example: usize,
    /// `x - b`.
    way: Vec<T>,
    /// Sum of weight times gradient over the closed pieces.
    sums: Vec<f64>,
    limits: Limits,
    allowed: f64,
    /// The part of the tolerance that goes to whoever needs it; the other half belongs to pieces by their width.
    spare: f64,
    spent: f64,
    /// Errors that rounding alone can make.
    floor: f64,
    /// Values at both ends.
    values: [f64; 2],
    evaluations: usize,
    pending: Vec<Interval>,
    /// Gaps that become intervals once all gaps of their interval are dealt with.
    failed: Vec<Interval>,
    wanted: Vec<f64>,
    found: Vec<Sample<T>>,
    work: Work<T>,
}

/// What a row is measured against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) absolute: f64,
    pub(super) relative: f64,
    pub(super) max_evaluations: usize,
}

impl Limits {
    /// The tolerance of a row whose value rises by `rise`.
    pub(super) fn allowed(self, rise: f64) -> f64 {
        self.absolute + self.relative * rise.abs()
    }
}

impl<T: Scalar> Row<T> {
    /// A row whose input lies `way` from its baseline.
    pub(super) fn new(example: usize, way: Vec<T>, limits: Limits) -> Self {
        Self {
            example,
            sums: vec![0.0; way.len()],
            way,
            limits,
            allowed: 0.0,
            spare: 0.0,
            spent: 0.0,
            floor: 0.0,
            values: [0.0; 2],
            evaluations: 0,
            pending: Vec::new(),
            failed: Vec::new(),
            wanted: vec![0.0, 1.0],
            found: Vec::new(),
            work: Work::Ends,
        }
    }

    /// Points in `[0, 1]` whose gradients are needed next; none once the row is done.
    pub(super) fn wanted(&self) -> &[f64] {
        &self.wanted
    }

    /// Takes up the next of the wanted points.
    pub(super) fn take(&mut self, value: T, gradient: &[T]) {
        let slope = self.way.iter().zip(gradient).map(|(way, g)| way.as_f64() * g.as_f64()).sum();
        let at = self.wanted.get(self.found.len()).copied().unwrap_or_default();
        let sketch = sketch(&self.way, gradient);
        self.found.push(Sample { at, value: value.as_f64(), slope, gradient: Rc::from(gradient), sketch });
    }

    /// Values at the baseline and at the input.
    pub(super) fn values(&self) -> [f64; 2] {
        self.values
    }

    /// The attribution and the sum of the error estimates.
    pub(super) fn finish(self) -> (Vec<T>, f64) {
        let values = self.way.iter().zip(&self.sums).map(|(way, sum)| T::of(way.as_f64() * sum)).collect();
        (values, self.spent)
    }

    /// Decides what to do now that all wanted points were taken up.
    pub(super) fn step(&mut self) {
        let found = core::mem::take(&mut self.found);
        self.evaluations += found.len();
        self.wanted.clear();
        match core::mem::replace(&mut self.work, Work::Done) {
            Work::Ends => self.start(&found),
            Work::Panel(interval) => self.judge(interval, &found),
            Work::Cut(interval) => self.cut(interval, &found),
            Work::Gaps { gaps, width } => self.narrow(gaps, &found, width),
            Work::Done => {}
        }
        if self.wanted.is_empty() {
            self.next();
        }
    }

    /// Both ends are known.
    fn start(&mut self, found: &[Sample<T>]) {
        let [base, input] = found else { return };
        self.values = [base.value, input.value];
        self.allowed = self.limits.allowed(input.value - base.value);
        self.spare = 0.5 * self.allowed;
        self.floor = 8.0 * T::epsilon().as_f64() * (base.value.abs() + input.value.abs());
        if self.way.iter().any(|way| *way != T::zero()) {
            let sketches = [base.sketch, input.sketch];
            self.pending.push(Interval { from: 0.0, to: 1.0, values: self.values, sketches, error: f64::INFINITY });
        }
    }

    /// The waiting interval with the largest error comes next.
    fn next(&mut self) {
        let errors = self.pending.iter().enumerate().map(|(place, interval)| (place, interval.error));
        let worst = errors.reduce(|worst, other| if other.1 > worst.1 { other } else { worst });
        let Some((place, _)) = worst else { return };
        let interval = self.pending.remove(place);
        self.wanted = gauss_kronrod().iter().map(|node| interval.at(node[0])).collect();
        self.work = Work::Panel(interval);
    }

    /// Whether the budget allows `more` evaluations on top of one rule for every piece that waits, `open` gaps among them.
    fn affords(&self, open: usize, more: usize) -> bool {
        let waiting = self.pending.len() + self.failed.len() + open;
        self.evaluations.saturating_add(KRONROD * waiting).saturating_add(more) <= self.limits.max_evaluations
    }

    fn accepts(&self, error: f64, width: f64) -> bool {
        let smallest = 16.0 * T::epsilon().as_f64();
        let share = 0.5 * self.allowed * width;
        error <= share || error <= 0.125 * self.spare || error <= self.floor || width <= smallest
    }

    fn spend(&mut self, error: f64, width: f64) {
        if error > 0.5 * self.allowed * width {
            self.spare = (self.spare - error).max(0.0);
        }
        self.spent += error;
    }

    fn add(&mut self, weight: f64, gradient: &[T]) {
        super::super::walk::add(&mut self.sums, weight, gradient);
    }

    /// Closes an interval, or takes it apart.
    fn judge(&mut self, interval: Interval, samples: &[Sample<T>]) {
        let width = interval.width();
        let error = self.panel_error(&interval, samples);
        let linear = samples.windows(2).filter(|pair| Gap::between(pair).is_linear(&self.way)).count();
        // each gap may have to wait as an interval after two points of its own
        let in_gaps = linear >= LINEAR_GAPS && self.affords(KRONROD + 1, 2 * KRONROD);
        if self.accepts(error, width) || !(in_gaps || self.affords(2, 1)) {
            let rule = gauss_kronrod();
            rule.iter().zip(samples).for_each(|(node, sample)| self.add(node[1] * width, &sample.gradient));
            self.spend(error, width);
        } else if in_gaps {
            self.take_apart(interval, samples);
        } else {
            self.wanted = vec![interval.cut(samples, &self.way)];
            self.work = Work::Cut(Interval { error, ..interval });
        }
    }

    /// The largest of: the difference between the two rules, the completeness gap, and what lies beyond the outermost points.
    fn panel_error(&self, interval: &Interval, samples: &[Sample<T>]) -> f64 {
        let (rule, width) = (gauss_kronrod(), interval.width());
        let mut difference = 0.0;
        for (i, way) in self.way.iter().enumerate() {
            let terms = rule.iter().zip(samples);
            let terms = terms.map(|(node, sample)| (node[1] - node[2]) * sample.gradient[i].as_f64());
            difference += way.as_f64().abs() * terms.sum::<f64>().abs();
        }
        let slope: f64 = rule.iter().zip(samples).map(|(node, sample)| node[1] * sample.slope).sum();
        let gap = (slope * width - interval.rise()).abs();
        let mut beyond = 0.0;
        for (end, seen) in interval.sketches.iter().enumerate() {
            let mut expected = [0.0; 4];
            for (weight, k) in outward().into_iter().zip(0..KRONROD) {
                let sample = &samples[if end == 0 { k } else { KRONROD - 1 - k }];
                expected.iter_mut().zip(&sample.sketch).for_each(|(sum, part)| *sum += weight * part);
            }
            beyond += rule[0][0] * sketched_jump(seen, &expected, self.way.len());
        }
        (width * difference).max(gap).max(width * beyond)
    }

    /// Cuts an interval at a point that was just evaluated.
    fn cut(&mut self, interval: Interval, found: &[Sample<T>]) {
        let Some(middle) = found.first() else { return };
        let error = 0.5 * interval.error;
        let (value, sketch) = (middle.value, middle.sketch);
        let ([left, right], [first, last]) = (interval.values, interval.sketches);
        let (from, to) = (interval.from, interval.to);
        self.pending.extend([
            Interval { from, to: middle.at, values: [left, value], sketches: [first, sketch], error },
            Interval { from: middle.at, to, values: [value, right], sketches: [sketch, last], error },
        ]);
    }

    /// Treats an interval as piecewise linear, gap by gap.
    fn take_apart(&mut self, interval: Interval, samples: &[Sample<T>]) {
        let [Some(first), Some(last)] = [samples.first(), samples.last()] else { return };
        let ([left, right], [start, end]) = (interval.values, interval.sketches);
        let (before, after) = ([left, first.value], [last.value, right]);
        let ends = [
            (Interval { to: first.at, values: before, sketches: [start, first.sketch], ..interval }, first),
            (Interval { from: last.at, values: after, sketches: [last.sketch, end], ..interval }, last),
        ];
        for (end, sample) in ends {
            let [a, b] = &end.sketches;
            let (width, straight) = (end.width(), (sample.slope * end.width() - end.rise()).abs());
            let error = straight + width * sketched_jump(a, b, self.way.len());
            if self.accepts(error, width) {
                self.add(width, &sample.gradient);
                self.spend(error, width);
            } else {
                self.failed.push(Interval { error, ..end });
            }
        }
        let gaps: Vec<_> = samples.windows(2).map(Gap::between).collect();
        let open = gaps.into_iter().filter(|gap| !self.close(gap, false)).collect();
        self.look_into(open, interval.width());
    }

    /// Asks for points in every open gap; where there are none, what failed waits as intervals.
    fn look_into(&mut self, gaps: Vec<Gap<T>>, width: f64) {
        if gaps.is_empty() {
            self.merge_failed(width);
            return;
        }
        self.wanted = gaps.iter().flat_map(|gap| gap.split(&self.way, 0.02 * self.spare)).collect();
        self.work = Work::Gaps { gaps, width };
    }

    /// Splits every gap at the points that were found in it.
    fn narrow(&mut self, gaps: Vec<Gap<T>>, found: &[Sample<T>], width: f64) {
        let (count, mut open) = (gaps.len(), Vec::new());
        for (done, (gap, points)) in gaps.into_iter().zip(found.as_chunks().0).enumerate() {
            let waiting = open.len() + count - done + 2;
            // each part may have to wait as an interval after two points of its own
            let force = !self.affords(waiting, 2 * waiting);
            let parts = gap.parts(points).into_iter().filter(|part| !self.close(part, force)).collect::<Vec<_>>();
            let tries = if parts.len() == 3 { gap.tries + 1 } else { 0 };
            for part in parts {
                if tries >= TRIES {
                    self.failed.push(part.interval(&self.way));
                } else {
                    open.push(Gap { tries, ..part });
                }
            }
        }
        self.look_into(open, width);
    }

    /// Adds the share of a gap where its error can be accepted, or must be.
    fn close(&mut self, gap: &Gap<T>, force: bool) -> bool {
        let (width, error) = (gap.width(), gap.error(&self.way));
        if !(force || self.accepts(error, width)) {
            return false;
        }
        self.add(0.5 * width, &gap.left.gradient);
        self.add(0.5 * width, &gap.right.gradient);
        self.spend(error, width);
        true
    }

    /// Neighbours that failed become one interval again, up to half of what they come from.
    fn merge_failed(&mut self, width: f64) {
        let mut failed = core::mem::take(&mut self.failed);
        failed.sort_unstable_by(|a, b| a.from.total_cmp(&b.from));
        let start = self.pending.len();
        for next in failed {
            match self.pending[start..].last_mut() {
                Some(last) if last.to >= next.from && next.to - last.from <= 0.5 * width => {
                    *last = Interval {
                        from: last.from,
                        to: next.to,
                        values: [last.values[0], next.values[1]],
                        sketches: [last.sketches[0], next.sketches[1]],
                        error: last.error + next.error,
                    };
                }
                _ => self.pending.push(next),
            }
        }
    }
}

impl Interval {
    /// Where to cut: at the kink where one jump stands out, otherwise in the middle.
    fn cut<T: Scalar>(&self, samples: &[Sample<T>], way: &[T]) -> f64 {
        let mut largest = [(0.0, 0); 2];
        for (place, pair) in samples.windows(2).enumerate() {
            let size = jump(&pair[0].gradient, &pair[1].gradient, way);
            if size > largest[0].0 {
                largest = [(size, place), largest[0]];
            } else if size > largest[1].0 {
                largest[1] = (size, place);
            }
        }
        let [(most, place), (second, _)] = largest;
        match samples.get(place..place + 2) {
            Some(pair) if most > 3.0 * second => {
                let gap = Gap::between(pair);
                gap.left.at + gap.kink().unwrap_or(0.5 * gap.width()).clamp(0.01 * gap.width(), 0.99 * gap.width())
            }
            _ => self.at(0.5),
        }
    }
}

/// Weights that carry a polynomial from the 15 points, from the near end on, to the end beyond the first of them.
fn outward() -> [f64; KRONROD] {
    let rule = gauss_kronrod();
    core::array::from_fn(|k| {
        let others = (0..KRONROD).filter(|&other| other != k);
        others.map(|other| rule[other][0] / (rule[other][0] - rule[k][0])).product()
    })
}
