//! Linear probe: ridge regression of the activation on an embedding of each token.
//!
//! ```text
//! w, c = argmin Σ_tokens (y - w·x - c)² + λ ‖w‖²        the intercept c is not penalised
//! one-hot x:  w_v = n_v (m_v - c)/(n_v + λ),  c = Σ_v s_v m_v / Σ_v s_v,  s_v = n_v/(n_v + λ)
//! ```
//!
//! With embeddings that see the context it is the most that is in the model's own features linearly. Where `x` says which token
//! it is and no more, the solution is the token table, drawn towards `c` where there is little evidence: `n_v` occurrences of
//! token `v` with mean `m_v`.
//!
//! Source: Hoerl and Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12(1), 1970.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::simulation::{Scale, Simulation, TokenStatus};
use super::simulator::Simulator;
use super::training::{Mean, check_records};
use crate::error::{check_each, check_limit, check_shape};
use crate::explanation::{ActivationRecord, Failure};
use crate::math::gemm::add_product_into;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar};

/// Most features of a token.
const MAX_DIMENSION: usize = 4096;

/// Turns tokens into vectors: a table, a layer of the subject model, a sentence encoder.
pub trait Embedder {
    /// What it says when it cannot.
    type Error;

    /// Number of features `d`.
    fn dimension(&self) -> usize;

    /// Writes the features of the `tokens: (t)` of one text to `out: (t, d)`, which is 0 before.
    ///
    /// # Errors
    /// Whatever the embedder reports.
    fn embed(&mut self, tokens: &[String], out: &mut ArrayRef2<f64>) -> Result<(), Self::Error>;
}

/// A fitted probe.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::explanation::simulate::{Embedder, LinearProbe, Simulator};
/// use ndarray::{ArrayRef2, array};
///
/// /// The length of a token, and whether it begins with a capital.
/// struct Shape;
/// impl Embedder for Shape {
///     type Error = limpid::Error;
///     fn dimension(&self) -> usize {
///         2
///     }
///     fn embed(&mut self, tokens: &[String], out: &mut ArrayRef2<f64>) -> Result<(), limpid::Error> {
///         for (token, mut row) in tokens.iter().zip(out.rows_mut()) {
///             row[0] = token.len() as f64;
///             row[1] = f64::from(token.starts_with(char::is_uppercase));
///         }
///         Ok(())
///     }
/// }
/// let train = [ActivationRecord::new(["In", "Rome", "they", "do", "so"], array![3.0, 3.0, 0.0, 0.0, 0.0])?];
/// let mut probe = LinearProbe::fit(Shape, &train, 1e-9)?;
/// let found = probe.simulate("", &["Oslo".to_string(), "is".to_string()])?;
/// assert!((found.filled(0.0) - array![3.0, 0.0]).iter().all(|x: &f64| x.abs() < 1e-6));
/// # Ok::<(), limpid::explanation::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LinearProbe<E> {
    embedder: E,
    /// Weights `w: (d)`.
    pub weights: Array1<f64>,
    /// Intercept `c`.
    pub intercept: f64,
}

impl<E: Embedder> LinearProbe<E> {
    /// Fits a probe to these records with the penalty `ridge >= 0`, one record in memory at a time.
    ///
    /// # Errors
    /// The embedder's own, and within [`Failure::Input`]: [`Error::Shape`] for a record that is not whole, [`Error::Empty`] for
    /// no tokens, [`Error::TooLarge`] beyond 4096 features, [`Error::OutOfRange`] for activations, features and the penalty,
    /// [`Error::Singular`] where the features do not decide and there is no penalty.
    pub fn fit<T: Scalar>(
        mut embedder: E,
        records: &[ActivationRecord<T>],
        ridge: f64,
    ) -> Result<Self, Failure<E::Error>> {
        check_records(records)?;
        check_each("ridge", &[ridge], ">= 0 and finite", |ridge: f64| ridge >= 0.0 && ridge.is_finite())?;
        let d = embedder.dimension();
        check_limit("features", d, MAX_DIMENSION)?;
        // rows are (x, y, 1), the first of all taken off from x and y, which costs no digits far from 0
        let (mut moments, mut shift) = (Array2::zeros((d + 2, d + 2)), None);
        for record in records.iter().filter(|record| !record.tokens.is_empty()) {
            let mut rows: Array2<f64> = Array2::ones((record.tokens.len(), d + 2));
            let features = embed(&mut embedder, &record.tokens)?;
            rows.slice_axis_mut(Axis(1), Slice::from(..d)).assign(&features);
            rows.column_mut(d).assign(&record.activations.mapv(Scalar::as_f64));
            let shift = shift.get_or_insert_with(|| {
                let mut first = rows.row(0).to_owned();
                first[d + 1] = 0.0;
                first
            });
            rows -= &*shift;
            add_product_into(&rows.t(), &rows, &mut moments)?;
        }
        let shift = shift.ok_or(Error::Empty { what: "records" })?;
        let (weights, intercept) = solve(&moments, &shift, ridge)?;
        Ok(Self { embedder, weights, intercept })
    }
}

