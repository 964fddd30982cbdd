//! The report: figures, what was found, and published values beside it.

use std::path::Path;

use serde_json::Value;

use crate::Result;
use crate::figures::{contexts, densities, number, reconstruction, scores, sparsity, training};
use crate::saved::read_json;
use crate::support::report::{Report, number as shown};

/// Features, and neurons, whose explanations are shown.
const LISTED: usize = 8;

/// What the stages found.
pub(crate) struct Results {
    pub(crate) model: Value,
    pub(crate) dictionary: Value,
    pub(crate) compared: Value,
    pub(crate) attributed: Value,
}

impl Results {
    /// Reads what the stages wrote below a folder.
    pub(crate) fn read(out: &Path) -> Result<Self> {
        let of = |stage: &str| read_json(&out.join(stage).join("result.json"));
        let [model, dictionary] = [of("model")?, of("dictionary")?];
        Ok(Self { model, dictionary, compared: of("compare")?, attributed: of("attribution")? })
    }

    /// The mean of a number over all contexts, of the best features or neurons.
    pub(crate) fn mean(&self, kind: &str, name: &str) -> f64 {
        let rows = self.compared["contexts"].as_array().map_or(&[][..], Vec::as_slice);
        let values: Vec<f64> = rows.iter().map(|row| number(&row[kind][name])).filter(|x| x.is_finite()).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// Mean explanation score of features or neurons: its estimate and the ends of its interval.
    pub(crate) fn score(&self, kind: &str, explanation: &str) -> [f64; 3] {
        ["mean", "low", "high"].map(|name| number(&self.compared["scores"][kind][explanation][name]))
    }

    /// The report with all figures and tables.
    pub(crate) fn report(&self, folder: &Path) -> Report {
        let mut report = Report::new("Features of a one-layer transformer", folder);
        report.table("published values and ours", &["", "here", "published (A/1)"], self.beside());
        report.table(
            "explanation scores",
            &["units", "scored", "explanation", "mean", "95 % interval", "median"],
            self.scores(),
        );
        report.table("short explanations", &["unit", "score", "95 % interval", "its stretches"], self.short());
        let head = [
            "context",
            "places",
            "unit",
            "precision",
            "recall",
            "F1",
            "AUC",
            "correlation",
            "loss inside",
            "elsewhere",
        ];
        report.table("contexts", &head, self.contexts());
        let Self { model, dictionary, compared, .. } = self;
        report.figure(
            densities(dictionary),
            "How often features and neurons are active, on held-out text. Dead ones are left out.",
        );
        report.figure(
            contexts(compared, "f1"),
            "F1 of the best feature and the best neuron for each context: chosen, with the best threshold, on training text and \
             measured on held-out text.",
        );
        report.figure(contexts(compared, "precision"), "Precision (specificity) of the same units.");
        report.figure(
            scores(compared),
            "How well ten stretches of characters explain a feature or a neuron: correlation on held-out text.",
        );
        report.figure(training(model), "Loss of the transformer.");
        report.figure(sparsity(dictionary), "Features that are active at a character while the dictionary is trained.");
        let again: Vec<String> =
            dictionary["resampled_after"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        report.figure(
            reconstruction(dictionary),
            &format!(
                "Squared error of the dictionary per neuron, in normalised units. Features that are dead start again after steps {}.",
                again.join(", ")
            ),
        );
        report
    }

    fn beside(&self) -> Vec<Vec<String>> {
        let Self { model, dictionary: d, .. } = self;
        let row = |what: &str, here: String, published: &str| vec![what.to_owned(), here, published.to_owned()];
        let whole = |value: &Value| value.as_u64().map_or_else(String::new, |n| n.to_string());
        let share = |x: f64| format!("{:.1} %", 100.0 * x);
        let best =
            |kind: &str| format!("{} / {}", share(self.mean(kind, "precision")), share(self.mean(kind, "recall")));
        let [feature, neuron] = ["features", "neurons"].map(|kind| shown(self.score(kind, "few")[0]));
        vec![
            row("parameters of the transformer", whole(&model["parameters"]), ""),
            row("loss, held out (unigrams, bigrams)", self.losses(), ""),
            row("neurons", whole(&model["neurons"]), "512"),
            row("features", whole(&d["features"]), "4096"),
            row("activations in training", whole(&d["tokens"]), "8 billion"),
            row("dead features", whole(&d["dead"]), "168"),
            row("loss recovered (of what zeros in place of the neurons cost)", share(number(&d["recovered"])), "79 %"),
            row("variance explained", share(number(&d["explained"])), ""),
            row("features active at a character", shown(number(&d["l0"])), ""),
            row("neurons active at a character", shown(number(&d["neurons_l0"])), ""),
            row(
                "precision / recall of best features, mean over contexts",
                best("feature"),
                "81 % precision (Arabic script)",
            ),
            row("precision / recall of best neurons, mean over contexts", best("neuron"), ""),
            row("score of short explanations, features", feature, "median 12 of 14, by people"),
            row("score of short explanations, neurons", neuron, "median 0 of 14, by people"),
        ]
    }

    fn losses(&self) -> String {
        let [held, unigram, bigram] = ["held_out", "unigram", "bigram"].map(|name| number(&self.model[name]));
        format!("{held:.3} ({unigram:.3}, {bigram:.3})")
    }

    fn scores(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for kind in ["features", "neurons"] {
            for (key, name) in [
                ("few", "ten stretches that say most"),
                ("table", "all single characters"),
                ("stretches", "all stretches of up to 5"),
            ] {
                let of = &self.compared["scores"][kind][key];
                let [mean, low, high] = self.score(kind, key);
                rows.push(vec![
                    kind.to_owned(),
                    of["scored"].to_string(),
                    name.to_owned(),
                    format!("{mean:.3}"),
                    format!("{low:.3} to {high:.3}"),
                    format!("{:.3}", number(&of["median"])),
                ]);
            }
        }
        rows
    }

    /// Units from the best explained to the worst, with their explanations.
    fn short(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (kind, name) in [("features", "feature"), ("neurons", "neuron")] {
            let each = self.compared["scores"][kind]["each"].as_array().map_or(&[][..], Vec::as_slice);
            let mut scored: Vec<&Value> = each.iter().filter(|unit| number(&unit["few"]).is_finite()).collect();
            scored.sort_by(|a, b| number(&b["few"]).total_cmp(&number(&a["few"])));
            let few = scored.len().min(LISTED);
            rows.extend((0..few).map(|at| {
                let unit = scored[at * (scored.len() - 1) / (few - 1).max(1)];
                let [low, high] = [0, 1].map(|end| number(&unit["interval"][end]));
                let cells = [format!("{name}\u{a0}{}", unit["unit"]), format!("{:.3}", number(&unit["few"]))];
                cells.into_iter().chain([format!("{low:.3} to {high:.3}"), stretches(&unit["short"])]).collect()
            }));
        }
        rows
    }

    fn contexts(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for row in self.compared["contexts"].as_array().into_iter().flatten() {
            for kind in ["feature", "neuron"] {
                let of = &row[kind];
                let name = if kind == "feature" { row["name"].as_str().unwrap_or_default() } else { "" };
                let places = if kind == "feature" { row["places"].to_string() } else { String::new() };
                let mut cells = vec![name.to_owned(), places, format!("{kind}\u{a0}{}", of["unit"])];
                let decimals = ["precision", "recall", "f1", "auc", "correlation"];
                cells.extend(decimals.map(|name| format!("{:.2}", number(&of[name]))));
                cells.extend(["loss_inside", "loss_elsewhere"].map(|name| format!("{:+.4}", number(&of[name]))));
                rows.push(cells);
            }
        }
        rows
    }
}

/// The stretches of a short explanation, the most active first, with blanks that can be seen.
fn stretches(short: &Value) -> String {
    let mut all: Vec<(&str, f64)> = Vec::new();
    all.extend(
        short.as_array().into_iter().flatten().map(|pair| (pair[0].as_str().unwrap_or_default(), number(&pair[1]))),
    );
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let shown = all.iter().take(5).map(|(text, mean)| {
        let text = text.replace('\n', "↵").replace(' ', "␣");
        format!("{text} {mean:.1}")
    });
    shown.collect::<Vec<String>>().join(" · ")
}
