//! Bad input: one line that says what is wrong with which file, exit code 1, and nothing left behind.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::model::make;
use crate::{CAPTURE, run, runs};

/// Spoils a fresh directory, runs, and looks at the error.
fn fails(spoil: impl Fn(&Path), arguments: &[&str], says: &str) {
    let folder = TempDir::new().unwrap();
    make(folder.path());
    spoil(folder.path());
    let files = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let before = files();
    let output = run(arguments, folder.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(says) && message.lines().count() == 1, "{says}: {message}");
    assert!(output.stdout.is_empty(), "{says}: something was printed");
    assert_eq!(files(), before, "{says}: something was left");
}

fn edit(file: &'static str, from: &'static str, to: &'static str) -> impl Fn(&Path) {
    move |folder| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(from));
        fs::write(folder.join(file), text.replace(from, to)).unwrap();
    }
}

/// Leaves `keep` bytes of a file.
fn cut(file: &'static str, keep: fn(usize) -> usize) -> impl Fn(&Path) {
    move |folder| {
        let bytes = fs::read(folder.join(file)).unwrap();
        fs::write(folder.join(file), &bytes[..keep(bytes.len())]).unwrap();
    }
}

fn with(option: usize, value: &'static str) -> [&'static str; 7] {
    let mut arguments = CAPTURE;
    arguments[option] = value;
    arguments
}

const NOTHING: fn(&Path) = |_| ();

#[test]
fn missing_files() {
    for file in ["config.json", "model.safetensors", "tokenizer.json", "text.txt"] {
        fails(|f| fs::remove_file(f.join(file)).unwrap(), &CAPTURE, &format!("{file}: "));
    }
    fails(NOTHING, &with(1, "nowhere"), "nowhere/config.json: ");
    fails(NOTHING, &["look", "nowhere", ".", "--out", "look"], "nowhere: ");
}

#[test]
fn foreign_models() {
    fails(edit("config.json", "\"bert\"", "\"gpt2\""), &CAPTURE, "config.json: model_type is \"gpt2\"");
    fails(edit("config.json", "model_type", "type"), &CAPTURE, "config.json: model_type is missing");
    fails(edit("config.json", "\"gelu\"", "\"swish\""), &CAPTURE, "config.json: hidden_act \"swish\"");
    let relative = "\"position_embedding_type\":\"relative_key\",\"hidden_act\"";
    fails(edit("config.json", "\"hidden_act\"", relative), &CAPTURE, "position_embedding_type \"relative_key\"");
    fails(edit("config.json", "\"hidden_act\"", "\"is_decoder\":true,\"hidden_act\""), &CAPTURE, "is_decoder");
    fails(edit("config.json", "\"vocab_size\"", "\"vocabulary\""), &CAPTURE, "config.json: vocab_size is missing");
    fails(edit("config.json", "_heads\":2", "_heads\":3"), &CAPTURE, "no multiple of num_attention_heads 3");
    fails(edit("config.json", "_layers\":2", "_layers\":3"), &CAPTURE, "model.safetensors: tensor encoder.layer.2");
    fails(edit("config.json", "intermediate_size\":12", "intermediate_size\":13"), &CAPTURE, "has shape [12, 8]");
    fails(edit("tokenizer.json", "\"mat\":8", "\"mat\":9"), &CAPTURE, "token 9 is outside the vocabulary");
}

#[test]
fn damaged_models() {
    fails(|f| fs::write(f.join("config.json"), "{").unwrap(), &CAPTURE, "config.json: not JSON: EOF");
    fails(|f| fs::write(f.join("tokenizer.json"), "{}").unwrap(), &CAPTURE, "tokenizer.json: truncated or damaged");
    let keeps: [fn(usize) -> usize; 4] = [|n| n - 9, |n| n / 2, |_| 100, |_| 0];
    for keep in keeps {
        fails(cut("model.safetensors", keep), &CAPTURE, "model.safetensors: truncated or damaged");
    }
    let spoil = |f: &Path| {
        let mut bytes = fs::read(f.join("model.safetensors")).unwrap();
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + header..].fill(0xff);
        fs::write(f.join("model.safetensors"), bytes).unwrap();
    };
    fails(spoil, &CAPTURE, "not finite");
    fails(spoil, &["geometry", ".", "--layer", "1", "--out", "geo"], "not finite");
}

#[test]
fn bad_texts() {
    for text in ["", "\n", " \n\t\r\n\n"] {
        fails(|f| fs::write(f.join("text.txt"), text).unwrap(), &CAPTURE, "text.txt: no text");
    }
    fails(|f| fs::write(f.join("text.txt"), b"good\n\xff\xfe\n").unwrap(), &CAPTURE, "text.txt, line 2: not UTF-8");
    let long = "the ".repeat(1 << 19);
    fails(|f| fs::write(f.join("text.txt"), &long).unwrap(), &CAPTURE, "text.txt, line 1: longer than 1 MiB");
    fails(|f| fs::create_dir(f.join("folder")).unwrap(), &with(2, "folder"), "folder: not a regular file");
    let states = ["states", ".", "text.txt", "--out", "states.safetensors"];
    fails(|f| fs::write(f.join("text.txt"), " \n").unwrap(), &states, "text.txt: no text");
}

