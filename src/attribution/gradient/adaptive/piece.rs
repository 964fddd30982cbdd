//! Pieces of the way from a baseline to an input.

use alloc::rc::Rc;

use crate::Scalar;

/// What is known at one point of the way.
#[derive(Debug, Clone)]
pub(super) struct Sample<T> {
    pub(super) at: f64,
    pub(super) value: f64,
    /// The derivative of the value along the whole way.
    pub(super) slope: f64,
    pub(super) gradient: Rc<[T]>,
}

/// A piece of which only the values at its ends are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) values: [f64; 2],
    /// What it is expected to be wrong by.
    pub(super) error: f64,
}

impl Interval {
    pub(super) fn width(&self) -> f64 {
        self.to - self.from
    }

    /// How much the value grows.
    pub(super) fn rise(&self) -> f64 {
        self.values[1] - self.values[0]
    }

    /// The point at a share of the width.
    pub(super) fn at(&self, share: f64) -> f64 {
        self.from + share * self.width()
    }
}

/// A piece between two points with gradients.
#[derive(Debug, Clone)]
pub(super) struct Gap<T> {
    pub(super) left: Sample<T>,
    pub(super) right: Sample<T>,
    /// Splits in a row that closed nothing.
    pub(super) tries: u8,
}

/// `Σ |way| |a - b|`: what a jump of the gradient is worth per unit of the way.
pub(super) fn jump<T: Scalar>(a: &[T], b: &[T], way: &[T]) -> f64 {
    a.iter().zip(b).zip(way).map(|((&a, &b), way)| (way.as_f64() * (a.as_f64() - b.as_f64())).abs()).sum()
}

impl<T: Scalar> Gap<T> {
    /// Between two neighbours.
    pub(super) fn between(pair: &[Sample<T>]) -> Self {
        Self { left: pair[0].clone(), right: pair[1].clone(), tries: 0 }
    }

    pub(super) fn width(&self) -> f64 {
        self.right.at - self.left.at
    }

    fn rise(&self) -> f64 {
        self.right.value - self.left.value
    }

    /// Whether the gradient is the same at both ends, up to rounding.
    pub(super) fn is_linear(&self, way: &[T]) -> bool {
        let size = |gradient: &[T]| way.iter().zip(gradient).map(|(w, g)| (w.as_f64() * g.as_f64()).abs()).sum::<f64>();
        let rounding = 4096.0 * T::epsilon().as_f64();
        jump(&self.left.gradient, &self.right.gradient, way)
            <= rounding * (size(&self.left.gradient) + size(&self.right.gradient))
    }

    /// Distance from the left end to where the tangents of both ends meet; `None` where that is not inside.
    ///
    /// A continuous function with one kink and straight pieces beside it has its kink exactly there.
    pub(super) fn kink(&self) -> Option<f64> {
        let turn = self.left.slope - self.right.slope;
        let distance = (self.rise() - self.right.slope * self.width()) / turn;
        let slack = 1e-6 * self.width();
        (distance >= -slack && distance <= self.width() + slack).then(|| distance.clamp(0.0, self.width()))
    }

    /// Error estimates of two readings: the gradient changes evenly, or it jumps at the kink.
    ///
    /// A kink right at an end is what remains of a gap that was split at its kink: the function then runs straight through
    /// the rest, and all that is uncertain is the sliver between the end and the kink.
    pub(super) fn errors(&self, way: &[T]) -> [f64; 2] {
        let (width, jump) = (self.width(), jump(&self.left.gradient, &self.right.gradient, way));
        let even = 0.5 * width * jump + (self.rise() - 0.5 * width * (self.left.slope + self.right.slope)).abs();
        let kink = self.kink().map_or(f64::INFINITY, |distance| jump * distance.min(width - distance));
        [even, kink]
    }

    /// Where to look next: at the kink if there is one, otherwise in the middle.
    pub(super) fn split(&self) -> f64 {
        let inside = self.kink().map(|distance| self.left.at + distance);
        inside.filter(|&at| at > self.left.at && at < self.right.at).unwrap_or(0.5 * (self.left.at + self.right.at))
    }

    /// Both sides of a point in between.
    pub(super) fn halves(&self, middle: &Sample<T>) -> [Self; 2] {
        [
            Self { left: self.left.clone(), right: middle.clone(), tries: 0 },
            Self { left: middle.clone(), right: self.right.clone(), tries: 0 },
        ]
    }

    /// The same without its gradients.
    pub(super) fn interval(&self, way: &[T]) -> Interval {
        let [even, kink] = self.errors(way);
        let (from, to) = (self.left.at, self.right.at);
        Interval { from, to, values: [self.left.value, self.right.value], error: even.min(kink) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, value: f64, slope: f64) -> Sample<f64> {
        Sample { at, value, slope, gradient: Rc::from([slope].as_slice()) }
    }

    #[test]
    fn tangents_meet_at_the_kink() {
        // relu(4 α - 1): flat, then steep from a quarter on
        let gap = Gap::between(&[sample(0.0, 0.0, 0.0), sample(1.0, 3.0, 4.0)]);
        assert_eq!((gap.kink(), gap.split()), (Some(0.25), 0.25));
        assert_eq!(gap.errors(&[1.0]), [2.0 + 1.0, 1.0]);
        let [left, right] = gap.halves(&sample(0.25, 0.0, 0.0));
        assert_eq!((left.errors(&[1.0])[0], right.errors(&[1.0])[1]), (0.0, 0.0));
        assert!(left.is_linear(&[1.0]) && !right.is_linear(&[1.0]));
    }

    #[test]
    fn tangents_that_do_not_meet_inside_say_nothing() {
        // up and down again
        let gap = Gap::between(&[sample(0.0, 0.0, 1.0), sample(1.0, 1.5, 1.0)]);
        assert_eq!((gap.kink(), gap.split()), (None, 0.5));
        assert_eq!(gap.errors(&[1.0]), [0.5, f64::INFINITY]);
    }
}
