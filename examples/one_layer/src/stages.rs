//! The stages of the experiment: each reads what earlier ones wrote, and may run alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use limpid::sae::Sae;

use crate::compare::{Subject, compare};
use crate::figures::number;
use crate::model::Frozen;
use crate::outcome::Results;
use crate::text::{Text, Vocabulary, read, training_part};
use crate::{Error, Result, attribute, browse, dictionary, planted, saved, train};

/// Columns of the table that is printed.
const COLUMNS: usize = 12;

/// Settings of all stages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of all results.
    pub out: PathBuf,
    pub training: train::Training,
    pub dictionary: dictionary::Settings,
    pub compare: Compare,
    /// Characters that are generated.
    pub generate: usize,
}

/// Settings of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct Compare {
    /// Features, and neurons, that are explained.
    pub units: usize,
    /// Windows of the training part, and of the held-out one.
    pub windows: usize,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            out: "target/limpid/one_layer".into(),
            training: train::Training::default(),
            dictionary: dictionary::Settings::default(),
            compare: Compare { units: 200, windows: 400, seed: 0 },
            generate: 24,
        }
    }
}

impl Settings {
    /// One seed for everything.
    pub fn seed(&mut self, seed: u64) {
        (self.training.seed, self.dictionary.seed, self.compare.seed) = (seed, seed, seed);
    }

    /// Folder of a stage.
    pub fn folder(&self, stage: &str) -> PathBuf {
        self.out.join(stage)
    }

    /// Sizes of the run on the planted text.
    fn small(&self) -> Self {
        let out = self.out.join("quick");
        let training = train::Training {
            width: 64,
            neurons: 128,
            context: 64,
            steps: 400,
            learning_rate: 6e-3,
            seed: self.training.seed,
            ..train::Training::default()
        };
        let dictionary = dictionary::Settings {
            features: 512,
            steps: 1600,
            batch: 256,
            l1: 0.02,
            learning_rate: 2e-3,
            seed: self.dictionary.seed,
            ..dictionary::Settings::default()
        };
        Self { out, training, dictionary, compare: Compare { units: 60, windows: 150, ..self.compare }, generate: 12 }
    }
}

/// Runs a stage.
///
/// # Errors
/// A stage that does not exist, or lacks something; what goes wrong in it.
pub fn run(stage: &str, words: &[&str], settings: &Settings) -> Result<ExitCode> {
    match (stage, words) {
        ("train", [text]) => train_stage(&read(Path::new(text))?, settings)?,
        ("dictionary", [text]) => dictionary_stage(&read(Path::new(text))?, settings)?,
        ("compare", [text]) => compare_stage(&read(Path::new(text))?, settings)?,
        ("browse", [text]) => browse_stage(&read(Path::new(text))?, settings)?,
        ("attribute", [prompt]) => attribute_stage(&prompt.replace("\\n", "\n"), settings)?,
        ("report", []) => return Ok(Results::read(&settings.out)?.report(&settings.folder("report")).finish()),
        ("all", [text]) => {
            all(&read(Path::new(text))?, settings)?;
            return Ok(Results::read(&settings.out)?.report(&settings.folder("report")).finish());
        }
        ("train" | "dictionary" | "compare" | "browse" | "all", _) => {
            return Err(Error(format!("{stage}: one text file is needed (--help tells all)")));
        }
        ("attribute", _) => return Err(Error("attribute: one prompt is needed (--help tells all)".to_owned())),
        ("report", _) => return Err(Error("report: it takes nothing more (--help tells all)".to_owned())),
        _ => return Err(Error(format!("{stage}: no such stage (--help tells all)"))),
    }
    Ok(ExitCode::SUCCESS)
}

/// All stages but the report; the prompt is the start of what is held out.
fn all(string: &str, settings: &Settings) -> Result<()> {
    train_stage(string, settings)?;
    dictionary_stage(string, settings)?;
    compare_stage(string, settings)?;
    browse_stage(string, settings)?;
    let held_out: Vec<char> = string[training_part(string).len()..].chars().collect();
    // from the start of a line on
    let from = held_out.iter().position(|&c| c == '\n').filter(|&at| at + 32 < held_out.len()).unwrap_or(0);
    attribute_stage(&held_out.iter().skip(from).take(24).collect::<String>(), settings)
}

