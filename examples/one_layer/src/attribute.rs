//! What each generated character owes to each one before it, by integrated gradients and by occlusion.
//!
//! ```text
//! f(x) = ln p(y | x)      x: (t d) embeddings of all tokens so far      baseline: the mean embedding
//! ```
//!
//! The value of a token is the sum over its embedding.

use std::path::Path;

use candle_core::Tensor;
use limpid::attribution::gradient::IntegratedGradients;
use limpid::attribution::perturbation::FeatureAblation;
use limpid::attribution::render::html::{Extras, Html, page};
use limpid::attribution::render::svg::Svg;
use limpid::attribution::render::text::Text as Plain;
use limpid::attribution::target::LogProbability;
use limpid::attribution::{Attribution, Baseline, Cotangent, Differentiable, Explainer, Forward};
use limpid::explanation::score::{PairStats, Statistic};
use ndarray::{Array1, Array2, ArrayRef2, Axis};
use serde_json::{Value, json};

use crate::candle_vjp::{copy, outputs_and_gradient};
use crate::model::{Frozen, rows, tensor};
use crate::saved::{write, write_json};
use crate::text::Vocabulary;
use crate::{Error, Result};

/// Points of the way from the baseline.
const STEPS: usize = 512;

/// The logits after the last of `tokens` tokens, as a function of their embeddings.
struct Last<'a> {
    model: &'a Frozen,
    tokens: usize,
}

impl Last<'_> {
    fn input(&self, x: &ArrayRef2<f32>) -> Result<Tensor> {
        Ok(tensor(x)?.reshape((x.nrows(), self.tokens, self.model.shape.width))?)
    }

    /// `(b, v)` of `(b, t, d)`.
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, d) = x.dims3()?;
        let last = self.model.residual(x)?.reshape((b, t, d))?.narrow(1, t - 1, 1)?.contiguous()?.reshape((b, d))?;
        self.model.logits(&last, &self.model.neurons(&last)?)
    }
}

impl Forward<f32> for Last<'_> {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        self.tokens * self.model.shape.width
    }

    fn n_outputs(&self) -> usize {
        self.model.shape.vocabulary
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> Result<()> {
        Ok(copy(&self.run(&self.input(x)?)?, out)?)
    }
}

impl Differentiable<f32> for Last<'_> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<f32>,
        cotangent: Cotangent<'_, f32>,
        out: &mut ArrayRef2<f32>,
        gradient: &mut ArrayRef2<f32>,
    ) -> Result<()> {
        outputs_and_gradient(&self.input(x)?, |x| self.run(x), cotangent, out, gradient)
    }
}

/// A text with what was generated, and what that owes to its tokens.
pub struct Attributed {
    /// Characters of the prompt and all generated ones.
    pub characters: Vec<char>,
    /// Of these, how many are of the prompt.
    pub prompt: usize,
    /// Probability of each generated character.
    pub probability: Vec<f64>,
    /// `(tokens, generated)`; NaN where a token comes later.
    pub gradients: Array2<f32>,
    pub occlusion: Array2<f32>,
    /// Largest distance of a column's sum from what the characters change, in nats.
    pub largest_delta: f64,
}

/// Generates the likeliest `count` characters after a prompt, and attributes each.
///
/// # Errors
/// An empty prompt, more characters than the context holds.
pub fn attribute(model: &Frozen, vocabulary: &Vocabulary, prompt: &str, count: usize) -> Result<Attributed> {
    let context = model.shape.context;
    let mut tokens = vocabulary.tokens(prompt);
    if tokens.is_empty() || count == 0 || tokens.len() + count > context {
        let says =
            format!("a prompt of {} and {count} generated characters: the context holds {context}", tokens.len());
        return Err(Error(says));
    }
    let (prompt, embedding) = (tokens.len(), model.embedding()?);
    let mean = embedding.mean_axis(Axis(0)).ok_or_else(|| Error("no vocabulary".to_owned()))?;
    let mut tables = [(); 2].map(|()| Array2::from_elem((prompt + count - 1, count), f32::NAN));
    let (mut probability, mut largest_delta) = (Vec::new(), 0.0_f64);
    for column in 0..count {
        let t = tokens.len();
        let x: Vec<f32> = tokens.iter().flat_map(|&token| embedding.row(token as usize).to_vec()).collect();
        let x = Array2::from_shape_vec((1, x.len()), x).map_err(|e| Error(e.to_string()))?;
        let baseline: Array1<f32> = mean.iter().copied().cycle().take(x.len()).collect();
        let mut last = Last { model, tokens: t };
        let logits = rows(&last.run(&last.input(&x)?)?)?;
        let next = (0..logits.ncols()).max_by(|&a, &b| logits[[0, a]].total_cmp(&logits[[0, b]])).unwrap_or(0);
        let gradients = IntegratedGradients {
            baseline: Baseline::Row(baseline.clone()),
            steps: STEPS,
            ..IntegratedGradients::default()
        };
        let groups: Vec<usize> = (0..x.len()).map(|i| i / model.shape.width).collect();
        let occlusion =
            FeatureAblation { baseline: Baseline::Row(baseline), groups: groups.into(), ..FeatureAblation::default() };
        let target = LogProbability::of(next);
        let found = gradients.attribute(&mut last, &x, &target)?;
        let delta = found.delta.as_ref().map_or(f64::NAN, |delta| f64::from(delta[0]).abs());
        largest_delta = largest_delta.max(delta);
        fill(&mut tables[0], column, &found, |part| part.iter().sum());
        fill(&mut tables[1], column, &occlusion.attribute(&mut last, &x, &target)?, |part| part[0]);
        probability.push(f64::from(found.output_value[0]).exp());
        tokens.push(u32::try_from(next).unwrap_or(0));
    }
    let characters = tokens.iter().map(|&token| vocabulary.character(token)).collect();
    let [gradients, occlusion] = tables;
    Ok(Attributed { characters, prompt, probability, gradients, occlusion, largest_delta })
}

