//! The files of one reader, as they come.

use std::collections::BTreeMap;

use limpid::formats::{Files, Hint, LoadedSae, Tensor, load, safetensors};
use limpid::sae::{Codes, Sae};
use limpid::{Error, FormatKind};
use ndarray::{Array2, Axis, Ix2, Slice};
use serde_json::json;

use super::options::Options;
use super::page::{self, Page};
use super::parts::{Parts, parts};
use super::scan::{Corpus, Scan};
use super::vocabulary::Vocabulary;
use super::{Result, neighbours};

/// Rows that count as one text where a file does not say what they belong to.
const STRETCH: u32 = 32;
/// Name of the matrix where a file holds several.
const USUAL: &str = "activations";

const NOT_BEGUN: &str = "no pass over the activations was begun";

/// What was dropped so far.
#[derive(Default)]
pub struct Session {
    /// Files of an autoencoder that is not whole yet.
    waiting: BTreeMap<String, Vec<u8>>,
    sae: Option<(String, LoadedSae<f32>)>,
    activations: Option<Activations>,
    vocabulary: Option<Vocabulary>,
    /// The pass over the activations, while it goes on.
    scan: Option<Scan>,
}

/// A matrix with a row per token.
struct Activations {
    name: String,
    x: Array2<f32>,
    tokens: Vec<u32>,
    documents: Vec<u32>,
}

impl Session {
    /// Takes up a file and says what it is.
    ///
    /// # Errors
    /// For a file that is damaged or of no known kind; nothing is changed then.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<String> {
        let file = name.rsplit('/').next().unwrap_or(name).to_owned();
        self.scan = None;
        self.add_file(&file, bytes).map_err(|trouble| format!("{file}: {trouble}").into())
    }

    fn add_file(&mut self, file: &str, bytes: Vec<u8>) -> Result<String> {
        match file.rsplit_once('.').map(|(_, extension)| extension) {
            Some("txt") => self.add_vocabulary(file, &bytes, false),
            Some("json") if file.contains("tokenizer") => self.add_vocabulary(file, &bytes, true),
            Some("safetensors") if !is_autoencoder(&bytes)? => self.add_activations(file, &bytes),
            Some("safetensors" | "json" | "npz" | "pt") => self.add_part(file, bytes),
            _ => Err("a .safetensors, .npz, .pt, .json or .txt file is expected".into()),
        }
    }

    fn add_vocabulary(&mut self, file: &str, bytes: &[u8], is_json: bool) -> Result<String> {
        self.vocabulary = Some(Vocabulary::parse(core::str::from_utf8(bytes)?, is_json)?);
        Ok(format!("{file}: a vocabulary"))
    }

    fn add_activations(&mut self, file: &str, bytes: &[u8]) -> Result<String> {
        let activations = Activations::read(file, bytes)?;
        let said = activations.describe();
        self.activations = Some(activations);
        Ok(said)
    }

    /// Weights or settings; the autoencoder is loaded as soon as it is whole.
    fn add_part(&mut self, file: &str, bytes: Vec<u8>) -> Result<String> {
        let before = self.waiting.insert(file.to_owned(), bytes);
        let files: Files<'_> = self.waiting.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        match load::<f32>(&files, &Hint::default()) {
            Ok(loaded) => {
                let said = describe(&loaded);
                self.waiting.clear();
                self.sae = Some((file.to_owned(), loaded));
                Ok(said)
            }
            Err(Error::Format { kind: FormatKind::Missing, what, .. }) if self.waiting.len() < 2 => {
                Ok(format!("{file}: part of an autoencoder, {what} is still missing"))
            }
            Err(error) => {
                self.waiting.remove(file);
                self.waiting.extend(before.map(|bytes| (file.to_owned(), bytes)));
                Err(error.into())
            }
        }
    }

    /// What is there and what is missing, as JSON.
    #[must_use]
    pub fn status(&self) -> String {
        let mut have: Vec<String> = self.sae.iter().map(|(_, loaded)| describe(loaded)).collect();
        have.extend(self.waiting.keys().map(|name| format!("{name}: part of an autoencoder")));
        have.extend(self.activations.iter().map(Activations::describe));
        have.extend(self.vocabulary.iter().map(|_| "a vocabulary".to_owned()));
        let parts = [("an autoencoder", self.sae.is_some()), ("activations", self.activations.is_some())];
        let missing: Vec<&str> = parts.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        json!({ "ready": missing.is_empty(), "have": have, "missing": missing }).to_string()
    }

    fn both(&self) -> Result<(&Sae<f32>, &Activations)> {
        let (Some((_, loaded)), Some(activations)) = (&self.sae, &self.activations) else {
            return Err("an autoencoder and activations are needed".into());
        };
        let (d, width) = (loaded.sae.d_in(), activations.x.ncols());
        if d != width {
            return Err(format!("the autoencoder reads {d} numbers, the activations have {width}").into());
        }
        Ok((&loaded.sae, activations))
    }

    /// The autoencoder, for the program that encodes on a graphics device.
    ///
    /// # Errors
    /// Where there is none, or one that no device computes.
    pub fn parts(&self) -> Result<Parts> {
        parts(&self.sae.as_ref().ok_or("an autoencoder is needed")?.1.sae)
    }

    /// Begins a pass over the activations, and gives the number of their rows.
    ///
    /// # Errors
    /// Where a part is missing, or the widths of the two do not fit.
    pub fn start(&mut self) -> Result<usize> {
        let (sae, activations) = self.both()?;
        let corpus = Corpus { tokens: activations.tokens.clone(), documents: activations.documents.clone() };
        let (scan, rows) = (Scan::new(sae.latents(), corpus, &Options::default())?, activations.x.nrows());
        self.scan = Some(scan);
        Ok(rows)
    }

    /// The activations that come next, row by row; none in the end.
    ///
    /// # Errors
    /// Where no pass was begun.
    pub fn rows(&self) -> Result<Vec<f32>> {
        let (scan, (_, activations)) = (self.scan.as_ref().ok_or(NOT_BEGUN)?, self.both()?);
        Ok(activations.x.slice_axis(Axis(0), Slice::from(scan.rows())).iter().copied().collect())
    }

    /// Active features of rows.
    ///
    /// # Errors
    /// Those of [`Sae::encode_sparse`].
    pub fn encode(&self, x: Vec<f32>) -> Result<Codes<f32>> {
        let sae = &self.sae.as_ref().ok_or("an autoencoder is needed")?.1.sae;
        let x = Array2::from_shape_vec((x.len() / sae.d_in(), sae.d_in()), x)?;
        Ok(sae.encode_sparse(&x)?)
    }

    /// Takes up the features of the rows that come next: how many are active in each, their latents and values.
    ///
    /// # Errors
    /// Where no pass was begun, or these are not such features.
    pub fn take(&mut self, counts: &[u32], latents: &[u32], values: &[f32]) -> Result<()> {
        let (all, scan) = (self.both()?.0.latents(), self.scan.as_mut().ok_or(NOT_BEGUN)?);
        scan.take(&codes(all, counts, latents, values)?, &Options::default())
    }

    /// The page about all features.
    ///
    /// # Errors
    /// Where the pass has not come to its end.
    pub fn page(&mut self) -> Result<String> {
        let scanned = self.scan.take().and_then(Scan::finish).ok_or("rows are left")?;
        let (sae, activations) = self.both()?;
        let neighbours = neighbours::nearest(&sae.w_dec, Options::default().neighbours)?;
        let nameless = Vocabulary::parse("", false)?;
        let vocabulary = self.vocabulary.as_ref().unwrap_or(&nameless);
        page::html(&Page {
            title: &activations.name,
            vocabulary,
            scanned: &scanned,
            neighbours: &neighbours,
            effects: None,
        })
    }
}

