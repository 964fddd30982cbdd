//! A tiny BERT with random weights, made here: the model beside a naive one, the captured file, the pages, and every bad
//! input.

mod errors;
mod explain;
mod files;
mod influence;
mod model;
mod naive;
mod pages;
mod why;

use std::path::Path;
use std::process::{Command, Output};

use candle_core::Tensor;
use limpid_minilm::bert::Bert;
use tempfile::TempDir;

use model::{LAYERS, make, make_named};
use naive::{Rows, naive};

const CAPTURE: [&str; 7] = ["capture", ".", "text.txt", "--layer", "1", "--out", "out.safetensors"];

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limpid-minilm")).args(arguments).current_dir(folder).output().unwrap()
}

/// Runs what has to go well.
fn runs(arguments: &[&str], folder: &Path) {
    let output = run(arguments, folder);
    assert!(output.status.success(), "{output:?}");
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

#[test]
fn older_names_of_tensors_are_understood() {
    let old = |name: &str| {
        let norm = |new, old| if name.contains("LayerNorm") { name.replace(new, old) } else { name.to_owned() };
        format!("bert.{}", if name.ends_with("weight") { norm("weight", "gamma") } else { norm("bias", "beta") })
    };
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    make(folder.path());
    make_named(other.path(), old);
    let outputs = [folder, other].map(|folder| {
        let mut seen = Vec::new();
        let see = |_: usize, _: &Tensor, out: &Tensor| {
            seen.push(out.flatten_all()?.to_vec1::<f32>()?);
            Ok(())
        };
        Bert::read(folder.path()).unwrap().forward(&[&[2, 4, 5, 3]], LAYERS - 1, see).unwrap();
        seen
    });
    assert_eq!(outputs[0], outputs[1]);
}
