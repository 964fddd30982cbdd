//! Targets that read one class: logit, probability, log-probability, cross-entropy, perplexity.

use super::{Class, Target, add_log_probability_gradient, log_probability};
use crate::{Result, Scalar};

/// Declares a target that reads one class.
macro_rules! single_class {
    ($(#[$doc:meta])* $name:ident, |$z:ident, $a:ident| $value:expr, |$zs:ident, $class:ident, $out:ident| $gradient:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub Class);

        impl $name {
            /// For this class: a number for all rows, or a list with one per row.
            pub fn of(class: impl Into<Class>) -> Self {
                Self(class.into())
            }
        }

        impl<T: Scalar> Target<T> for $name {
            fn check(&self, rows: usize, outputs: usize) -> Result<()> {
                self.0.check(rows, outputs)
            }

            fn value(&self, row: usize, $z: &[T]) -> T {
                let $a = self.0.of(row);
                $value
            }

            fn cotangent(&self, row: usize, $zs: &[T], $out: &mut [T]) {
                let $class = self.0.of(row);
                $out.fill(T::zero());
                $gradient;
            }
        }
    };
}

single_class!(
    /// `z_a`: the output itself.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::target::{Logit, Target};
    /// let mut gradient = [9.0; 3];
    /// Logit::of(1).cotangent(0, &[0.5, 2.0, 1.0], &mut gradient);
    /// assert_eq!(gradient, [0.0, 1.0, 0.0]);
    /// ```
    Logit,
    |z, a| z[a],
    |_z, a, out| out[a] = T::one()
);

single_class!(
    /// `p_a = softmax(z)_a`. It saturates: near 0 and 1 its gradient vanishes.
    Probability,
    |z, a| T::of(libm::exp(log_probability(z, a))),
    |z, a, out| add_log_probability_gradient(z, a, libm::exp(log_probability(z, a)), out)
);

single_class!(
    /// `ℓ_a = ln p_a`.
    LogProbability,
    |z, a| T::of(log_probability(z, a)),
    |z, a, out| add_log_probability_gradient(z, a, 1.0, out)
);

single_class!(
    /// `-ln p_a`, in nats.
    CrossEntropy,
    |z, a| T::of(-log_probability(z, a)),
    |z, a, out| add_log_probability_gradient(z, a, -1.0, out)
);

single_class!(
    /// `e^(-ℓ_a) = 1/p_a`, the perplexity of one token.
    Perplexity,
    |z, a| T::of(libm::exp(-log_probability(z, a))),
    |z, a, out| add_log_probability_gradient(z, a, -libm::exp(-log_probability(z, a)), out)
);
