//! The stages on tiny texts, by the library and by the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::{Device, Tensor};
use limpid_one_layer::attribute::attribute;
use limpid_one_layer::browse::effects;
use limpid_one_layer::dictionary;
use limpid_one_layer::model::{Model, Shape, losses, rows, tensor};
use limpid_one_layer::saved::{load, save};
use limpid_one_layer::text::{Text, Vocabulary};
use limpid_one_layer::train::{Training, train};
use tempfile::TempDir;

const SHAPE: Shape = Shape { vocabulary: 6, width: 16, heads: 2, neurons: 24, context: 12 };

fn tokens(values: &[u32]) -> Tensor {
    Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap()
}

fn poem() -> String {
    "THE CAT:\nA quiet cat, 12 queens and the sea.\n\n".repeat(60)
}

#[test]
fn no_token_sees_a_later_one() {
    let model = Model::new(SHAPE, 3).unwrap().frozen();
    let logits = |values: &[u32]| rows(&model.forward(&tokens(values)).unwrap()).unwrap();
    let (a, b) = (logits(&[1, 2, 3, 4, 5, 0]), logits(&[1, 2, 3, 0, 1, 2]));
    for row in 0..6 {
        let same = a.row(row).iter().zip(b.row(row)).all(|(a, b)| (a - b).abs() < 1e-6);
        assert_eq!(same, row < 3, "row {row}");
    }
    let short = logits(&[1, 2, 3]);
    assert!(short.iter().zip(a.rows().into_iter().take(3).flatten()).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn gradients_of_all_weights_are_those_of_finite_differences() {
    let model = Model::new(SHAPE, 4).unwrap();
    let (x, next) = (tokens(&[0, 3, 1, 5, 2, 4]), [3, 1, 5, 2, 4, 0]);
    let loss = |model: &Model| losses(&model.trained().forward(&x).unwrap(), &next).unwrap().mean_all().unwrap();
    let gradients = loss(&model).backward().unwrap();
    for (weight, (name, _)) in model.weights.iter().zip(SHAPE.weights()) {
        let gradient = gradients.get(weight).unwrap_or_else(|| panic!("no gradient for {name}"));
        let length: f32 = gradient.sqr().unwrap().sum_all().unwrap().sqrt().unwrap().to_scalar().unwrap();
        assert!(length > 1e-6, "{name} has no gradient");
        // along the gradient, the loss must rise by its length
        let step = 1e-2 / length as f64;
        let base = weight.as_tensor().copy().unwrap();
        let at = |by: f64| {
            weight.set(&(&base + (gradient * by).unwrap()).unwrap()).unwrap();
            loss(&model).to_scalar::<f32>().unwrap()
        };
        let slope = (at(step) - at(-step)) / 2e-2;
        weight.set(&base).unwrap();
        assert!((slope / length - 1.0).abs() < 0.05, "{name}: {slope} for {length}");
    }
}

#[test]
fn training_lowers_the_loss_and_the_saved_model_is_the_same() {
    let (folder, string) = (TempDir::new().unwrap(), poem());
    let vocabulary = Vocabulary::of(&string);
    let settings =
        Training { width: 16, heads: 2, neurons: 32, context: 16, steps: 60, batch: 8, ..Training::default() };
    let text = Text::new(&string, &vocabulary, settings.context).unwrap();
    let trained = train(&text, &vocabulary, &settings, folder.path()).unwrap();
    assert!(trained.held_out < trained.unigram - 0.3, "{} {}", trained.held_out, trained.unigram);
    let (again, same) = load(folder.path()).unwrap();
    assert_eq!(same, vocabulary);
    let x = tokens(&vocabulary.tokens("THE CAT:"));
    let [a, b] = [&trained.model, &again].map(|model| rows(&model.frozen().forward(&x).unwrap()).unwrap());
    assert_eq!(a, b);
}

#[test]
fn effects_on_logits_are_linear() {
    let model = Model::new(SHAPE, 5).unwrap().frozen();
    let (residual, activations) = model.read(&tokens(&[1, 2, 3, 4])).unwrap();
    let clean = rows(&model.logits(&residual, &activations).unwrap()).unwrap();
    let by_neuron = model.logit_effects().unwrap();
    let mut neurons = rows(&activations).unwrap();
    neurons.column_mut(7).mapv_inplace(|a| a + 2.5);
    let changed = rows(&model.logits(&residual, &tensor(&neurons).unwrap()).unwrap()).unwrap();
    for (row, moved) in (&changed - &clean).rows().into_iter().enumerate() {
        for (found, effect) in moved.iter().zip(by_neuron.row(7)) {
            assert!((found - 2.5 * effect).abs() < 1e-4, "row {row}");
        }
    }
}

#[test]
fn a_dictionary_is_trained_saved_and_has_effects() {
    let (folder, string) = (TempDir::new().unwrap(), poem());
    let vocabulary = Vocabulary::of(&string);
    let model = Model::new(Shape { vocabulary: vocabulary.size(), context: 16, ..SHAPE }, 6).unwrap().frozen();
    let text = Text::new(&string, &vocabulary, 16).unwrap();
    let settings =
        dictionary::Settings { features: 40, steps: 60, batch: 64, l1: 0.01, ..dictionary::Settings::default() };
    let (sae, _) = dictionary::train(&model, &text, &settings, folder.path()).unwrap();
    let again = dictionary::load(folder.path(), 24).unwrap();
    assert_eq!((sae.latents(), &sae.w_dec), (40, &again.w_dec));
    assert_eq!(effects(&model, &sae).unwrap().dim(), (40, vocabulary.size()));
    assert!(dictionary::load(folder.path(), 25).is_err());
}

#[test]
fn attributions_sum_to_what_changes() {
    let string = poem();
    let vocabulary = Vocabulary::of(&string);
    let shape = Shape { vocabulary: vocabulary.size(), context: 16, ..SHAPE };
    let model = Model::new(shape, 7).unwrap().frozen();
    let found = attribute(&model, &vocabulary, "THE CAT", 4).unwrap();
    assert_eq!((found.gradients.dim(), found.characters.len(), found.prompt), ((10, 4), 11, 7));
    assert!(found.largest_delta < 0.02, "{}", found.largest_delta);
    // a token that comes later has no value
    assert!(found.gradients[[7, 0]].is_nan() && found.gradients[[7, 1]].is_finite());
    assert!(attribute(&model, &vocabulary, "", 4).is_err() && attribute(&model, &vocabulary, "THE", 14).is_err());
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_limpid-one-layer");
    Command::new(program).args(arguments).args(["--out", "out"]).current_dir(folder).output().unwrap()
}

/// Runs, and looks at the one line that says what is wrong.
fn fails(arguments: &[&str], folder: &Path, says: &str) {
    let output = run(arguments, folder);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(says) && message.lines().count() == 1, "{says}: {message}");
    assert!(output.stdout.is_empty(), "{says}: something was printed");
}

#[test]
fn bad_input_is_one_line_and_code_2() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let write = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).unwrap();
    write("latin.txt", b"caf\xe9 ".repeat(900).as_slice());
    write("empty.txt", b" \n");
    write("short.txt", b"too short");
    write("poem.txt", poem().as_bytes());
    fails(&["train", "missing.txt"], path, "missing.txt");
    fails(&["train", "latin.txt"], path, "not UTF-8");
    fails(&["train", "empty.txt"], path, "no text");
    fails(&["train", "short.txt"], path, "too short");
    fails(&["train", "poem.txt", "--context", "16", "--steps", "0"], path, "at least 1");
    fails(&["train", "poem.txt", "--context", "16", "--heads", "7"], path, "7 heads");
    fails(&["train", "poem.txt", "--steps", "many"], path, "many");
    fails(&["train"], path, "one text file");
    fails(&["dictionary", "poem.txt"], path, "model.json");
    fails(&["report"], path, "result.json");
    fails(&["bake"], path, "no such stage");
    fails(&["--bake"], path, "bake");
    fails(&[], path, "no stage");
    assert!(!path.join("out").exists());
}

