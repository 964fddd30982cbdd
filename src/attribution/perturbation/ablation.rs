//! What a game loses without each of its players.
//!
//! ```text
//! A_i = v(N) - v(N ∖ i)
//! ```

use alloc::vec;
use alloc::vec::Vec;

use super::coalitions::toggle;
use super::game::Game;
use super::play::Play;
use crate::Scalar;
use crate::attribution::Explained;

/// `v(N)`, `(values)`, and the loss without each player, `(players, values)`; `M + 1` coalitions.
///
/// The last player goes first: neighbours share the longest beginning that there is for a game played from left to right.
pub(crate) fn losses<T: Scalar, G: Game<T> + ?Sized>(
    play: &mut Play<'_, T, G>,
) -> Explained<(Vec<f64>, Vec<f64>), G::Error> {
    let (n, v) = (play.n, play.v);
    let (mut full, mut losses) = (vec![0.0; v], play.zeros());
    let without = |index: usize, words: &mut [u64]| {
        if index > 0 {
            toggle(words, n - index);
        }
    };
    play.each(n + 1, without, |index, _, worth| {
        if index == 0 {
            worth.iter().zip(&mut full).for_each(|(worth, full)| *full = worth.as_f64());
            return;
        }
        let losses = losses[(n - index) * v..(n - index + 1) * v].iter_mut();
        losses.zip(&full).zip(worth).for_each(|((loss, full), worth)| *loss = full - worth.as_f64());
    })?;
    Ok((full, losses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::{Coalitions, GameFunction};
    use ndarray::ArrayRef2;

    #[test]
    fn more_players_than_one_round_has() {
        let mut asked = Vec::new();
        let mut game = GameFunction::new((1100, 2), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            asked.push(coalitions.len());
            for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
                let sum: usize = coalition.members().sum();
                (out[0], out[1]) = (sum as f64, 7.0);
            }
            Ok::<(), ()>(())
        });
        let mut play = Play::new(&mut game).unwrap();
        let (full, losses) = losses(&mut play).unwrap();
        assert_eq!(full, [1100.0 * 1099.0 / 2.0, 7.0]);
        assert!((0..1100).all(|i| losses[2 * i] == i as f64 && losses[2 * i + 1] == 0.0));
        assert_eq!((play.evaluations, asked.as_slice()), (1101, &[512, 512, 77][..]));
    }
}
