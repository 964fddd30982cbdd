//! A small classifier of sentences and the reasons it has: praise or not, by a convolution over word vectors.
//!
//! It makes its own training sentences from a small grammar, and is trained where it runs: no weights are shipped, and a seed
//! gives the same ones everywhere.

mod grammar;
mod model;

use limpid::attribution::gradient::{InputXGradient, IntegratedGradients};
use limpid::attribution::perturbation::LeaveOneOut;
use limpid::attribution::target::ContrastLogitDifference;
use limpid::attribution::{Attribution, Explainer};
use limpid::math::pointwise::softmax;
use limpid::{Error, Seed};
use ndarray::{Array2, Axis};
use serde_json::json;

use crate::Trouble;
use grammar::Grammar;
use model::{Model, Trainer, VECTOR};

/// Steps of a whole training.
const STEPS: usize = 400;
/// Sentences of one step, and those that judge the result.
const BATCH: usize = 64;
const HELD_OUT: usize = 500;
const TRAINING: u64 = 1;
const TEST: u64 = 2;
/// Column of the model's output.
const PRAISE: usize = 1;

type Result<V> = core::result::Result<V, Trouble>;

/// The classifier.
#[derive(Debug)]
pub struct Classifier {
    grammar: Grammar,
    trainer: Trainer,
    seed: Seed,
    step: usize,
}

impl Classifier {
    /// An untrained one.
    ///
    /// # Errors
    /// None that can be expected.
    pub fn new(seed: u64) -> Result<Self> {
        let (grammar, seed) = (Grammar::default(), Seed(seed));
        Ok(Self { trainer: Trainer::new(grammar.len(), seed), grammar, seed, step: 0 })
    }

    /// Trains `steps` steps, as far as there are any left; gives the share that is done.
    ///
    /// # Errors
    /// Those of the model.
    pub fn train(&mut self, steps: usize) -> Result<f64> {
        for _ in 0..steps.min(STEPS - self.step) {
            let (texts, labels) = self.sentences(TRAINING, self.step, BATCH);
            self.trainer.step(&texts, &labels)?;
            self.step += 1;
        }
        Ok(self.step as f64 / STEPS as f64)
    }

    /// Share of sentences of no training step that are judged rightly.
    ///
    /// # Errors
    /// Those of the model.
    pub fn accuracy(&mut self) -> Result<f64> {
        let (texts, labels) = self.sentences(TEST, 0, HELD_OUT);
        let logits = self.trainer.model.logits(&self.trainer.model.look_up(&texts))?;
        let right = logits.rows().into_iter().zip(&labels).filter(|(z, label)| usize::from(z[1] > z[0]) == **label);
        Ok(right.count() as f64 / HELD_OUT as f64)
    }

    /// Why a text is praise or not, as JSON.
    ///
    /// # Errors
    /// For an unknown method, and those of the methods.
    pub fn explain(&mut self, text: &str, method: &str) -> Result<String> {
        let words = grammar::split(text);
        let kept = &words[..words.len().min(model::TOKENS)];
        let tokens: Vec<Option<usize>> = kept.iter().map(|word| self.grammar.number(word)).collect();
        let x = self.trainer.model.look_up(core::slice::from_ref(&tokens));
        let found = attribute(&mut self.trainer.model, &x, method)?;
        let values: Vec<f32> = by_token(&found.values);
        let probability = softmax(&self.trainer.model.logits(&x)?)?[[0, PRAISE]];
        let base = match &found.base_value {
            Some(base) => base[0],
            None => difference(&self.trainer.model.logits(&Array2::zeros(x.raw_dim()))?),
        };
        let token = |((word, token), value): ((&&str, &Option<usize>), &f32)| json!({ "text": word, "known": token.is_some(), "value": token.map(|_| value) });
        let answer = json!({
            "tokens": kept.iter().zip(&tokens).zip(&values).map(token).collect::<Vec<_>>(),
            "probability": probability,
            "output": found.output_value[0],
            "base": base,
            "delta": found.delta.as_ref().map(|delta| delta[0]),
            "evaluations": found.evaluations.total(),
            "cut": words.len() - kept.len(),
        });
        Ok(answer.to_string())
    }

