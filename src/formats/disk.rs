//! Folders on disk, for programs with a file system; the rest of this room takes bytes.

use core::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{Files, Hint};
use super::loaded::LoadedSae;
use super::saelens_write::{SaveSettings, save_saelens};
use super::{
    circuit_tracer, crosscoder, detect, dictionary_learning, fail, gemma_scope, llama_scope, saelens, sparsify,
};
use crate::sae::Sae;
use crate::{Error, FormatKind, Scalar};

/// Weights that have the same name in every folder of their format.
const WEIGHTS: [&str; 8] = [
    saelens::WEIGHTS,
    sparsify::WEIGHTS,
    gemma_scope::WEIGHTS,
    gemma_scope::WEIGHTS_2,
    dictionary_learning::WEIGHTS,
    crosscoder::WEIGHTS,
    llama_scope::WEIGHTS,
    "final.safetensors",
];

/// Files that are read beside the weights of a folder.
const BESIDE: [&str; 2] = [saelens::SPARSITY, saelens::SCALER];

/// Files that are read beside any weights.
const SETTINGS: [&str; 3] = ["cfg.json", "config.json", "hyperparams.json"];

/// What went wrong with a folder.
#[derive(Debug)]
#[non_exhaustive]
pub enum DiskError {
    /// The file system refused.
    Io {
        /// Path that it was asked about.
        path: PathBuf,
        /// Its answer.
        error: io::Error,
    },
    /// The files are not what their format requires.
    Format(Error),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Format(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Format(error) => Some(error),
        }
    }
}

impl From<Error> for DiskError {
    fn from(error: Error) -> Self {
        Self::Format(error)
    }
}

/// Result of reading or writing a folder.
pub type Result<V> = core::result::Result<V, DiskError>;

/// The autoencoder at `path`: a folder, or one file of weights where a folder holds many.
///
/// Beside a single file its settings are read too, if the folder has `cfg.json`, `config.json` or `hyperparams.json`.
///
/// # Errors
/// [`DiskError::Io`], and [`DiskError::Format`] as [`load`](super::load).
///
/// # Example
/// ```no_run
/// use limpid::formats::{Hint, disk};
///
/// let loaded = disk::load::<f32>("gemma-scope/layer_20/width_16k/average_l0_71", &Hint::default())?;
/// println!("{} latents from a {} folder", loaded.sae.latents(), loaded.format);
/// # Ok::<(), disk::DiskError>(())
/// ```
pub fn load<T: Scalar>(path: impl AsRef<Path>, hint: &Hint) -> Result<LoadedSae<T>> {
    let path = path.as_ref();
    let files = if path.is_dir() { folder(path, hint)? } else { file(path)? };
    let files: Files<'_> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    Ok(detect::load(&files, hint)?)
}

/// Saves `sae` as a SAELens 6 folder at `path`, which is made if it does not exist. Each file is written under another name
/// and then renamed, so that none is ever half there.
///
/// # Errors
/// [`DiskError::Io`], and [`DiskError::Format`] as [`save_saelens`].
///
/// # Example
/// ```no_run
/// use limpid::formats::{SaveSettings, disk};
/// # fn save(sae: &limpid::sae::Sae<f32>) -> Result<(), disk::DiskError> {
/// disk::save("my-autoencoder", sae, &SaveSettings::default())
/// # }
/// ```
pub fn save<T: Scalar>(path: impl AsRef<Path>, sae: &Sae<T>, settings: &SaveSettings<T>) -> Result<()> {
    let path = path.as_ref();
    let files = save_saelens(sae, settings)?;
    fs::create_dir_all(path).map_err(|error| at(path, error))?;
    for (name, bytes) in files {
        let (target, partial) = (path.join(name), path.join(format!(".{name}.{}", std::process::id())));
        let written = write_through(&partial, &bytes).and_then(|()| fs::rename(&partial, &target));
        if let Err(error) = written {
            // what is left of the attempt is of no use; that it cannot be removed would hide the cause
            let _ = fs::remove_file(&partial);
            return Err(at(&target, error));
        }
    }
    Ok(())
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

fn at(path: &Path, error: io::Error) -> DiskError {
    DiskError::Io { path: path.to_owned(), error }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| at(path, error))
}

