//! Which labelled lines does a classifier owe its verdict to, and are wrong labels found?

mod head;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use limpid::Seed;
use limpid::influence::evaluate::mislabel_detection;
use limpid::influence::{Curvature, End, LayerRows, QuerySettings, Spectral, Strategy, TopK};
use limpid::math::random::shuffle;
use ndarray::{Array1, Array2, Axis};

use crate::bert::Bert;
use crate::corpus::tokenizer;
use crate::labelled::{Line, read};
use crate::look::check_folder;
use crate::why::{Sentence, embeddings};
use crate::{Error, Result};
use head::{Head, sigmoid};

/// One of so many labels is made wrong.
const WRONG: usize = 10;
/// Lines of the held-out part that are explained where none is asked for.
const SHOWN: usize = 3;
/// Lines that are shown for and against a verdict.
const TOP: usize = 4;

const FLIP: u64 = 0x464c_4950;

/// The training lines with a part of their labels turned round.
struct Training {
    lines: Vec<Line>,
    x: Array2<f32>,
    labels: Vec<bool>,
    flipped: Vec<bool>,
}

/// The classifier, and what influence functions need of it: its curvature, and the rows of the training lines.
struct Trained<'a> {
    head: &'a Head,
    curvature: &'a Curvature,
    rows: &'a [LayerRows<'a, f32>],
}

/// Trains a head on labelled lines of `file`, of whose labels a tenth is made wrong, says how many of these are found by
/// self-influence, and which lines speak for and against the verdict on `sentence`, or on some lines that were held out;
/// returns what is to be printed. `out` is a CSV file of all training lines.
///
/// # Errors
/// A missing, damaged or foreign model, lines without labels, too few lines, a place that cannot be written.
pub fn influence(
    folder: &Path,
    file: &Path,
    sentence: Option<&str>,
    lines: Option<u32>,
    out: Option<&Path>,
) -> Result<String> {
    if let Some(parent) = out.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty()) {
        check_folder(parent)?;
    }
    let mut all = labelled_lines(file, sentence, lines)?;
    let model = Bert::read(folder)?;
    let tokenizer = tokenizer(folder, model.config.positions)?;
    let embed = |texts: &[&str]| -> Result<Array2<f32>> {
        let ids = texts.iter().map(|text| Ok(Sentence::new(&tokenizer, text)?.ids)).collect::<Result<Vec<_>>>()?;
        // rows of length 1 would make the first layer's curvature tiny
        let x = embeddings(&model, &ids.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        Ok(&x * (x.ncols() as f32).sqrt())
    };
    let x = embed(&all.iter().map(|line| line.text.as_str()).collect::<Vec<_>>())?;
    // the first fifth is held out
    let rest = all.split_off(all.len().div_ceil(5));
    let (x_held, x_rest) = x.view().split_at(Axis(0), all.len());
    let training = Training::new(rest, x_rest.to_owned());
    let head = Head::train(&training.x, &training.labels, Seed(0))?;
    let right = |logits: &Array1<f32>, labels: &mut dyn Iterator<Item = bool>| {
        logits.iter().zip(labels).filter(|(z, label)| (**z > 0.0) == *label).count() as f64 / logits.len() as f64
    };
    let held = right(&head.logits(&x_held)?, &mut all.iter().map(|line| line.is_positive));
    let learned = right(&head.logits(&training.x)?, &mut training.labels.iter().copied());
    let mut text = format!(
        "two dense layers on {} lines, {} of them with a wrong label; right on {held:.3} of {} others, and on {learned:.3} of what \
         they were trained on\n\n",
        training.lines.len(),
        training.flipped.iter().filter(|&&flipped| flipped).count(),
        all.len()
    );
    let fisher = head.fisher_rows(&training.x)?;
    let curvature = Curvature::fit(Strategy::Ekfac, &fisher.layers()?)?;
    let rows = head.rows(&training.x, &training.labels)?;
    let trained = Trained { head: &head, curvature: &curvature, rows: &rows.layers()? };
    let suspicion = training.detect(&trained, &mut text)?;
    match sentence {
        Some(said) => training.explain(&trained, (said, None), &embed(&[said])?, &mut text)?,
        None => {
            for (index, line) in all.iter().take(SHOWN).enumerate() {
                let x = x_held.select(Axis(0), &[index]);
                training.explain(&trained, (&line.text, Some(line.is_positive)), &x, &mut text)?;
            }
        }
    }
    if let Some(out) = out {
        training.save(&suspicion, out)?;
        let _ = writeln!(text, "{}: self-influence of every line", out.display());
    }
    Ok(text)
}

/// The labelled lines of `file`, without the sentence that is asked about.
fn labelled_lines(file: &Path, sentence: Option<&str>, lines: Option<u32>) -> Result<Vec<Line>> {
    let mut all = read(file)?;
    all.retain(|line| Some(line.text.as_str()) != sentence.map(str::trim));
    all.truncate(lines.map_or(usize::MAX, |lines| lines as usize));
    if all.len() < 2 * WRONG {
        return Err(Error::at(file, format!("{} lines, at least {} are needed", all.len(), 2 * WRONG)));
    }
    Ok(all)
}

