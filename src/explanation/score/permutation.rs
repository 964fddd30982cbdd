//! Is a score better than chance? The predictions are given to other texts, or to other tokens, and scored again.
//!
//! ```text
//! p = (1 + number of permutations with r* >= r)/(1 + number of permutations)
//! ```
//!
//! Moving whole texts keeps what tokens of one text share and what their places in it share, so that the test is right for
//! texts; moving single tokens takes them to be independent, and then calls too much significant.
//!
//! For whole texts only the products of every prediction with every true text are needed, once: a permutation then adds up
//! one number for each text.
//!
//! Source: Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and Molecular
//! Biology 9(1), 2010, for the count of 1 more.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef3, ArrayView2, Axis};

use super::pair_stats::{PairStats, Statistic};
use super::scores::Sequence;
use crate::error::{check_each, check_limit, check_shape};
use crate::explanation::{Defined, Undefined};
use crate::math::multiple_testing::benjamini_hochberg;
use crate::math::par::for_each_chunk_mut;
use crate::math::random::shuffle;
use crate::{Error, Result, Scalar, Seed};

/// Most permutations, and most permutations times what each of them moves.
const MAX_MOVES: usize = 1 << 28;

/// Neurons that one thread works through at a time.
const NEURONS: usize = 16;

/// Share of the spread by which two correlations may differ and still be ties.
const TIE: f64 = 1e-12;

/// Purpose of the random streams, one for each permutation.
const PURPOSE: u64 = 0x7065_726d;

/// What a permutation moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Unit {
    /// Whole texts, which must have equal lengths.
    #[default]
    Sequence,
    /// Single tokens of all texts.
    Token,
}

/// Settings of the permutation test of the pooled correlation. The default draws 999 permutations of whole texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Permutation {
    /// What is moved.
    pub unit: Unit,
    /// Number of permutations.
    pub permutations: usize,
    /// Seed of the permutations, which are the same for every neuron.
    pub seed: Seed,
}

impl Default for Permutation {
    fn default() -> Self {
        Self { unit: Unit::Sequence, permutations: 999, seed: Seed::default() }
    }
}

/// Result of a permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PValue {
    /// Chance of a correlation at least as high by a prediction that knows nothing; never 0.
    pub p: f64,
    /// The correlation itself.
    pub pearson: f64,
    /// Permutations that reach it.
    pub reached: usize,
    /// Permutations drawn.
    pub permutations: usize,
}

