//! Reads the documents of a text once more, and hands out what the MLP neurons of some layers do in each.

use std::ops::RangeInclusive;
use std::path::Path;

use ndarray::{Array2, Axis, Slice};
use tokenizers::Tokenizer;

use crate::bert::{Bert, unpadded};
use crate::capture::batches;
use crate::corpus::{Document, Documents};
use crate::support::progress::Bar;
use crate::{Error, Result};

/// Documents that run together, and their tokens with the padding: activations of all layers lie in memory at once.
const BATCH: usize = 16;
const PADDED: usize = 1024;
/// Documents that are sorted by length together.
const WINDOW: usize = 512;

/// A model and a text.
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a Bert,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) text: &'a Path,
    pub(crate) max_lines: Option<u32>,
    /// Tokens that are put around every text.
    pub(crate) frame: Vec<u32>,
}

/// A document with its activations. The tokens around it are left out: a neuron does the same at each of them, and whoever
/// predicts that predicts little.
pub(crate) struct Reading {
    pub(crate) line: u32,
    /// `(t)`
    pub(crate) tokens: Vec<u32>,
    /// `(t, n)`
    pub(crate) activations: Array2<f32>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(
        model: &'a Bert,
        tokenizer: &'a Tokenizer,
        text: &'a Path,
        max_lines: Option<u32>,
    ) -> Result<Self> {
        let empty = tokenizer.encode("", true).map_err(|e| Error(format!("tokenizer.json: {e}")))?;
        Ok(Self { model, tokenizer, text, max_lines, frame: empty.get_ids().to_vec() })
    }

    pub(crate) fn documents(&self) -> Result<Documents<'a>> {
        Ok(Documents::open(self.text, self.tokenizer, self.max_lines)?.without_labels())
    }

    /// Where the tokens of the text itself are.
    pub(crate) fn inside(&self, tokens: &[u32]) -> std::ops::Range<usize> {
        let around = |token: &&u32| self.frame.contains(token);
        let first = tokens.iter().take_while(around).count();
        let last = tokens.len() - tokens[first..].iter().rev().take_while(around).count();
        first..last
    }

    /// The tokens of a document's text.
    pub(crate) fn tokens<'d>(&self, document: &'d Document) -> &'d [u32] {
        &document.tokens[self.inside(&document.tokens)]
    }

    /// Hands out the documents of wanted lines, with the activations of these layers side by side.
    pub(crate) fn sweep(
        &self,
        what: &str,
        layers: &RangeInclusive<usize>,
        wanted: impl Fn(u32) -> bool,
        mut each: impl FnMut(Reading) -> Result<()>,
    ) -> Result<()> {
        let (mut source, mut bar) = (self.documents()?, Bar::new(what));
        loop {
            let mut window = Vec::new();
            while window.len() < WINDOW {
                match source.next().transpose()? {
                    Some(document) if wanted(document.line) && !self.tokens(&document).is_empty() => {
                        window.push(document)
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            if window.is_empty() {
                return Ok(());
            }
            window.sort_by_key(|document| document.tokens.len());
            let parts = batches(&window, |document| document.tokens.len(), BATCH, PADDED);
            for batch in parts {
                self.run(batch, layers)?.into_iter().try_for_each(&mut each)?;
            }
            bar.show(usize::try_from(source.read_so_far()).unwrap_or(0).min(1000), 1000);
        }
    }

    fn run(&self, batch: &[Document], layers: &RangeInclusive<usize>) -> Result<Vec<Reading>> {
        let sequences: Vec<&[u32]> = batch.iter().map(|document| document.tokens.as_slice()).collect();
        let (wide, all) = (self.model.config.neurons, layers.clone().count());
        let empty = |document: &Document| Reading {
            line: document.line,
            tokens: self.tokens(document).to_vec(),
            activations: Array2::zeros((self.tokens(document).len(), all * wide)),
        };
        let mut readings: Vec<Reading> = batch.iter().map(empty).collect();
        self.model.forward(&sequences, *layers.end(), |layer, neurons, _| {
            let Some(at) = layer.checked_sub(*layers.start()) else { return Ok(()) };
            for ((reading, tokens), rows) in readings.iter_mut().zip(&sequences).zip(unpadded(neurons, &sequences)?) {
                let rows: Vec<f32> = rows.flatten_all()?.to_vec1()?;
                if rows.iter().any(|x| !x.is_finite()) {
                    let says = format!("line {} gives activations that are not finite", u64::from(reading.line) + 1);
                    return Err(Error::at(self.text, says));
                }
                let inside = self.inside(tokens);
                let rows = &rows[inside.start * wide..inside.end * wide];
                let columns = Slice::from(at * wide..(at + 1) * wide);
                let mut place = reading.activations.slice_axis_mut(Axis(1), columns);
                place.iter_mut().zip(rows).for_each(|(slot, &value)| *slot = value);
            }
            Ok(())
        })?;
        Ok(readings)
    }
}
