//! How good is an attribution: erasure, sensitivity, agreement, complexity, localisation.
//!
//! | question | needs | functions |
//! |---|---|---|
//! | is it concentrated on few features? | nothing else | [`sparseness`], [`complexity`](fn@complexity), [`effective_complexity`] |
//! | does it lie where it should? | a mask of where | [`pointing_game`], [`relevance_mass_accuracy`], [`relevance_rank_accuracy`], [`top_k_intersection`], [`mask_auc`], [`attribution_localisation`], [`focus`] |
//! | do two attributions agree? | another attribution | [`agreement`] |
//! | does the output follow the ranking as features go? | the model | [`Erasure`], [`NormalisedAopc`], [`ReferenceOrders`], [`Road`]; trained anew, [`Roar`] |
//! | as they come in? | the model | [`monotonicity`](fn@monotonicity) |
//! | do attributions add up to what features change? | the model | [`FaithfulnessCorrelation`], [`faithfulness_estimate`](fn@faithfulness_estimate), [`MonotonicityCorrelation`], [`completeness_gap`], [`non_sensitivity`] |
//! | does it predict what a change of the input does? | the model | [`Infidelity`] |
//! | all of these at once, for one method or for several? | the model and the methods | [`explain_and_judge`], [`judge_side_by_side`] |
//! | does it change with the model and the question? | the model and the method | [`ParameterRandomisation`], [`random_logit`] |
//! | is it steady? | the model and the method | [`Sensitivity`], [`Stability`] |
//!
//! All work row by row on attributions `(b, n)`, or of groups of features `(b, M)`; images and token grids are flattened first. A number that is not defined
//! for a row is `None`.

mod comparison;
mod completeness;
mod complexity;
mod correlation;
mod decision;
mod erasure;
mod faithfulness_estimate;
mod infidelity;
mod localisation;
mod masking;
mod monotonicity;
mod neighbourhood;
mod normalised_aopc;
mod randomisation;
mod reference_orders;
mod report;
mod road;
mod roar;
mod sensitivity;
mod similarity;
mod stability;
mod table;

pub use comparison::{Comparison, PairAgreement, judge_side_by_side};
pub use completeness::{NonSensitivity, completeness_gap, non_sensitivity};
pub use complexity::{complexity, effective_complexity, sparseness};
pub use correlation::{CorrelationReport, FaithfulnessCorrelation, Subsets};
pub use decision::Decision;
pub use erasure::{Erasure, ErasureReport, Levels};
pub use faithfulness_estimate::faithfulness_estimate;
pub use infidelity::{AttributionUnit, Infidelity, InfidelityReport, Perturbation};
pub use localisation::{
    attribution_localisation, focus, mask_auc, pointing_game, relevance_mass_accuracy, relevance_rank_accuracy,
    top_k_intersection,
};

pub use masking::{GroupValue, Masking, group_values};
pub use monotonicity::{MonotonicityCorrelation, MonotonicityReport, Replacement, monotonicity};
pub use neighbourhood::Neighbourhood;
pub use normalised_aopc::{NormalisedAopc, NormalisedAopcReport};
pub use randomisation::{OtherLogits, ParameterRandomisation, RandomisationReport, random_logit};
pub use reference_orders::{ReferenceOrders, ReferenceReport};
pub use report::{Bounds, FaithfulnessReport, Judged, Judging, explain_and_judge};
pub use road::{Road, RoadReport, impute_linearly};
pub use roar::{Roar, RoarOrders, RoarSide};
pub use sensitivity::{Sensitivity, SensitivityReport};
pub use similarity::Similarity;
pub use stability::{Stability, StabilityReport};

pub use crate::math::agreement::{Agreement, By, agreement};
