//! Explanations of the tiny model's neurons: what the page and the records show is what the model does, and nothing that was
//! learned from a text is scored on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use limpid::Seed;
use limpid::formats::neuron_record::read_neuron_record;
use limpid::math::random::below;
use serde_json::Value;
use tempfile::TempDir;

use crate::model::{LAYERS, N, Named, POSITIONS, WORDS, make};
use crate::naive::naive;
use crate::{run, runs};

const EXPLAIN: [&str; 17] = [
    "explain",
    ".",
    "lines.txt",
    "--out",
    "page",
    "--full",
    "6",
    "--features",
    "16",
    "--k",
    "3",
    "--steps",
    "30",
    "--rows",
    "800",
    "--layer",
    "1",
];

/// A model, and labelled lines of its words.
fn prepare(folder: &Path, lines: usize) -> Named {
    let named = make(folder);
    let mut stream = Seed(11).stream(0, 0);
    let mut line = |_| {
        let words: Vec<&str> = (0..2 + below(&mut stream, 5))
            .map(|_| ["the", "cat", "sat", "mat", "cats"][below(&mut stream, 5)])
            .collect();
        format!("{} {}\n", below(&mut stream, 2), words.join(" "))
    };
    fs::write(folder.join("lines.txt"), (0..lines).map(&mut line).collect::<String>()).unwrap();
    named
}

fn page(folder: &Path) -> Value {
    let html = fs::read_to_string(folder.join("page/neurons.html")).unwrap();
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// What neuron `unit` does at the words of a text, all layers counted through.
fn truth(named: &Named, words: &[String], unit: usize) -> Vec<f64> {
    let number = |word: &String| {
        let piece = word.strip_prefix(' ').map_or_else(|| format!("##{word}"), str::to_owned);
        u32::try_from(WORDS.iter().position(|other| *other == piece).unwrap()).unwrap()
    };
    let inside = words.iter().map(number);
    let tokens: Vec<u32> = [2].into_iter().chain(inside).chain([3]).collect();
    let rows = naive(named, &tokens).remove(unit / N).0;
    rows[1..=words.len()].iter().map(|row| row[unit % N]).collect()
}

#[test]
fn the_page_shows_what_the_model_does_on_texts_that_were_not_learned() {
    let folder = TempDir::new().unwrap();
    let named = prepare(folder.path(), 300);
    runs(&EXPLAIN, folder.path());
    let data = page(folder.path());
    let words: Vec<String> = data["words"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned()).collect();
    let neurons = &data["kinds"][0];
    assert_eq!(neurons["columns"]["index"].as_array().unwrap().len(), LAYERS * N);
    let full = neurons["full"].as_object().unwrap();
    assert_eq!((full.len(), data["kinds"][1]["full"].as_object().unwrap().len()), (6, 3));
    for (unit, shown) in full {
        let unit: usize = unit.parse().unwrap();
        for text in shown["texts"].as_array().unwrap() {
            let tokens: Vec<String> = text["words"]
                .as_array()
                .unwrap()
                .iter()
                .map(|at| words[usize::try_from(at.as_u64().unwrap()).unwrap()].clone())
                .collect();
            assert!(tokens.len() <= POSITIONS - 2 && !tokens.contains(&" 0".to_owned()), "{tokens:?}");
            let real = floats(&text["real"]);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-3;
            assert!(real.iter().zip(&truth(&named, &tokens, unit)).all(close), "{unit} {tokens:?}");
            assert_eq!(floats(&text["simulated"][1]).len(), real.len());
        }
    }
    // seven tokens, each seen hundreds of times, of a model whose weights are random
    let scores = floats(&neurons["columns"]["judged"][0]["score"]);
    assert!(scores.iter().sum::<f64>() / scores.len() as f64 > 0.2, "{scores:?}");
    let low = floats(&neurons["columns"]["judged"][0]["low"]);
    assert!(low.iter().zip(&scores).all(|(low, score)| low <= score));
}

#[test]
fn records_hold_the_strongest_texts() {
    let folder = TempDir::new().unwrap();
    let named = prepare(folder.path(), 200);
    runs(&EXPLAIN, folder.path());
    let mut files = 0;
    for layer in 0..LAYERS {
        let Ok(entries) = fs::read_dir(folder.path().join(format!("page/records/neuron/{layer}"))) else { continue };
        for entry in entries {
            let record = read_neuron_record::<f32>(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
            let unit = record.id.layer as usize * N + record.id.index as usize;
            for text in record.top.iter().chain(&record.random) {
                let expected = truth(&named, &text.tokens, unit);
                assert!(text.activations.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
            }
            let most = |at: usize| record.top[at].activations.fold(f32::MIN, |a, b| a.max(*b));
            assert!((1..record.top.len()).all(|at| most(at - 1) >= most(at)));
            assert_eq!(record.max_activation(), Some(most(0)));
            files += 1;
        }
    }
    assert_eq!(files, 6);
    assert!(folder.path().join("page/neuronpedia/feature/1").is_dir());
}

#[test]
fn tables_have_a_line_for_every_unit_and_follow_from_the_seed() {
    let folder = TempDir::new().unwrap();
    prepare(folder.path(), 200);
    runs(&EXPLAIN, folder.path());
    let read = |name: &str| fs::read_to_string(folder.path().join("page").join(name)).unwrap();
    let (neurons, features) = (read("neurons.csv"), read("features.csv"));
    assert_eq!((neurons.lines().count(), features.lines().count()), (LAYERS * N + 1, 16 + 1));
    let places: BTreeSet<String> =
        neurons.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(places.len(), LAYERS * N);
    let report = read("index.html");
    for shown in
        ["GPT-4 on GPT-2 XL, mean: 0.151", "mean score by layer", "variance explained", "features, n-grams, random"]
    {
        assert!(report.contains(shown), "{shown}");
    }
    runs(&EXPLAIN, folder.path());
    assert_eq!((read("neurons.csv"), read("features.csv")), (neurons.clone(), features));
    runs(&[&EXPLAIN[..], &["--seed", "1"]].concat(), folder.path());
    assert_ne!(read("neurons.csv"), neurons);
    runs(&["explain", ".", "lines.txt", "--out", "bare", "--features", "0", "--full", "0"], folder.path());
    assert!(!folder.path().join("bare/features.csv").exists() && !folder.path().join("bare/records").exists());
}

#[test]
fn what_cannot_be_explained_is_told_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    prepare(folder.path(), 200);
    for (change, says) in [
        (vec!["explain", ".", "text.txt", "--out", "page"], "too few documents"),
        ([&EXPLAIN[..], &["--layer", "2"]].concat(), "layer"),
        ([&EXPLAIN[..], &["--k", "17"]].concat(), "--k 17: not between 1 and 16"),
        ([&EXPLAIN[..], &["--rows", "0"]].concat(), "--rows 0"),
        ([&EXPLAIN[..], &["--out", "lines.txt"]].concat(), "exists and is not a folder"),
    ] {
        let output = run(&change, folder.path());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && message.contains(says), "{message}");
        assert!(!folder.path().join("page").exists());
    }
}
