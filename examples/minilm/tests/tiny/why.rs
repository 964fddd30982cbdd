//! Attributions on the tiny model: its gradient, its number, and what the commands show.

use std::fs;

use candle_core::Tensor;
use limpid::Seed;
use limpid::attribution::numeric::check_gradient;
use limpid::attribution::target::Logit;
use limpid::attribution::{Differentiable, Forward};
use limpid_minilm::bert::Bert;
use limpid_minilm::corpus::tokenizer;
use limpid_minilm::why::{Explained, Sentence, embeddings};
use ndarray::{Array1, Array2, Axis};
use serde_json::Value;
use tempfile::TempDir;

use crate::model::{D, LAYERS, POSITIONS, make};
use crate::naive::naive;
use crate::{run, runs};

const IDS: [u32; 5] = [2, 5, 7, 6, 3];

/// Rows `(b, t d)` of word embeddings.
fn rows(model: &Bert, sentences: &[[u32; 5]]) -> Array2<f32> {
    let all: Vec<Tensor> = sentences.iter().map(|ids| model.word_embeddings(ids).unwrap()).collect();
    let values = Tensor::cat(&all, 0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    Array2::from_shape_vec((sentences.len(), 5 * D), values).unwrap()
}

fn weights() -> Array1<f32> {
    Array1::linspace(-1.0, 0.7, D)
}

#[test]
fn the_number_is_read_off_the_embedding_of_the_naive_model() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    let model = Bert::read(folder.path()).unwrap();
    let sentences = [IDS, [2, 8, 4, 1, 3]];
    let mut out = Array2::zeros((2, 1));
    Explained::new(&model, 5, &weights(), 0.25).unwrap().forward(&rows(&model, &sentences), &mut out).unwrap();
    // together with a longer one, so that there is padding
    let embedded = embeddings(&model, &[&sentences[0], &[2, 4, 4, 4, 4, 4, 3], &sentences[1]]).unwrap();
    for (ids, (out, embedded)) in sentences.iter().zip(out.iter().zip([embedded.row(0), embedded.row(2)])) {
        let last = naive(&named, ids).remove(LAYERS - 1).1;
        let mean: Vec<f64> = (0..D).map(|i| last.iter().map(|row| row[i]).sum::<f64>() / 5.0).collect();
        let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        let dot = mean.iter().zip(weights()).map(|(x, w)| x / length * f64::from(w)).sum::<f64>();
        assert!((f64::from(*out) - dot - 0.25).abs() < 1e-5, "{out} {dot}");
        assert!(embedded.iter().zip(&mean).all(|(e, x)| (f64::from(*e) - x / length).abs() < 1e-5));
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    let model = Bert::read(folder.path()).unwrap();
    let mut explained = Explained::new(&model, 5, &weights(), 0.0).unwrap();
    let x = rows(&model, &[IDS, [2, 4, 8, 8, 3]]);
    let check = check_gradient(&mut explained, &x, &Logit::of(0), 16, Seed(0)).unwrap();
    assert!(check.worst < 1e-4, "{check:?}");
    // together and one by one
    let (mut out, mut together) = (Array2::zeros((2, 1)), Array2::zeros(x.raw_dim()));
    explained.vjp(&x, &mut |_, cotangent| cotangent.fill(1.0), &mut out, &mut together).unwrap();
    assert!(together.iter().any(|slope| slope.abs() > 0.02), "{together:?}");
    let (mut alone, one) = (Array2::zeros((1, x.ncols())), x.row(1).to_owned().insert_axis(Axis(0)));
    let mut value = Array2::zeros((1, 1));
    explained.vjp(&one, &mut |_, cotangent| cotangent.fill(1.0), &mut value, &mut alone).unwrap();
    assert!((value[[0, 0]] - out[[1, 0]]).abs() < 1e-6_f32);
    assert!(alone.row(0).iter().zip(together.row(1)).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-5));
}

#[test]
fn words_are_the_ones_that_were_written() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    let tokenizer = tokenizer(folder.path(), POSITIONS).unwrap();
    let sentence = Sentence::new(&tokenizer, "the cats  sat").unwrap();
    assert_eq!(sentence.words, ["the", "cats", "sat"]);
    assert_eq!(sentence.word_of, [None, Some(0), Some(1), Some(1), Some(2), None]);
    assert!(Sentence::new(&tokenizer, " ").is_err());
}

#[test]
fn similar_explains_both_sentences() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    runs(&["similar", ".", "the cats sat", "the mat", "--out", "page", "--json", "a.json"], folder.path());
    let page = fs::read_to_string(folder.path().join("page/index.html")).unwrap();
    for shown in ["Words of a, with b held fixed", "Shapley values", "Agreement", "cats"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(!page.contains("NaN"));
    let records: Vec<Value> = serde_json::from_slice(&fs::read(folder.path().join("a.json")).unwrap()).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    // one number, whichever of the two is held fixed
    assert!((number(&records[0]["value"]) - number(&records[1]["value"])).abs() < 1e-6);
    for record in &records {
        let integrated = record["tokens"]["integrated gradients"].as_array().unwrap();
        let sum: f64 = integrated.iter().map(number).sum();
        assert!((sum - number(&record["value"]) + number(&record["base_value"])).abs() < 1e-4, "{record}");
        assert_eq!((number(&integrated[0]), record["ids"].as_array().unwrap().len()), (0.0, integrated.len()));
    }
}

#[test]
fn review_trains_a_head_and_explains_its_verdict() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    let text: String = (0..30).map(|i| ["1 the cat sat\n", "0 mat mat the\n", "\n"][i % 3]).collect();
    fs::write(folder.path().join("labelled.txt"), text).unwrap();
    let arguments = ["review", ".", "labelled.txt", "--sentence", "the mat", "--budget", "64"];
    let output = run(&arguments, folder.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && printed.contains("right on 1.000 of 4 others"), "{printed}");
    assert!(printed.contains("verdict: ") && !printed.contains('\u{1b}'));
}
