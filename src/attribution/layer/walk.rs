//! Straight paths of many examples, walked step by step in batches whose size never shows in the result.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Zip};

use crate::attribution::probe::Probe;
use crate::attribution::{Explained, Forward, Layers};
use crate::{Error, Result, Scalar};

/// The steps of all examples, example by example, cut into batches.
#[derive(Debug, Clone, Copy)]
pub(in crate::attribution) struct Walk {
    total: usize,
    steps: usize,
    rows: usize,
}

impl Walk {
    pub(in crate::attribution) fn new(examples: usize, steps: usize, rows: usize) -> Result<Self> {
        let total = examples.checked_mul(steps).ok_or(Error::TooLarge {
            what: "steps of all examples",
            got: usize::MAX,
            limit: usize::MAX - 1,
        })?;
        Ok(Self { total, steps, rows })
    }

    pub(in crate::attribution) fn parts(self) -> impl Iterator<Item = Part> {
        let part = move |first| Part { first, steps: self.steps, rows: self.rows.min(self.total - first) };
        (0..self.total).step_by(self.rows.max(1)).map(part)
    }
}

/// The rows of one batch.
#[derive(Debug, Clone, Copy)]
pub(in crate::attribution) struct Part {
    first: usize,
    steps: usize,
    pub(in crate::attribution) rows: usize,
}

impl Part {
    /// The example that a row belongs to.
    pub(in crate::attribution) fn example(self, row: usize) -> usize {
        (self.first + row) / self.steps
    }

    /// The step that a row stands for.
    pub(in crate::attribution) fn step(self, row: usize) -> usize {
        (self.first + row) % self.steps
    }

    /// Writes `from + t (to - from)` of every row's example and step; `t = 1` gives `to` itself.
    pub(in crate::attribution) fn line<T: Scalar>(
        self,
        (from, to): (&ArrayRef2<T>, &ArrayRef2<T>),
        t: &ArrayRef1<f64>,
        out: &mut ArrayRef2<T>,
    ) {
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            let (example, t) = (self.example(row), t[self.step(row)]);
            out.assign(&to.row(example));
            if t < 1.0 {
                let t = T::of(t);
                out.zip_mut_with(&from.row(example), |x, &from| *x = from + t * (*x - from));
            }
        }
    }

    /// Copies the row of every row's example.
    pub(in crate::attribution) fn repeat<T: Scalar>(self, rows: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        for (row, mut out) in out.rows_mut().into_iter().enumerate() {
            out.assign(&rows.row(self.example(row)));
        }
    }

    /// Adds `weight gradient` of every row to the sum of its example, step after step and in double precision.
    pub(in crate::attribution) fn add<T: Scalar>(
        self,
        weights: &ArrayRef1<f64>,
        gradient: &ArrayRef2<T>,
        sums: &mut Array2<f64>,
    ) {
        for (row, gradient) in gradient.rows().into_iter().enumerate() {
            let weight = weights[self.step(row)];
            sums.row_mut(self.example(row)).zip_mut_with(&gradient, |sum, g| *sum += weight * g.as_f64());
        }
    }
}

/// What one batch of gradients by a layer needs.
#[derive(Debug)]
pub(in crate::attribution) struct Buffers<T> {
    pub(in crate::attribution) x: Array2<T>,
    pub(in crate::attribution) h: Array2<T>,
    pub(in crate::attribution) gradient: Array2<T>,
    pub(in crate::attribution) values: Vec<T>,
}

impl<T: Scalar> Buffers<T> {
    pub(in crate::attribution) fn new(n: usize, units: usize) -> Self {
        Self {
            x: Array2::zeros((0, n)),
            h: Array2::zeros((0, units)),
            gradient: Array2::zeros((0, units)),
            values: vec![],
        }
    }

    /// Makes room for exactly so many rows.
    pub(in crate::attribution) fn fit(&mut self, rows: usize) {
        if self.values.len() != rows {
            let (n, units) = (self.x.ncols(), self.h.ncols());
            self.x = Array2::zeros((rows, n));
            self.h = Array2::zeros((rows, units));
            self.gradient = Array2::zeros((rows, units));
            self.values = vec![T::zero(); rows];
        }
    }

    /// The gradients by `h` with `x` and `h` as they are here.
    pub(in crate::attribution) fn differentiate<M: Layers<T> + ?Sized>(
        &mut self,
        probe: &mut Probe<'_, T, M>,
        layer: usize,
        part: Part,
    ) -> Explained<(), M::Error> {
        let inputs = (&*self.x, &*self.h);
        probe.gradients_with(layer, inputs, |row| part.example(row), &mut self.values, &mut self.gradient)
    }
}

/// Sums in the precision of the model, times the way `to - from` where one is given.
pub(in crate::attribution) fn scaled<T: Scalar>(
    sums: &Array2<f64>,
    way: Option<(&ArrayRef2<T>, &ArrayRef2<T>)>,
) -> Array2<T> {
    let Some((from, to)) = way else { return sums.mapv(T::of) };
    let mut values = Array2::zeros(sums.raw_dim());
    Zip::from(&mut values).and(sums).and(from).and(to).for_each(|value, sum, &from, &to| {
        *value = T::of((to - from).as_f64() * sum);
    });
    values
}

/// The activation of `layer` for all rows of `x`, in batches.
pub(in crate::attribution) fn activations<T: Scalar, M: Layers<T> + ?Sized>(
    probe: &mut Probe<'_, T, M>,
    layer: usize,
    x: &ArrayRef2<T>,
    rows: usize,
) -> Explained<Array2<T>, M::Error> {
    let mut h = Array2::zeros((x.nrows(), probe.layer_width(layer)?));
    for (x, mut h) in x.axis_chunks_iter(Axis(0), rows).zip(h.axis_chunks_iter_mut(Axis(0), rows)) {
        probe.layer(layer, &x, &mut h)?;
    }
    Ok(h)
}

/// Values of the target for all rows of `x`, in batches.
pub(in crate::attribution) fn values<T: Scalar, M: Forward<T> + ?Sized>(
    probe: &mut Probe<'_, T, M>,
    x: &ArrayRef2<T>,
    rows: usize,
) -> Explained<Array1<T>, M::Error> {
    let mut values = vec![T::zero(); x.nrows()];
    let parts = x.axis_chunks_iter(Axis(0), rows).zip(values.chunks_mut(rows)).enumerate();
    for (part, (x, values)) in parts {
        probe.values(&x, |row| part * rows + row, values)?;
    }
    Ok(Array1::from(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_walk_visits_every_step_of_every_example() {
        for rows in [1, 2, 4, 100] {
            let parts = Walk::new(3, 3, rows).unwrap().parts();
            let places: Vec<_> =
                parts.flat_map(|part| (0..part.rows).map(move |r| (part.example(r), part.step(r)))).collect();
            assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
        }
        assert!(matches!(Walk::new(usize::MAX, 2, 1), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn the_last_point_is_the_input_itself() {
        let (from, to) = (array![[0.1, -0.7]], array![[0.3, 1e-9]]);
        let mut out = Array2::zeros((2, 2));
        let part = Part { first: 0, steps: 2, rows: 2 };
        part.line((&from, &to), &array![0.0, 1.0], &mut out);
        assert_eq!((out.row(0), out.row(1)), (from.row(0), to.row(0)));
    }
}
