//! How good attributions to training data are: agreement with models that were really trained without the data.
//!
//! | question | function |
//! |---|---|
//! | do summed attributions rank models trained on random subsets? | [`linear_datamodeling_score`] |
//! | do attributions tell what leaving one example out does? | [`leave_one_out_agreement`] |
//! | what does leaving one example out of a linear model do, exactly? | [`LinearInfluence`] |
//! | do the suspicious examples carry wrong labels? | [`mislabel_detection`] |
//! | does a model without the top examples change as predicted? | [`removal_curve`] |
//! | are the examples that hold a fact ranked first? | [`fact_tracing`] |

mod agreement;
mod datamodeling;
mod fact_tracing;
mod linear;
mod mislabel;
mod removal;

pub use agreement::{Agreement, leave_one_out_agreement};
pub use datamodeling::{LinearDatamodelingScore, Measured, linear_datamodeling_score};
pub use fact_tracing::{FactTracing, fact_tracing};
pub use linear::{LinearInfluence, LinearLoss};
pub use mislabel::{MislabelDetection, mislabel_detection};
pub use removal::{RemovalCurve, RemovalPoint, removal_curve};
