//! An autoencoder, activations and a vocabulary of which everything is known.

use limpid::Seed;
use limpid::formats::{Dtype, SaveSettings, Tensor, safetensors, save_saelens};
use limpid::math::random::{Stream, below, uniform};
use limpid::sae::{Activation, Sae};
use ndarray::{Array1, Array2};

use super::Result;

/// Width; features, of which the first `PLANTED` answer to the token of the same number.
const WIDTH: usize = 64;
const FEATURES: usize = 64;
const PLANTED: usize = 48;
/// Answers to token 0 as well, in nearly the same direction.
pub const TWIN: usize = PLANTED;

const DOCUMENTS: usize = 200;
const STARTS: [&str; 10] = ["ba", "de", "ko", "lu", "mi", "no", "pra", "sti", "ve", "zo"];
const ENDS: [&str; 14] =
    ["ra", "ne", "lo", "tus", "mik", "san", "del", "ron", "quil", "bert", "wen", "pax", "dor", "lim"];

/// What the page has to show.
pub struct Known {
    /// The token of each planted feature, and how often it occurs.
    pub planted: Vec<(String, u32)>,
    pub features: usize,
}

/// A file by its path.
type Named = (&'static str, Vec<u8>);

/// The files by their path, and what a page about them has to show.
pub fn files(seed: u64) -> Result<(Vec<Named>, Known)> {
    let words = words();
    let mut stream = Seed(seed).stream(0, 0);
    let (mut documents, mut tokens) = (Vec::<u8>::new(), Vec::<u8>::new());
    for document in 0..DOCUMENTS {
        let length = 20 + below(&mut stream, 60);
        documents.extend(vec![u8::try_from(document)?; length]);
        for _ in 0..length {
            tokens.push(u8::try_from(below(&mut stream, words.len()))?);
        }
    }
    let x = activations(&tokens, &mut stream);
    let column = |column: &[u8]| Tensor::new(Dtype::U8, &[column.len()], column.to_vec());
    let tensors = [
        ("activations", Tensor::from_array(&x, Dtype::F32)?),
        ("document", column(&documents)?),
        ("token", column(&tokens)?),
    ];
    let mut files = vec![
        ("activations.safetensors", safetensors::write(&tensors, &[])?),
        ("vocab.txt", words.join("\n").into_bytes()),
    ];
    for (name, bytes) in save_saelens(&autoencoder()?, &SaveSettings::default())? {
        files.push((if name == "cfg.json" { "sae/cfg.json" } else { "sae/sae_weights.safetensors" }, bytes));
    }
    let count = |token: usize| tokens.iter().filter(|&&other| usize::from(other) == token).count();
    let planted = (0..PLANTED).map(|token| Ok((words[token].clone(), u32::try_from(count(token))?)));
    let known = Known { planted: planted.collect::<Result<_>>()?, features: FEATURES };
    Ok((files, known))
}

/// Words, some that only continue others, and some that would be code if the page did not take care.
fn words() -> Vec<String> {
    let hostile = ["<script>alert(1)</script>", "</script><h1>", "<!--", "&amp;\"'"];
    let word = |i: usize| {
        let continues = if i % 7 == 6 { "##" } else { "" };
        format!("{continues}{}{}", STARTS[i % STARTS.len()], ENDS[i / STARTS.len()])
    };
    hostile.into_iter().map(str::to_owned).chain((0..STARTS.len() * ENDS.len()).map(word)).collect()
}

/// A planted token is a multiple of its own axis, other tokens are a little noise.
fn activations(tokens: &[u8], stream: &mut Stream) -> Array2<f32> {
    let mut x = Array2::from_shape_simple_fn((tokens.len(), WIDTH), || 0.05 * uniform::<f32>(stream));
    for (mut row, &token) in x.rows_mut().into_iter().zip(tokens) {
        if usize::from(token) < PLANTED {
            row[usize::from(token)] = 0.5 + 4.0 * uniform::<f32>(stream).powi(2);
        }
    }
    x
}

/// Features read and write along axes; those that are neither planted nor the twin never fire.
fn autoencoder() -> Result<Sae<f32>> {
    let mut w_dec = Array2::from_shape_fn((FEATURES, WIDTH), |(i, j)| f32::from(i == j));
    w_dec.row_mut(TWIN).fill(0.0);
    (w_dec[[TWIN, 0]], w_dec[[TWIN, WIDTH - 1]]) = (0.9, 0.3);
    let b_enc = Array1::from_shape_fn(FEATURES, |i| if i <= TWIN { -0.1 } else { -100.0 });
    let w_enc = w_dec.t().to_owned();
    Ok(Sae::new(w_enc, b_enc, w_dec, Array1::zeros(WIDTH), Activation::Relu)?)
}
