//! Which tokens each neuron answers to, how often, and how heavy its tail is: one pass over a captured file.

use std::path::Path;
use std::process::ExitCode;

use tokenizers::Tokenizer;

use crate::activity::{Neuron, Peak, activity};
use crate::corpus::tokenizer;
use crate::store::Reader;
use crate::support::figure::{Axis, Mark, chart};
use crate::support::report::Report;
use crate::{Error, Result};

/// Tokens shown before and after the one that was answered to.
const AROUND: u64 = 8;
/// Least kurtosis that is drawn.
const LEAST: f64 = 0.1;

/// A captured file, and what was seen in it.
pub(crate) struct Look {
    reader: Reader,
    tokenizer: Tokenizer,
    neurons: Vec<Neuron>,
}

impl Look {
    /// Opens a captured file and the tokenizer that made its tokens.
    pub(crate) fn open(file: &Path, model: &Path) -> Result<Self> {
        let reader = Reader::open(file)?;
        let tokenizer = tokenizer(model, usize::MAX)?;
        Ok(Self { reader, tokenizer, neurons: Vec::new() })
    }

    /// Errs where the file does not come from this layer of a model with so many neurons.
    pub(crate) fn check_origin(&self, layer: usize, neurons: usize) -> Result<()> {
        let said = self.reader.metadata["layer"].as_str().unwrap_or("unknown");
        if said != layer.to_string() {
            return Err(Error::at(self.reader.path(), format!("captured from layer {said}, not {layer}")));
        }
        if self.reader.neurons() != neurons as u64 {
            let says = format!("has {} neurons, the model {neurons}", self.reader.neurons());
            return Err(Error::at(self.reader.path(), says));
        }
        Ok(())
    }

    fn check_choice(&self, choice: &[usize]) -> Result<()> {
        let neurons = self.reader.neurons();
        match choice.iter().find(|&&neuron| neuron as u64 >= neurons) {
            Some(neuron) => {
                let says = format!("neuron {neuron} is out of range, neurons are 0 to {}", neurons - 1);
                Err(Error::at(self.reader.path(), says))
            }
            None => Ok(()),
        }
    }

    /// The pass over the file.
    pub(crate) fn read(&mut self) -> Result<()> {
        self.neurons = activity(&mut self.reader)?;
        Ok(())
    }

    fn word(&self, token: u32) -> String {
        self.tokenizer.id_to_token(token).unwrap_or_else(|| format!("#{token}"))
    }

