//! A [`Simulator`] on top of any function from a prompt to an answer.

use limpid::explanation::Prompt;
use limpid::explanation::simulate::{Asking, Completion, Digits, Form, Simulation, Simulator, echoed};

use super::Outcome;

/// Tokens with their log-probabilities at one place of a text.
pub type Likeliest = Vec<(String, f64)>;

/// What is asked of a model with a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The prompt's own tokens, with the likeliest tokens at the place of each; nothing new.
    Echo,
    /// The likeliest tokens at the place of the first new one.
    Next,
    /// The text of the answer.
    Text,
}

/// What a model says.
pub enum Answer {
    /// To [`Ask::Echo`]: tokens of `prompt.joined()`, or of `prompt.user` alone, and the likeliest at the place of each.
    Echo { tokens: Vec<String>, likeliest: Vec<Likeliest> },
    /// To [`Ask::Next`].
    Next(Likeliest),
    /// To [`Ask::Text`].
    Text(String),
    /// It did not answer: its tokens count as failed.
    Nothing,
}

/// How the tokens of a text are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One call for a text, where the model gives log-probabilities of the prompt.
    AllAtOnce,
    /// One call for a token, where it gives those of new tokens only.
    OneAtATime,
    /// One call for a text, where it gives none.
    Written(Form),
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::AllAtOnce => "for all tokens at once",
            Self::OneAtATime => "for one token at a time",
            Self::Written(_) => "for a written list",
        }
    }
}

/// A model that `complete` reaches.
pub struct LanguageModel<F> {
    pub asking: Asking,
    pub way: Way,
    pub complete: F,
}

impl<F: FnMut(&Prompt, Ask) -> Outcome<Answer>> LanguageModel<F> {
    /// The first prompt for a text.
    pub fn prompt(&self, explanation: &str, tokens: &[String]) -> limpid::Result<Prompt> {
        match self.way {
            Way::AllAtOnce => Ok(self.asking.all_at_once(explanation, tokens)?.prompt),
            Way::OneAtATime => self.asking.one_at_a_time(explanation, tokens, 0),
            Way::Written(form) => self.asking.written(explanation, tokens, form),
        }
    }

    /// The likeliest tokens at each hidden value of an echoed prompt.
    fn all_at_once(&mut self, explanation: &str, tokens: &[String]) -> Outcome<Vec<Option<Likeliest>>> {
        let asked = self.asking.all_at_once(explanation, tokens)?;
        let Answer::Echo { tokens: pieces, likeliest } = (self.complete)(&asked.prompt, Ask::Echo)? else {
            return Ok(vec![None; tokens.len()]);
        };
        // the slots count in the user's part, which stands at the end of what was echoed
        let before = pieces.iter().map(String::len).sum::<usize>().saturating_sub(asked.prompt.user.len());
        let slots: Vec<usize> = asked.slots.iter().map(|slot| before + slot).collect();
        let places = echoed(&pieces, &slots);
        Ok(places.into_iter().map(|place| likeliest.get(place?).cloned()).collect())
    }

    fn one_at_a_time(&mut self, explanation: &str, tokens: &[String]) -> Outcome<Vec<Option<Likeliest>>> {
        let mut all = Vec::with_capacity(tokens.len());
        for at in 0..tokens.len() {
            let prompt = self.asking.one_at_a_time(explanation, tokens, at)?;
            let Answer::Next(likeliest) = (self.complete)(&prompt, Ask::Next)? else {
                all.push(None);
                continue;
            };
            all.push(Some(likeliest));
        }
        Ok(all)
    }
}

impl<F: FnMut(&Prompt, Ask) -> Outcome<Answer>> Simulator<f64> for LanguageModel<F> {
    type Error = Box<dyn std::error::Error>;

    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Outcome<Simulation<f64>> {
        let likeliest = match self.way {
            Way::AllAtOnce => self.all_at_once(explanation, tokens)?,
            Way::OneAtATime => self.one_at_a_time(explanation, tokens)?,
            Way::Written(form) => {
                let prompt = self.asking.written(explanation, tokens, form)?;
                let answer = (self.complete)(&prompt, Ask::Text)?;
                // no text is no answer to any token
                let text = if let Answer::Text(text) = answer { text } else { String::new() };
                return Ok(Completion::default().read(form, &text, tokens)?.simulation);
            }
        };
        Ok(Digits::default().simulate(&likeliest)?)
    }
}
