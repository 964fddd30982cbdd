//! ROAD, remove and debias: erasure of pixels whose places are filled from their neighbours.
//!
//! ```text
//! for every removed pixel i, in each channel:   Σ_j w_ij (y_i - y_j) = 0,  j over its up to eight neighbours
//! w = 1/6 beside and above, 1/12 across         y_j is the image where j was not removed
//! ```
//!
//! Pixels at a constant baseline show their own shape to the model, which then is judged on the shape; filled from around
//! they do not. A little noise hides that they are smooth. The equations have exactly one solution as long as one pixel is
//! left; conjugate gradients find it in at most a fixed number of steps.
//!
//! Source: Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (arXiv 2202.00449),
//! noisy linear imputation.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, Array3, ArrayRef2, ArrayRef3, ArrayView3};

use super::decision::Decision;
use super::masking::places;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Batch, Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::curves::mean;
use crate::math::random::fill_normal;
use crate::{Error, Result, Scalar, Seed};

/// Neighbours of a pixel and their weights.
const NEIGHBOURS: [(isize, isize, f64); 8] = [
    (-1, -1, 1.0 / 12.0),
    (-1, 0, 1.0 / 6.0),
    (-1, 1, 1.0 / 12.0),
    (0, -1, 1.0 / 6.0),
    (0, 1, 1.0 / 6.0),
    (1, -1, 1.0 / 12.0),
    (1, 0, 1.0 / 6.0),
    (1, 1, 1.0 / 12.0),
];

/// Residual, relative to the right-hand side, at which the solution is good.
const TOLERANCE: f64 = 1e-10;

/// Fills the `removed: (h, w)` pixels of `image: (c, h, w)` from their neighbours, without noise.
///
/// # Errors
/// [`Error::Shape`], [`Error::Empty`] for an image without pixels and where no pixel is left, [`Error::NotFinite`],
/// [`Error::NoConvergence`] where rounding keeps the solution away.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::impute_linearly;
/// use ndarray::array;
///
/// let image = array![[[1.0, 9.0, 3.0]]];
/// let filled = impute_linearly(&image, &array![[false, true, false]])?;
/// assert!((filled[[0, 0, 1]] - 2.0_f64).abs() < 1e-9);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn impute_linearly<T: Scalar>(image: &ArrayRef3<T>, removed: &ArrayRef2<bool>) -> Result<Array3<T>> {
    check_not_empty("image", image)?;
    check_finite("image", image)?;
    let (_, height, width) = image.dim();
    check_shape("removed", removed, &[height, width])?;
    let system = System::new(removed)?;
    let mut filled = image.to_owned();
    for mut channel in filled.outer_iter_mut() {
        let values = system.solve(&channel.mapv(|x| x.as_f64()))?;
        for (&pixel, value) in system.pixels.iter().zip(values) {
            channel[[pixel / width, pixel % width]] = T::of(value);
        }
    }
    Ok(filled)
}

/// The equations of the removed pixels.
struct System {
    /// Removed pixels, row-major.
    pixels: Vec<usize>,
    /// Neighbours of each: number among the removed ones, or else the pixel itself.
    neighbours: Vec<Vec<(Result<usize, usize>, f64)>>,
}

impl System {
    fn new(removed: &ArrayRef2<bool>) -> Result<Self> {
        let (height, width) = removed.dim();
        let flat: Vec<bool> = removed.iter().copied().collect();
        let pixels: Vec<usize> = (0..flat.len()).filter(|&pixel| flat[pixel]).collect();
        if pixels.len() == flat.len() {
            return Err(Error::Empty { what: "pixels that are left" });
        }
        let mut numbers = vec![0; flat.len()];
        pixels.iter().enumerate().for_each(|(number, &pixel)| numbers[pixel] = number);
        let neighbours_of = |&pixel: &usize| {
            let (row, column) = (pixel / width, pixel % width);
            let there = NEIGHBOURS.iter().filter_map(|&(down, right, weight)| {
                let row = row.checked_add_signed(down).filter(|&row| row < height)?;
                let column = column.checked_add_signed(right).filter(|&column| column < width)?;
                let other = row * width + column;
                Some((if flat[other] { Ok(numbers[other]) } else { Err(other) }, weight))
            });
            there.collect()
        };
        let neighbours = pixels.iter().map(neighbours_of).collect();
        Ok(Self { pixels, neighbours })
    }

