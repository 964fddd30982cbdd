//! Asking a model to explain a neuron.
//!
//! ```text
//! <start>          each record: a line for each token with a tab and its digit
//! token  digit     where few digits are above 0, the same records again without those that are 0
//! <end>
//! ```
//!
//! On a revision the explanations that were tried stand behind the records with their scores.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), sections on explanation and revision, for
//! the form; the wording is ours.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::prompt::{check_digits, line};
use super::revise::Attempt;
use crate::Result;
use crate::explanation::Prompt;
use crate::explanation::text::{escape, without_quotes};

/// Share of digits above 0 below which they are shown once more by themselves.
const FEW: f64 = 0.2;

/// How explanations begin; models repeat it.
const BEGINNING: &str = "The neuron responds to";

/// Asks for an explanation of records, each given by its tokens `(t)` and their digits `(t)` in `0..=10`, better than those
/// `tried`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a record without a digit for each token,
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a digit above 10.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::{explaining, read_explanation};
///
/// let tokens = ["a", " red", " bus"].map(String::from);
/// let asked = explaining(&[(&tokens, &[0, 9, 0])], &[])?;
/// assert!(asked.user.contains("<start>\na\t0\n red\t9\n bus\t0\n<end>\n"));
/// assert_eq!(read_explanation("The neuron responds to: \"names of colours.\"\n"), "names of colours");
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn explaining(records: &[(&[String], &[u8])], tried: &[Attempt]) -> Result<Prompt> {
    for (tokens, digits) in records {
        check_digits(tokens, digits)?;
    }
    let mut user = String::new();
    block(records, |_| true, &mut user);
    let digits = || records.iter().flat_map(|(_, digits)| digits.iter());
    let above = digits().filter(|digit| **digit > 0).count();
    if above > 0 && (above as f64) < FEW * digits().count() as f64 {
        user.push_str("\nThe same without the tokens that it does not respond to:\n");
        block(records, |digit| digit > 0, &mut user);
    }
    if !tried.is_empty() {
        user.push_str("\nExplanations that were tried, each with its score, of which 1 is the best:\n");
        for Attempt { explanation, score, .. } in tried {
            let score = score.map_or_else(|reason| format!("none, as {reason}"), |score| format!("{score:.2}"));
            user.push_str("- ");
            escape(explanation, &mut user);
            user.push_str(&format!(" ({score})\n"));
        }
        user.push_str("Give a better one.\n");
    }
    user.push_str(&format!("\n{BEGINNING}"));
    let system = "You explain what a neuron in a language model responds to. You are shown texts token by token; behind each token \
                  stand a tab and a whole number from 0 (no response) to 10 (the strongest there is). Look for what the tokens \
                  with high numbers have in common that others lack, in themselves or in what stands before them. Answer with one \
                  short phrase that would let somebody else predict the numbers of a new text."
        .to_string();
    Ok(Prompt { system, user })
}

/// The explanation in a model's answer: its first line that says something, without a repeated beginning, quotes and a full stop.
#[must_use]
pub fn read_explanation(answer: &str) -> String {
    let beginning = BEGINNING.to_lowercase();
    let without_beginning = |line: &str| -> String {
        let same = line.get(..beginning.len()).is_some_and(|start| start.to_lowercase() == beginning);
        let rest = if same { &line[beginning.len()..] } else { line };
        let rest = rest.trim_start_matches([':', ' ']).trim();
        without_quotes(rest.trim_end_matches('.')).trim_end_matches('.').trim().to_string()
    };
    let lines: Vec<String> = answer.lines().map(str::trim).map(without_beginning).collect();
    lines.into_iter().find(|line| line.chars().any(char::is_alphanumeric)).unwrap_or_default()
}

/// The tokens whose digits are `wanted`.
fn block(records: &[(&[String], &[u8])], wanted: impl Fn(u8) -> bool, out: &mut String) {
    for (tokens, digits) in records {
        out.push_str("<start>\n");
        for (token, digit) in tokens.iter().zip(*digits).filter(|(_, digit)| wanted(**digit)) {
            line(token, &digit.to_string(), out);
        }
        out.push_str("<end>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::explanation::Undefined;
    use crate::explanation::simulate::Accounting;

    #[test]
    fn few_responses_are_shown_twice_and_attempts_with_their_scores() {
        let tokens: Vec<String> = ["a", "b", "c\n", "d", "e", "f"].map(String::from).to_vec();
        let attempt = |explanation: &str, score| Attempt {
            explanation: explanation.to_string(),
            score,
            accounting: Accounting::default(),
            shown: 1,
        };
        let tried = [attempt("letters", Ok(0.25)), attempt("?", Err(Undefined::NoPrediction))];
        let asked = explaining(&[(&tokens, &[0, 0, 7, 0, 0, 0])], &tried).unwrap();
        assert_eq!(asked.user.matches("c\\n\t7\n").count(), 2);
        assert!(asked.user.contains("<start>\nc\\n\t7\n<end>\n"));
        assert!(asked.user.contains("- letters (0.25)\n- ? (none, as there is no prediction)\n"));
        let often = explaining(&[(&tokens, &[1, 1, 7, 0, 0, 0])], &[]).unwrap();
        assert!(often.user.matches("<start>").count() == 1 && often.user.ends_with("\nThe neuron responds to"));
    }

    #[test]
    fn an_explanation_is_one_line() {
        for answer in ["years", "\n the neuron responds to years.\nBecause", "“years”", "The neuron responds to: years"]
        {
            assert_eq!(read_explanation(answer), "years", "{answer}");
        }
        assert_eq!((read_explanation(""), read_explanation("...\n\"\"")), (String::new(), String::new()));
        assert_eq!(read_explanation("é".repeat(12).as_str()), "é".repeat(12));
    }

    #[test]
    fn records_are_checked() {
        let tokens = ["a".to_string()];
        assert!(matches!(explaining(&[(&tokens, &[])], &[]), Err(Error::Shape { what: "digits", .. })));
        let large = explaining(&[(&tokens, &[11])], &[]);
        assert!(matches!(large, Err(Error::OutOfRange { what: "digits", index: 0, .. })));
    }
}
