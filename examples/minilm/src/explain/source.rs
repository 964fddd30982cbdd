//! Where the activations of units come from: the neurons of layers as they are, or the features that a dictionary finds in one.

use std::ops::RangeInclusive;

use limpid::sae::{Codes, PreparedSae};

use super::sweep::{Reading, Subject};
use crate::Result;

/// Neurons of these layers, or features of them.
pub(crate) struct Source<'a> {
    pub(crate) layers: RangeInclusive<usize>,
    pub(crate) sae: Option<&'a PreparedSae<f32>>,
}

impl Source<'_> {
    /// As [`Subject::sweep`], with the codes of features.
    pub(crate) fn sweep(
        &self,
        subject: &Subject<'_>,
        what: &str,
        wanted: impl Fn(u32) -> bool,
        mut each: impl FnMut(Reading, Option<&Codes<f32>>) -> Result<()>,
    ) -> Result<()> {
        subject.sweep(what, &self.layers, wanted, |reading| match self.sae {
            None => each(reading, None),
            Some(sae) => {
                let codes = sae.encode_sparse(&reading.activations)?;
                each(Reading { activations: codes.to_dense(), ..reading }, Some(&codes))
            }
        })
    }

    /// Layer and number within it of a unit, in a model with `wide` neurons a layer.
    pub(crate) fn place(&self, unit: usize, wide: usize) -> (usize, usize) {
        match self.sae {
            None => (self.layers.start() + unit / wide, unit % wide),
            Some(_) => (*self.layers.start(), unit),
        }
    }
}