    fn sentences(&self, purpose: u64, item: usize, count: usize) -> (Vec<Vec<Option<usize>>>, Vec<usize>) {
        let mut stream = self.seed.stream(purpose, item as u64);
        let sentences = (0..count).map(|_| self.grammar.sentence(&mut stream));
        sentences.map(|sentence| (sentence.words.into_iter().map(Some).collect(), usize::from(sentence.praise))).unzip()
    }
}

fn difference(logits: &Array2<f32>) -> f32 {
    logits[[0, PRAISE]] - logits[[0, 1 - PRAISE]]
}

/// Values by number of each word vector, or by word.
fn attribute(model: &mut Model, x: &Array2<f32>, method: &str) -> Result<Attribution<f32>> {
    let target = ContrastLogitDifference::<f32>::of(PRAISE, 1 - PRAISE);
    let found = match method {
        "integrated_gradients" => IntegratedGradients::default().attribute(model, x, &target),
        "input_x_gradient" => InputXGradient.attribute(model, x, &target),
        "leave_one_out" => LeaveOneOut { width: VECTOR, ..LeaveOneOut::default() }.attribute(model, x, &target),
        _ => return Err(format!("there is no method {method}").into()),
    };
    Ok(found.map_err(|failure: limpid::attribution::Failure<Error>| failure.to_string())?)
}

/// A value per word: the sum over its vector where there are more.
fn by_token(values: &Array2<f32>) -> Vec<f32> {
    let row = values.index_axis(Axis(0), 0);
    if row.len() == model::TOKENS {
        return row.to_vec();
    }
    row.axis_chunks_iter(Axis(0), VECTOR).map(|vector| vector.sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> Classifier {
        let mut classifier = Classifier::new(0).unwrap();
        assert!(classifier.train(STEPS + 10).unwrap() == 1.0);
        classifier
    }

    fn explained(classifier: &mut Classifier, text: &str, method: &str) -> serde_json::Value {
        serde_json::from_str(&classifier.explain(text, method).unwrap()).unwrap()
    }

    #[test]
    fn it_learns_what_negation_does_and_says_so() {
        let mut classifier = trained();
        assert!(classifier.accuracy().unwrap() > 0.95, "{}", classifier.accuracy().unwrap());
        let mut probability =
            |text: &str| explained(&mut classifier, text, "leave_one_out")["probability"].as_f64().unwrap();
        assert!(probability("The film was great") > 0.8 && probability("The film was not great") < 0.2);
        assert!(probability("the soup was cold") < 0.2 && probability("the soup was never cold") > 0.8);
        let why = explained(&mut classifier, "The film was not great", "leave_one_out");
        assert!(why["tokens"][3]["value"].as_f64().unwrap() < -1.0, "{why}");
    }

    #[test]
    fn values_add_up_where_the_method_promises_it() {
        let mut classifier = trained();
        let why =
            explained(&mut classifier, "the room was bright, but the staff were rude zzz", "integrated_gradients");
        let sum: f64 = why["tokens"].as_array().unwrap().iter().filter_map(|token| token["value"].as_f64()).sum();
        let expected = why["output"].as_f64().unwrap() - why["base"].as_f64().unwrap();
        assert!((sum - expected).abs() < 1e-3 && why["delta"].as_f64().unwrap().abs() < 1e-3, "{why}");
        let last = why["tokens"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["known"], &last["value"]), (&json!(false), &json!(null)));
    }

    #[test]
    fn any_text_has_an_answer() {
        let mut classifier = Classifier::new(1).unwrap();
        let long = "great ".repeat(100);
        for text in ["", "   ", "zzz", "…!?", &long] {
            for method in ["integrated_gradients", "input_x_gradient", "leave_one_out"] {
                explained(&mut classifier, text, method);
            }
        }
        assert_eq!(explained(&mut classifier, &long, "leave_one_out")["cut"], 100 - model::TOKENS);
        assert!(classifier.explain("great", "magic").is_err());
    }
}
