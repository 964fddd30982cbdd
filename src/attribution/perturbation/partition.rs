//! Partition values: Owen values along a binary tree of the players, the most important branches first.
//!
//! ```text
//! a node stands in a context A:  f00 = v(A), f10 = v(A ∪ left), f01 = v(A ∪ right), f11 = v(A ∪ left ∪ right)
//! left  gets  ½ (f10 - f00) + ½ (f11 - f01)     right gets  ½ (f01 - f00) + ½ (f11 - f10)
//! ```
//!
//! Each of the four differences is shared out in turn, in the context without and in the context with the other branch, down
//! to single players; two coalitions per split. A split whose `weight |f11 - f00|` is large comes first, the earlier one of
//! equals. Where the budget ends, what a branch has is shared out equally below it: the values then are those of its
//! players as one, and all values still add up to `v(N) - v(∅)`.
//!
//! Source: the partition explainer of Lundberg's library `shap` (its documentation names Owen values); Owen, "Values of games
//! with a priori unions" (1977). That library breaks ties by random numbers.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::coalitions::{Coalitions, toggle};
use super::game::Game;
use super::play::Play;
use super::summary::{GameAttribution, Summary};
use crate::attribution::{Explained, Status};
use crate::error::{check_each, check_limit};
use crate::{Error, Result, Scalar, Seed};

/// Owen values along a binary tree, within a budget.
///
/// # Example
/// ```
/// use limpid::attribution::Status;
/// use limpid::attribution::perturbation::{Partition, PlayerTree, Summary, Table};
/// use ndarray::array;
///
/// // a majority of three in which players 0 and 1 always join first
/// let mut game = Table::single(array![0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0])?;
/// let tree = PlayerTree::new(vec![(0, 1), (3, 2)])?;
/// let found = Partition { tree: Some(tree), ..Partition::default() }.of(&mut game).unwrap();
/// assert_eq!((found.values, found.status), (array![[0.5], [0.5], [0.0]], Status::Exact));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Partition {
    /// The tree; `None`: halves of the players in their order, halves of those, and so on.
    pub tree: Option<PlayerTree>,
    /// Most coalitions that are asked for; for a model: per row, and times the rows of the background.
    pub budget: u64,
    /// Splits that are asked for at once; 1 follows the priorities to the letter, more make larger model calls.
    pub wave: usize,
}

impl Default for Partition {
    fn default() -> Self {
        Self { tree: None, budget: 2048, wave: 16 }
    }
}

/// Most players of a balanced tree.
const MAX_PLAYERS: usize = 1 << 24;

/// A binary tree over the players, as a list of merges.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<(usize, usize)>", into = "Vec<(usize, usize)>"))]
pub struct PlayerTree {
    /// Both children of every inner node; the first has the number `players`, the last is the root.
    merges: Vec<(usize, usize)>,
    /// All players in the order of the tree.
    leaves: Vec<usize>,
    /// Where the players below every inner node start and end in it.
    ranges: Vec<(usize, usize)>,
}

impl PlayerTree {
    /// The tree of these merges, as hierarchical clustering gives them: players are the nodes `0..M`, merge `i` makes
    /// node `M + i` of two nodes that exist and were not merged before.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a node that does not exist yet or was merged before.
    pub fn new(merges: Vec<(usize, usize)>) -> Result<Self> {
        let players = merges.len() + 1;
        let mut used = vec![false; players + merges.len()];
        let mut sizes = vec![1; players];
        for (index, &(left, right)) in merges.iter().enumerate() {
            for node in [left, right] {
                if node >= players + index || core::mem::replace(&mut used[node], true) {
                    let expected = "a node that exists and was not merged before";
                    return Err(Error::OutOfRange { what: "merges", index, value: node as f64, expected });
                }
            }
            sizes.push(sizes[left] + sizes[right]);
        }
        let (mut starts, mut leaves) = (vec![0; sizes.len()], vec![0; players]);
        for (index, &(left, right)) in merges.iter().enumerate().rev() {
            starts[left] = starts[players + index];
            starts[right] = starts[left] + sizes[left];
        }
        (0..players).for_each(|player| leaves[starts[player]] = player);
        let ranges = (players..sizes.len()).map(|node| (starts[node], starts[node] + sizes[node])).collect();
        Ok(Self { merges, leaves, ranges })
    }

