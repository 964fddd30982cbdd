//! What a model says of its own tokens, and whether it is true.
//!
//! | step | function |
//! |---|---|
//! | ask for the importance of every word, in either order with the prediction | [`prompt`](fn@prompt) |
//! | read the answer, whatever its quotes, fences and gaps | [`parse`](fn@parse) |
//! | find the words of the input in it | [`align`](fn@align) |
//! | judge it by what the model does without the words that it names | [`Erasing`] |
//! | compare it with occlusion, LIME and others | [`Comparing`] |
//!
//! A word that the model left out or gave no number for has no value. Where a metric needs one, [`Alignment::filled`] says which.

mod align;
mod compare;
mod erasing;
mod parse;
mod prompt;

pub use align::{Alignment, Phrases, align};
pub use compare::{Comparing, SideBySide};
pub use erasing::{Erased, Erasing, PredictMasked};
pub use parse::{Flag, Item, Prediction, SelfReport, Warning, parse};
pub use prompt::{Order, prompt};
