//! A tiny BERT with random weights, made here: the model beside a naive one, the captured file, and every bad input.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::{Device, Tensor};
use limpid::Seed;
use limpid::math::random::fill_normal;
use limpid_minilm::bert::Bert;
use limpid_minilm::capture::{Capture, capture};
use limpid_minilm::store::Reader;
use serde_json::json;
use tempfile::TempDir;

const D: usize = 8;
const N: usize = 12;
const HEADS: usize = 2;
const LAYERS: usize = 2;
const POSITIONS: usize = 10;
const WORDS: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "##s", "mat"];
const TEXT: &str = "the cat sat\n\nthe cats sat the mat\nmat\nthe the the the the the the the the the the the\n";

type Named = HashMap<String, (Vec<usize>, Vec<f64>)>;

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), D]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, D]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, D]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![D]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![D]),
    ];
    for layer in 0..LAYERS {
        let sizes = [
            ("attention.self.query", D, D),
            ("attention.self.key", D, D),
            ("attention.self.value", D, D),
            ("attention.output.dense", D, D),
            ("intermediate.dense", N, D),
            ("output.dense", D, N),
            ("attention.output.LayerNorm", D, 0),
            ("output.LayerNorm", D, 0),
        ];
        for (name, output, input) in sizes {
            let shape = if input == 0 { vec![output] } else { vec![output, input] };
            all.push((format!("encoder.layer.{layer}.{name}.weight"), shape));
            all.push((format!("encoder.layer.{layer}.{name}.bias"), vec![output]));
        }
    }
    all
}

