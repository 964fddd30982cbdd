//! Words of a report to words of the input: a longest common subsequence.
//!
//! ```text
//! L_ij = 1 + L_(i+1)(j+1) where word i is item j,  else max(L_(i+1)j, L_i(j+1))
//! ```
//!
//! Models leave words out, repeat them and merge them into phrases. A word that no item is matched with has no value, which is
//! not 0. Of several longest matchings that with the earliest items is taken. Common words at both ends need no table.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::Array1;

use super::parse::Item;
use crate::Result;
use crate::error::check_limit;

/// Most pairs of words and items that are compared.
const MAX_PAIRS: usize = 1 << 26;

/// What is done with items of several words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Phrases {
    /// They are words like any other, white space included.
    #[default]
    Whole,
    /// Each of their words gets an equal share of the value.
    Split,
    /// Each of their words gets the value.
    Copy,
}

/// Values of the words of an input.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Alignment {
    /// Value of every word; `None` where no item, or one without a number, is matched with it.
    pub values: Vec<Option<f64>>,
    /// Item of every word, by its place in the report.
    pub items: Vec<Option<usize>>,
}

impl Alignment {
    /// Words that are matched over all words; `None` without words.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        let matched = self.items.iter().flatten().count();
        (!self.items.is_empty()).then(|| matched as f64 / self.items.len() as f64)
    }

    /// Values `(t)`, with `missing` where there is none.
    #[must_use]
    pub fn filled(&self, missing: f64) -> Array1<f64> {
        self.values.iter().map(|value| value.unwrap_or(missing)).collect()
    }

    /// Number of different values: models tend to give few and rounded ones.
    #[must_use]
    pub fn distinct_values(&self) -> usize {
        let mut values: Vec<f64> = self.values.iter().flatten().copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values.len()
    }
}

/// Finds the items of `words`, the input in its order.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) for more than 2²⁶ pairs of words and items between common ends.
///
/// # Example
/// ```
/// use limpid::explanation::self_report::{Phrases, align, parse};
///
/// let report = parse("[('old', 0.25), ('stone pier', 0.5)] (0, 0.5)", &[]);
/// let words = ["the", "old", "stone", "pier"];
/// let aligned = align(&report.items, &words, Phrases::Split)?;
/// assert_eq!(aligned.values, [None, Some(0.25), Some(0.25), Some(0.25)]);
/// assert_eq!(aligned.coverage(), Some(0.75));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn align<S: AsRef<str>>(items: &[Item], words: &[S], phrases: Phrases) -> Result<Alignment> {
    let parts = parts(items, phrases);
    let mut numbers = BTreeMap::new();
    let mut number = |word| {
        let next = numbers.len();
        *numbers.entry(word).or_insert(next)
    };
    let words: Vec<usize> = words.iter().map(|word| number(word.as_ref())).collect();
    let said: Vec<usize> = parts.iter().map(|part| number(part.word)).collect();
    let mut aligned = Alignment { values: vec![None; words.len()], items: vec![None; words.len()] };
    for (word, part) in common_subsequence(&words, &said)? {
        aligned.values[word] = parts[part].value;
        aligned.items[word] = Some(parts[part].item);
    }
    Ok(aligned)
}

/// A word of an item.
struct Part<'a> {
    word: &'a str,
    value: Option<f64>,
    item: usize,
}

fn parts(items: &[Item], phrases: Phrases) -> Vec<Part<'_>> {
    let mut parts = Vec::with_capacity(items.len());
    for (item, Item { word, value, .. }) in items.iter().enumerate() {
        let count = if phrases == Phrases::Whole { 1 } else { word.split_whitespace().count() };
        if count < 2 {
            parts.push(Part { word, value: *value, item });
            continue;
        }
        let share = if phrases == Phrases::Split { count as f64 } else { 1.0 };
        let value = value.map(|value| value / share);
        parts.extend(word.split_whitespace().map(|word| Part { word, value, item }));
    }
    parts
}

