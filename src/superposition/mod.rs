//! Toy models of superposition: how more features than dimensions fit into a layer, and with what geometry.
//!
//! Letters: `n` features, `m` hidden dimensions, `b` samples. A weight matrix is `(m, n)`: column `i` is feature `i` in
//! the hidden space. The density `p` of a feature is the probability that it is present, 1 minus the paper's sparsity.
//!
//! Source: Elhage et al., "Toy Models of Superposition" (2022), <https://transformer-circuits.pub/2022/toy_model/index.html>.

pub mod adversarial;
pub(crate) mod backward;
pub mod distribution;
pub mod expected;
pub mod geometry;
pub mod importance;
pub mod initialisation;
pub mod memorisation;
pub mod model;
pub mod phase;
pub mod recovery;
pub mod train;

pub use distribution::{DictionaryData, DictionarySample, FeatureDistribution, FixedDataset, Joint, Value};
pub use expected::{ExpectedLoss, expected_loss};
pub use model::{Architecture, Forward, Gradient, Reduction, ToyModel};
pub use train::{Data, Evaluation, Problem, Progress, Snapshot, Start, Trained, Training, train, train_every_restart};
