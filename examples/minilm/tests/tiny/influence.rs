//! Influence of labelled lines on the tiny model.

use std::fs;

use tempfile::TempDir;

use crate::model::make;
use crate::run;

/// Two kinds of lines, each with one label.
fn labelled(folder: &TempDir) {
    make(folder.path());
    let text: String = (0..100).map(|i| ["1 the cat sat\n", "0 mat mat the\n"][i % 2]).collect();
    fs::write(folder.path().join("labelled.txt"), text).unwrap();
}

#[test]
fn wrong_labels_are_found_where_lines_leave_no_doubt() {
    let folder = TempDir::new().unwrap();
    labelled(&folder);
    let arguments = ["influence", ".", "labelled.txt", "--sentence", "the mat", "--out", "lines.csv"];
    let output = run(&arguments, folder.path());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && printed.contains("80 lines, 8 of them with a wrong label"), "{printed}");
    let found = printed.lines().find(|line| line.starts_with("self-influence (EK-FAC)")).unwrap();
    assert!(found.contains("1.000    1.000    1.000"), "{printed}");
    assert!(printed.contains("  for it:") && printed.contains("  against it:"));
    let csv = fs::read_to_string(folder.path().join("lines.csv")).unwrap();
    assert_eq!(csv.lines().count(), 81);
    assert_eq!(csv.lines().filter(|line| line.contains(",1,\"")).count(), 8);
}

#[test]
fn too_few_lines_and_bad_places_are_one_line_of_error() {
    let folder = TempDir::new().unwrap();
    labelled(&folder);
    for (arguments, says) in [
        (&["influence", ".", "labelled.txt", "--max-lines", "7"][..], "7 lines, at least 20 are needed"),
        (&["influence", ".", "labelled.txt", "--out", "nowhere/x.csv"], "nowhere"),
        (&["influence", ".", "none.txt"], "none.txt"),
    ] {
        let output = run(arguments, folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.lines().count() == 1 && said.contains(says), "{said}");
    }
}