/// Writes the model directory and a text; returns the weights.
fn make(folder: &Path) -> Named {
    let mut named = Named::new();
    let mut tensors = HashMap::new();
    for (index, (name, shape)) in shapes().into_iter().enumerate() {
        let mut values = vec![0.0_f32; shape.iter().product()];
        fill_normal(&mut Seed(7).stream(0, index as u64), 0.6, &mut values);
        tensors.insert(name.clone(), Tensor::from_slice(&values, shape.as_slice(), &Device::Cpu).unwrap());
        named.insert(name, (shape, values.into_iter().map(f64::from).collect()));
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    let config = json!({
        "model_type": "bert", "vocab_size": WORDS.len(), "hidden_size": D, "num_hidden_layers": LAYERS, "hidden_act": "gelu",
        "num_attention_heads": HEADS, "intermediate_size": N, "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let vocab: HashMap<&str, usize> = WORDS.iter().enumerate().map(|(id, &word)| (word, id)).collect();
    let special = |id: usize| json!({ "id": id, "content": WORDS[id], "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
        "added_tokens": (0..4).map(special).collect::<Vec<_>>(),
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(folder.join("text.txt"), TEXT).unwrap();
    named
}

type Rows = Vec<Vec<f64>>;

fn linear(x: &Rows, named: &Named, name: &str) -> Rows {
    let (shape, weight) = &named[&format!("{name}.weight")];
    let bias = &named[&format!("{name}.bias")].1;
    let cell = |row: &[f64], o: usize| bias[o] + (0..shape[1]).map(|i| row[i] * weight[o * shape[1] + i]).sum::<f64>();
    x.iter().map(|row| (0..shape[0]).map(|o| cell(row, o)).collect()).collect()
}

fn norm(x: &Rows, named: &Named, name: &str) -> Rows {
    let (weight, bias) = (&named[&format!("{name}.weight")].1, &named[&format!("{name}.bias")].1);
    let one = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / D as f64;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / D as f64;
        (0..D).map(|i| (row[i] - mean) / (variance + 1e-12).sqrt() * weight[i] + bias[i]).collect()
    };
    x.iter().map(one).collect()
}

fn plus(x: &Rows, y: &Rows) -> Rows {
    x.iter().zip(y).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

/// `x Φ(x)`, with the error function as its Taylor series.
fn gelu(x: f64) -> f64 {
    let z = x / 2.0_f64.sqrt();
    if z.abs() > 5.0 {
        return x.max(0.0);
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
}

/// Per layer: activations and output.
fn naive(named: &Named, ids: &[u32]) -> Vec<(Rows, Rows)> {
    let row = |name: &str, i: usize| named[&format!("embeddings.{name}.weight")].1[i * D..(i + 1) * D].to_vec();
    let sum = |(t, &id): (usize, &u32)| {
        let (a, b, c) =
            (row("word_embeddings", id as usize), row("position_embeddings", t), row("token_type_embeddings", 0));
        (0..D).map(|i| a[i] + b[i] + c[i]).collect()
    };
    let mut x = norm(&ids.iter().enumerate().map(sum).collect(), named, "embeddings.LayerNorm");
    let mut out = Vec::new();
    for layer in 0..LAYERS {
        let at = |rest: &str| format!("encoder.layer.{layer}.{rest}");
        let [q, k, v] = ["query", "key", "value"].map(|n| linear(&x, named, &at(&format!("attention.self.{n}"))));
        let wide = D / HEADS;
        let mut seen = vec![vec![0.0; D]; ids.len()];
        for (head, i) in (0..HEADS).flat_map(|h| (0..ids.len()).map(move |i| (h, i))) {
            let span = head * wide..(head + 1) * wide;
            let score = |j: usize| span.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (wide as f64).sqrt();
            let weights: Vec<f64> = (0..ids.len()).map(|j| score(j).exp()).collect();
            let total: f64 = weights.iter().sum();
            for c in span.clone() {
                seen[i][c] = (0..ids.len()).map(|j| weights[j] / total * v[j][c]).sum();
            }
        }
        let attended = plus(&linear(&seen, named, &at("attention.output.dense")), &x);
        let middle = norm(&attended, named, &at("attention.output.LayerNorm"));
        let before = linear(&middle, named, &at("intermediate.dense"));
        let neurons: Rows = before.iter().map(|row| row.iter().map(|&x| gelu(x)).collect()).collect();
        x = norm(&plus(&linear(&neurons, named, &at("output.dense")), &middle), named, &at("output.LayerNorm"));
        out.push((neurons, x.clone()));
    }
    out
}

fn close(got: &Tensor, item: usize, expected: &Rows) {
    let got: Vec<Vec<f32>> = got.get(item).unwrap().to_vec2().unwrap();
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((f64::from(*got) - expected).abs() < 1e-5, "{got} {expected}");
    }
}

#[test]
fn the_model_equals_a_naive_one_with_and_without_padding() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    let model = Bert::read(folder.path()).unwrap();
    let (long, short): (&[u32], &[u32]) = (&[2, 4, 5, 7, 6, 3], &[2, 8, 3]);
    let expected = [naive(&named, long), naive(&named, short)];
    let see = |layer: usize, neurons: &Tensor, out: &Tensor| {
        for (item, expected) in expected.iter().enumerate() {
            close(neurons, item, &expected[layer].0);
            close(out, item, &expected[layer].1);
        }
        Ok(())
    };
    model.forward(&[long, short], LAYERS - 1, see).unwrap();
}

fn settings(folder: &Path, batch: usize) -> Capture {
    let [text, out] = ["text.txt", "out.safetensors"].map(|name| folder.join(name));
    Capture { model: folder.to_owned(), text, out, layer: 1, batch, max_lines: None }
}

#[test]
fn the_file_holds_what_the_model_does_for_any_batch() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    for batch in [1, 2, 16] {
        let got = capture(&settings(folder.path(), batch)).unwrap();
        assert_eq!((got.documents, got.tokens, got.truncated), (4, 5 + 8 + 3 + 10, 1));
        let bytes = fs::read(folder.path().join("out.safetensors")).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut reader = Reader::open(&folder.path().join("out.safetensors")).unwrap();
        let (documents, tokens) = (reader.column(0, 0, 26).unwrap(), reader.column(2, 0, 26).unwrap());
        let positions = reader.column(1, 0, 26).unwrap();
        assert_eq!(tokens[5..13], [2, 4, 5, 7, 6, 4, 8, 3]);
        assert_eq!((documents[5], documents[25], positions[12]), (2, 4, 7));
        let expected = naive(&named, &tokens[5..13])[1].0.concat();
        let found = reader.activations(5, 8).unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
    }
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limpid-minilm")).args(arguments).current_dir(folder).output().unwrap()
}

const CAPTURE: [&str; 7] = ["capture", ".", "text.txt", "--layer", "1", "--out", "out.safetensors"];

#[test]
fn the_pages_are_written() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    assert!(run(&CAPTURE, folder.path()).status.success());
    let geometry = ["geometry", ".", "--layer", "1", "--out", "geo", "--activations", "out.safetensors"];
    assert!(run(&geometry, folder.path()).status.success());
    let look = run(&["look", "out.safetensors", ".", "--neurons", "0,3", "--out", "look"], folder.path());
    assert!(look.status.success(), "{look:?}");
    for page in ["geo/index.html", "geo/figure-3.svg", "geo/geometry.csv", "look/top-tokens.csv"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}

/// Spoils a fresh directory, runs, and asks for one line that says what is wrong, exit code 1 and no file.
fn fails(spoil: impl Fn(&PathBuf), arguments: &[&str], says: &str) {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    spoil(&folder.path().to_owned());
    let output = run(arguments, folder.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(says) && message.lines().count() == 1, "{says}: {message}");
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.contains("out.safetensors")), "{says}: a file was left");
}

#[test]
fn bad_input_is_named_in_one_line() {
    let config = |from: &'static str, to: &'static str| {
        move |f: &PathBuf| {
            let text = fs::read_to_string(f.join("config.json")).unwrap();
            fs::write(f.join("config.json"), text.replace(from, to)).unwrap();
        }
    };
    for file in ["config.json", "model.safetensors", "tokenizer.json", "text.txt"] {
        fails(|f| fs::remove_file(f.join(file)).unwrap(), &CAPTURE, file);
    }
    fails(config("\"bert\"", "\"gpt2\""), &CAPTURE, "gpt2");
    fails(config("\"gelu\"", "\"swish\""), &CAPTURE, "swish");
    fails(config("\"num_hidden_layers\":2", "\"num_hidden_layers\":3"), &CAPTURE, "is missing");
    fails(config("\"intermediate_size\":12", "\"intermediate_size\":13"), &CAPTURE, "shape");
    fails(|f| fs::write(f.join("config.json"), "{").unwrap(), &CAPTURE, "config.json");
    fails(|f| fs::write(f.join("tokenizer.json"), "{}").unwrap(), &CAPTURE, "tokenizer.json");
    fails(|f| fs::write(f.join("text.txt"), "").unwrap(), &CAPTURE, "no text");
    fails(|f| fs::write(f.join("text.txt"), b"good\n\xff\xfe\n").unwrap(), &CAPTURE, "line 2: not UTF-8");
    let cut = |f: &PathBuf| {
        let bytes = fs::read(f.join("model.safetensors")).unwrap();
        fs::write(f.join("model.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    };
    fails(cut, &CAPTURE, "model.safetensors");
    let mut far = CAPTURE;
    far[4] = "2";
    fails(|_| (), &far, "layer 2 is out of range");
    fails(|_| (), &["geometry", ".", "--layer", "9", "--out", "geo"], "layer 9 is out of range");
    fails(|_| (), &["look", "text.txt", ".", "--out", "look"], "text.txt");
    fails(|_| (), &["capture", "."], "--help");
}