    /// `A y`: what the equations give for the removed pixels alone.
    fn apply(&self, y: &[f64], out: &mut [f64]) {
        for ((slot, neighbours), here) in out.iter_mut().zip(&self.neighbours).zip(y) {
            let term = |(other, weight): &(Result<usize, usize>, f64)| weight * other.map_or(*here, |j| here - y[j]);
            *slot = neighbours.iter().map(term).sum();
        }
    }

    /// Values of the removed pixels of one channel, by conjugate gradients: the equations are symmetric and positive definite.
    fn solve(&self, channel: &Array2<f64>) -> Result<Vec<f64>> {
        let flat: Vec<f64> = channel.iter().copied().collect();
        let scale = flat.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let count = self.pixels.len();
        let mut y = vec![0.0; count];
        if scale == 0.0 || count == 0 {
            return Ok(y);
        }
        let known = |(other, weight): &(Result<usize, usize>, f64)| other.err().map(|j| weight * (flat[j] / scale));
        let mut residual: Vec<f64> = self.neighbours.iter().map(|all| all.iter().filter_map(known).sum()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut direction, mut image) = (residual.clone(), vec![0.0; count]);
        let mut square = dot(&residual, &residual);
        let enough = TOLERANCE * TOLERANCE * square;
        let limit = 4 * count + 100;
        for _ in 0..limit {
            if square <= enough {
                y.iter_mut().for_each(|y| *y *= scale);
                return Ok(y);
            }
            self.apply(&direction, &mut image);
            let step = square / dot(&direction, &image);
            y.iter_mut().zip(&direction).for_each(|(y, d)| *y += step * d);
            residual.iter_mut().zip(&image).for_each(|(r, a)| *r -= step * a);
            let next = dot(&residual, &residual);
            let share = next / square;
            direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + share * *d);
            square = next;
        }
        Err(Error::NoConvergence { iterations: limit, residual: libm::sqrt(square) })
    }
}

/// Settings of ROAD.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::Road;
/// use limpid::attribution::target::Logit;
/// use ndarray::{Array2, array};
///
/// // the model looks at the pixel in the middle of nine
/// let mut weight = Array2::zeros((1, 9));
/// weight[[0, 4]] = 1.0;
/// let mut model = Network::new(9).linear(weight.clone(), None)?;
/// let mut x = Array2::zeros((1, 9));
/// x[[0, 4]] = 1.0;
/// let road = Road { percents: vec![20], noise: 0.0, ..Road::new([1, 3, 3]) };
/// let found = road.judge(&mut model, &x, &weight, &Logit::of(0))?;
/// assert!(f64::abs(found.most_relevant_first[[0, 0]]) < 1e-9);
/// assert_eq!(found.least_relevant_first, array![[1.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Road<T> {
    /// Shape `[c, h, w]` of the images.
    pub shape: [usize; 3],
    /// Per cent of the pixels that are removed, each below 100; numbers of pixels are rounded down.
    pub percents: Vec<usize>,
    /// Standard deviation of the noise on filled pixels, in units of `x`.
    pub noise: f64,
    /// What the noise follows from.
    pub seed: Seed,
    /// What the model decides.
    pub decision: Decision<T>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Road<T> {
    /// Removal of 10, 20, .., 90 % of the pixels, filled with noise of deviation 0.01.
    #[must_use]
    pub fn new(shape: [usize; 3]) -> Self {
        Self {
            shape,
            percents: (1..10).map(|tenth| 10 * tenth).collect(),
            noise: 0.01,
            seed: Seed::default(),
            decision: Decision::Largest,
            batch: Batch::Auto,
        }
    }
}

/// Curves of `b` rows at `K` levels.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct RoadReport<T> {
    /// Numbers of pixels removed, `(K)`.
    pub counts: Vec<usize>,
    /// Value of the target as the pixels with most attribution go, `(b, K)`; it should fall soon.
    pub most_relevant_first: Array2<T>,
    /// The same as those with least attribution go, `(b, K)`; it should fall late.
    pub least_relevant_first: Array2<T>,
    /// Whether the decision is still that of the input, most relevant first, `(b, K)`; `None` where the model decides nothing.
    pub kept_most_first: Array2<Option<bool>>,
    /// The same, least relevant first.
    pub kept_least_first: Array2<Option<bool>>,
    /// Mean distance of the two curves, least less most, `(b)`; larger is better.
    pub gap: Array1<f64>,
    /// What the noise follows from.
    pub seed: Seed,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x726f_6164;

