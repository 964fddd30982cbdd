//! Attribution by changing the input and watching the output: the model is only run, never differentiated.
//!
//! | method | what is changed |
//! |---|---|
//! | [`FeatureAblation`] | one group of features at a time |

mod feature_ablation;
mod groups;
mod sweep;
#[cfg(test)]
mod testing;

pub use feature_ablation::FeatureAblation;
pub use groups::Groups;
