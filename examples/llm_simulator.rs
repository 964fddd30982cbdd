//! A language model as a simulator: any function from a prompt to a completion with log-probabilities is enough. Nothing here
//! speaks to a network: requests leave as JSON lines, answers come from a file or pipe of recorded ones, and `--quick` has a
//! stand-in that is no language model. Replace `answers` by a call of your client, and the rest stays.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

#[path = "explanation_scoring_support/corpus.rs"]
#[expect(unreachable_pub, reason = "an example has no crate to reach from")]
mod corpus;
#[path = "llm_simulator_support/mod.rs"]
mod llm_simulator_support;
#[path = "explanation_scoring_support/neurons.rs"]
#[expect(unreachable_pub, reason = "an example has no crate to reach from")]
mod neurons;

use std::process::ExitCode;

use limpid::Seed;
use limpid::explanation::ActivationRecord;
use limpid::explanation::Prompt;
use limpid::explanation::score::{Bootstrap, PairStats, Statistic};
use limpid::explanation::simulate::{Accounting, Simulator};
use ndarray::Axis;

use llm_simulator_support::options::Options;
use llm_simulator_support::simulator::{Answer, Ask, LanguageModel};
use llm_simulator_support::wire::Recorded;
use llm_simulator_support::{Outcome, example, say, stand_in, table};
use neurons::{Kind, NEURONS, UNTRUE, activations};

fn main() -> ExitCode {
    match Options::read() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(options)) => run(&options).unwrap_or_else(|error| {
            eprintln!("llm_simulator: {error}");
            ExitCode::from(2)
        }),
        Err(error) => {
            eprintln!("llm_simulator: {error} (--help shows the options)");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Outcome<ExitCode> {
    let mut neurons = NEURONS.iter().enumerate();
    let (index, neuron) = neurons.find(|(_, neuron)| neuron.kind == Kind::Token).ok_or("no neuron of single tokens")?;
    let texts = corpus::texts(options.texts, Seed(0));
    let values = activations(&texts, Seed(0));
    let record = |(text, values): (&Vec<String>, ndarray::ArrayView2<'_, f64>)| {
        ActivationRecord::new(text.iter().cloned(), values.index_axis(Axis(1), index).to_owned())
    };
    let records = texts.iter().zip(values.outer_iter()).map(record).collect::<limpid::Result<Vec<_>>>()?;
    say!(options, "neuron: {}, {} made-up texts, asked {}", neuron.name, texts.len(), options.way.name());
    let explanations = [("true", neuron.truth), ("untrue", UNTRUE[0])];
    let scores = if options.quick {
        say!(options, "answers: a stand-in that compares words; it is NOT a language model");
        judge(options, &explanations, &records, stand_in::answer)?
    } else {
        let mut recorded = Recorded::open(options.answers.as_deref())?;
        // the place for an HTTP call: a request in, an answer out
        let answers = |prompt: &Prompt, ask: Ask| recorded.answer(prompt, ask);
        let scores = judge(options, &explanations, &records, answers)?;
        if recorded.unanswered > 0 {
            eprintln!("{} requests have no answer yet: give theirs with --answers FILE", recorded.unanswered);
        }
        scores
    };
    let separated = matches!(scores[..], [Some(truth), Some(untrue)] if truth > untrue);
    if options.quick && !separated {
        eprintln!("MISSED: the true explanation has the higher score");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Simulates every explanation by the model `complete`, prints what came of it, and gives the scores.
fn judge<F>(
    options: &Options,
    explanations: &[(&str, &str)],
    records: &[ActivationRecord<f64>],
    complete: F,
) -> Outcome<Vec<Option<f64>>>
where
    F: FnMut(&Prompt, Ask) -> Outcome<Answer>,
{
    let mut model = LanguageModel { asking: example(), way: options.way, complete };
    let mut scores = Vec::new();
    for (at, (name, explanation)) in explanations.iter().enumerate() {
        say!(options, "\n{name} explanation: {explanation}");
        let (mut accounting, mut stats) = (Accounting::default(), Vec::new());
        for (number, record) in records.iter().enumerate() {
            let simulation = model.simulate(explanation, &record.tokens)?;
            if at == 0 && number == 0 {
                say!(options, "{}", model.prompt(explanation, &record.tokens)?.joined());
                say!(options, "{}", table(record, &simulation));
            }
            accounting.add(&simulation.accounting());
            // a token without a prediction counts as 0 here; how many there are stands beside the score
            stats.push(PairStats::of(&record.activations, &simulation.filled(0.0))?);
        }
        say!(options, "tokens: {} read, {} failed: {accounting:?}", accounting.ok, accounting.failed());
        let score = Statistic::Pearson.of(&PairStats::pool(&stats));
        match (score, Bootstrap::default().interval(&stats)?) {
            (Ok(score), Ok(ends)) => say!(options, "score: {score:.3}, 95 %: {:.3} to {:.3}", ends.low, ends.high),
            (Err(reason), _) | (_, Err(reason)) => say!(options, "score: none, as {reason}"),
        }
        scores.push(score.ok());
    }
    Ok(scores)
}
