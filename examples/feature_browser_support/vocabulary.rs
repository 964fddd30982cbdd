//! From token ids to text that can be strung together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Result;

/// Texts by id; a text that begins a word brings its space along.
pub struct Vocabulary(Vec<String>);

impl Vocabulary {
    /// Reads `vocab.txt`, a word piece per line, or `tokenizer.json` with word pieces, byte-level pairs or unigrams.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        Self::parse(&text, is_json).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// The vocabulary in the text of such a file.
    pub fn parse(text: &str, is_json: bool) -> Result<Self> {
        if !is_json {
            return Ok(Self(text.lines().map(word_piece).collect()));
        }
        Self::of_tokenizer(&serde_json::from_str(text)?).ok_or_else(|| "no model.vocab of ids".into())
    }

    fn of_tokenizer(json: &Value) -> Option<Self> {
        let mut tokens = BTreeMap::new();
        match &json["model"]["vocab"] {
            Value::Object(vocab) => {
                for (token, id) in vocab {
                    tokens.insert(usize::try_from(id.as_u64()?).ok()?, token.as_str());
                }
            }
            Value::Array(vocab) => tokens.extend(vocab.iter().map(|pair| pair[0].as_str().unwrap_or("")).enumerate()),
            _ => return None,
        }
        let byte_level = json["decoder"].to_string().contains("\"ByteLevel\"");
        let plain: fn(&str) -> String = match json["model"]["type"].as_str() {
            Some("WordPiece") => word_piece,
            _ if byte_level => byte_pair,
            _ => |token| token.replace('\u{2581}', " "),
        };
        let mut texts: BTreeMap<usize, String> = tokens.into_iter().map(|(id, token)| (id, plain(token))).collect();
        // these are written as they are read
        for added in json["added_tokens"].as_array().into_iter().flatten() {
            let id = added["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            texts.extend(id.zip(added["content"].as_str()).map(|(id, text)| (id, format!(" {text}"))));
        }
        // ids far beyond the number of tokens would only be gaps
        let size = texts.keys().next_back().map_or(0, |last| last + 1).min(4 * texts.len());
        Some(Self((0..size).map(|id| texts.remove(&id).unwrap_or_default()).collect()))
    }

    /// The text of a token; its id where it has none.
    pub fn text(&self, token: u32) -> String {
        let text = self.0.get(token as usize).filter(|text| !text.is_empty());
        text.cloned().unwrap_or_else(|| format!(" [{token}]"))
    }
}

/// `##ing` continues a word, and so does what closes a clause; all else begins one.
fn word_piece(token: &str) -> String {
    match token.strip_prefix("##") {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ if matches!(token, "." | "," | "!" | "?" | ";" | ":" | ")") => token.to_owned(),
        _ => format!(" {token}"),
    }
}

/// Undoes the alphabet of byte-level pairs, in which every byte is a printable character.
fn byte_pair(token: &str) -> String {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=u8::MAX).filter(|&byte| !printable(byte)).zip(256_u32..);
    let others: BTreeMap<u32, u8> = others.map(|(byte, character)| (character, byte)).collect();
    let byte = |c: char| match u8::try_from(u32::from(c)) {
        Ok(byte) if printable(byte) => Some(byte),
        _ => others.get(&u32::from(c)).copied(),
    };
    let bytes: Option<Vec<u8>> = token.chars().map(byte).collect();
    bytes.map_or_else(|| token.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