impl Training {
    fn new(lines: Vec<Line>, x: Array2<f32>) -> Self {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        shuffle(&mut Seed(0).stream(FLIP, 0), &mut order);
        let mut flipped = vec![false; lines.len()];
        order.iter().take(lines.len() / WRONG).for_each(|&line| flipped[line] = true);
        let labels = lines.iter().zip(&flipped).map(|(line, &flipped)| line.is_positive != flipped).collect();
        Self { lines, x, labels, flipped }
    }

    /// Self-influence of every line; says how many wrong labels it finds, beside simpler suspicions.
    fn detect(&self, trained: &Trained<'_>, text: &mut String) -> Result<Array1<f64>> {
        let Trained { head, curvature, rows } = *trained;
        let own = curvature.self_scores(&Spectral::default(), rows)?;
        let plain = Curvature::fit(Strategy::Identity, rows)?.self_scores(&Spectral::default(), rows)?;
        let logits = head.logits(&self.x)?;
        let loss =
            |(&z, &label): (&f32, &bool)| -f64::from(sigmoid(if label { z } else { -z })).max(f64::MIN_POSITIVE).ln();
        let loss = logits.iter().zip(&self.labels).map(loss);
        let n = self.lines.len();
        let inspected = [n / 10, n / 5, n * 3 / 10];
        let _ = writeln!(
            text,
            "{:<32} {:>7} {:>8} {:>8} {:>8}",
            "wrong labels found by", "AUC", "in 10 %", "in 20 %", "in 30 %"
        );
        let suspicions = [
            ("self-influence (EK-FAC)", own.clone()),
            ("length of the gradient, squared", plain),
            ("loss", loss.collect()),
        ];
        for (name, suspicion) in &suspicions {
            let found = mislabel_detection(suspicion, &self.flipped, &inspected)?;
            let _ = write!(text, "{name:<32} {:>7.3}", found.auc.unwrap_or(f64::NAN));
            found.recall().unwrap_or_default().iter().for_each(|share| {
                let _ = write!(text, " {share:>8.3}");
            });
            text.push('\n');
        }
        let _ = writeln!(text, "{:<32} {:>7.3} {:>8.3} {:>8.3} {:>8.3}", "chance", 0.5, 0.1, 0.2, 0.3);
        let published = "published for images (kronfluence)";
        let _ = writeln!(text, "{published:<34} {:>5} {:>8.2} {:>8.2} {:>8}\n", "-", 0.80, 0.97, "-");
        Ok(own)
    }

    /// The lines without which the verdict would be weaker, and those without which it would be stronger.
    fn explain(
        &self,
        trained: &Trained<'_>,
        (said, label): (&str, Option<bool>),
        x: &Array2<f32>,
        text: &mut String,
    ) -> Result<()> {
        let Trained { head, curvature, rows } = *trained;
        let logit = head.logits(x)?[0];
        let verdict = logit > 0.0;
        let name = |positive: bool| if positive { "positive" } else { "negative" };
        let labelled = label.map_or_else(String::new, |label| format!(" (labelled {})", name(label)));
        let probability = sigmoid(logit.abs());
        let _ = writeln!(text, "{said}{labelled}\n  verdict: {} with probability {probability:.3}", name(verdict));
        // the loss of the verdict itself: what lowered it speaks for the verdict
        let query = head.rows(x, &[verdict])?;
        let queries = curvature.queries(&Spectral::default(), &query.layers()?, &QuerySettings::default())?;
        for (end, heading) in [(End::Largest, "for it"), (End::Smallest, "against it")] {
            let mut top = TopK::new(1, TOP, end)?;
            queries.scan(rows, 0, &mut top)?;
            let _ = writeln!(text, "  {heading}:");
            for found in top.of(0) {
                let line = usize::try_from(found.id).unwrap_or(usize::MAX);
                let wrong = if self.flipped[line] { ", a wrong label" } else { "" };
                let (label, said) = (name(self.labels[line]), &self.lines[line].text);
                let change = found.score / self.lines.len() as f64;
                let _ = writeln!(text, "    {change:>+9.5}  [{label}{wrong}] {said}");
            }
        }
        text.push('\n');
        Ok(())
    }

    fn save(&self, suspicion: &Array1<f64>, path: &Path) -> Result<()> {
        let mut csv = String::from("self_influence,label,flipped,text\n");
        for (index, line) in self.lines.iter().enumerate() {
            let (label, flipped) = (u8::from(self.labels[index]), u8::from(self.flipped[index]));
            let _ = writeln!(csv, "{},{label},{flipped},\"{}\"", suspicion[index], line.text.replace('"', "\"\""));
        }
        fs::write(path, csv).map_err(|e| Error::at(path, e))
    }
}
