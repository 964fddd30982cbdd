//! A tiny BERT with random weights, its tokenizer and a text, made here.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use limpid::Seed;
use limpid::math::random::fill_normal;
use serde_json::json;

pub(crate) const D: usize = 8;
pub(crate) const N: usize = 12;
pub(crate) const HEADS: usize = 2;
pub(crate) const LAYERS: usize = 2;
pub(crate) const POSITIONS: usize = 10;
pub(crate) const WORDS: [&str; 9] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "##s", "mat"];
pub(crate) const TEXT: &str =
    "the cat sat\n\nthe cats sat the mat\nmat\nthe the the the the the the the the the the the\n";

pub(crate) type Named = HashMap<String, (Vec<usize>, Vec<f64>)>;

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), D]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, D]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, D]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![D]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![D]),
    ];
    for layer in 0..LAYERS {
        let sizes = [
            ("attention.self.query", D, D),
            ("attention.self.key", D, D),
            ("attention.self.value", D, D),
            ("attention.output.dense", D, D),
            ("intermediate.dense", N, D),
            ("output.dense", D, N),
            ("attention.output.LayerNorm", D, 0),
            ("output.LayerNorm", D, 0),
        ];
        for (name, output, input) in sizes {
            let shape = if input == 0 { vec![output] } else { vec![output, input] };
            all.push((format!("encoder.layer.{layer}.{name}.weight"), shape));
            all.push((format!("encoder.layer.{layer}.{name}.bias"), vec![output]));
        }
    }
    all
}

/// Writes the model directory and a text; returns the weights.
pub(crate) fn make(folder: &Path) -> Named {
    make_named(folder, str::to_owned)
}

/// The same with other names of tensors in the file.
pub(crate) fn make_named(folder: &Path, rename: fn(&str) -> String) -> Named {
    let (mut named, mut tensors) = (Named::new(), HashMap::new());
    for (index, (name, shape)) in shapes().into_iter().enumerate() {
        let mut values = vec![0.0_f32; shape.iter().product()];
        fill_normal(&mut Seed(7).stream(0, index as u64), 0.6, &mut values);
        tensors.insert(rename(&name), Tensor::from_slice(&values, shape.as_slice(), &Device::Cpu).unwrap());
        named.insert(name, (shape, values.into_iter().map(f64::from).collect()));
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    let config = json!({
        "model_type": "bert", "vocab_size": WORDS.len(), "hidden_size": D, "num_hidden_layers": LAYERS,
        "hidden_act": "gelu", "num_attention_heads": HEADS, "intermediate_size": N,
        "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    fs::write(folder.join("text.txt"), TEXT).unwrap();
    named
}

/// Pads to 16 tokens, as the files of sentence encoders do, which must not matter.
fn tokenizer() -> String {
    let vocab: HashMap<&str, usize> = WORDS.iter().enumerate().map(|(id, &word)| (word, id)).collect();
    let special = |id: usize| {
        json!({
            "id": id, "content": WORDS[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let padding = json!({
        "strategy": { "Fixed": 16 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": padding, "normalizer": null, "decoder": null,
        "added_tokens": (0..4).map(special).collect::<Vec<_>>(),
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    });
    tokenizer.to_string()
}
