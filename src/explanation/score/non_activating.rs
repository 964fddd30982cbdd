//! Texts on which a neuron is silent: random ones, and hard ones on which its neighbours fire.
//!
//! ```text
//! neighbours  latents with the largest cosine of decoder directions, or with the largest share of common texts:
//!             |texts of a ∩ texts of b| / |texts of a ∪ texts of b|
//! ```
//!
//! An explanation that only says what a neuron's neighbours do, too, passes a test with random texts and fails one with theirs.
//!
//! Source: Paulo et al., "Automatically Interpreting Millions of Features in Large Language Models" (arXiv 2410.13928), on
//! non-activating examples. Here they are drawn without replacement and from a stream for each latent.

use alloc::vec::Vec;
use core::cmp::Ordering;

use ndarray::{Array1, ArrayRef2, Axis};

use crate::error::{check_each, check_limit};
use crate::math::directions::cosines;
use crate::math::random::choose;
use crate::math::rank::largest_first;
use crate::{Result, Scalar, Seed};

/// Purpose of the random streams, one for each latent.
const PURPOSE: u64 = 0x7369_6c65_6e74;

/// Which latents fire on which texts, and how strongly.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Firings {
    texts: usize,
    /// For each latent its texts, ascending, with the largest activation in each.
    latents: Vec<Vec<(usize, f64)>>,
}

/// A latent that is like another one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NearLatent {
    /// Which.
    pub latent: usize,
    /// Cosine of the directions, or share of common texts.
    pub similarity: f64,
}

/// A text on which the latent is silent.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NonActivating {
    /// Which text.
    pub text: usize,
    /// The neighbour that fires on it; `None` for a random text.
    pub neighbour: Option<NearLatent>,
}

impl Firings {
    /// Of a corpus of so many texts: for each latent the texts on which it fires with its largest activation there.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a text that there is not or that comes twice, and for an
    /// activation that is not finite and above 0.
    pub fn new(texts: usize, mut latents: Vec<Vec<(usize, f64)>>) -> Result<Self> {
        for firings in &mut latents {
            firings.sort_unstable_by_key(|(text, _)| *text);
            let mut next = 0.0;
            let numbers: Vec<f64> = firings.iter().map(|(text, _)| *text as f64).collect();
            check_each("texts", &numbers, "each text of the corpus at most once", |text: f64| {
                let fits = text >= next && text < texts as f64;
                next = text + 1.0;
                fits
            })?;
            let activations: Vec<f64> = firings.iter().map(|(_, activation)| *activation).collect();
            check_each("activations", &activations, "finite and > 0", |a: f64| a > 0.0 && a.is_finite())?;
        }
        Ok(Self { texts, latents })
    }

    /// From the largest activations `(texts, latents)`, where a latent fires above 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for NaN and infinity.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::Firings;
    /// use limpid::Seed;
    /// use ndarray::array;
    ///
    /// let firings = Firings::from_largest(&array![[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]])?;
    /// let near = firings.neighbours_by_co_occurrence(0, 1)?;
    /// assert_eq!((near[0].latent, near[0].similarity), (1, 0.5));
    /// assert_eq!(firings.hard(0, &near, 10)?[0].text, 1);
    /// assert_eq!(firings.random(0, 5, Seed(0))?.len(), 2);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn from_largest<T: Scalar>(largest: &ArrayRef2<T>) -> Result<Self> {
        check_each("largest", largest, "finite", |x: T| x.is_finite())?;
        let of = |column: ndarray::ArrayView1<'_, T>| {
            let firing = column.iter().enumerate().filter(|(_, x)| **x > T::zero());
            firing.map(|(text, x)| (text, x.as_f64())).collect()
        };
        Self::new(largest.nrows(), largest.columns().into_iter().map(of).collect())
    }

    /// Number of texts.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.texts
    }

    fn of(&self, latent: usize) -> Result<&[(usize, f64)]> {
        check_limit("latent", latent, self.latents.len().saturating_sub(1))?;
        // there may be no latents at all
        Ok(self.latents.get(latent).map_or(&[], Vec::as_slice))
    }

    /// Up to `count` texts on which the latent is silent, each at most once, in random order; fewer where there are fewer.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for a latent that there is not.
    pub fn random(&self, latent: usize, count: usize, seed: Seed) -> Result<Vec<NonActivating>> {
        let firing = self.of(latent)?;
        let fires = |text: &usize| firing.binary_search_by_key(text, |(text, _)| *text).is_ok();
        let mut silent: Vec<usize> = (0..self.texts).filter(|text| !fires(text)).collect();
        choose(&mut seed.stream(PURPOSE, latent as u64), count, &mut silent);
        silent.truncate(count);
        Ok(silent.into_iter().map(|text| NonActivating { text, neighbour: None }).collect())
    }

    /// The `count` latents with the largest share of texts in common with this one, those with none left out; equal ones by
    /// number.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for a latent that there is not.
    pub fn neighbours_by_co_occurrence(&self, latent: usize, count: usize) -> Result<Vec<NearLatent>> {
        let firing = self.of(latent)?;
        let share = |other: &Vec<(usize, f64)>| {
            let both = common(firing, other);
            let either = firing.len() + other.len() - both;
            if either == 0 { 0.0 } else { both as f64 / either as f64 }
        };
        let shares: Array1<f64> = self.latents.iter().map(share).collect();
        Ok(nearest(&shares, latent, count).filter(|neighbour| neighbour.similarity > 0.0).collect())
    }

    /// Texts on which a neighbour fires and the latent is silent: for each neighbour up to `per_neighbour`, those first on
    /// which it fires most. A text comes once, with the first neighbour that has it.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for a latent that there is not.
    pub fn hard(&self, latent: usize, neighbours: &[NearLatent], per_neighbour: usize) -> Result<Vec<NonActivating>> {
        let mut taken = alloc::vec![false; self.texts];
        self.of(latent)?.iter().for_each(|(text, _)| taken[*text] = true);
        let mut found = Vec::new();
        for &neighbour in neighbours {
            let mut firing: Vec<(usize, f64)> =
                self.of(neighbour.latent)?.iter().copied().filter(|(text, _)| !taken[*text]).collect();
            firing.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (text, _) in firing.into_iter().take(per_neighbour) {
                taken[text] = true;
                found.push(NonActivating { text, neighbour: Some(neighbour) });
            }
        }
        Ok(found)
    }
}

