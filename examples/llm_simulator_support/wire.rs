//! Requests and answers as lines of JSON: what a small script, or a person, can carry to a model and back.
//!
//! ```text
//! out  {"id":0,"ask":"echo","system":"..","user":".."}
//! in   {"id":0,"tokens":["..",..],"likeliest":[{"0":-0.1,..},..]}     ask echo: log-probabilities at each token of the prompt
//!      {"id":1,"likeliest":{"0":-0.1,"7":-2.5}}                       ask next: of the first new token
//!      {"id":2,"text":".."}                                           ask text
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;

use limpid::explanation::Prompt;
use serde_json::{Value, json};

use super::Outcome;
use super::simulator::{Answer, Ask, Likeliest};

/// Answers of an earlier time, or that a process at the other end of a pipe is just writing.
pub struct Recorded {
    lines: Option<std::io::Lines<BufReader<File>>>,
    /// Answers that came before they were asked for.
    early: BTreeMap<u64, Value>,
    next: u64,
    pub unanswered: usize,
}

impl Recorded {
    /// Without a file nothing is answered.
    pub fn open(answers: Option<&Path>) -> Outcome<Self> {
        let open = |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
        let lines = answers.map(open).transpose()?.map(|file| BufReader::new(file).lines());
        Ok(Self { lines, early: BTreeMap::new(), next: 0, unanswered: 0 })
    }

    /// Writes a request, and reads on until its answer comes.
    pub fn answer(&mut self, prompt: &Prompt, ask: Ask) -> Outcome<Answer> {
        let (id, name) = (self.next, format!("{ask:?}").to_lowercase());
        self.next += 1;
        let Prompt { system, user } = prompt;
        let mut out = stdout().lock();
        writeln!(out, "{}", json!({ "id": id, "ask": name, "system": system, "user": user }))?;
        out.flush()?;
        while !self.early.contains_key(&id) {
            let Some(line) = self.lines.as_mut().and_then(Iterator::next).transpose()? else { break };
            if !line.trim().is_empty() {
                let value: Value = serde_json::from_str(&line)?;
                let id = value["id"].as_u64().ok_or("an answer without the id of its request")?;
                self.early.insert(id, value);
            }
        }
        match self.early.remove(&id) {
            Some(value) => read(&value, ask).ok_or_else(|| format!("answer {id}: not what was asked for").into()),
            None => {
                self.unanswered += 1;
                Ok(Answer::Nothing)
            }
        }
    }
}

fn read(value: &Value, ask: Ask) -> Option<Answer> {
    let likeliest = |value: &Value| -> Option<Likeliest> {
        value.as_object()?.iter().map(|(token, l)| Some((token.clone(), l.as_f64()?))).collect()
    };
    Some(match ask {
        Ask::Echo => Answer::Echo {
            tokens: value["tokens"]
                .as_array()?
                .iter()
                .map(|token| token.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            // the first token has none, which is null
            likeliest: value["likeliest"]
                .as_array()?
                .iter()
                .map(|at| if at.is_null() { Some(Likeliest::new()) } else { likeliest(at) })
                .collect::<Option<_>>()?,
        },
        Ask::Next => Answer::Next(likeliest(&value["likeliest"])?),
        Ask::Text => Answer::Text(value["text"].as_str()?.to_owned()),
    })
}
