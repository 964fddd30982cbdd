//! Runs every saved model under `tests/golden/sae_formats`, or under the folder that `LIMPID_FORMATS_DIR` names: each must
//! give what its `expect.json` says, and each malformed file an error of the stated kind without taking memory for it.

#![expect(clippy::print_stdout, reason = "the summary of a test run")]

#[expect(unreachable_pub, reason = "a test has no crate to reach from")]
mod formats_runner;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use formats_runner::{expect, malformed};
use peak_alloc::PeakAlloc;
use serde_json::Value;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The tests take turns, so that the memory that one counts is its own.
static TURN: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    std::env::var_os("LIMPID_FORMATS_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sae_formats"), PathBuf::from)
}

fn json(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Every folder under `folder` that holds a file of this name.
fn folders_with(name: &str, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if folder.join(name).is_file() {
        found.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() {
            found.extend(folders_with(name, &entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn saved_models_are_what_they_say() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folders = folders_with("expect.json", &root());
    let mut failures = Vec::new();
    for folder in &folders {
        let found = match json(&folder.join("expect.json")) {
            Ok(expected) => expect::failures(folder, &expected),
            Err(error) => vec![error],
        };
        let name = folder.strip_prefix(root()).unwrap_or(folder).display();
        failures.extend(found.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    println!("{} saved models, {} failures", folders.len(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(!folders.is_empty() || std::env::var_os("LIMPID_FORMATS_DIR").is_some(), "no saved model was found");
}

#[test]
fn malformed_files_are_refused() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut failures, mut cases) = (Vec::new(), 0);
    for folder in folders_with("index.json", &root()) {
        let index = json(&folder.join("index.json")).unwrap_or_default();
        for case in index["cases"].as_array().into_iter().flatten() {
            cases += 1;
            failures.extend(malformed::failure(&folder, case, &MEMORY).map(|f| format!("{}: {f}", case["path"])));
        }
    }
    println!("{cases} malformed files, {} failures", failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(cases > 0 || std::env::var_os("LIMPID_FORMATS_DIR").is_some(), "no malformed file was found");
}

#[test]
fn any_damage_to_a_file_is_an_error_or_harmless() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failures = Vec::new();
    for folder in folders_with("expect.json", &root()) {
        failures.extend(malformed::damage(&folder, &MEMORY).map(|failure| format!("{}: {failure}", folder.display())));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
