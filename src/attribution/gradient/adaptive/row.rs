//! One row on its way to a tolerance: which points it wants next, and what it makes of them.
//!
//! A piece of the way is closed once its error estimate fits into what is left of the tolerance; only then is its share
//! added to the sums. Pieces that wait are four numbers each, so that memory grows neither with steps nor with kinks.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use super::piece::{Gap, Interval, Sample, jump};
use crate::Scalar;
use crate::math::quadrature::{KRONROD, gauss_kronrod};

/// Splits of a gap without success after which it becomes an interval.
const TRIES: u8 = 2;

/// Gaps of constant gradient from which on an interval is taken for piecewise linear.
const LINEAR_GAPS: usize = 2;

/// What the points that were asked for are for.
#[derive(Debug)]
enum Work<T> {
    /// The rule on a whole interval.
    Panel(Interval),
    /// The value at one point, where the interval is cut in two.
    Cut(Interval),
    /// One point in each gap; `width` is that of the interval that they come from.
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
    allowed: f64,
    /// The part of the tolerance that goes to whoever needs it; the other half belongs to pieces by their width.
    spare: f64,
    spent: f64,
    /// Errors that rounding alone can make.
    floor: f64,
    evaluations: usize,
    max_evaluations: usize,
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
    pub(super) allowed: f64,
    pub(super) max_evaluations: usize,
}

impl<T: Scalar> Row<T> {
    /// A row on its way from a baseline with the value `ends[0]` to an input with the value `ends[1]`.
    pub(super) fn new(example: usize, way: Vec<T>, ends: [f64; 2], limits: Limits) -> Self {
        let moves = way.iter().any(|way| *way != T::zero());
        let whole = Interval { from: 0.0, to: 1.0, values: ends, error: f64::INFINITY };
        let mut row = Self {
            example,
            sums: vec![0.0; way.len()],
            way,
            allowed: limits.allowed,
            spare: 0.5 * limits.allowed,
            spent: 0.0,
            floor: 8.0 * T::epsilon().as_f64() * (ends[0].abs() + ends[1].abs()),
            evaluations: 0,
            max_evaluations: limits.max_evaluations,
            pending: if moves { vec![whole] } else { Vec::new() },
            failed: Vec::new(),
            wanted: Vec::new(),
            found: Vec::new(),
            work: Work::Done,
        };
        row.next();
        row
    }

    /// Points in `[0, 1]` whose gradients are needed next; none once the row is done.
    pub(super) fn wanted(&self) -> &[f64] {
        &self.wanted
    }

    /// Takes up the next of the wanted points.
    pub(super) fn take(&mut self, value: T, gradient: &[T]) {
        let slope = self.way.iter().zip(gradient).map(|(way, g)| way.as_f64() * g.as_f64()).sum();
        let at = self.wanted.get(self.found.len()).copied().unwrap_or_default();
        self.found.push(Sample { at, value: value.as_f64(), slope, gradient: Rc::from(gradient) });
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
            Work::Panel(interval) => self.judge(interval, &found),
            Work::Cut(interval) => self.cut(interval, &found),
            Work::Gaps { gaps, width } => self.narrow(gaps, found, width),
            Work::Done => {}
        }
        if self.wanted.is_empty() {
            self.next();
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
        self.evaluations.saturating_add(KRONROD * waiting).saturating_add(more) <= self.max_evaluations
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
        let rule = gauss_kronrod();
        let mut error = 0.0;
        for (i, way) in self.way.iter().enumerate() {
            let terms =
                rule.iter().zip(samples).map(|(node, sample)| (node[1] - node[2]) * sample.gradient[i].as_f64());
            error += way.as_f64().abs() * terms.sum::<f64>().abs();
        }
        let slope: f64 = rule.iter().zip(samples).map(|(node, sample)| node[1] * sample.slope).sum();
        error = (error * width).max((slope * width - interval.rise()).abs());
        let linear = samples.windows(2).filter(|pair| Gap::between(pair).is_linear(&self.way)).count();
        // in gaps every one of them may have to wait as an interval
        let in_gaps = linear >= LINEAR_GAPS && self.affords(KRONROD + 1, KRONROD);
        if self.accepts(error, width) || !(in_gaps || self.affords(2, 1)) {
            rule.iter().zip(samples).for_each(|(node, sample)| self.add(node[1] * width, &sample.gradient));
            self.spend(error, width);
        } else if in_gaps {
            self.take_apart(interval, samples);
        } else {
            self.wanted = vec![interval.cut(samples, &self.way)];
            self.work = Work::Cut(Interval { error, ..interval });
        }
    }

