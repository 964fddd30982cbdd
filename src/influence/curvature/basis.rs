//! The Kronecker-factored eigenbasis of a layer.
//!
//! ```text
//! A = Q_A diag(l_A) Q_Aᵀ,  S = Q_S diag(l_S) Q_Sᵀ        G~ = Q_Sᵀ G Q_A        K-FAC eigenvalue (i, j) = l_S,i l_A,j
//! ```
//!
//! Columns are eigenvectors and eigenvalues ascend. K-FAC does not depend on which basis of an eigenspace was chosen, the
//! corrected eigenvalues of EK-FAC do: [`FactorHealth::degenerate`](super::FactorHealth) says how many are concerned.
//!
//! Source: George et al., "Fast approximate natural gradient descent in a Kronecker-factored eigenbasis" (2018),
//! <https://arxiv.org/abs/1806.03884>.

use alloc::vec::Vec;

use ndarray::Array2;

use super::covariance::CovarianceAccumulator;
use super::factor::FactorBasis;
use super::sealed::{self, Counts, Kind};
use super::spec::LayerSpec;
use crate::Result;
use crate::math::merge::{Bytes, Reader};

/// Eigenvectors of both factors of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct EigenBasis {
    spec: LayerSpec,
    counts: Counts,
    /// Of `A`.
    activation: FactorBasis,
    /// Of `S`.
    gradient: FactorBasis,
}

impl EigenBasis {
    /// Decomposes both factors.
    ///
    /// # Errors
    /// Those of [`CovarianceAccumulator::activation`], and [`Error::NoConvergence`](crate::Error::NoConvergence).
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Bias, CovarianceAccumulator, EigenBasis, Examples, LayerRows, LayerSpec};
    /// use ndarray::array;
    ///
    /// let a = array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
    /// let g = array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]];
    /// let rows = LayerRows::new(&a, &g, Examples::Offsets(&[0, 2, 4]))?.with_bias(Bias::Homogeneous);
    /// let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, &rows))?;
    /// covariance.update(&rows)?;
    /// let basis = EigenBasis::new(&covariance)?;
    /// assert!((basis.activation().values()[2] - 2.75).abs() < 1e-12);
    /// assert_eq!(basis.activation().health().degenerate, 0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(covariance: &CovarianceAccumulator) -> Result<Self> {
        let [(activation, activation_blocks), (gradient, gradient_blocks)] = covariance.factor_blocks()?;
        Ok(Self {
            spec: *covariance.spec(),
            counts: covariance.counts(),
            activation: FactorBasis::of_blocks(activation, &activation_blocks)?,
            gradient: FactorBasis::of_blocks(gradient, &gradient_blocks)?,
        })
    }

    /// The coordinate axes: the corrected eigenvalues in this basis are the diagonal of the Fisher matrix.
    #[must_use]
    pub fn identity(spec: LayerSpec) -> Self {
        Self {
            spec,
            counts: Counts::default(),
            activation: FactorBasis::identity(spec.d_in),
            gradient: FactorBasis::identity(spec.d_out),
        }
    }

    /// The layer.
    #[must_use]
    pub fn spec(&self) -> &LayerSpec {
        &self.spec
    }

    /// Eigenvectors of `A`.
    #[must_use]
    pub fn activation(&self) -> &FactorBasis {
        &self.activation
    }

    /// Eigenvectors of `S`.
    #[must_use]
    pub fn gradient(&self) -> &FactorBasis {
        &self.gradient
    }

    /// `l_S,i l_A,j`, `(d_out, d)`: means over rows.
    #[must_use]
    pub fn kfac_eigenvalues(&self) -> Array2<f64> {
        let (s, a) = (self.gradient.values(), self.activation.values());
        Array2::from_shape_fn((s.len(), a.len()), |(i, j)| s[i] * a[j])
    }

    /// Weight of the rows by that of the examples; `None` without examples.
    #[must_use]
    pub fn rows_per_example(&self) -> Option<f64> {
        (self.counts.example_weight > 0.0).then(|| self.counts.row_weight / self.counts.example_weight)
    }

    pub(super) fn fingerprint(&self) -> u64 {
        u64::from(self.activation.fingerprint()) << 32 | u64::from(self.gradient.fingerprint())
    }
}

impl Bytes for EigenBasis {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::Basis, out, |out| {
            self.spec.write(out);
            self.counts.write(out);
            self.activation.write(out);
            self.gradient.write(out);
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::Basis, input, |input| {
            let spec = LayerSpec::read(input)?;
            let counts = Counts::read(input)?;
            let activation = FactorBasis::read(input, spec.d_in)?;
            Ok(Self { spec, counts, activation, gradient: FactorBasis::read(input, spec.d_out)? })
        })
    }
}
