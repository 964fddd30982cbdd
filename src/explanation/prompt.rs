//! Texts for a language model.

use alloc::string::String;

/// What a language model is told and asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prompt {
    /// What it is told once: its task and the form of the answer.
    pub system: String,
    /// What it is asked.
    pub user: String,
}

impl Prompt {
    /// Both parts as one text, for models that know no roles.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::Prompt;
    ///
    /// let prompt = Prompt { system: "Count.".into(), user: "1, 2".into() };
    /// assert_eq!(prompt.joined(), "Count.\n\n1, 2");
    /// ```
    #[must_use]
    pub fn joined(&self) -> String {
        [self.system.as_str(), self.user.as_str()].join("\n\n")
    }
}