fn codes(all: usize, counts: &[u32], latents: &[u32], values: &[f32]) -> Result<Codes<f32>> {
    let (mut codes, mut rest) = (Codes::new(all)?, (latents, values));
    for &count in counts {
        let count = count as usize;
        let (Some((latents, more_latents)), Some((values, more_values))) =
            (rest.0.split_at_checked(count), rest.1.split_at_checked(count))
        else {
            return Err("fewer features than are counted".into());
        };
        codes.push(latents.iter().zip(values).map(|(&latent, &value)| (latent as usize, value)))?;
        rest = (more_latents, more_values);
    }
    if rest.0.is_empty() && rest.1.is_empty() { Ok(codes) } else { Err("more features than are counted".into()) }
}

/// Whether a safetensors file holds weights rather than activations.
fn is_autoencoder(bytes: &[u8]) -> Result<bool> {
    let names = ["w_enc", "w_dec", "encoder.weight", "decoder.weight"];
    let tensors = safetensors::read(bytes)?;
    Ok(tensors.keys().any(|name| names.iter().any(|known| name.to_lowercase().starts_with(known))))
}

fn describe(loaded: &LoadedSae<f32>) -> String {
    let (d, m) = (loaded.sae.d_in(), loaded.sae.latents());
    let scaled = if loaded.external_scale { "; it expects inputs on a scale that its files do not hold" } else { "" };
    format!("an autoencoder of {m} features on {d} inputs ({:?}){scaled}", loaded.format)
}

impl Activations {
    fn read(file: &str, bytes: &[u8]) -> Result<Self> {
        let tensors = safetensors::read(bytes)?;
        let fits = |tensor: &Tensor<'_>| tensor.shape().len() == 2 && tensor.dtype().is_float();
        let matrices: Vec<&str> = tensors.iter().filter(|(_, t)| fits(t)).map(|(name, _)| name.as_str()).collect();
        let name = match matrices[..] {
            [only] => only,
            [] => return Err("no matrix of floats with a row per token".into()),
            _ => matrices
                .into_iter()
                .find(|&name| name == USUAL)
                .ok_or("several matrices, and none is called activations")?,
        };
        let x = tensors[name].array::<f32>()?.into_dimensionality::<Ix2>()?;
        let rows = x.nrows();
        if rows == 0 || x.ncols() == 0 {
            return Err("the matrix is empty".into());
        }
        if let Some(index) = x.iter().position(|x| !x.is_finite()) {
            return Err(format!("row {} of the activations is not finite", index / x.ncols()).into());
        }
        let column = |name: &str| tensors.get(name).map(|tensor| column(name, tensor, rows)).transpose();
        let count = u32::try_from(rows)?;
        let tokens = column("token")?.unwrap_or_else(|| (0..count).collect());
        let documents = column("document")?.unwrap_or_else(|| (0..count).map(|row| row / STRETCH).collect());
        Ok(Self { name: file.to_owned(), x, tokens, documents })
    }

