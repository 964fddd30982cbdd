//! The part of the text that some context shows, stored once however many contexts show it.

use std::collections::BTreeMap;

use super::columns::Columns;
use super::scan::{Corpus, Scanned};

pub struct Text {
    /// Whether a row is on the page, and where.
    shown: Vec<bool>,
    places: Vec<u32>,
    /// Tokens that occur, and their number on the page.
    numbers: BTreeMap<u32, u32>,
}

impl Text {
    pub fn new(scanned: &Scanned) -> Self {
        let tokens = &scanned.corpus.tokens;
        let mut shown = vec![false; tokens.len()];
        for profile in &scanned.profiles {
            for context in profile.top.contexts().chain(profile.samples.contexts()) {
                shown[context.first..context.first + context.length].fill(true);
            }
        }
        let mut next = 0;
        let place = |&shown: &bool| {
            let place = next;
            next += u32::from(shown);
            place
        };
        let places = shown.iter().map(place).collect();
        let on_page = tokens.iter().zip(&shown).filter(|(_, shown)| **shown);
        let mut numbers: BTreeMap<u32, u32> = on_page.map(|(&token, _)| (token, 0)).collect();
        numbers.values_mut().zip(0..).for_each(|(number, next)| *number = next);
        Self { shown, places, numbers }
    }

    /// Tokens that occur, in the order of their numbers.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        self.numbers.keys().copied()
    }

    /// Number of a token on the page.
    pub fn number(&self, token: u32) -> u32 {
        self.numbers[&token]
    }

    /// Place of a row on the page.
    pub fn place(&self, row: usize) -> u32 {
        self.places[row]
    }

    /// Writes the text, in two bytes a token where they suffice.
    pub fn add(&self, columns: &mut Columns, corpus: &Corpus) {
        let shown = corpus.tokens.iter().zip(&self.shown).filter(|(_, shown)| **shown);
        let numbers: Vec<u32> = shown.map(|(&token, _)| self.number(token)).collect();
        let short: Option<Vec<u16>> = numbers.iter().map(|&number| u16::try_from(number).ok()).collect();
        match short {
            Some(short) => columns.add("text", short),
            None => columns.add("text", numbers),
        }
    }
}