    /// Cuts an interval at a point that was just evaluated.
    fn cut(&mut self, interval: Interval, found: &[Sample<T>]) {
        let Some(middle) = found.first() else { return };
        let error = 0.5 * interval.error;
        let [left, right] = interval.values;
        self.pending.push(Interval { to: middle.at, values: [left, middle.value], error, ..interval });
        self.pending.push(Interval { from: middle.at, values: [middle.value, right], error, ..interval });
    }

    /// Treats an interval as piecewise linear, gap by gap.
    fn take_apart(&mut self, interval: Interval, samples: &[Sample<T>]) {
        let [Some(first), Some(last)] = [samples.first(), samples.last()] else { return };
        let ends = [
            (Interval { to: first.at, values: [interval.values[0], first.value], ..interval }, first),
            (Interval { from: last.at, values: [last.value, interval.values[1]], ..interval }, last),
        ];
        for (end, sample) in ends {
            // the gradient is known at one side only
            let error = (sample.slope * end.width() - end.rise()).abs();
            if self.accepts(error, end.width()) {
                self.add(end.width(), &sample.gradient);
                self.spend(error, end.width());
            } else {
                self.failed.push(Interval { error, ..end });
            }
        }
        let gaps: Vec<_> = samples.windows(2).map(Gap::between).collect();
        let open = gaps.into_iter().filter(|gap| !self.close(gap, false)).collect();
        self.look_into(open, interval.width());
    }

    /// Asks for a point in every open gap; where there are none, what failed waits as intervals.
    fn look_into(&mut self, gaps: Vec<Gap<T>>, width: f64) {
        if gaps.is_empty() {
            self.merge_failed(width);
            return;
        }
        self.wanted = gaps.iter().map(Gap::split).collect();
        self.work = Work::Gaps { gaps, width };
    }

    /// Splits every gap at the point that was found in it.
    fn narrow(&mut self, gaps: Vec<Gap<T>>, found: Vec<Sample<T>>, width: f64) {
        let (count, mut open) = (gaps.len(), Vec::new());
        for (done, (gap, sample)) in gaps.into_iter().zip(found).enumerate() {
            let halves = gap.halves(&sample);
            let waiting = open.len() + count - done - 1;
            // one more piece may have to wait than did, and each may want a point before that
            let force = !self.affords(waiting + 2, waiting + 2);
            let halves = halves.into_iter().filter(|half| !self.close(half, force)).collect::<Vec<_>>();
            let tries = if halves.len() == 2 { gap.tries + 1 } else { 0 };
            for half in halves {
                if tries >= TRIES {
                    self.failed.push(half.interval(&self.way));
                } else {
                    open.push(Gap { tries, ..half });
                }
            }
        }
        self.look_into(open, width);
    }

    /// Adds the share of a gap where its error can be accepted, or must be.
    fn close(&mut self, gap: &Gap<T>, force: bool) -> bool {
        let width = gap.width();
        let [even, kink] = gap.errors(&self.way);
        let is_kink = kink < even;
        let error = even.min(kink);
        if !(force || self.accepts(error, width)) {
            return false;
        }
        let left = if is_kink { gap.kink().unwrap_or(0.5 * width) } else { 0.5 * width };
        self.add(left, &gap.left.gradient);
        self.add(width - left, &gap.right.gradient);
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
            Some(pair) if most > 3.0 * second => Gap::between(pair).split(),
            _ => self.at(0.5),
        }
    }
}