    fn describe(&self) -> String {
        format!("activations of {} tokens, {} numbers each", self.x.nrows(), self.x.ncols())
    }
}

/// A column of whole numbers with one per row.
fn column(name: &str, tensor: &Tensor<'_>, rows: usize) -> Result<Vec<u32>> {
    if tensor.shape() != [rows] || tensor.dtype().is_float() {
        return Err(format!("the column {name} is not a whole number per row").into());
    }
    // whole numbers up to 32 bits are exact in double precision
    let numbers = tensor.array::<f64>()?;
    let whole = |&x: &f64| if (0.0..=f64::from(u32::MAX)).contains(&x) { Some(x as u32) } else { None };
    let column: Option<Vec<u32>> = numbers.iter().map(whole).collect();
    column.ok_or_else(|| format!("the column {name} has a number below 0 or above 32 bits").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::arrays;
    use crate::features::example;

    fn whole() -> Session {
        let mut session = Session::default();
        for (name, bytes) in example().unwrap() {
            session.add(name, bytes).unwrap();
        }
        session
    }

    /// The page, by way of features as the program hands them out and takes them back.
    fn read(session: &mut Session) -> String {
        let (all, mut done) = (session.start().unwrap(), 0);
        loop {
            let x = session.rows().unwrap();
            if x.is_empty() {
                break;
            }
            let (counts, latents, values) = arrays(&session.encode(x).unwrap());
            done += counts.len();
            session.take(&counts, &latents, &values).unwrap();
        }
        assert!(all == done && all > 1000);
        session.page().unwrap()
    }

    #[test]
    fn files_in_any_order_make_a_page() {
        let mut session = whole();
        let status: serde_json::Value = serde_json::from_str(&session.status()).unwrap();
        assert_eq!((&status["ready"], status["have"].as_array().unwrap().len()), (&json!(true), 3));
        let page = read(&mut session);
        let planted = super::super::synthetic::files(0).unwrap().1;
        let fired = super::super::columns::column(&page, "fired").unwrap();
        assert!(planted.planted.iter().zip(&fired).all(|((_, count), fired)| count == fired));
    }

    #[test]
    fn damaged_and_unknown_files_change_nothing() {
        let mut session = Session::default();
        let files = example().unwrap();
        let weights = &files.iter().find(|(name, _)| name.ends_with("sae_weights.safetensors")).unwrap().1;
        let cut = weights[..weights.len() / 2].to_vec();
        assert!(
            session.add("sae_weights.safetensors", cut).unwrap_err().to_string().contains("sae_weights.safetensors")
        );
        assert!(session.add("photo.png", vec![1, 2, 3]).is_err() && session.add("nothing", Vec::new()).is_err());
        assert!(session.start().is_err() && session.page().is_err() && session.parts().is_err());
        assert_eq!(session.status(), Session::default().status());
        assert!(session.add("sae_weights.safetensors", weights.clone()).unwrap().contains("still missing"));
        assert!(session.add("cfg.json", b"{\"architecture\": ".to_vec()).is_err());
        let settings = files.iter().find(|(name, _)| name.ends_with("cfg.json")).unwrap().1.clone();
        assert!(session.add("cfg.json", settings).unwrap().contains("64 features"));
    }

    #[test]
    fn activations_need_no_columns() {
        let x = ndarray::Array2::<f32>::from_elem((70, 64), 0.5);
        let tensor = Tensor::from_array(&x, limpid::formats::Dtype::F32).unwrap();
        let bytes = safetensors::write(&[("anything", tensor)], &[]).unwrap();
        let found = Activations::read("a.safetensors", &bytes).unwrap();
        assert_eq!((found.tokens[69], found.documents[69]), (69, 2));
        let mut session = whole();
        session.add("a.safetensors", bytes).unwrap();
        session.start().unwrap();
        assert_eq!(session.rows().unwrap().len(), 70 * 64);
    }

    #[test]
    fn what_are_no_features_is_refused() {
        let mut session = whole();
        assert!(session.rows().is_err() && session.take(&[], &[], &[]).is_err());
        session.start().unwrap();
        let refused = [
            session.take(&[1], &[3], &[0.5]),
            session.take(&[1, 1], &[3], &[0.5]),
            session.take(&[1], &[3, 4], &[0.5, 0.5]),
            session.take(&[1], &[64], &[0.5]),
            session.take(&[u32::MAX], &[3], &[]),
        ];
        assert!(refused.iter().all(Result::is_err));
        assert!(session.page().is_err());
    }
}
