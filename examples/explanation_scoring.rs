//! Explanations of neurons, scored: six neurons whose rules are known, true and untrue things said of each, and simulators
//! that need no language model. True explanations win, and the intervals say by how much. About 2 s on two cores.

#[path = "explanation_scoring_support/mod.rs"]
mod explanation_scoring_support;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::explanation::collect::{Batch, CollectSettings, Collector};
use limpid::explanation::score::PairStats;
use limpid::explanation::slices::interleaved;
use limpid::explanation::{ActivationRecord, Side};
use ndarray::{Array3, Axis};

use explanation_scoring_support::Outcome;
use explanation_scoring_support::corpus::texts;
use explanation_scoring_support::judge::{PER_SPLIT, PREDICTORS, Scored, bootstrap, judge, scored};
use explanation_scoring_support::neurons::{Kind, NEURONS, Neuron, activations};
use support::figure::intervals;
use support::{cli::Options, report::Report, report::number};

const ABOUT: &str = "six neurons follow known rules in made-up texts: colours, prices, what comes after \"of\" ... Their strongest\n\
and random texts are collected, explanations of them simulated without a language model, and scored by the correlation\n\
of simulated and true activations, with bootstrap intervals over texts. About 2 s on two cores.";

fn main() -> ExitCode {
    support::run("explanation_scoring", ABOUT, (1, 4000), experiment)
}

fn experiment(options: &Options) -> Outcome<Report> {
    let seed = Seed(options.seed);
    let texts = texts(options.steps, seed);
    let values = activations(&texts, seed);
    let settings =
        CollectSettings { positive: 4 * PER_SPLIT, random: 3 * PER_SPLIT, seed, ..CollectSettings::default() };
    let mut collector = Collector::new(NEURONS.len(), settings, 0)?;
    let documents: Vec<u64> = (0..texts.len() as u64).collect();
    collector.update(&values, &Batch { documents: &documents, ..Batch::default() })?;

    let mut report = Report::new("Explanations of neurons, scored", &options.out);
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for (index, neuron) in NEURONS.iter().enumerate() {
        let (train, test) = records(&texts, &values, &collector, index)?;
        let found = judge(neuron, &train, &test, seed)?;
        let scores = found.iter().map(|stats| scored(stats, seed)).collect::<Outcome<Vec<_>>>()?;
        check(&mut report, neuron, &found, &scores, seed)?;
        let cells = scores
            .iter()
            .map(|(score, low, high)| format!("{} ({} to {})", number(*score), number(*low), number(*high)));
        rows.push([neuron.name.to_owned()].into_iter().chain(cells).collect());
        panels.push((neuron.name.to_owned(), scores));
    }
    let head: Vec<&str> = ["neuron"].into_iter().chain(PREDICTORS).collect();
    report.table("correlations with 95 % intervals", &head, rows);
    report.figure(
        intervals(&panels, &PREDICTORS, 3),
        "Correlation of predicted with true activations on ten texts of the strongest and ten random ones, with 95 % intervals \
         from resampled texts. A table of tokens knows neurons of single tokens; it does not know prices from room numbers.",
    );
    Ok(report)
}

type Records = Vec<ActivationRecord<f64>>;

/// Records of a neuron: all texts that are not scored, and the strongest and random ones that are.
fn records(
    texts: &[Vec<String>],
    values: &Array3<f64>,
    collector: &Collector,
    neuron: usize,
) -> Outcome<(Records, Records)> {
    let record = |text: usize| {
        let activations = values.index_axis(Axis(2), neuron).row(text).to_owned();
        ActivationRecord::new(texts[text].iter().cloned(), activations)
    };
    let top: Vec<u64> = collector
        .neuron(neuron)
        .map_or(&[][..], |stats| stats.top(Side::Positive))
        .iter()
        .map(|hit| hit.document)
        .collect();
    let random: Vec<u64> = collector.random().hits().map(|hit| hit.document).collect();
    let splits =
        interleaved(top.len(), random.len(), Some(PER_SPLIT))?.ok_or("too few texts: --steps is their number")?;
    let chosen = splits.test.top.iter().map(|&at| top[at]).chain(splits.test.random.iter().map(|&at| random[at]));
    let test = chosen.map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
    let train = (0..texts.len()).filter(|text| !test.contains(text)).map(record).collect::<limpid::Result<_>>()?;
    Ok((train, test.iter().map(|&text| record(text)).collect::<limpid::Result<_>>()?))
}

fn check(report: &mut Report, neuron: &Neuron, found: &[Vec<PairStats>], scores: &[Scored], seed: Seed) -> Outcome<()> {
    let [truth, untrue, table, pairs, oracle, shuffled] = [0, 1, 2, 3, 4, 5].map(|at| scores[at]);
    let name = neuron.name;
    report.claim(
        &format!("{name}: the intervals of the true and the best untrue explanation are apart"),
        truth.1 > untrue.2,
    );
    let difference = bootstrap(seed).difference(&found[0], &found[2])??;
    let (low, high) = (difference.interval.low, difference.interval.high);
    match neuron.kind {
        Kind::Token => report.claim(&format!("{name}: a table of tokens is better than keywords"), high < 0.0),
        Kind::Phrase => report.claim(&format!("{name}: keywords are better than a table of tokens"), low > 0.0),
        Kind::Successor => {
            report.claim(&format!("{name}: pairs of tokens are better than both"), pairs.0 > truth.0.max(table.0));
        }
    }
    report.within(&format!("{name}: shuffled"), shuffled.0, &(-0.2..=0.2));
    report.at_least(&format!("{name}: oracle in digits"), oracle.0, 0.98);
    Ok(())
}
