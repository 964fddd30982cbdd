//! Values and gradients at any number of points, in calls of constant size and in memory that does not grow with the points.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2, ArrayViewMut2};

use crate::attribution::baseline::BaselineRows;
use crate::attribution::probe::Probe;
use crate::attribution::{Batch, Differentiable, Explained, Forward};
use crate::{Result, Scalar};

/// Buffers of one call.
#[derive(Debug)]
pub(super) struct Walk<T> {
    /// Most rows of a call.
    rows: usize,
    n: usize,
    x: Vec<T>,
    gradient: Vec<T>,
    values: Vec<T>,
    way: Vec<T>,
}

impl<T: Scalar> Walk<T> {
    /// For points of `n` features.
    pub(super) fn new(batch: Batch, n: usize) -> Result<Self> {
        Ok(Self { rows: batch.rows(n)?, n, x: Vec::new(), gradient: Vec::new(), values: Vec::new(), way: Vec::new() })
    }

    /// Most rows of a call.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Gradients at all `points`. `example` says which row of the input a point belongs to, `place` writes it, and `fold` is
    /// given its value and gradient; points are folded in their order, whatever the size of a call.
    pub(super) fn gradients<P: Copy, M: Differentiable<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        points: impl IntoIterator<Item = P>,
        example: impl Fn(P) -> usize,
        mut place: impl FnMut(P, &mut [T]),
        mut fold: impl FnMut(P, T, &[T]),
    ) -> Explained<(), M::Error> {
        let mut points = points.into_iter();
        while let Some(chunk) = self.next_chunk(&mut points, &mut place) {
            self.gradient.resize(chunk.len() * self.n, T::zero());
            let shape = (chunk.len(), self.n);
            let (x, mut gradient) = (matrix(&mut self.x, shape), matrix(&mut self.gradient, shape));
            probe.gradients(&x, |row| example(chunk[row]), &mut self.values, &mut gradient)?;
            let found = self.values.iter().zip(self.gradient.chunks_exact(self.n));
            chunk.iter().zip(found).for_each(|(&point, (&value, gradient))| fold(point, value, gradient));
        }
        Ok(())
    }

    /// As [`Walk::gradients`] of points on a way: `place` writes a point and the way there, and `fold` is given both gradient
    /// and way.
    pub(super) fn along<P: Copy, M: Differentiable<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        points: impl IntoIterator<Item = P>,
        example: impl Fn(P) -> usize,
        mut place: impl FnMut(P, &mut [T], &mut [T]),
        mut fold: impl FnMut(P, &[T], &[T]),
    ) -> Explained<(), M::Error> {
        let (n, mut points) = (self.n, points.into_iter().fuse());
        loop {
            let ways = core::mem::take(&mut self.way);
            let ways = core::cell::RefCell::new((ways, 0));
            ways.borrow_mut().0.clear();
            let chunk: Vec<P> = points.by_ref().take(self.rows).collect();
            self.gradients(
                probe,
                chunk.iter().copied(),
                &example,
                |point, x| {
                    let way = &mut ways.borrow_mut().0;
                    let start = way.len();
                    way.resize(start + n, T::zero());
                    place(point, x, &mut way[start..]);
                },
                |point, _, gradient| {
                    let (way, used) = &mut *ways.borrow_mut();
                    fold(point, gradient, &way[*used..*used + n]);
                    *used += n;
                },
            )?;
            self.way = ways.into_inner().0;
            if chunk.is_empty() {
                return Ok(());
            }
        }
    }

    /// As [`Walk::gradients`] without gradients.
    pub(super) fn values<P: Copy, M: Forward<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        points: impl IntoIterator<Item = P>,
        example: impl Fn(P) -> usize,
        mut place: impl FnMut(P, &mut [T]),
        mut fold: impl FnMut(P, T),
    ) -> Explained<(), M::Error> {
        let mut points = points.into_iter();
        while let Some(chunk) = self.next_chunk(&mut points, &mut place) {
            let x = matrix(&mut self.x, (chunk.len(), self.n));
            probe.values(&x, |row| example(chunk[row]), &mut self.values)?;
            chunk.iter().zip(&self.values).for_each(|(&point, &value)| fold(point, value));
        }
        Ok(())
    }

    /// Values at the rows of `x: (b, n)` and at their baselines, `(b)` each.
    pub(super) fn ends<M: Forward<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        x: &ArrayRef2<T>,
        baselines: &BaselineRows<'_, T>,
    ) -> Explained<(Array1<T>, Array1<T>), M::Error> {
        let (mut output, mut base) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        let points = (0..x.nrows()).flat_map(|row| [(row, true), (row, false)]);
        let place = |(row, is_input): (usize, bool), point: &mut [T]| {
            copy(point, if is_input { x.row(row) } else { baselines.row(row) });
        };
        self.values(
            probe,
            points,
            |(row, _)| row,
            place,
            |(row, is_input), value| {
                if is_input { output[row] = value } else { base[row] = value }
            },
        )?;
        Ok((output, base))
    }

    /// Values at the rows of `x: (b, n)`, `(b)`.
    pub(super) fn outputs<M: Forward<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        x: &ArrayRef2<T>,
    ) -> Explained<Array1<T>, M::Error> {
        let mut output = Array1::zeros(x.nrows());
        let place = |row, point: &mut [T]| copy(point, x.row(row));
        self.values(probe, 0..x.nrows(), |row| row, place, |row, value| output[row] = value)?;
        Ok(output)
    }

    /// Writes the points of the next call; `None` where there are no more.
    fn next_chunk<P: Copy>(
        &mut self,
        points: &mut impl Iterator<Item = P>,
        place: &mut impl FnMut(P, &mut [T]),
    ) -> Option<Vec<P>> {
        let chunk: Vec<P> = points.by_ref().take(self.rows).collect();
        self.x.resize(chunk.len() * self.n, T::zero());
        self.values.resize(chunk.len(), T::zero());
        chunk.iter().zip(self.x.chunks_exact_mut(self.n)).for_each(|(&point, x)| place(point, x));
        if chunk.is_empty() { None } else { Some(chunk) }
    }
}

fn matrix<T>(values: &mut [T], shape: (usize, usize)) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape(shape, values).expect("the buffer was just given this length")
}

/// Writes a row into a buffer of its length.
pub(super) fn copy<'a, T: Scalar>(to: &mut [T], from: impl IntoIterator<Item = &'a T>) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
}

/// Writes `b + α (x - b)`.
pub(super) fn straight<'a, T: Scalar>(
    to: &mut [T],
    alpha: f64,
    x: impl IntoIterator<Item = &'a T>,
    baseline: impl IntoIterator<Item = &'a T>,
) {
    let alpha = T::of(alpha);
    to.iter_mut().zip(x).zip(baseline).for_each(|((to, &x), &b)| *to = b + alpha * (x - b));
}

/// Adds `weight gradient` in double precision, which many steps of single precision need.
pub(super) fn add<'a, T: Scalar>(sums: impl IntoIterator<Item = &'a mut f64>, weight: f64, gradient: &[T]) {
    sums.into_iter().zip(gradient).for_each(|(sum, g)| *sum += weight * g.as_f64());
}
