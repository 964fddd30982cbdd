//! Asking a model to rate its own words.
//!
//! Both orders of the study are there: the importance first and then the prediction, or the other way round. The answer that is
//! asked for is what [`parse`](super::parse) reads.
//!
//! Source: Huang et al., "Can Large Language Models Explain Themselves?" (arXiv 2310.11207), for the two orders and the form of
//! the answer; the wording is ours.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::explanation::Prompt;
use crate::explanation::text::escape;

/// What the model gives first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// The importance of the words, then the prediction.
    #[default]
    ExplainThenPredict,
    /// The prediction, then the importance of the words.
    PredictThenExplain,
}

/// Asks for the class of a text, the confidence in it, and the importance of every one of its `words`. The `classes` are
/// numbered from 0; a positive importance speaks for the last of them.
///
/// # Example
/// ```
/// use limpid::explanation::self_report::{Order, prompt};
///
/// let asked = prompt(&["a", "fine", "film"], &["negative", "positive"], Order::PredictThenExplain);
/// assert!(asked.system.contains("1 = positive"));
/// assert!(asked.user.ends_with("Words: ['a', 'fine', 'film']"));
/// ```
#[must_use]
pub fn prompt<S: AsRef<str>>(words: &[S], classes: &[&str], order: Order) -> Prompt {
    let named: Vec<String> = classes.iter().enumerate().map(|(class, name)| format!("{class} = {name}")).collect();
    let last = classes.last().copied().unwrap_or("the class");
    let list = format!(
        "a list with one pair for every word and every punctuation mark, in the order of the text and with none left out: \
         [('word', importance), ...]. An importance lies between -1 and 1: above 0 where the word speaks for {last}, below 0 \
         where it speaks against it, 0 where it makes no difference"
    );
    let pair = "a pair (class, confidence), where class is the number of the class and confidence, between 0 and 1, is how sure \
                you are of it"
        .to_string();
    let [first, second] = match order {
        Order::ExplainThenPredict => [list, pair],
        Order::PredictThenExplain => [pair, list],
    };
    let system = format!(
        "You decide to which class a text belongs. The classes are: {}.\nAnswer on two lines and write nothing else.\nLine 1: \
         {first}.\nLine 2: {second}.",
        named.join(", ")
    );
    let text: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let user = format!("Text: {}\nWords: [{}]", text.join(" "), quoted(words).join(", "));
    Prompt { system, user }
}

/// The words in single quotes, with what would end them early escaped.
fn quoted<S: AsRef<str>>(words: &[S]) -> Vec<String> {
    let quote = |word: &S| {
        let mut escaped = String::new();
        escape(word.as_ref(), &mut escaped);
        format!("'{}'", escaped.replace('\'', "\\'"))
    };
    words.iter().map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::self_report::parse;

    #[test]
    fn the_order_is_as_asked() {
        let system = |order| prompt(&["so"], &["no", "yes"], order).system;
        let place = |system: &str, part: &str| system.find(part).unwrap();
        let explain = system(Order::ExplainThenPredict);
        assert!(place(&explain, "('word', importance)") < place(&explain, "(class, confidence)"));
        let predict = system(Order::PredictThenExplain);
        assert!(place(&predict, "('word', importance)") > place(&predict, "(class, confidence)"));
        assert!(explain.contains("0 = no, 1 = yes") && explain.contains("speaks for yes"));
    }

    #[test]
    fn words_come_back_from_an_answer_in_the_asked_form() {
        let words = ["it's", "\\", "\"so\"", "(a", "b]", ",", ""];
        let items: Vec<String> = quoted(&words).iter().map(|word| format!("({word}, 0.5)")).collect();
        let report = parse(&format!("[{}]\n(1, 0.5)", items.join(", ")), &[]);
        let read: Vec<&str> = report.items.iter().map(|item| item.word.as_str()).collect();
        assert_eq!((read.as_slice(), report.warnings.len()), (&words[..], 0));
    }
}
