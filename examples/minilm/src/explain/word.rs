//! Tokens as text.

use tokenizers::Tokenizer;

/// Texts of tokens that can be strung together: one that begins a word brings its space along.
pub(crate) struct Words<'a>(&'a Tokenizer);

impl<'a> Words<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self(tokenizer)
    }

    pub(crate) fn text(&self, token: u32) -> String {
        let piece = self.0.id_to_token(token).unwrap_or_else(|| format!("#{token}"));
        match piece.strip_prefix("##") {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            _ => format!(" {piece}"),
        }
    }

    /// A token on its own: one that continues a word says so.
    pub(crate) fn alone(&self, token: u32) -> String {
        let text = self.text(token);
        text.strip_prefix(' ').map_or_else(|| format!("…{text}"), str::to_owned)
    }
}
