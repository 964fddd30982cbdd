//! What the pages show.

use std::fs;

use limpid_minilm::store::Reader;
use tempfile::TempDir;

use crate::model::{N, make};
use crate::{CAPTURE, runs};

#[test]
fn the_geometry_page_has_its_figures_and_tables() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    runs(&CAPTURE, folder.path());
    runs(&["geometry", ".", "--layer", "1", "--out", "geo", "--activations", "out.safetensors"], folder.path());
    let page = fs::read_to_string(folder.path().join("geo/index.html")).unwrap();
    let shown = ["Features per dimension", "Histogram of the feature dimensionality", "Interference", "Norm and"];
    for shown in shown.iter().chain(&["most polysemantic neurons", "least polysemantic neurons", "answers most to"]) {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("MISSED"));
    for file in ["figure-4.svg", "layers.csv", "geometry.csv", "most-polysemantic-neurons.csv", "top-tokens.csv"] {
        assert!(folder.path().join("geo").join(file).exists(), "{file}");
    }
    runs(&["geometry", ".", "--layer", "0", "--out", "bare"], folder.path());
    assert!(!fs::read_to_string(folder.path().join("bare/index.html")).unwrap().contains("answers most to"));
}

#[test]
fn looking_finds_the_largest_activation() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    runs(&CAPTURE, folder.path());
    runs(&["look", "out.safetensors", ".", "--neurons", "0, 3", "--out", "look"], folder.path());
    let mut reader = Reader::open(&folder.path().join("out.safetensors")).unwrap();
    let all = reader.activations(0, reader.rows()).unwrap();
    let largest = all.chunks(N).map(|row| row[3]).fold(f32::MIN, f32::max);
    let table = fs::read_to_string(folder.path().join("look/top-tokens.csv")).unwrap();
    let first = table.lines().find(|line| line.starts_with("3,")).unwrap();
    assert!(first.starts_with(&format!("3,{largest:.3},")), "{first} {largest}");
    assert!(first.contains('«') && !table.contains("#"), "{table}");
    assert!(fs::read_to_string(folder.path().join("look/index.html")).unwrap().contains("layer 1"));
    runs(&["look", "out.safetensors", ".", "--out", "heaviest"], folder.path());
}