impl<T: Scalar> Road<T> {
    /// Judges an attribution of pixels `(b, h w)`, or of features `(b, c h w)`, whose channels are added up, of `target` for the
    /// images `x: (b, c h w)`.
    ///
    /// # Errors
    /// As [`Erasure::judge`](super::Erasure::judge), and [`Error::OutOfRange`] for 100 per cent and more and for negative noise,
    /// [`Error::Empty`] for no levels.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<RoadReport<T>, M::Error> {
        let mut copies = Sweep::new(model, x, target, self.batch)?;
        self.decision.check(copies.n_outputs())?;
        let pixels = self.pixels(x, attribution)?;
        let counts: Vec<usize> = self.percents.iter().map(|percent| pixels.ncols() * percent / 100).collect();
        let orders = [places(&pixels), places(&pixels.mapv(|a| -a))];
        let mut decided = vec![None; x.nrows()];
        let unchanged = (0..x.nrows()).map(|row| (row, ()));
        copies.run(unchanged, |_, (), _| {}, |row, (), _, z| decided[row] = self.decision.of(z))?;
        let shape = (x.nrows(), counts.len());
        let mut curves = [Array2::zeros(shape), Array2::zeros(shape)];
        let mut kept = [Array2::default(shape), Array2::default(shape)];
        let mut failed = None;
        let levels = counts.len();
        let items = (0..x.nrows()).flat_map(|row| (0..2 * levels).map(move |at| (row, (at / levels, at % levels))));
        let change = |row: usize, (order, level): (usize, usize), image: &mut [T]| {
            let removed = |pixel: usize| orders[order][row][pixel] < counts[level];
            if let Err(error) = self.fill((row, order, level), removed, image) {
                failed.get_or_insert(error);
            }
        };
        copies.run(items, change, |row, (order, level), value, z| {
            curves[order][[row, level]] = value;
            kept[order][[row, level]] = decided[row].map(|before| self.decision.of(z) == Some(before));
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let [most_relevant_first, least_relevant_first] = curves;
        let [kept_most_first, kept_least_first] = kept;
        let pairs = most_relevant_first.rows().into_iter().zip(least_relevant_first.rows());
        let distance = |(most, least): (&T, &T)| least.as_f64() - most.as_f64();
        let gap = pairs.map(|(most, least)| mean(most.iter().zip(least).map(distance)).unwrap_or_default()).collect();
        Ok(RoadReport {
            counts,
            gap,
            most_relevant_first,
            least_relevant_first,
            kept_most_first,
            kept_least_first,
            seed: self.seed,
            evaluations: copies.evaluations(),
        })
    }

    /// Attribution of the pixels, `(b, h w)`, after the check of all settings.
    fn pixels(&self, x: &ArrayRef2<T>, attribution: &ArrayRef2<T>) -> Result<Array2<T>> {
        let [channels, height, width] = self.shape;
        let area = height.saturating_mul(width);
        check_shape("x", x, &[x.nrows(), channels.saturating_mul(area)])?;
        check_each("noise", &[self.noise], ">= 0", |noise: f64| noise >= 0.0 && noise.is_finite())?;
        if self.percents.is_empty() {
            return Err(Error::Empty { what: "percents" });
        }
        let percents: Vec<f64> = self.percents.iter().map(|&percent| percent as f64).collect();
        check_each("percents", &percents, "below 100", |percent: f64| percent < 100.0)?;
        check_finite("attribution", attribution)?;
        if attribution.ncols() == area && channels != 1 {
            check_shape("attribution", attribution, &[x.nrows(), area])?;
            return Ok(attribution.to_owned());
        }
        check_shape("attribution", attribution, x.shape())?;
        Ok(Array2::from_shape_fn((x.nrows(), area), |(row, pixel)| {
            (0..channels).map(|channel| attribution[[row, channel * area + pixel]]).sum()
        }))
    }

    /// Fills the removed pixels of an image.
    fn fill(
        &self,
        (row, order, level): (usize, usize, usize),
        removed: impl Fn(usize) -> bool,
        image: &mut [T],
    ) -> Result<()> {
        let [_, height, width] = self.shape;
        let removed = Array2::from_shape_fn((height, width), |(y, x)| removed(y * width + x));
        let filled = match ArrayView3::from_shape(self.shape, &*image) {
            Ok(image) => impute_linearly(&image, &removed)?,
            Err(_) => return Err(Error::Unsupported { what: "images of another shape" }),
        };
        let number = (order * self.percents.len() + level) as u64;
        let mut stream = self.seed.child(PURPOSE, row as u64).stream(PURPOSE, number);
        for ((slot, &value), &is_removed) in image.iter_mut().zip(&filled).zip(removed.iter().cycle()) {
            let mut noise = [T::zero()];
            if is_removed {
                fill_normal(&mut stream, T::of(self.noise), &mut noise);
            }
            *slot = value + noise[0];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn what_is_linear_inside_is_found_again() {
        let image = Array3::from_shape_fn((2, 6, 7), |(c, y, x)| (1 + c) as f64 * (2.0 * y as f64 - 3.0 * x as f64));
        let inside = |y, x| (1..5).contains(&y) && (1..6).contains(&x);
        let removed = Array2::from_shape_fn((6, 7), |(y, x)| inside(y, x));
        let mut holes = image.clone();
        holes.indexed_iter_mut().filter(|((_, y, x), _)| inside(*y, *x)).for_each(|(_, value)| *value = 1e3);
        assert_relative_eq!(impute_linearly(&holes, &removed).unwrap(), image, epsilon = 1e-7);
    }

    #[test]
    fn one_pixel_fills_everything() {
        let (mut image, mut removed) = (Array3::zeros((1, 20, 30)), Array2::from_elem((20, 30), true));
        (image[[0, 3, 4]], removed[[3, 4]]) = (5.0, false);
        let filled = impute_linearly(&image, &removed).unwrap();
        assert!(filled.iter().all(|value| (value - 5.0_f64).abs() < 1e-6));
        removed[[3, 4]] = true;
        assert_eq!(impute_linearly(&image, &removed), Err(Error::Empty { what: "pixels that are left" }));
        removed.fill(false);
        assert_eq!(impute_linearly(&image, &removed).unwrap(), image);
    }

    fn judge(batch: Batch) -> RoadReport<f64> {
        let weight = Array2::from_shape_fn((2, 32), |(i, j)| ((i * 5 + j * 3) % 7) as f64 - 3.0);
        let mut model = Network::new(32).linear(weight.clone(), None).unwrap();
        let x = Array2::from_shape_fn((3, 32), |(i, j)| ((i * 3 + j * j) % 5) as f64 / 4.0);
        let attribution = &x * &weight.row(0);
        let road = Road { batch, percents: vec![0, 50, 90], ..Road::new([2, 4, 4]) };
        road.judge(&mut model, &x, &attribution, &Logit::of(0)).unwrap()
    }

    #[test]
    fn batches_do_not_show() {
        let all = judge(Batch::Auto);
        assert_eq!((judge(Batch::Rows(1)), judge(Batch::Rows(5))), (all.clone(), all.clone()));
        assert_eq!((all.counts, all.evaluations.forward), (vec![0, 8, 14], 3 + 18));
        assert_eq!(all.most_relevant_first.column(0), all.least_relevant_first.column(0));
        assert!(all.kept_most_first.column(0).iter().all(|kept| *kept == Some(true)));
        assert!(all.gap.iter().all(|&gap| gap > 0.0));
    }

    #[test]
    fn bad_settings_are_named() {
        let mut model = Network::new(4).linear(array![[1.0; 4]], None).unwrap();
        let mut refused = |road: Road<f64>| {
            let (x, a) = (array![[1.0, 2.0, 3.0, 4.0]], array![[1.0, 2.0, 3.0, 4.0]]);
            road.judge(&mut model, &x, &a, &Logit::of(0)).unwrap_err()
        };
        let road = Road::new([1, 2, 2]);
        let found = refused(Road { percents: vec![100], ..road.clone() });
        assert!(matches!(found, Failure::Input(Error::OutOfRange { what: "percents", .. })));
        let found = refused(Road { noise: -1.0, ..road.clone() });
        assert!(matches!(found, Failure::Input(Error::OutOfRange { what: "noise", .. })));
        assert!(matches!(refused(Road::new([1, 2, 3])), Failure::Input(Error::Shape { what: "x", .. })));
        assert_eq!(refused(Road { percents: vec![], ..road }), Failure::Input(Error::Empty { what: "percents" }));
    }
}
