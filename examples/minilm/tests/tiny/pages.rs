//! What the pages show.

use tempfile::TempDir;

use crate::model::make;
use crate::{CAPTURE, runs};

#[test]
fn the_pages_are_written() {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    runs(&CAPTURE, folder.path());
    runs(&["geometry", ".", "--layer", "1", "--out", "geo", "--activations", "out.safetensors"], folder.path());
    runs(&["look", "out.safetensors", ".", "--neurons", "0,3", "--out", "look"], folder.path());
    for page in ["geo/index.html", "geo/figure-3.svg", "geo/geometry.csv", "look/top-tokens.csv"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
