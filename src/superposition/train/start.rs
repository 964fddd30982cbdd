//! Where training starts.

use ndarray::{Array1, Array2};

use crate::error::check_each;
use crate::math::random::{fill_normal, uniform};
use crate::superposition::{Architecture, ToyModel};
use crate::{Error, Result, Scalar, Seed};

const PURPOSE: u64 = 0x494e_4954;

/// Law of the first parameters. Biases start at 0 unless a model is given.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Start<T> {
    /// Xavier normal for one model: standard deviation `√(2/(n + m))`.
    Xavier,
    /// Xavier normal as the notebook's `(instances, n, m)` tensor gets it: `√(2/(m (instances + n)))`. The scale then
    /// depends on how many models are trained side by side.
    NotebookXavier {
        /// Models in the tensor.
        instances: usize,
    },
    /// Normal with this standard deviation.
    Normal(T),
    /// Kaiming uniform, `U[-√(6/inputs), √(6/inputs)]` with the inputs of each layer.
    KaimingUniform,
    /// A given model, plus normal noise with this standard deviation on its weights.
    Model {
        /// First parameters.
        model: ToyModel<T>,
        /// Standard deviation of the noise.
        noise: T,
    },
}

impl<T: Scalar> Start<T> {
    pub(super) fn check(&self, architecture: Architecture, m: usize, n: usize) -> Result<()> {
        let not_negative = |what, x: T| check_each(what, &[x], "finite and >= 0", |x| x >= T::zero() && x.is_finite());
        match self {
            Self::Normal(deviation) => not_negative("standard deviation of the start", *deviation),
            Self::Model { model, noise } => {
                not_negative("noise of the start", *noise)?;
                model.check()?;
                crate::error::check_shape("weight of the start", &model.weight, &[m, n])?;
                if model.architecture == architecture {
                    return Ok(());
                }
                Err(Error::Unsupported { what: "a start of another architecture" })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn model(&self, architecture: Architecture, m: usize, n: usize, seed: Seed) -> Result<ToyModel<T>> {
        let untied = architecture == Architecture::AbsoluteValue;
        let encoder = || self.matrix((m, n), self.scale(m, n, n), seed, 0);
        let decoder = || self.matrix((n, m), self.scale(m, n, m), seed, 1);
        match self {
            Self::Model { model, noise } => {
                let shift = |rows, columns, item| normal(rows, columns, *noise, seed, item);
                let weight = &model.weight + &shift(m, n, 0);
                let decoder = model.decoder.as_ref().map(|decoder| decoder + &shift(n, m, 1));
                Ok(ToyModel { weight, decoder, ..model.clone() })
            }
            _ if untied => ToyModel::untied(encoder(), decoder(), Array1::zeros(n)),
            _ => ToyModel::new(architecture, encoder(), Array1::zeros(n)),
        }
    }

    /// Standard deviation of the weights of a layer with `inputs` inputs, or the bound of a uniform law.
    fn scale(&self, m: usize, n: usize, inputs: usize) -> T {
        let [m, n, inputs] = [m, n, inputs].map(|count| count as f64);
        match self {
            Self::NotebookXavier { instances } => T::of(libm::sqrt(2.0 / (m * (*instances as f64 + n)))),
            Self::Normal(deviation) => *deviation,
            Self::KaimingUniform => T::of(libm::sqrt(6.0 / inputs)),
            Self::Xavier | Self::Model { .. } => T::of(libm::sqrt(2.0 / (n + m))),
        }
    }

    fn matrix(&self, shape: (usize, usize), scale: T, seed: Seed, item: u64) -> Array2<T> {
        if !matches!(self, Self::KaimingUniform) {
            return normal(shape.0, shape.1, scale, seed, item);
        }
        let mut stream = seed.stream(PURPOSE, item);
        Array2::from_shape_simple_fn(shape, || {
            let u = uniform::<T>(&mut stream);
            scale * (u + u - T::one())
        })
    }
}

fn normal<T: Scalar>(rows: usize, columns: usize, deviation: T, seed: Seed, item: u64) -> Array2<T> {
    let mut values = Array2::zeros((rows, columns));
    if let Some(flat) = values.as_slice_mut() {
        fill_normal(&mut seed.stream(PURPOSE, item), deviation, flat);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(start: &Start<f64>) -> f64 {
        let model = start.model(Architecture::ReluOutput, 40, 90, Seed(3)).unwrap();
        (model.weight.iter().map(|w| w * w).sum::<f64>() / 3600.0).sqrt()
    }

    #[test]
    fn each_law_has_its_scale() {
        let close = |start: &Start<f64>, expected: f64| assert!((deviation(start) / expected - 1.0).abs() < 0.06);
        close(&Start::Xavier, (2.0_f64 / 130.0).sqrt());
        close(&Start::NotebookXavier { instances: 10 }, (2.0_f64 / (40.0 * 100.0)).sqrt());
        close(&Start::Normal(0.5), 0.5);
        close(&Start::KaimingUniform, (6.0_f64 / 90.0).sqrt() / 3.0_f64.sqrt());
        // more hidden dimensions than features do not swap the two
        let start: Start<f64> = Start::NotebookXavier { instances: 3 };
        assert!((start.scale(90, 40, 40) - (2.0_f64 / (90.0 * 43.0)).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_given_model_without_noise_is_kept() {
        let given = Start::Xavier.model(Architecture::AbsoluteValue, 3, 2, Seed(1)).unwrap();
        let start = Start::Model { model: given.clone(), noise: 0.0_f64 };
        assert_eq!(start.model(Architecture::AbsoluteValue, 3, 2, Seed(9)).unwrap(), given);
        assert!(start.check(Architecture::ReluOutput, 3, 2).is_err());
    }
}