/// All stages on a made-up text, and whether they find what was planted: exit code 1 where they do not.
///
/// # Errors
/// What goes wrong in one.
pub fn quick(settings: &Settings) -> Result<ExitCode> {
    let small = settings.small();
    all(&planted::play(150_000, settings.compare.seed), &small)?;
    let results = Results::read(&small.out)?;
    let mut report = results.report(&small.folder("report"));
    let Results { model, dictionary, attributed, .. } = &results;
    report.at_most("loss below that of bigrams by", number(&model["held_out"]) - number(&model["bigram"]), -0.1);
    report.at_least("loss recovered by the dictionary", number(&dictionary["recovered"]), 0.8);
    report.at_most(
        "active features to active neurons",
        number(&dictionary["l0"]) / number(&dictionary["neurons_l0"]),
        0.7,
    );
    let gain = |name: &str| results.mean("feature", name) - results.mean("neuron", name);
    report.at_least("best features' F1, above that of best neurons by", gain("f1"), 0.05);
    report.at_least("their precision, above by", gain("precision"), 0.05);
    report.at_least("best features' F1", results.mean("feature", "f1"), 0.5);
    let harm = results.mean("feature", "loss_inside") / results.mean("feature", "loss_elsewhere").max(1e-9);
    report.at_least("loss without a feature in its context, times that elsewhere", harm, 3.0);
    let explained = ["features", "neurons"].map(|kind| results.score(kind, "few")[0]);
    report.at_least(
        "scores of short explanations of features, above those of neurons by",
        explained[0] - explained[1],
        0.05,
    );
    report.at_most("what integrated gradients miss, in nats", number(&attributed["largest_delta"]), 0.02);
    report.at_least("their correlation with occlusion", number(&attributed["agreement"]), 0.5);
    Ok(report.finish())
}

fn train_stage(string: &str, settings: &Settings) -> Result<()> {
    let vocabulary = Vocabulary::of(training_part(string));
    let text = Text::new(string, &vocabulary, settings.training.context)?;
    let trained = train::train(&text, &vocabulary, &settings.training, &settings.folder("model"))?;
    println!(
        "held-out loss {:.3} nats per character; unigrams {:.3}, bigrams {:.3}",
        trained.held_out, trained.unigram, trained.bigram
    );
    Ok(())
}

/// The trained model, its vocabulary and the text in its tokens.
fn trained(string: &str, settings: &Settings) -> Result<(Frozen, Vocabulary, Text)> {
    let (model, vocabulary) = saved::load(&settings.folder("model"))?;
    let text = Text::new(string, &vocabulary, model.shape.context)?;
    Ok((model.frozen(), vocabulary, text))
}

fn loaded(model: &Frozen, settings: &Settings) -> Result<Sae<f32>> {
    dictionary::load(&settings.folder("dictionary"), model.shape.neurons)
}

fn dictionary_stage(string: &str, settings: &Settings) -> Result<()> {
    let (model, _, text) = trained(string, settings)?;
    let (_, result) = dictionary::train(&model, &text, &settings.dictionary, &settings.folder("dictionary"))?;
    println!(
        "{} features, {} of them dead; {:.1} are active at a character, of neurons {:.1}; variance explained {:.3}; \
         loss recovered {:.3}",
        result["features"],
        result["dead"],
        number(&result["l0"]),
        number(&result["neurons_l0"]),
        number(&result["explained"]),
        number(&result["recovered"])
    );
    Ok(())
}

fn compare_stage(string: &str, settings: &Settings) -> Result<()> {
    let (model, _, text) = trained(string, settings)?;
    let sae = loaded(&model, settings)?;
    let subject = Subject { model: &model, text: &text, sae: &sae };
    let result = compare(subject, &settings.compare, &settings.folder("compare"))?;
    for kind in ["features", "neurons"] {
        let of = &result["scores"][kind]["few"];
        println!("{kind}: mean score of short explanations {:.3}, of {}", number(&of["mean"]), of["scored"]);
    }
    Ok(())
}

fn browse_stage(string: &str, settings: &Settings) -> Result<()> {
    let (model, vocabulary, text) = trained(string, settings)?;
    let sae = loaded(&model, settings)?;
    let subject = Subject { model: &model, text: &text, sae: &sae };
    let (folder, Compare { windows, seed, .. }) = (settings.folder("features"), settings.compare);
    let size = browse::browse(subject, &vocabulary, (windows.saturating_mul(3), seed), &folder)?;
    println!("{}: {:.1} MB", folder.join("index.html").display(), size as f64 / 1e6);
    Ok(())
}

fn attribute_stage(prompt: &str, settings: &Settings) -> Result<()> {
    let (model, vocabulary) = saved::load(&settings.folder("model"))?;
    let found = attribute::attribute(&model.frozen(), &vocabulary, prompt, settings.generate)?;
    let folder = settings.folder("attribution");
    found.save(&folder)?;
    let generated: String = found.characters[found.prompt..].iter().collect();
    println!("{prompt:?} goes on {generated:?}\n\n{}", found.text(COLUMNS)?);
    println!("{}", folder.join("index.html").display());
    Ok(())
}
