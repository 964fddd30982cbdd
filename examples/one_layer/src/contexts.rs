//! Contexts that a reader of any text knows: predicates of the characters up to a place, so that the model can know them too.

use std::collections::BTreeMap;

/// Letters of a common word, at least and at most.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=8;
/// Common words that are contexts.
const WORDS: usize = 3;

/// A context: where it holds is known for every character of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub name: String,
    /// Whether it holds after each character.
    pub holds: Vec<bool>,
}

/// What is known about the text before and at a place.
struct Place<'a> {
    characters: &'a [char],
    at: usize,
    /// First character of the line, and of the run of letters.
    line: usize,
    word: usize,
    /// Whether a quotation mark of this line is open.
    quoted: bool,
}

impl Place<'_> {
    fn now(&self) -> char {
        self.characters[self.at]
    }

    fn before(&self) -> char {
        if self.at == 0 { '\n' } else { self.characters[self.at - 1] }
    }

    fn line(&self) -> &[char] {
        &self.characters[self.line..=self.at]
    }

    fn ends(&self, word: &str) -> bool {
        self.at + 1 - self.word == word.chars().count()
            && self.characters[self.word..=self.at].iter().copied().eq(word.chars())
    }
}

/// Name and predicate.
type Rule = (&'static str, fn(&Place<'_>) -> bool);

const RULES: [Rule; 14] = [
    ("line of capitals (a name)", |p| {
        let letters = p.line().iter().filter(|c| c.is_alphabetic()).count();
        letters >= 2 && !p.line().iter().any(|c| c.is_lowercase())
    }),
    ("capital after a capital", |p| p.now().is_uppercase() && p.before().is_uppercase()),
    ("line break", |p| p.now() == '\n'),
    ("empty line", |p| p.now() == '\n' && p.before() == '\n'),
    ("line break inside a sentence (verse)", |p| p.now() == '\n' && !"\n.!?:;-".contains(p.before())),
    ("first letter of a line", |p| p.before() == '\n' && p.now().is_alphabetic()),
    ("space after , ; :", |p| p.now() == ' ' && ",;:".contains(p.before())),
    ("end of a sentence", |p| ".!?".contains(p.now())),
    ("digit", |p| p.now().is_ascii_digit()),
    ("q", |p| "qQ".contains(p.now())),
    ("inside a capitalised word", |p| p.word < p.at && p.characters[p.word].is_uppercase() && p.now().is_lowercase()),
    ("first letter of a word", |p| p.before() == ' ' && p.now().is_lowercase()),
    ("after an apostrophe", |p| p.now().is_alphabetic() && "'\u{2019}".contains(p.before())),
    ("inside quotation marks", |p| p.quoted),
];

/// All contexts of a text; the most common words are those of its first `training` characters.
pub(crate) fn all(characters: &[char], training: usize) -> Vec<Context> {
    let words = common(&characters[..training]);
    let mut contexts: Vec<Context> = RULES.iter().map(|rule| empty(rule.0)).collect();
    contexts.extend(words.iter().map(|word| empty(&format!("the word {word:?}"))));
    let (mut line, mut word, mut quoted) = (0, 0, false);
    for at in 0..characters.len() {
        if !characters[at].is_alphabetic() {
            word = at + 1;
        }
        if characters[at] == '"' {
            quoted = !quoted;
        }
        let place = Place { characters, at, line, word, quoted };
        for (context, rule) in contexts.iter_mut().zip(&RULES) {
            context.holds.push(rule.1(&place));
        }
        for (context, word) in contexts[RULES.len()..].iter_mut().zip(&words) {
            context.holds.push(place.ends(word));
        }
        if characters[at] == '\n' {
            (line, quoted) = (at + 1, false);
        }
    }
    contexts
}

fn empty(name: &str) -> Context {
    Context { name: name.to_owned(), holds: Vec::new() }
}

/// The most common words of moderate length.
fn common(characters: &[char]) -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    for word in characters.split(|c| !c.is_alphabetic()).filter(|word| LETTERS.contains(&word.len())) {
        *counts.entry(word.iter().collect()).or_default() += 1;
    }
    let mut words: Vec<(String, usize)> = counts.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    words.into_iter().take(WORDS).map(|(word, _)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The characters at which a context holds, others as dots.
    fn marked(text: &str, name: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let contexts = all(&characters, characters.len());
        let context = contexts.iter().find(|context| context.name.starts_with(name)).unwrap();
        assert_eq!(context.holds.len(), characters.len());
        let mark = |(&c, &holds): (&char, &bool)| match (holds, c) {
            (false, _) => '.',
            (true, '\n') => '/',
            (true, c) => c,
        };
        characters.iter().zip(&context.holds).map(mark).collect()
    }

    #[test]
    fn contexts_hold_where_they_should() {
        let text = "JO HN:\nThe the \"quit\" 12,\nDon't the.\n";
        assert_eq!(marked(text, "line of capitals"), ".O HN:/..............................");
        assert_eq!(marked(text, "capital after"), ".O..N................................");
        assert_eq!(marked(text, "line break inside"), "........................./...........".replace(" ", ""));
        assert_eq!(marked(text, "first letter of a line"), "J......T..................D..........");
        assert_eq!(marked(text, "digit"), "......................12.............");
        assert_eq!(marked(text, "q"), "................q....................");
        assert_eq!(marked(text, "inside quotation"), "...............\"quit.................");
        assert_eq!(marked(text, "after an apostrophe"), "..............................t......");
        assert_eq!(marked(text, "the word \"the\""), ".............e....................e..");
        assert_eq!(marked(text, "inside a capitalised"), "........he.................on........");
        assert_eq!(marked("a b\n\nc", "empty line"), "..../.");
    }
}