#[test]
fn a_damaged_model_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("poem.txt"), poem()).unwrap();
    let (model, saved) = (Model::new(SHAPE, 0).unwrap(), path.join("out/model"));
    let vocabulary = Vocabulary::listed("\n abc\u{fffd}").unwrap();
    let spoil = |file: &str, spoil: &dyn Fn(Vec<u8>) -> Vec<u8>, says: &str| {
        save(&saved, &model, &vocabulary).unwrap();
        let file = saved.join(file);
        fs::write(&file, spoil(fs::read(&file).unwrap())).unwrap();
        fails(&["dictionary", "poem.txt"], path, says);
    };
    spoil("model.safetensors", &|bytes| bytes[..bytes.len() / 2].to_vec(), "model.safetensors: truncated or damaged");
    spoil("model.safetensors", &|_| Vec::new(), "model.safetensors: truncated or damaged");
    spoil("model.json", &|bytes| bytes[..20].to_vec(), "model.json: damaged");
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(from, to).into_bytes()
    };
    spoil("model.json", &replaced("\"width\": 16", "\"width\": 18"), "embed has shape [6, 16]");
    spoil("model.json", &replaced("\"heads\": 2", "\"heads\": 0"), "between 1 and 8192");
    spoil("model.json", &replaced("\"vocabulary\"", "\"letters\""), "no vocabulary");
}

#[test]
fn help_names_all_stages() {
    let output = run(&["--help"], &std::env::temp_dir());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for word in ["train", "dictionary", "compare", "browse", "attribute", "report", "--quick", "--l1", "Exit code"] {
        assert!(text.contains(word), "{word}");
    }
}
