//! What goes in: the files of a saved model in memory, and what a caller knows about them.

use alloc::collections::BTreeMap;

use super::detect::Format;
use super::fail;
use super::settings::Settings;
use crate::{FormatKind, Result};

/// Files of one saved model, by their path inside of its folder (`/` between folders).
///
/// # Example
/// ```
/// use limpid::formats::Files;
///
/// let files: Files = [("cfg.json", &b"{}"[..])].into_iter().collect();
/// assert_eq!(files.get("cfg.json"), Some(&b"{}"[..]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Files<'a>(BTreeMap<&'a str, &'a [u8]>);

impl<'a> Files<'a> {
    /// No files yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; returns the bytes that had this name before.
    pub fn insert(&mut self, name: &'a str, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.0.insert(name, bytes)
    }

    /// Bytes of a file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(name).copied()
    }

    /// All names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }

    /// Bytes of the first of these names that exists.
    pub(super) fn first(&self, names: &[&str]) -> Option<&'a [u8]> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The one file whose name ends so; more than one is for the caller to choose from.
    pub(super) fn only(&self, ending: &str) -> Result<Option<(&'a str, &'a [u8])>> {
        let mut found = self.0.iter().filter(|(name, _)| name.ends_with(ending));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => {
                Err(fail(FormatKind::Ambiguous, "several weight files, of which one is to be given", 0))
            }
            (found, _) => Ok(found.map(|(name, bytes)| (*name, *bytes))),
        }
    }

    /// The first of these names, or else the one file with this ending.
    pub(super) fn weights(&self, names: &[&str], ending: &str) -> Result<&'a [u8]> {
        let found = match self.first(names) {
            Some(bytes) => Some(bytes),
            None => self.only(ending)?.map(|(_, bytes)| bytes),
        };
        found.ok_or(fail(FormatKind::Missing, "file of weights", 0))
    }

    /// The settings in the first of these files that exists.
    pub(super) fn settings(&self, names: &[&str]) -> Result<Option<Settings<'a>>> {
        self.first(names).map(Settings::parse).transpose()
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Files<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

/// What a caller knows where files leave a choice; nothing is needed where they do not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hint {
    /// Format, and with it the orientation of the weights; `None` finds it out.
    pub format: Option<Format>,
    /// Layer of a cross-layer transcoder, of which a folder holds many.
    pub layer: Option<usize>,
    /// Whether weights of dictionary_learning with a `k` choose by batch (a threshold at inference) or per sample; without
    /// its `config.json` the two look alike.
    pub batch_top_k: Option<bool>,
    /// The number that inputs were multiplied by in training, where the file only says that there was one.
    pub input_scale: Option<f64>,
}
