//! Which tokens each neuron answers to, how often, and how heavy its tail is: one pass over a captured file.

use std::path::Path;
use std::process::ExitCode;

use crate::Result;
use crate::corpus::tokenizer;
use crate::store::Reader;
use crate::support::progress::Bar;
use crate::support::report::Report;

const ROWS: u64 = 512;
const TOP: usize = 5;
/// Tokens shown before and after the one that was answered to.
const AROUND: u64 = 6;

/// Running sums of one neuron.
#[derive(Debug, Clone, Default)]
struct Neuron {
    count: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
    active: u64,
    /// Largest activations and their rows, largest first.
    top: Vec<(f32, u64)>,
}

impl Neuron {
    /// Adds a value. Source: Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances" (2008).
    fn add(&mut self, value: f32, row: u64) {
        let before = self.count;
        self.count += 1.0;
        let n = self.count;
        let delta = f64::from(value) - self.mean;
        let step = delta / n;
        let square = step * step;
        let term = delta * step * before;
        self.mean += step;
        self.m4 += term * square * (n * n - 3.0 * n + 3.0) + 6.0 * square * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
        self.active += u64::from(value > 0.0);
        if self.top.len() < TOP || self.top.last().is_some_and(|last| value > last.0) {
            let at = self.top.partition_point(|&(other, _)| other >= value);
            self.top.insert(at, (value, row));
            self.top.truncate(TOP);
        }
    }

    /// Excess kurtosis, 0 for a normal distribution and for a neuron that never changes.
    fn kurtosis(&self) -> f64 {
        if self.m2 > 0.0 { self.count * self.m4 / (self.m2 * self.m2) - 3.0 } else { 0.0 }
    }

    fn active_share(&self) -> f64 {
        self.active as f64 / self.count.max(1.0)
    }
}

fn read_all(reader: &mut Reader) -> Result<Vec<Neuron>> {
    let width = usize::try_from(reader.neurons()).map_err(|e| e.to_string())?;
    let mut neurons = vec![Neuron::default(); width];
    let mut bar = Bar::new("look");
    let (mut row, rows) = (0, reader.rows());
    while row < rows {
        let count = ROWS.min(rows - row);
        for (offset, values) in (0..count).zip(reader.activations(row, count)?.chunks(width)) {
            neurons.iter_mut().zip(values).for_each(|(neuron, &value)| neuron.add(value, row + offset));
        }
        row += count;
        bar.show(usize::try_from(row).unwrap_or(0), usize::try_from(rows).unwrap_or(0));
    }
    Ok(neurons)
}

/// The token at `row`, in brackets, among its neighbours of the same document.
fn context(reader: &mut Reader, tokenizer: &tokenizers::Tokenizer, row: u64) -> Result<String> {
    let from = row.saturating_sub(AROUND);
    let count = (row + AROUND + 1).min(reader.rows()) - from;
    let (documents, tokens) = (reader.column(0, from, count)?, reader.column(2, from, count)?);
    let here = usize::try_from(row - from).map_err(|e| e.to_string())?;
    let mut text = String::new();
    for (i, (document, &token)) in documents.iter().zip(&tokens).enumerate() {
        if documents.get(here) != Some(document) {
            continue;
        }
        let word = tokenizer.id_to_token(token).unwrap_or_else(|| format!("#{token}"));
        let (glue, word) = word.strip_prefix("##").map_or((" ", word.as_str()), |rest| ("", rest));
        text += if text.is_empty() { "" } else { glue };
        text += &if i == here { format!("[{word}]") } else { word.to_owned() };
    }
    Ok(text)
}

/// Adds what a captured file says to a report; without a choice, the neurons with the heaviest tails.
///
/// # Errors
/// A file that is missing, damaged or foreign, a neuron out of range.
pub(crate) fn look_into(report: &mut Report, file: &Path, model: &Path, choice: &[usize]) -> Result<()> {
    let mut reader = Reader::open(file)?;
    let tokenizer = tokenizer(model, 512)?;
    if let Some(neuron) = choice.iter().find(|&&neuron| neuron as u64 >= reader.neurons()) {
        return Err(format!("neuron {neuron} is out of range: {} has {}", file.display(), reader.neurons()).into());
    }
    let neurons = read_all(&mut reader)?;
    let mut order: Vec<usize> = (0..neurons.len()).collect();
    order.sort_by(|&a, &b| neurons[b].kurtosis().total_cmp(&neurons[a].kurtosis()));
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let share = median(neurons.iter().map(Neuron::active_share).collect());
    let tail = median(neurons.iter().map(Neuron::kurtosis).collect());
    let row = vec![reader.rows().to_string(), neurons.len().to_string(), format!("{share:.4}"), format!("{tail:.2}")];
    report.table("activations", &["tokens", "neurons", "median share above 0", "median excess kurtosis"], vec![row]);
    let chosen: Vec<usize> = if choice.is_empty() { order.into_iter().take(10).collect() } else { choice.to_vec() };
    let (mut numbers, mut tokens) = (Vec::new(), Vec::new());
    for index in chosen {
        let neuron = &neurons[index];
        let cells = [neuron.mean, neuron.active_share(), neuron.kurtosis()].map(|x| format!("{x:.4}"));
        numbers.push(std::iter::once(index.to_string()).chain(cells).collect());
        for &(value, row) in &neuron.top {
            tokens.push(vec![index.to_string(), format!("{value:.3}"), context(&mut reader, &tokenizer, row)?]);
        }
    }
    report.table("neurons", &["neuron", "mean", "share above 0", "excess kurtosis"], numbers);
    report.table("top tokens", &["neuron", "activation", "token in context"], tokens);
    Ok(())
}

/// Looks at chosen neurons and writes the page to `out`.
///
/// # Errors
/// A file that is missing, damaged or foreign, a neuron out of range.
pub fn look(file: &Path, model: &Path, choice: &[usize], out: &Path) -> Result<ExitCode> {
    let mut report = Report::new("What the neurons answer to", out);
    look_into(&mut report, file, model, choice)?;
    Ok(report.finish())
}