#[test]
fn places_that_cannot_be_written() {
    fails(|f| fs::write(f.join("out.safetensors"), "").unwrap(), &CAPTURE, "out.safetensors: exists already");
    fails(
        |f| fs::create_dir(f.join("out.safetensors")).unwrap(),
        &CAPTURE,
        "out.safetensors: exists and is not a regular",
    );
    #[cfg(unix)]
    fails(NOTHING, &[&with(6, "/dev/null")[..], &["--force"]].concat(), "/dev/null: exists and is not a regular");
    fails(NOTHING, &with(6, "nowhere/out.safetensors"), "nowhere/out.safetensors: ");
    fails(NOTHING, &with(6, ".."), "..: not a file name");
    fails(NOTHING, &["geometry", ".", "--layer", "1", "--out", "text.txt"], "text.txt: exists and is not a folder");
    fails(
        |f| runs(&CAPTURE, f),
        &["look", "out.safetensors", ".", "--out", "text.txt"],
        "text.txt: exists and is not a folder",
    );
}

#[test]
fn bad_captured_files() {
    let look = ["look", "out.safetensors", ".", "--out", "look"];
    fails(NOTHING, &["look", "text.txt", ".", "--out", "look"], "text.txt: ");
    fails(NOTHING, &["look", "model.safetensors", ".", "--out", "look"], "model.safetensors: no tensor");
    let keeps: [fn(usize) -> usize; 4] = [|n| n - 4, |n| n / 2, |_| 20, |_| 3];
    for keep in keeps {
        let spoil = |f: &Path| {
            runs(&CAPTURE, f);
            cut("out.safetensors", keep)(f);
        };
        fails(spoil, &look, "out.safetensors: ");
    }
    let spoil = |f: &Path| {
        runs(&CAPTURE, f);
        let mut bytes = fs::read(f.join("out.safetensors")).unwrap();
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + header..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(f.join("out.safetensors"), bytes).unwrap();
    };
    fails(spoil, &look, "out.safetensors: ");
    let geometry = ["geometry", ".", "--layer", "0", "--out", "geo", "--activations", "out.safetensors"];
    fails(|f| runs(&CAPTURE, f), &geometry, "out.safetensors: captured from layer 1, not 0");
}

#[test]
fn numbers_out_of_range() {
    fails(NOTHING, &with(4, "2"), "layer 2 is out of range, layers are 0 to 1");
    fails(NOTHING, &with(4, "-1"), "--layer -1: not a whole number");
    fails(NOTHING, &["geometry", ".", "--layer", "9", "--out", "geo"], "layer 9 is out of range");
    for (neurons, says) in [("3,12", "neuron 12 is out of range"), ("3,x", "--neurons x"), ("", "--neurons ")] {
        let look = ["look", "out.safetensors", ".", "--out", "look", "--neurons", neurons];
        fails(|f| runs(&CAPTURE, f), &look, says);
    }
    for batch in ["0", "1025"] {
        fails(NOTHING, &[&CAPTURE[..], &["--batch", batch]].concat(), "not between 1 and 1024");
    }
    fails(NOTHING, &["states", ".", "text.txt", "--out", "s", "--max-lines", "257"], "at most 256");
}

#[test]
fn commands_that_are_not_whole() {
    fails(NOTHING, &[], "no command; --help");
    fails(NOTHING, &["show"], "show: no such command");
    fails(NOTHING, &["capture", "."], "capture: not the paths it needs");
    fails(NOTHING, &CAPTURE[..5], "capture: --out is missing");
    fails(NOTHING, &["geometry", ".", "--out", "geo"], "geometry: --layer is missing");
    fails(NOTHING, &["look", "--colour"], "--colour");
}

#[test]
fn nothing_to_explain() {
    let similar = |a: &'static str, more: [&'static str; 2]| ["similar", ".", a, "the cat", more[0], more[1]];
    fails(NOTHING, &similar(" ", ["--out", "page"]), "a sentence without words");
    fails(NOTHING, &similar("mat", ["--baseline", "[NONE]"]), "--baseline [NONE]: no such token");
    fails(NOTHING, &similar("mat", ["--out", "text.txt"]), "text.txt: exists and is not a folder");
    fails(NOTHING, &similar("mat", ["--json", "nowhere/a.json"]), "nowhere/a.json: ");
    fails(NOTHING, &["similar", ".", "mat"], "similar: not the paths it needs");
    fails(NOTHING, &["review", ".", "text.txt"], "text.txt, line 1: no 0 or 1 at its start");
    let one_class = |f: &Path| fs::write(f.join("text.txt"), "1 the cat\n1 mat\n1 the mat\n").unwrap();
    fails(one_class, &["review", ".", "text.txt"], "text.txt: rows of one of the classes is empty");
    fails(|f| fs::write(f.join("text.txt"), "\n").unwrap(), &["review", ".", "text.txt"], "text.txt: no text");
}
