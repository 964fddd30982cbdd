//! OpenAI's sparse autoencoders for GPT-2: one `.pt` file, without settings.
//!
//! ```text
//! pre_bias (d)   latent_bias (m)   encoder.weight (m, d)   decoder.weight (d, m), often stored column-major
//! activation     "ReLU", or "TopK" with activation_state_dict {"k": 32, "postact_fn": "ReLU"}
//! ```
//!
//! The bias is subtracted from inputs. TopK implies a layer norm of each input, which the output undoes; its ε is not
//! written anywhere and is 1e-5 of the deviation, which is the unbiased one. Statistics of training are left out, also the
//! keys `activation.k` and `activation.postact_fn` that newer versions of PyTorch add.
//!
//! Source: Gao et al. (arXiv 2406.04093), <https://github.com/openai/sparse_autoencoder>, `model.py`.

use alloc::vec::Vec;

use super::detect::Format;
use super::fail;
use super::files::Files;
use super::loaded::{Axis, LoadedSae};
use super::pickle::{Node, Pickle};
use super::torch::Checkpoint;
use super::weights::{Weights, active, count};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let checkpoint = Checkpoint::open(files.weights(&[], ".pt")?)?;
    let root = checkpoint.pickle.root();
    let mut weights = Weights::new(checkpoint.tensors(root)?);
    let w_dec = weights.decoder("decoder.weight", [Axis::Output, Axis::Latent])?;
    let activation = activation(&checkpoint, w_dec.nrows(), &weights)?;
    let normalisation = match activation {
        Activation::TopK { .. } => InputNormalisation::LayerNorm { epsilon: T::of(1e-5), unbiased: true },
        _ => InputNormalisation::None,
    };
    let sae = Sae {
        w_enc: weights.encoder("encoder.weight", [Axis::Latent, Axis::Input])?,
        b_enc: weights.vector("latent_bias", Axis::Latent)?,
        w_dec,
        b_dec: weights.vector("pre_bias", Axis::Output)?,
        w_skip: None,
        activation,
        apply_b_dec_to_input: true,
        normalisation,
        layers: 1,
        prefixes: Vec::new(),
    };
    LoadedSae::new(Format::OpenAi, sae, weights)
}

fn activation<T: Scalar>(checkpoint: &Checkpoint<'_>, m: usize, weights: &Weights<'_>) -> Result<Activation<T>> {
    let pickle = &checkpoint.pickle;
    let root = pickle.root();
    match text(pickle, root, "activation").unwrap_or("ReLU") {
        "ReLU" => Ok(Activation::Relu),
        "TopK" => {
            let state = pickle.get(root, "activation_state_dict").unwrap_or(&Node::None);
            let after = text(pickle, state, "postact_fn").or(text(pickle, root, "activation.postact_fn"));
            if after.unwrap_or("ReLU") != "ReLU" {
                return Err(fail(FormatKind::Architecture, "postact_fn of an OpenAI autoencoder", 0));
            }
            let k = match pickle.get(state, "k").or(pickle.get(root, "activation.k")) {
                Some(Node::Int(k)) => usize::try_from(*k).ok(),
                Some(Node::Tensor(_)) if weights.has("activation.k") => weights.number("activation.k")?.and_then(count),
                Some(Node::Tensor(_)) => Weights::new(checkpoint.tensors(state)?).number("k")?.and_then(count),
                _ => return Err(fail(FormatKind::Missing, "k", 0)),
            };
            Ok(Activation::TopK { k: active(k, m)?, by_decoder_norm: false })
        }
        _ => Err(fail(FormatKind::Architecture, "activation of an OpenAI autoencoder", 0)),
    }
}

fn text<'a>(pickle: &Pickle<'a>, dict: &Node<'a>, key: &str) -> Option<&'a str> {
    if let Some(Node::Text(text)) = pickle.get(dict, key) { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Folder, Named, matrix, vector};
    use super::*;
    use ndarray::arr0;

    fn load(named: &Named, others: &[(&str, &[u8])]) -> Result<LoadedSae<f64>> {
        Folder::default().with("3.pt", named.torch(others)).load()
    }

    fn weights() -> Named {
        let named = Named::default().with("encoder.weight", matrix(3, 2)).with("latent_bias", vector(3));
        named.with("decoder.weight", matrix(2, 3)).with("pre_bias", vector(2))
    }

    #[test]
    fn top_k_comes_with_a_layer_norm() {
        let state = [&b"}"[..], &testing::text("k"), b"K\x02s"].concat();
        let top = testing::text("TopK");
        let loaded = load(&weights(), &[("activation", &top), ("activation_state_dict", &state)]).unwrap();
        assert_eq!(loaded.sae.activation, Activation::TopK { k: 2, by_decoder_norm: false });
        assert_eq!(loaded.sae.normalisation, InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: true });
        let beside = load(&weights().with("activation.k", arr0(1.0)), &[("activation", &top)]).unwrap();
        assert_eq!(beside.sae.activation, Activation::TopK { k: 1, by_decoder_norm: false });
        let kind = |others: &[(&str, &[u8])]| load(&weights(), others).unwrap_err().format_kind().unwrap();
        assert_eq!(kind(&[("activation", &top)]), FormatKind::Missing);
        assert_eq!(kind(&[("activation", &testing::text("Identity"))]), FormatKind::Architecture);
        let identity = testing::text("Identity");
        let after = [("activation", &top[..]), ("activation.k", b"K\x01"), ("activation.postact_fn", &identity)];
        assert_eq!(kind(&after), FormatKind::Architecture);
        assert_eq!(kind(&[("activation", &top), ("activation.k", b"K\x04")]), FormatKind::Config);
        assert_eq!(load(&weights(), &[]).unwrap().sae.activation, Activation::Relu);
    }
}