impl Permutation {
    /// Tests the pooled correlation of texts against chance.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for less than one permutation, [`Error::TooLarge`], [`Error::Shape`] where texts that are moved
    /// as a whole differ in length. Undefined where the correlation is.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::{Permutation, Sequence};
    /// use ndarray::Array1;
    ///
    /// let text = |i: usize| {
    ///     let truth: Array1<f64> = (0..9).map(|j| if j == i { 3.0 } else { 0.0 }).collect();
    ///     Sequence::new(truth.clone(), truth)
    /// };
    /// let texts = (0..8).map(text).collect::<Result<Vec<_>, _>>()?;
    /// assert!(Permutation::default().test(&texts)?.unwrap().p < 0.01);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn test<T: Scalar>(&self, sequences: &[Sequence<T>]) -> Result<Defined<PValue>> {
        let joined = Sequence::joined(sequences);
        if self.unit == Unit::Token {
            let row = |x: &ndarray::Array1<T>| x.view().insert_axis(Axis(1)).to_owned();
            let orders = self.orders(joined.truth().len())?;
            return Ok(self.of_rows(row(joined.truth()).view(), row(joined.prediction()).view(), &orders));
        }
        let tokens = sequences.first().map_or(0, |first| first.truth().len());
        for sequence in sequences {
            check_shape("sequence", sequence.truth(), &[tokens])?;
        }
        let table = |x: &ndarray::Array1<T>| x.to_shape((sequences.len(), tokens)).map(|table| table.to_owned());
        let (Ok(truth), Ok(prediction)) = (table(joined.truth()), table(joined.prediction())) else {
            return Err(Error::Unsupported { what: "texts of different lengths" });
        };
        let orders = self.orders(sequences.len())?;
        Ok(self.of_rows(truth.view(), prediction.view(), &orders))
    }

    /// Tests every neuron of `truth, prediction: (neurons, sequences, tokens)`; all neurons meet the same permutations.
    ///
    /// # Errors
    /// As [`Permutation::test`], and [`Error::Shape`] where the two differ in shape.
    pub fn many<T: Scalar>(&self, truth: &ArrayRef3<T>, prediction: &ArrayRef3<T>) -> Result<Vec<Defined<PValue>>> {
        check_shape("prediction", prediction, truth.shape())?;
        let (neurons, sequences, tokens) = truth.dim();
        let rows = if self.unit == Unit::Sequence { (sequences, tokens) } else { (sequences * tokens, 1) };
        let orders = self.orders(rows.0)?;
        let mut found = vec![Err(Undefined::Empty); neurons];
        for_each_chunk_mut(&mut found, NEURONS, |chunk, found| {
            for (offset, found) in found.iter_mut().enumerate() {
                let of = |x: &ArrayRef3<T>| {
                    let table = x.index_axis(Axis(0), chunk * NEURONS + offset);
                    let shaped = table.to_shape(rows).map(|table| table.to_owned());
                    // the number of elements is the same
                    shaped.unwrap_or_else(|_| Array2::zeros((0, 0)))
                };
                *found = self.of_rows(of(truth).view(), of(prediction).view(), &orders);
            }
        });
        Ok(found)
    }

    /// The false discovery rate at which each neuron would still be called better than chance, `None` where its
    /// correlation is undefined: such neurons are not counted among the tests.
    ///
    /// # Errors
    /// None for results of [`Permutation::many`].
    pub fn adjusted(found: &[Defined<PValue>]) -> Result<Vec<Option<f64>>> {
        let p: Vec<f64> = found.iter().filter_map(|found| found.ok().map(|found| found.p)).collect();
        let mut adjusted = benjamini_hochberg(&p)?.into_iter();
        Ok(found.iter().map(|found| found.ok().and_then(|_| adjusted.next())).collect())
    }

    /// The permutations of so many things.
    fn orders(&self, rows: usize) -> Result<Vec<u32>> {
        check_each("permutations", &[self.permutations as f64], ">= 1", |count: f64| count >= 1.0)?;
        check_limit("permutations", self.permutations, MAX_MOVES)?;
        check_limit("permutations times rows", self.permutations.saturating_mul(rows), MAX_MOVES)?;
        let mut orders = Vec::with_capacity(self.permutations * rows);
        for permutation in 0..self.permutations {
            let start = orders.len();
            orders.extend((0..rows).map(|row| u32::try_from(row).unwrap_or(u32::MAX)));
            shuffle(&mut self.seed.stream(PURPOSE, permutation as u64), &mut orders[start..]);
        }
        Ok(orders)
    }

    fn of_rows<T: Scalar>(&self, t: ArrayView2<'_, T>, s: ArrayView2<'_, T>, orders: &[u32]) -> Defined<PValue> {
        let mut stats = vec![PairStats::default(); t.nrows()];
        PairStats::of_table(t, s, &mut stats);
        let whole = PairStats::pool(&stats);
        let pearson = Statistic::Pearson.of(&whole)?;
        let spread = libm::sqrt(whole.m2_true) * libm::sqrt(whole.m2_predicted);
        let centred = |x: ArrayView2<'_, T>, mean: f64| x.mapv(|x| x.as_f64() - mean);
        let (t, s) = (centred(t, whole.mean_true), centred(s, whole.mean_predicted));
        let bar = whole.cross_moment - TIE * spread;
        let rows = t.nrows();
        let reached = if self.unit == Unit::Token {
            let of =
                |order: &[u32]| order.iter().enumerate().map(|(i, &j)| t[[i, 0]] * s[[j as usize, 0]]).sum::<f64>();
            orders.chunks_exact(rows).filter(|order| of(order) >= bar).count()
        } else {
            let products = t.dot(&s.t());
            let of = |order: &[u32]| order.iter().enumerate().map(|(i, &j)| products[[i, j as usize]]).sum::<f64>();
            orders.chunks_exact(rows).filter(|order| of(order) >= bar).count()
        };
        let p = (1 + reached) as f64 / (1 + self.permutations) as f64;
        Ok(PValue { p, pearson, reached, permutations: self.permutations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{fill_normal, uniform};
    use ndarray::{Array1, Array3, array};

    fn noise(shape: (usize, usize, usize), item: u64) -> Array3<f64> {
        let mut x = Array3::zeros(shape);
        fill_normal(&mut Seed(5).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    }

    fn draws(permutations: usize, unit: Unit) -> Permutation {
        Permutation { permutations, unit, ..Permutation::default() }
    }

    #[test]
    fn one_call_is_neuron_by_neuron_and_the_naive_count() {
        let (t, s) = (noise((3, 5, 4), 1), noise((3, 5, 4), 2));
        let s = &t * 0.3 + s;
        for unit in [Unit::Sequence, Unit::Token] {
            let test = draws(50, unit);
            let many = test.many(&t, &s).unwrap();
            for (neuron, found) in many.iter().enumerate() {
                let row = |x: &Array3<f64>, i| x.index_axis(Axis(0), neuron).row(i).to_owned();
                let texts: Vec<_> = (0..5).map(|i| Sequence::new(row(&t, i), row(&s, i)).unwrap()).collect();
                assert_eq!(test.test(&texts).unwrap(), *found);
                let flat = |x: &Array3<f64>| -> Array1<f64> { x.index_axis(Axis(0), neuron).iter().copied().collect() };
                let (flat_t, flat_s) = (flat(&t), flat(&s));
                let length = if unit == Unit::Token { 1 } else { 4 };
                let moved = |order: &[u32]| -> Array1<f64> {
                    order
                        .iter()
                        .flat_map(|&j| (0..length).map(move |k| j as usize * length + k))
                        .map(|k| flat_s[k])
                        .collect()
                };
                let pearson = |s: &Array1<f64>| Statistic::Pearson.of(&PairStats::of(&flat_t, s).unwrap()).unwrap();
                let orders = test.orders(20 / length).unwrap();
                let reached =
                    orders.chunks(20 / length).filter(|order| pearson(&moved(order)) >= pearson(&flat_s)).count();
                assert_eq!(reached, found.unwrap().reached);
            }
        }
    }

    #[test]
    fn chance_has_p_values_spread_evenly() {
        if cfg!(miri) {
            return;
        }
        let found = draws(99, Unit::Sequence).many(&noise((400, 6, 3), 3), &noise((400, 6, 3), 4)).unwrap();
        let mean = found.iter().map(|found| found.unwrap().p).sum::<f64>() / 400.0;
        assert!((mean - 0.505).abs() < 0.06, "{mean}");
        let below = found.iter().filter(|found| found.unwrap().p <= 0.1).count();
        assert!((20..65).contains(&below), "{below}");
        let adjusted = Permutation::adjusted(&found).unwrap();
        assert!(adjusted.iter().all(|q| q.unwrap() > 0.05));
    }

    #[test]
    fn tokens_that_hang_together_fool_the_test_of_tokens() {
        // each text is one constant: 30 tokens tell no more than 6
        let constant = |item: u64| {
            let mut stream = Seed(item).stream(9, 9);
            (0..6).map(|_| uniform::<f64>(&mut stream)).collect::<Vec<_>>()
        };
        let (t, s) = (constant(3), constant(4));
        let texts: Vec<_> = t
            .iter()
            .zip(&s)
            .map(|(t, s)| Sequence::new(Array1::from_elem(5, *t), Array1::from_elem(5, 0.9 * t + s)).unwrap())
            .collect();
        let p = |unit| draws(999, unit).test(&texts).unwrap().unwrap().p;
        assert!(p(Unit::Token) < p(Unit::Sequence));
    }

    #[test]
    fn what_cannot_be_tested_says_so() {
        let text = |t: Array1<f64>, s| Sequence::new(t, s).unwrap();
        let still = [text(array![1.0, 1.0], array![0.0, 1.0]), text(array![1.0, 1.0], array![2.0, 1.0])];
        assert_eq!(draws(9, Unit::Sequence).test(&still).unwrap(), Err(Undefined::ConstantTruth));
        assert_eq!(draws(9, Unit::Token).test::<f64>(&[]).unwrap(), Err(Undefined::Empty));
        assert_eq!(draws(9, Unit::Sequence).test::<f64>(&[]).unwrap(), Err(Undefined::Empty));
        assert!(draws(0, Unit::Token).test(&still).is_err() && draws(usize::MAX, Unit::Token).test(&still).is_err());
        let uneven = [text(array![1.0], array![0.0]), text(array![1.0, 2.0], array![2.0, 1.0])];
        assert!(draws(9, Unit::Sequence).test(&uneven).is_err());
        assert!(draws(9, Unit::Token).test(&uneven).unwrap().is_ok());
        assert!(draws(9, Unit::Token).many(&noise((1, 2, 3), 1), &noise((1, 3, 2), 1)).is_err());
        assert_eq!(Permutation::adjusted(&[Err(Undefined::Empty)]).unwrap(), [None]);
    }
}