    /// The different tokens that excite a neuron most, in one line.
    pub(crate) fn words(&mut self, neuron: usize) -> Result<String> {
        let mut words: Vec<String> = Vec::new();
        for peak in self.neurons[neuron].top.clone() {
            let tokens = self.reader.column(2, peak.row, 1)?;
            let word = tokens.first().map(|&token| self.word(token)).unwrap_or_default();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Ok(words.join(" | "))
    }

    /// The token at `row`, marked, among its neighbours of the same document.
    fn context(&mut self, row: u64) -> Result<String> {
        let from = row.saturating_sub(AROUND);
        let count = (row + AROUND + 1).min(self.reader.rows()) - from;
        let (documents, tokens) = (self.reader.column(0, from, count)?, self.reader.column(2, from, count)?);
        let here = usize::try_from(row - from).map_err(|e| Error::at(self.reader.path(), e))?;
        let mut text = String::new();
        for (i, (document, &token)) in documents.iter().zip(&tokens).enumerate() {
            if documents.get(here) != Some(document) {
                continue;
            }
            let word = self.word(token);
            let (glue, word) = word.strip_prefix("##").map_or((" ", word.as_str()), |rest| ("", rest));
            text += if text.is_empty() { "" } else { glue };
            text += &if i == here { format!("«{word}»") } else { word.to_owned() };
        }
        Ok(text)
    }

    fn summary(&self, report: &mut Report) {
        let median = |value: fn(&Neuron) -> f64| {
            let mut values: Vec<f64> = self.neurons.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let (share, tail) = (median(|neuron| neuron.share), median(|neuron| neuron.kurtosis));
        let numbers = [self.reader.rows().to_string(), self.neurons.len().to_string()];
        let row = numbers.into_iter().chain([format!("{share:.4}"), format!("{tail:.2}")]).collect();
        report.table(
            "activations",
            &["tokens", "neurons", "median share above 0", "median excess kurtosis"],
            vec![row],
        );
    }

    /// Numbers and top tokens of chosen neurons.
    pub(crate) fn tables(&mut self, report: &mut Report, chosen: &[usize]) -> Result<()> {
        self.summary(report);
        let (mut numbers, mut tokens) = (Vec::new(), Vec::new());
        for &index in chosen {
            let neuron = &self.neurons[index];
            let cells = [neuron.mean, neuron.share, neuron.kurtosis].map(|x| format!("{x:.4}"));
            numbers.push(std::iter::once(index.to_string()).chain(cells).collect());
            for Peak { value, row, document } in neuron.top.clone() {
                let line = (u64::from(document) + 1).to_string();
                tokens.push(vec![index.to_string(), format!("{value:.3}"), line, self.context(row)?]);
            }
        }
        report.table("neurons", &["neuron", "mean", "share above 0", "excess kurtosis"], numbers);
        report.table("top tokens", &["neuron", "activation", "line", "token in context"], tokens);
        Ok(())
    }

    /// Neurons with the heaviest tails.
    fn heaviest(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.neurons.len()).collect();
        order.sort_by(|&a, &b| self.neurons[b].kurtosis.total_cmp(&self.neurons[a].kurtosis));
        order.truncate(count);
        order
    }

    fn figure(&self, report: &mut Report, chosen: &[usize]) {
        let one = 1.0 / self.reader.rows() as f64;
        let point = |neuron: &Neuron| (neuron.share.max(one), neuron.kurtosis.max(LEAST));
        let least = self.neurons.iter().fold(1.0_f64, |least, neuron| least.min(neuron.share.max(one)));
        let top = self.neurons.iter().fold(1.0_f64, |top, neuron| top.max(neuron.kurtosis));
        let (marked, others): (Vec<_>, Vec<_>) =
            self.neurons.iter().enumerate().partition(|(index, _)| chosen.contains(index));
        let points =
            |neurons: Vec<(usize, &Neuron)>| Mark::Points(neurons.into_iter().map(|(_, n)| point(n)).collect());
        let axes = (
            Axis::log("share of tokens with an activation above 0", least * 0.8, 1.2),
            Axis::log("excess kurtosis", LEAST * 0.8, top * 1.5),
        );
        let marks = [("neurons", points(others)), ("neurons in the tables", points(marked))];
        report.figure(
            chart(&axes.0, &axes.1, &marks, &[]),
            "How often each neuron is active, and how heavy the tail of its activations is: a neuron that is almost \
             always silent and answers to one thing lies at the top left, one that is always at work at the bottom \
             right. A kurtosis below 0.1 is drawn at 0.1.",
        );
    }
}

/// Looks at chosen neurons, or at those with the heaviest tails, and writes the page to `out`.
///
/// # Errors
/// A file that is missing, damaged or foreign, a neuron out of range, a folder that cannot be made.
pub fn look(file: &Path, model: &Path, choice: &[usize], out: &Path) -> Result<ExitCode> {
    check_folder(out)?;
    let mut look = Look::open(file, model)?;
    look.check_choice(choice)?;
    look.read()?;
    let chosen = if choice.is_empty() { look.heaviest(10) } else { choice.to_vec() };
    let layer = look.reader.metadata["layer"].as_str().unwrap_or("unknown").to_owned();
    let mut report = Report::new(&format!("What the neurons of layer {layer} answer to"), out);
    look.figure(&mut report, &chosen);
    look.tables(&mut report, &chosen)?;
    finish(report, out)
}

/// Errs early where no page can be written.
pub(crate) fn check_folder(out: &Path) -> Result<()> {
    if out.exists() && !out.is_dir() { Err(Error::at(out, "exists and is not a folder")) } else { Ok(()) }
}

/// Writes the page; its folder is made only now that nothing else can fail.
pub(crate) fn finish(report: Report, out: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(out).map_err(|e| Error::at(out, e))?;
    Ok(report.finish())
}