/// Weights and intercept from `moments: (d + 2, d + 2)`, the sums of products of rows `(x, y, 1) - shift`.
fn solve(moments: &ArrayRef2<f64>, shift: &Array1<f64>, ridge: f64) -> Result<(Array1<f64>, f64)> {
    let d = moments.nrows() - 2;
    let count = moments[[d + 1, d + 1]];
    let centred = |i: usize, j: usize| moments[[i, j]] - moments[[i, d + 1]] * moments[[j, d + 1]] / count;
    let gram = Array2::from_shape_fn((d, d), |(i, j)| centred(i, j) + if i == j { ridge } else { 0.0 });
    let mut weights: Vec<f64> = (0..d).map(|i| centred(i, d)).collect();
    Cholesky::new(&gram, "moments of the features")?.solve(&mut weights)?;
    let mean = |i: usize| shift[i] + moments[[i, d + 1]] / count;
    let explained: f64 = weights.iter().enumerate().map(|(i, w)| w * mean(i)).sum();
    Ok((Array1::from(weights), mean(d) - explained))
}

/// Features `(t, d)` of the tokens of one text.
fn embed<E: Embedder>(embedder: &mut E, tokens: &[String]) -> Result<Array2<f64>, Failure<E::Error>> {
    let mut features = Array2::zeros((tokens.len(), embedder.dimension().min(MAX_DIMENSION)));
    embedder.embed(tokens, &mut features).map_err(Failure::Model)?;
    check_each("features", &features, "-1e70 <= x <= 1e70", |x: f64| x.abs() <= 1e70)?;
    Ok(features)
}

impl<T: Scalar, E: Embedder> Simulator<T> for LinearProbe<E> {
    type Error = Failure<E::Error>;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>, Self::Error> {
        let features = embed(&mut self.embedder, tokens)?;
        check_shape("features", &features, &[tokens.len(), self.weights.len()])?;
        let values = features.dot(&self.weights).iter().map(|value| T::of(value + self.intercept)).collect();
        Ok(Simulation::of(values, Scale::Activation))
    }
}

/// The probe of one-hot features: a token table that trusts rare tokens less.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::explanation::simulate::OneHotProbe;
/// use ndarray::array;
///
/// let train = [ActivationRecord::new(["a", "a", "a", "b"], array![4.0, 4.0, 4.0, 0.0])?];
/// let free = OneHotProbe::fit(&train, 0.0)?;
/// assert_eq!((free.get("a"), free.get("b"), free.get("c")), (4.0, 0.0, 2.0));
/// // "b" was seen once, and is drawn further towards the middle than "a"
/// let drawn = OneHotProbe::fit(&train, 1.0)?;
/// let near = |x: f64, y: f64| (x - y).abs() < 1e-12;
/// assert!(near(drawn.get("a"), 3.6) && near(drawn.get("b"), 1.2) && near(drawn.get("c"), 2.4));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OneHotProbe {
    weights: BTreeMap<String, f64>,
    intercept: f64,
}