    /// Halves of `players` in their order, the first one larger, down to single players.
    ///
    /// # Errors
    /// [`Error::Empty`] for no players, [`Error::TooLarge`] for more than 2²⁴.
    pub fn balanced(players: usize) -> Result<Self> {
        fn node(from: usize, to: usize, players: usize, merges: &mut Vec<(usize, usize)>) -> usize {
            if to - from == 1 {
                return from;
            }
            let middle = from + (to - from).div_ceil(2);
            let children = (node(from, middle, players, merges), node(middle, to, players, merges));
            merges.push(children);
            players + merges.len() - 1
        }
        if players == 0 {
            return Err(Error::Empty { what: "players" });
        }
        check_limit("players", players, MAX_PLAYERS)?;
        let mut merges = Vec::new();
        node(0, players, players, &mut merges);
        Self::new(merges)
    }

    /// Number of players.
    #[must_use]
    pub fn n_players(&self) -> usize {
        self.merges.len() + 1
    }

    /// Players below a node.
    fn below<'a>(&'a self, node: &'a usize) -> &'a [usize] {
        match node.checked_sub(self.n_players()) {
            None => core::slice::from_ref(node),
            Some(inner) => &self.leaves[self.ranges[inner].0..self.ranges[inner].1],
        }
    }
}

impl TryFrom<Vec<(usize, usize)>> for PlayerTree {
    type Error = Error;

    fn try_from(merges: Vec<(usize, usize)>) -> Result<Self> {
        Self::new(merges)
    }
}

impl From<PlayerTree> for Vec<(usize, usize)> {
    fn from(tree: PlayerTree) -> Self {
        tree.merges
    }
}

/// A node in a context, whose worth is to be shared out.
#[derive(Debug, Clone, PartialEq)]
struct Task {
    node: usize,
    context: Vec<u64>,
    /// `f00` and `f11`.
    without: Vec<f64>,
    with: Vec<f64>,
    weight: f64,
    priority: f64,
    number: u64,
}

impl Eq for Task {}

impl Ord for Task {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.total_cmp(&other.priority).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Task {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Scalar> Summary<T> for Partition {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        check_each("wave", &[self.wave as f64], ">= 1", |wave: f64| wave >= 1.0)?;
        check_each("budget", &[self.budget as f64], ">= 2", |budget: f64| budget >= 2.0)?;
        let mut play = Play::new(game)?;
        let balanced = if self.tree.is_none() { Some(PlayerTree::balanced(play.n)?) } else { None };
        let tree = self.tree.as_ref().or(balanced.as_ref()).ok_or(Error::Empty { what: "tree" })?;
        let expected = "the players of the game";
        check_each("players of the tree", &[tree.n_players() as f64], expected, |n: f64| n == play.n as f64)?;
        let ends = play.ends()?;
        let mut shares = Shares { tree, v: play.v, values: play.zeros(), heap: BinaryHeap::new(), number: 0 };
        let root = tree.n_players() + tree.merges.len() - 1;
        let words = vec![0; play.n.div_ceil(64)];
        shares.push(root, words, (ends.base.clone(), ends.full.clone()), 1.0);
        while !shares.heap.is_empty() {
            let splits = self.budget.saturating_sub(play.evaluations) / 2;
            let splits = usize::try_from(splits).unwrap_or(usize::MAX).min(self.wave);
            if splits == 0 {
                break;
            }
            shares.split(&mut play, splits)?;
        }
        let status = if shares.heap.is_empty() { Status::Exact } else { Status::Partial };
        shares.finish();
        let mut result = play.result("partition", &shares.values, &ends);
        result.status = status;
        Ok(result)
    }

    fn with_seed(&self, _: Seed) -> Self {
        self.clone()
    }
}

struct Shares<'a> {
    tree: &'a PlayerTree,
    v: usize,
    values: Vec<f64>,
    heap: BinaryHeap<Task>,
    number: u64,
}