/// Places of a longest common subsequence of `a` and `b`, ascending.
fn common_subsequence(a: &[usize], b: &[usize]) -> Result<Vec<(usize, usize)>> {
    let front = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[front..], &b[front..]);
    let back = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (inner_a, inner_b) = (&rest_a[..rest_a.len() - back], &rest_b[..rest_b.len() - back]);
    let mut pairs: Vec<(usize, usize)> = (0..front).map(|i| (i, i)).collect();
    pairs.extend(by_table(inner_a, inner_b)?.into_iter().map(|(i, j)| (front + i, front + j)));
    pairs.extend((0..back).map(|i| (a.len() - back + i, b.len() - back + i)));
    Ok(pairs)
}

fn by_table(a: &[usize], b: &[usize]) -> Result<Vec<(usize, usize)>> {
    let (n, m) = (a.len(), b.len());
    check_limit("pairs of words and items", n.saturating_mul(m), MAX_PAIRS)?;
    // whether leaving word i out loses nothing
    let mut leave_word = vec![false; n * m];
    let (mut below, mut row) = (vec![0_u32; m + 1], vec![0_u32; m + 1]);
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            leave_word[i * m + j] = below[j] >= row[j + 1];
            row[j] = if a[i] == b[j] { below[j + 1] + 1 } else { below[j].max(row[j + 1]) };
        }
        core::mem::swap(&mut below, &mut row);
    }
    let (mut pairs, mut i, mut j) = (Vec::new(), 0, 0);
    while i < n && j < m {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if leave_word[i * m + j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::self_report::parse;
    use crate::{Error, Seed, math::random::below};
    use alloc::format;
    use alloc::string::String;

    /// Length by recursion over all choices.
    fn naive(a: &[usize], b: &[usize]) -> usize {
        match (a, b) {
            ([x, a @ ..], [y, b @ ..]) if x == y => 1 + naive(a, b),
            ([_, rest @ ..], [_, tail @ ..]) => naive(rest, b).max(naive(a, tail)),
            _ => 0,
        }
    }

    #[test]
    fn the_matching_is_the_longest() {
        let mut stream = Seed(1).stream(0, 0);
        for _ in 0..if cfg!(miri) { 5 } else { 300 } {
            let mut draw = || (0..below(&mut stream, 9)).map(|_| below(&mut stream, 3)).collect::<Vec<_>>();
            let (a, b) = (draw(), draw());
            let pairs = common_subsequence(&a, &b).unwrap();
            assert_eq!(pairs.len(), naive(&a, &b), "{a:?} {b:?}");
            assert!(pairs.iter().all(|&(i, j)| a[i] == b[j]));
            assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
        }
    }

    #[test]
    fn phrases_are_whole_split_or_copied() {
        let items = parse("[('not bad', 0.5), ('film', 0.25), ('!', 'x')]", &[]).items;
        let words = ["not", "bad", "film", "!"];
        let values = |phrases| align(&items, &words, phrases).unwrap().values;
        assert_eq!(values(Phrases::Whole), [None, None, Some(0.25), None]);
        assert_eq!(values(Phrases::Split), [Some(0.25), Some(0.25), Some(0.25), None]);
        assert_eq!(values(Phrases::Copy), [Some(0.5), Some(0.5), Some(0.25), None]);
        let aligned = align(&items, &words, Phrases::Copy).unwrap();
        assert_eq!(aligned.items, [Some(0), Some(0), Some(1), Some(2)]);
        assert_eq!((aligned.coverage(), aligned.distinct_values()), (Some(1.0), 2));
        assert_eq!(aligned.filled(0.0).to_vec(), [0.5, 0.5, 0.25, 0.0]);
        assert_eq!(align::<&str>(&items, &[], Phrases::Whole).unwrap().coverage(), None);
    }

    #[test]
    fn long_inputs_that_agree_need_no_table() {
        let n = if cfg!(miri) { 100 } else { 20_000 };
        let words: Vec<_> = (0..n).map(|i| format!("{}", i % 7)).collect();
        let items = |words: &[String]| -> Vec<Item> {
            words.iter().map(|word| Item { word: word.clone(), value: Some(1.0), flag: None }).collect()
        };
        let aligned = align(&items(&words[..n - 3]), &words, Phrases::Whole).unwrap();
        assert!(aligned.coverage().unwrap() > 0.9);
        if !cfg!(miri) {
            let other: Vec<_> = (0..n).map(|_| "x".into()).collect();
            assert!(matches!(align(&items(&other), &words, Phrases::Whole), Err(Error::TooLarge { .. })));
        }
    }
}