impl OneHotProbe {
    /// The probe of these records with the penalty `ridge >= 0`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`], [`Error::Empty`] as [`LinearProbe::fit`].
    pub fn fit<T: Scalar>(records: &[ActivationRecord<T>], ridge: f64) -> Result<Self> {
        check_records(records)?;
        check_each("ridge", &[ridge], ">= 0 and finite", |ridge: f64| ridge >= 0.0 && ridge.is_finite())?;
        let mut means: BTreeMap<&str, Mean> = BTreeMap::new();
        for (token, activation) in records.iter().flat_map(|record| record.tokens.iter().zip(&record.activations)) {
            means.entry(token).or_default().add(activation.as_f64());
        }
        let trusted = |mean: &Mean| (mean.count as f64 / (mean.count as f64 + ridge), mean.value().unwrap_or_default());
        let (mut weighted, mut sum) = (0.0, 0.0);
        for (share, mean) in means.values().map(trusted) {
            weighted += share * mean;
            sum += share;
        }
        if means.is_empty() {
            return Err(Error::Empty { what: "records" });
        }
        let intercept = weighted / sum;
        let weight = |mean: &Mean| {
            let (share, mean) = trusted(mean);
            share * (mean - intercept)
        };
        let weights = means.iter().map(|(token, mean)| (String::from(*token), weight(mean))).collect();
        Ok(Self { weights, intercept })
    }

    /// Prediction for a token; the intercept for one that was never seen.
    #[must_use]
    pub fn get(&self, token: &str) -> f64 {
        self.intercept + self.weights.get(token).copied().unwrap_or(0.0)
    }
}

impl<T: Scalar> Simulator<T> for OneHotProbe {
    type Error = Error;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        let mut simulation = Simulation::missing(tokens.len(), Scale::Activation);
        for (at, token) in tokens.iter().enumerate() {
            let known = self.weights.contains_key(token);
            let status = if known { TokenStatus::Ok } else { TokenStatus::Fallback };
            simulation.set(at, T::of(self.get(token)), status);
        }
        Ok(simulation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    const VOCABULARY: [&str; 4] = ["a", "b", "c", "d"];

    /// One-hot features, far from 0 on request.
    struct OneHot(f64);

    impl Embedder for OneHot {
        type Error = &'static str;

        fn dimension(&self) -> usize {
            VOCABULARY.len()
        }

        fn embed(&mut self, tokens: &[String], out: &mut ArrayRef2<f64>) -> Result<(), &'static str> {
            out.fill(self.0);
            for (token, mut row) in tokens.iter().zip(out.rows_mut()) {
                let place = VOCABULARY.iter().position(|other| other == token).ok_or("unknown token")?;
                row[place] += 1.0;
            }
            Ok(())
        }
    }

    fn records() -> Vec<ActivationRecord<f64>> {
        let record = |tokens: &[&str], y| ActivationRecord::new(tokens.iter().copied(), y).unwrap();
        alloc::vec![
            record(&["a", "b", "a", "d"], array![1.0, 5.0, 2.0, 0.0]),
            record(&[], array![]),
            record(&["c", "b", "b"], array![-1.0, 7.0, 3.0])
        ]
    }

    #[test]
    fn the_closed_form_is_the_regression() {
        for ridge in [0.1, 1.0, 30.0] {
            let closed = OneHotProbe::fit(&records(), ridge).unwrap();
            for far in [0.0, 1000.0] {
                let mut probe = LinearProbe::fit(OneHot(far), &records(), ridge).unwrap();
                let tokens = VOCABULARY.map(String::from);
                let found: Simulation<f64> = probe.simulate("", &tokens).unwrap();
                for (token, value) in tokens.iter().zip(found.filled(f64::NAN)) {
                    assert_relative_eq!(value, closed.get(token), epsilon = 1e-8);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_named() {
        // with an intercept, one-hot features do not decide
        let singular = LinearProbe::fit(OneHot(0.0), &records(), 0.0).map(|_| ());
        assert!(matches!(singular, Err(Failure::Input(Error::Singular { .. }))));
        let empty = LinearProbe::fit(OneHot(0.0), &records()[1..2], 1.0).map(|_| ());
        assert_eq!(empty, Err(Failure::Input(Error::Empty { what: "records" })));
        assert_eq!(OneHotProbe::fit::<f64>(&[], 1.0), Err(Error::Empty { what: "records" }));
        assert!(OneHotProbe::fit(&records(), f64::NAN).is_err());
        let unknown = [ActivationRecord::new(["z"], array![1.0_f32]).unwrap()];
        let failed = LinearProbe::fit(OneHot(0.0), &unknown, 1.0).map(|_| ());
        assert_eq!(failed, Err(Failure::Model("unknown token")));
        let far = LinearProbe::fit(OneHot(f64::NAN), &records(), 1.0).map(|_| ());
        assert!(matches!(far, Err(Failure::Input(Error::OutOfRange { what: "features", .. }))));
    }
}