impl Shares<'_> {
    /// Gives a single player its share, and puts the share of a branch up for splitting.
    fn push(&mut self, node: usize, context: Vec<u64>, (without, with): (Vec<f64>, Vec<f64>), weight: f64) {
        if node < self.tree.n_players() {
            let row = self.values[node * self.v..(node + 1) * self.v].iter_mut();
            row.zip(with.iter().zip(&without)).for_each(|(slot, (with, without))| *slot += weight * (with - without));
            return;
        }
        let gains = with.iter().zip(&without).map(|(with, without)| (with - without).abs());
        let priority = weight * gains.fold(0.0, f64::max);
        let number = self.number;
        self.number += 1;
        self.heap.push(Task { node, context, without, with, weight, priority, number });
    }

    /// Splits the most important branches.
    fn split<T: Scalar, G: Game<T> + ?Sized>(
        &mut self,
        play: &mut Play<'_, T, G>,
        splits: usize,
    ) -> Explained<(), G::Error> {
        let tasks: Vec<Task> = core::iter::from_fn(|| self.heap.pop()).take(splits).collect();
        let mut coalitions = Coalitions::new(play.n);
        for task in &tasks {
            let (left, right) = self.tree.merges[task.node - play.n];
            coalitions.push_words(&self.joined(&task.context, left));
            coalitions.push_words(&self.joined(&task.context, right));
        }
        let worth = play.values(&coalitions)?;
        let row = |row: usize| worth.row(row).iter().map(|value| value.as_f64()).collect::<Vec<f64>>();
        for (at, task) in tasks.into_iter().enumerate() {
            let (left, right) = self.tree.merges[task.node - self.tree.n_players()];
            let (f10, f01) = (row(2 * at), row(2 * at + 1));
            let half = 0.5 * task.weight;
            let (with_left, with_right) = (self.joined(&task.context, left), self.joined(&task.context, right));
            self.push(left, task.context.clone(), (task.without.clone(), f10.clone()), half);
            self.push(left, with_right, (f01.clone(), task.with.clone()), half);
            self.push(right, task.context, (task.without, f01), half);
            self.push(right, with_left, (f10, task.with), half);
        }
        Ok(())
    }

    /// The context together with the players below a node, who were not in it.
    fn joined(&self, context: &[u64], node: usize) -> Vec<u64> {
        let mut words = context.to_vec();
        self.tree.below(&node).iter().for_each(|&player| toggle(&mut words, player));
        words
    }

    /// Shares out equally what is left.
    fn finish(&mut self) {
        for task in core::mem::take(&mut self.heap).into_sorted_vec() {
            let below = self.tree.below(&task.node);
            let weight = task.weight / below.len() as f64;
            for &player in below {
                let row = self.values[player * self.v..(player + 1) * self.v].iter_mut();
                let gains = task.with.iter().zip(&task.without);
                row.zip(gains).for_each(|(slot, (with, without))| *slot += weight * (with - without));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noises as noise;
    use super::*;
    use crate::attribution::perturbation::Owen;

    #[test]
    fn a_full_tree_of_two_levels_gives_owen_values() {
        let found = Partition { budget: 1000, ..Partition::default() }.of(&mut noise(4)).unwrap();
        let owen = Owen::new(vec![0, 0, 1, 1]).of(&mut noise(4)).unwrap();
        assert!((found.values - owen.values).iter().all(|e| e.abs() < 1e-13));
        // the ends, the root, and both halves in two contexts each
        assert_eq!((found.evaluations, found.status), (2 + 2 + 8, Status::Exact));
    }

    #[test]
    fn a_small_budget_shares_out_the_rest() {
        for wave in [1, 5] {
            for budget in 2..40 {
                let found = Partition { budget, wave, tree: None }.of(&mut noise(6)).unwrap();
                assert!(found.evaluations <= budget && found.delta().iter().all(|delta| delta.abs() < 1e-12));
            }
        }
        let found = Partition { budget: 3, ..Partition::default() }.of(&mut noise(6)).unwrap();
        assert!(found.status == Status::Partial && found.values.row(0) == found.values.row(5));
        let one = Partition::default().of(&mut noise(1)).unwrap();
        assert_eq!((one.evaluations, one.status), (2, Status::Exact));
    }

    #[test]
    fn a_tree_is_a_tree() {
        assert!(PlayerTree::new(vec![(0, 1), (0, 2)]).is_err() && PlayerTree::new(vec![(0, 3), (1, 2)]).is_err());
        let tree = PlayerTree::new(vec![(2, 0), (1, 3)]).unwrap();
        assert_eq!((tree.below(&3), tree.below(&4), tree.below(&1)), (&[2, 0][..], &[1, 2, 0][..], &[1][..]));
        assert_eq!(PlayerTree::balanced(5).unwrap().merges, [(0, 1), (5, 2), (3, 4), (6, 7)]);
        assert!(PlayerTree::balanced(0).is_err() && PlayerTree::balanced(usize::MAX).is_err());
        let small = Partition { tree: Some(PlayerTree::balanced(2).unwrap()), ..Partition::default() };
        assert!(small.of(&mut noise(3)).is_err());
    }
}
