//! From many scores to few: over an axis, over spans of tokens, between two attributions.
//!
//! | what is merged or scaled | function |
//! |---|---|
//! | the width of embeddings, `(b, t, d)` to `(b, t)` | [`over_last_axis`] |
//! | columns that belong together | [`over_groups`], [`over_spans`] with [`merge_tokens`] |
//! | sub-words to words | [`Subwords`] |
//! | parts of a prompt | [`split_at`], [`slices`] |
//! | two attributions of the same features | [`difference`] |
//! | rows of different strength | [`shares`], [`joint_shares`], [`rescale`] |
//! | steps of a generation | [`weigh_steps`] |
//! | many features to the ones that matter | [`top_features`] |
//!
//! Attributions are `(b, n)`: a row for each thing explained (an example, a generated token), a column for each input. To
//! merge rows, for example spans of generated tokens, give the transposed view `x.t()` and transpose the result.
//!
//! The order of work that is usual for text: [`over_last_axis`] with [`Aggregation::Norm`], then [`shares`], then
//! [`Subwords::merge`] or [`over_spans`] with [`Aggregation::AbsMax`].

mod aggregation;
mod difference;
mod shares;
mod spans;
mod split;
mod steps;
mod subwords;
mod top;

pub use aggregation::{Aggregation, over_groups, over_last_axis};
pub use difference::difference;
pub use shares::{Scaled, joint_shares, rescale, shares};
pub use spans::{merge_tokens, over_spans, span_groups};
pub use split::{slices, split_at};
pub use steps::weigh_steps;
pub use subwords::{Marker, Subwords, Words};
pub use top::{Feature, Top, top_features};
