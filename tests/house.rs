//! The house rules that a reader relies on: short files, short functions, nothing left open.

mod source;

use source::{Source, rust_files};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 60;
const EXAMPLE_LINES: usize = 120;

// spelt in pieces, so that this file does not catch itself
const OPEN_ENDS: [&str; 7] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), "dbg!", "todo!", "unimplemented!", "#[allow("];

fn house() -> Vec<Source> {
    let files = rust_files(&["src", "tests", "examples", "benches", "fuzz/src"]);
    assert!(files.len() > 10, "only {} files were found", files.len());
    files
}

fn none_of(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Name, first line (from 1) and length in lines of every function in `code`.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let starts = lines.iter().enumerate().filter_map(|(at, line)| function_name(line).map(|name| (at, name)));
    starts.filter_map(|(at, name)| Some((name, at + 1, body_length(&lines[at..])?))).collect()
}

fn function_name(line: &str) -> Option<String> {
    let at = line.find("fn ").filter(|&at| at == 0 || line[..at].ends_with(' '))?;
    let name: String = line[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Lines up to the closing brace; `None` for a function without a body.
fn body_length(lines: &[&str]) -> Option<usize> {
    let (mut depth, mut nested) = (0_usize, 0_usize);
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '(' | '[' => nested += 1,
                ')' | ']' => nested = nested.saturating_sub(1),
                ';' if depth == 0 && nested == 0 => return None,
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && nested == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

fn too_long_functions(file: &Source) -> Vec<String> {
    let long = functions(&file.code()).into_iter().filter(|&(_, _, length)| length > FUNCTION_LINES);
    long.map(|(name, line, length)| format!("{}:{line}: fn {name} has {length} lines", file.path)).collect()
}

#[test]
fn files_are_short() {
    let limit = |path: &str| {
        let is_example = path.strip_prefix("examples/").is_some_and(|name| !name.contains('/'));
        if is_example { EXAMPLE_LINES } else { FILE_LINES }
    };
    let files = house();
    let long = files.iter().map(|file| (file, file.text.lines().count())).filter(|(file, n)| *n > limit(&file.path));
    none_of(
        &long
            .map(|(file, n)| format!("{} has {n} lines, at most {}", file.path, limit(&file.path)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn functions_are_short() {
    none_of(&house().iter().flat_map(too_long_functions).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_open() {
    let mut found = Vec::new();
    for file in house().iter().filter(|file| !file.path.ends_with("tests/house.rs")) {
        for (number, line) in file.text.lines().enumerate() {
            let open = OPEN_ENDS.iter().filter(|word| line.contains(**word));
            found.extend(open.map(|word| format!("{}:{}: {word}", file.path, number + 1)));
        }
    }
    none_of(&found);
}

#[test]
fn every_source_file_says_what_it_is() {
    let files = house();
    let silent = files.iter().filter(|file| !file.text.trim_start().starts_with("//!"));
    let found = silent.filter(|file| file.path.starts_with("src/")).map(|file| file.path.clone());
    none_of(&found.collect::<Vec<_>>());
}

#[test]
fn the_measuring_itself_is_right() {
    let long = format!("fn f(x: [u8; 3]) {{\n{}}}\nfn g();\nfn h() {{ let a = '{{'; }}\n", "    x();\n".repeat(60));
    let found = functions(&Source::new("a.rs", &long).code());
    assert_eq!(found, [("f".to_owned(), 1, 62), ("h".to_owned(), 64, 1)]);
    assert_eq!(too_long_functions(&Source::new("a.rs", &long)).len(), 1);
    let text = "a // {\nb \"}\\\"{\" r#\"}\"# 'x' '\\'' c";
    let code = Source::new("a.rs", text).code();
    assert_eq!(code.replace(' ', ""), "a\nbc");
    assert_eq!(code.len(), text.len());
}