/// A column of a table from the numbers of all embeddings.
fn fill(table: &mut Array2<f32>, column: usize, found: &Attribution<f32>, sum: fn(&[f32]) -> f32) {
    let values = found.values.row(0).to_vec();
    let tokens = table.nrows() - table.ncols() + 1 + column;
    for (token, part) in values.chunks(values.len() / tokens).enumerate() {
        table[[token, column]] = sum(part);
    }
}

/// A character as the name of a row.
fn name(c: &char) -> String {
    if *c == ' ' { "␣".to_owned() } else { c.to_string() }
}

impl Attributed {
    /// Names of rows and of columns.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let all: Vec<String> = self.characters.iter().map(name).collect();
        (all[..all.len() - 1].to_vec(), all[self.prompt..].to_vec())
    }

    /// Correlation of both methods over all cells; NaN where there is none.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub fn agreement(&self) -> Result<f64> {
        let pairs = self.gradients.iter().zip(&self.occlusion).filter(|(a, _)| a.is_finite());
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.unzip();
        let pairs = PairStats::of(&Array1::from(a), &Array1::from(b))?;
        Ok(Statistic::Pearson.of(&pairs).unwrap_or(f64::NAN))
    }

    /// The table of integrated gradients for a terminal: the first columns of it.
    pub fn text(&self, columns: usize) -> Result<String> {
        let (rows, names) = self.names();
        let columns = columns.min(names.len());
        let shown = self.gradients.view().split_at(Axis(0), self.prompt).0.split_at(Axis(1), columns).0.to_owned();
        let plain = Plain { decimals: 2, ..Plain::default() };
        Ok(plain.table(&rows[..self.prompt], &names[..columns], &shown)?)
    }

    /// Writes a page, pictures and numbers into `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let (rows, columns) = self.names();
        let mut fragments = vec![format!(
            "<p>Rows are the tokens that were read, columns those that were generated, each the likeliest. A cell says how much \
             a token raised (red) or lowered (blue) the log-probability of the generated one, in nats, against the mean \
             embedding. Integrated gradients miss the whole change by at most {:.1e} nats; over all cells they correlate \
             with occlusion at {:.3}.</p>\n",
            self.largest_delta,
            self.agreement()?
        )];
        for (file, caption, table) in [
            ("integrated-gradients", "Integrated gradients", &self.gradients),
            ("occlusion", "Occlusion, one token at a time", &self.occlusion),
        ] {
            let extras = Extras {
                absent: Some(table.mapv(|x| !x.is_finite())),
                footer: vec![("probability".to_owned(), self.probability.clone())],
                ..Extras::default()
            };
            let html = Html { caption: caption.to_owned(), decimals: 2, ..Html::default() };
            fragments.push(html.table(&rows, &columns, table, &extras)?);
            let known = table.mapv(|x| if x.is_finite() { x } else { 0.0 });
            let svg = Svg { title: caption.to_owned(), width: 1100.0, decimals: 2, ..Svg::default() };
            write(&folder.join(format!("{file}.svg")), svg.matrix(&rows, &columns, &known)?.as_bytes())?;
        }
        write(
            &folder.join("index.html"),
            page("What generated characters owe to those before", &fragments).as_bytes(),
        )?;
        write_json(&folder.join("result.json"), &self.json()?)
    }

    fn json(&self) -> Result<Value> {
        let characters: String = self.characters.iter().collect();
        Ok(json!({
            "text": characters, "prompt": self.prompt, "probability": self.probability,
            "largest_delta": self.largest_delta, "agreement": self.agreement()?,
        }))
    }
}
