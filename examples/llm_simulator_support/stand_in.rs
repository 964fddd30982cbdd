//! A stand-in for runs without a model: a token that shares a word with the explanation gets high digits, another one low ones.
//! It reads the prompts as a model would, and knows nothing else.

use limpid::explanation::Prompt;

use super::Outcome;
use super::simulator::{Answer, Ask, Likeliest};

/// What would stand for a value that is hidden.
const HIDDEN: &str = "unknown";

/// The stand-in's answer.
pub fn answer(prompt: &Prompt, ask: Ask) -> Outcome<Answer> {
    let question = prompt.user.rfind("The neuron responds to: ").ok_or("a prompt without an explanation")?;
    let (before, question) = prompt.user.split_at(question);
    let explanation = question.lines().next().unwrap_or_default();
    Ok(match ask {
        Ask::Echo => echo(before, question, explanation),
        Ask::Next => {
            let last = question.lines().find_map(|line| line.strip_prefix("Last token: ")).unwrap_or_default();
            Answer::Next(likeliest(explanation, last))
        }
        Ask::Text => {
            let line = |line: &str| {
                let token = line.split('\t').next().unwrap_or_default();
                format!("{token}\t{}\n", if fits(explanation, token) { 9 } else { 0 })
            };
            let tokens = question.lines().skip_while(|line| *line != "Tokens:").skip(1);
            Answer::Text(tokens.take_while(|line| *line != "Answer:").map(line).collect())
        }
    })
}

/// The prompt in pieces; only those at hidden values have likeliest tokens.
fn echo(before: &str, question: &str, explanation: &str) -> Answer {
    let (mut tokens, mut all) = (vec![before.to_owned()], vec![Likeliest::new()]);
    for line in question.split_inclusive('\n') {
        let Some((token, value)) = line.split_once('\t').filter(|(_, value)| value.starts_with(HIDDEN)) else {
            tokens.push(line.to_owned());
            all.push(Likeliest::new());
            continue;
        };
        let pieces = [format!("{token}\t"), HIDDEN.to_owned(), value[HIDDEN.len()..].to_owned()];
        tokens.extend(pieces);
        all.extend([Likeliest::new(), likeliest(explanation, token), Likeliest::new()]);
    }
    Answer::Echo { tokens, likeliest: all }
}

fn fits(explanation: &str, token: &str) -> bool {
    let token = token.trim();
    let words = || explanation.split(|c: char| !c.is_alphanumeric());
    token.chars().any(char::is_alphanumeric) && words().any(|word| word.eq_ignore_ascii_case(token))
}

/// As of a model that is fairly sure, and now and then says something that is no digit.
fn likeliest(explanation: &str, token: &str) -> Likeliest {
    let digits = if fits(explanation, token) {
        [("8", 0.5), ("10", 0.3), ("0", 0.1)]
    } else {
        [("0", 0.85), ("1", 0.05), ("8", 0.02)]
    };
    digits.iter().chain(&[("the", 0.05)]).map(|(digit, p): &(&str, f64)| ((*digit).to_owned(), p.ln())).collect()
}
