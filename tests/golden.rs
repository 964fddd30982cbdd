//! Runs every golden case: numbers that independent implementations produced, in double and single precision.
//!
//! `LIMPID_GOLDEN_DIR` names another folder of files with the same layout. A file whose primitive or key is unknown fails.

#![expect(clippy::print_stdout, reason = "the summary of a test run")]

#[expect(unreachable_pub, reason = "a test has no crate to reach from")]
mod golden_runner;

use std::io::Write;
use std::path::{Path, PathBuf};

use golden_runner::case::{Case, File};

#[test]
fn all_golden_cases_hold() {
    let folder = std::env::var_os("LIMPID_GOLDEN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    let files = json_files(&folder);
    assert!(!files.is_empty(), "no golden file under {}", folder.display());
    let (mut failures, mut passed) = (Vec::new(), 0);
    for path in &files {
        let name = path.strip_prefix(&folder).unwrap_or(path).display().to_string();
        let file = match std::fs::read_to_string(path).map_err(|e| e.to_string()).and_then(|text| File::parse(&text)) {
            Ok(file) => file,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        if !cfg!(feature = "formats") && file.primitive == "explain/neuron_record_json" {
            // past the capture of a passing test's output
            let _ = writeln!(std::io::stderr(), "!!! {name} IS NOT RUN: it needs the feature formats");
            continue;
        }
        for case in &file.cases {
            let found = run_both(&file, case);
            passed += usize::from(found.is_empty());
            failures.extend(found.into_iter().map(|failure| format!("{name}: {}: {failure}", case.name)));
        }
    }
    println!("{} golden files, {passed} cases passed, {} failures", files.len(), failures.len());
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(passed > 0, "no golden case was run");
}

/// The failures of one case in double and, where the file allows it, single precision.
fn run_both(file: &File, case: &Case) -> Vec<String> {
    let mut failures = golden_runner::run::<f64>(&file.primitive, case, case.tolerance);
    if file.float32 {
        let single = (case.tolerance.0.max(1e-4), case.tolerance.1.max(1e-3));
        let found = golden_runner::run::<f32>(&file.primitive, case, single);
        failures.extend(found.into_iter().map(|failure| format!("single precision: {failure}")));
    }
    failures
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.ends_with("sae_formats") {
            // saved models, which tests/formats.rs runs
        } else if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}