fn file(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(fail(FormatKind::Missing, "a file name in UTF-8", 0))?;
    let mut files = vec![(name.to_owned(), read(path)?)];
    for settings in SETTINGS {
        let beside = path.with_file_name(settings);
        if beside.is_file() {
            files.push((settings.to_owned(), read(&beside)?));
        }
    }
    Ok(files)
}

/// The files of a folder that belong to one model; nothing else is read, folders hold states of training too.
fn folder(path: &Path, hint: &Hint) -> Result<Vec<(String, Vec<u8>)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| at(path, error))? {
        let entry = entry.map_err(|error| at(path, error))?;
        names.extend(entry.file_name().into_string().ok().filter(|_| entry.path().is_file()));
    }
    names.extend(path.join(llama_scope::WEIGHTS).is_file().then(|| llama_scope::WEIGHTS.to_owned()));
    names.sort_unstable();
    let mut files = Vec::new();
    for name in wanted(names, hint)? {
        let bytes = read(&path.join(&name))?;
        files.push((name, bytes));
    }
    Ok(files)
}

/// Which of these files to read.
fn wanted(names: Vec<String>, hint: &Hint) -> core::result::Result<Vec<String>, Error> {
    let (mut wanted, other): (Vec<String>, Vec<String>) = names
        .into_iter()
        .partition(|name| [&WEIGHTS[..], &BESIDE, &SETTINGS].iter().any(|known| known.contains(&name.as_str())));
    if wanted.iter().any(|name| WEIGHTS.contains(&name.as_str())) {
        return Ok(wanted);
    }
    let layer = hint.layer.map(|layer| format!("_{layer}"));
    let of_layer = |stem: &str| layer.as_ref().is_none_or(|layer| stem.ends_with(layer.as_str()));
    let stem = |name: &str| [".npz", ".pt", ".safetensors"].iter().find_map(|e| Some(name.strip_suffix(e)?.to_owned()));
    let weights: Vec<String> = other.into_iter().filter(|name| stem(name).is_some_and(|s| of_layer(&s))).collect();
    // a layer of a cross-layer transcoder has a file of each half
    let most = 1 + usize::from(weights.iter().any(|name| circuit_tracer::layer_of(name).is_some()));
    if weights.len() > most {
        return Err(fail(FormatKind::Ambiguous, "several weight files, of which one is to be given, or the layer", 0));
    }
    wanted.extend(weights);
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], hint: &Hint) -> Option<Vec<String>> {
        wanted(names.iter().map(|name| (*name).to_owned()).collect(), hint).ok()
    }

    #[test]
    fn only_the_files_of_one_model_are_read() {
        let hint = Hint::default();
        let names = ["cfg.json", "notes.json", "sae_weights.safetensors", "sparsity.safetensors", "trainer_state.pt"];
        assert_eq!(chosen(&names, &hint).unwrap(), ["cfg.json", "sae_weights.safetensors", "sparsity.safetensors"]);
        assert_eq!(chosen(&["7.pt", "readme.md"], &hint).unwrap(), ["7.pt"]);
        assert_eq!(chosen(&["7.pt", "8.pt"], &hint), None);
        let layers = ["W_dec_1.safetensors", "W_dec_11.safetensors", "W_enc_1.safetensors", "W_enc_11.safetensors"];
        assert_eq!(chosen(&layers, &hint), None);
        let second = Hint { layer: Some(1), ..hint };
        assert_eq!(chosen(&layers, &second).unwrap(), ["W_dec_1.safetensors", "W_enc_1.safetensors"]);
        assert_eq!(chosen(&["layer_1.safetensors", "layer_2.safetensors"], &second).unwrap(), ["layer_1.safetensors"]);
    }
}
