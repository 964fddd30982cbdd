//! What the files hold.

use std::fs;
use std::path::Path;

use limpid_minilm::capture::{Capture, capture};
use limpid_minilm::store::Reader;
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::model::{D, LAYERS, N, POSITIONS, make};
use crate::naive::naive;
use crate::{CAPTURE, run, runs};

fn settings(folder: &Path, batch: usize) -> Capture {
    let [text, out] = ["text.txt", "out.safetensors"].map(|name| folder.join(name));
    Capture { model: folder.to_owned(), text, out, layer: 1, batch, max_lines: None, force: true }
}

#[test]
fn the_file_holds_what_the_model_does_for_any_batch() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    for batch in [1, 2, 16] {
        let got = capture(&settings(folder.path(), batch)).unwrap();
        assert_eq!((got.documents, got.tokens, got.truncated), (4, 5 + 8 + 3 + 10, 1));
        let bytes = fs::read(folder.path().join("out.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("activations").unwrap().shape(), [26, N]);
        let mut reader = Reader::open(&folder.path().join("out.safetensors")).unwrap();
        assert_eq!(reader.metadata["layer"], "1");
        let (documents, tokens) = (reader.column(0, 0, 26).unwrap(), reader.column(2, 0, 26).unwrap());
        let positions = reader.column(1, 0, 26).unwrap();
        assert_eq!(tokens[5..13], [2, 4, 5, 7, 6, 4, 8, 3]);
        assert_eq!((documents[5], documents[25], positions[12]), (2, 4, 7));
        let expected = naive(&named, &tokens[5..13])[1].0.concat();
        let found = reader.activations(5, 8).unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
    }
}

#[test]
fn rows_are_in_the_order_of_the_text_over_many_windows() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    let text: String = (0..100).map(|line| "the cat sat mat ".repeat(1 + line * 7 % 3) + "\n").collect();
    fs::write(folder.path().join("text.txt"), text).unwrap();
    let got = capture(&Capture { max_lines: Some(90), ..settings(folder.path(), 1) }).unwrap();
    assert_eq!(got.documents, 90);
    let mut reader = Reader::open(&folder.path().join("out.safetensors")).unwrap();
    let (documents, tokens) = (reader.column(0, 0, got.tokens).unwrap(), reader.column(2, 0, got.tokens).unwrap());
    assert!(documents.is_sorted() && documents.last() == Some(&89));
    let start = documents.iter().position(|&document| document == 77).unwrap();
    let length = documents.iter().filter(|&&document| document == 77).count();
    assert_eq!(length, (2 + 4 * (1 + 77 * 7 % 3)).min(POSITIONS));
    let expected = naive(&named, &tokens[start..start + length])[1].0.concat();
    let found = reader.activations(start as u64, length as u64).unwrap();
    assert!(found.iter().zip(&expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
}

#[test]
fn states_hold_every_layer() {
    let folder = TempDir::new().unwrap();
    let named = make(folder.path());
    runs(&["states", ".", "text.txt", "--out", "states.safetensors", "--max-lines", "3"], folder.path());
    let bytes = fs::read(folder.path().join("states.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values = |name: &str| -> Vec<f32> {
        let (words, _) = tensors.tensor(name).unwrap().data().as_chunks();
        words.iter().map(|&word| f32::from_le_bytes(word)).collect()
    };
    let (hidden, neurons) = (values("hidden"), values("neurons"));
    assert_eq!((hidden.len(), neurons.len()), ((LAYERS + 1) * 13 * D, LAYERS * 13 * N));
    // the second document, after five tokens of the first
    let expected = naive(&named, &[2, 4, 5, 7, 6, 4, 8, 3]);
    for (layer, (mlp, out)) in expected.iter().enumerate() {
        let (mlp, out) = (mlp.concat(), out.concat());
        let (neurons, hidden) = (&neurons[(layer * 13 + 5) * N..], &hidden[((layer + 1) * 13 + 5) * D..]);
        assert!(neurons.iter().zip(&mlp).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
        assert!(hidden.iter().zip(&out).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5));
    }
}

#[test]
fn an_existing_file_is_replaced_only_by_force() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    let out = folder.path().join("out.safetensors");
    fs::write(&out, "precious").unwrap();
    let refused = run(&CAPTURE, folder.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("out.safetensors: exists already"));
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    runs(&[&CAPTURE[..], &["--force"]].concat(), folder.path());
    assert_eq!(Reader::open(&out).unwrap().rows(), 26);
}