/// The `count` latents whose decoder directions, the rows of `decoder: (m, d)`, have the largest cosines with that of this
/// one; equal ones by number.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge) for a latent that there is not, [`Error::NotFinite`](crate::Error::NotFinite).
pub fn neighbours_by_cosine<T: Scalar>(decoder: &ArrayRef2<T>, latent: usize, count: usize) -> Result<Vec<NearLatent>> {
    check_limit("latent", latent, decoder.nrows().saturating_sub(1))?;
    if decoder.nrows() == 0 {
        return Ok(Vec::new());
    }
    let own = decoder.row(latent).insert_axis(Axis(0));
    let similarities = cosines(decoder, &own)?.iter().map(|cosine| cosine.as_f64()).collect();
    Ok(nearest(&similarities, latent, count).collect())
}

/// The `count` most similar ones but `latent` itself.
fn nearest(similarity: &Array1<f64>, latent: usize, count: usize) -> impl Iterator<Item = NearLatent> {
    let order = largest_first(similarity, count.saturating_add(1));
    let others = order.into_iter().filter(move |&other| other != latent).take(count);
    others.map(|latent| NearLatent { latent, similarity: similarity[latent] })
}

/// Number of texts that two ascending lists share.
fn common(a: &[(usize, f64)], b: &[(usize, f64)]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some((x, _)), Some((y, _))) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => (i, j, count) = (i + 1, j + 1, count + 1),
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use ndarray::{Array2, array};

    fn firings() -> Firings {
        // latent 0 fires on 0 and 1, latent 1 on 1, 2 and 3, latent 2 on 4, latent 3 never
        let latents = vec![vec![(1, 2.0), (0, 1.0)], vec![(2, 5.0), (1, 1.0), (3, 9.0)], vec![(4, 1.0)], vec![]];
        Firings::new(6, latents).unwrap()
    }

    #[test]
    fn random_texts_are_silent_and_come_once() {
        let found = firings().random(0, 3, Seed(1)).unwrap();
        let texts: BTreeSet<usize> = found.iter().map(|found| found.text).collect();
        assert!(texts.len() == 3 && texts.iter().all(|text| (2..6).contains(text)));
        assert_eq!(firings().random(0, 99, Seed(1)).unwrap().len(), 4);
        let seeds: BTreeSet<usize> = (0..40).map(|s| firings().random(0, 1, Seed(s)).unwrap()[0].text).collect();
        assert_eq!(seeds, BTreeSet::from([2, 3, 4, 5]));
    }

    #[test]
    fn neighbours_share_texts_or_directions() {
        let near = firings().neighbours_by_co_occurrence(0, 5).unwrap();
        assert_eq!(near, [NearLatent { latent: 1, similarity: 0.25 }]);
        assert!(firings().neighbours_by_co_occurrence(3, 5).unwrap().is_empty());
        let decoder = array![[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]];
        let order = |latent, count| {
            let near = neighbours_by_cosine(&decoder, latent, count).unwrap();
            near.into_iter().map(|near| near.latent).collect::<Vec<_>>()
        };
        assert_eq!((order(0, 2), order(0, 9)), (vec![2, 1], vec![2, 1, 3, 4]));
        assert!(neighbours_by_cosine(&Array2::<f64>::zeros((0, 2)), 0, 3).unwrap().is_empty());
        assert!(neighbours_by_cosine(&decoder, 5, 1).is_err());
    }

    #[test]
    fn hard_texts_are_the_strongest_of_the_neighbours() {
        let near = |latent| NearLatent { latent, similarity: 0.5 };
        let texts = |neighbours: &[NearLatent], per| {
            firings().hard(0, neighbours, per).unwrap().into_iter().map(|found| found.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(&[near(1), near(2), near(1)], 10), [3, 2, 4]);
        assert_eq!(texts(&[near(1)], 1), [3]);
        assert!(firings().hard(0, &[near(9)], 1).is_err() && firings().random(7, 1, Seed(0)).is_err());
    }

    #[test]
    fn bad_firings_are_refused() {
        assert!(Firings::new(2, vec![vec![(2, 1.0)]]).is_err());
        assert!(Firings::new(2, vec![vec![(1, 1.0), (1, 2.0)]]).is_err());
        assert!(Firings::new(2, vec![vec![(1, 0.0)]]).is_err() && Firings::new(2, vec![vec![(1, f64::NAN)]]).is_err());
        assert!(Firings::from_largest(&array![[f64::NAN]]).is_err());
        assert!(Firings::new(0, vec![]).unwrap().random(0, 1, Seed(0)).unwrap().is_empty());
    }
}
