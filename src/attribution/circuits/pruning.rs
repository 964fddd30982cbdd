//! From scored edges to a circuit: the best edges, connected from the inputs to the output.
//!
//! ```text
//! top k    the k edges with the largest |score|
//! greedy   starting from the output: k times, of all edges into nodes of the circuit, the one with the largest |score|
//!          joins, and with it the node that it comes from
//! ```
//!
//! Both then drop every edge that lies on no path from an input to the output; fewer than `k` may be left.
//!
//! Source: Hanna, Pezzelle and Belinkov, "Have Faith in Faithfulness: Going Beyond Circuit Overlap When Finding Model
//! Mechanisms" (arXiv 2403.17806), whose circuits come from a greedy search.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use super::edge_attribution::Edge;
use crate::error::{check_each, check_limit};
use crate::{Error, Result};

/// How edges are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Search {
    /// From the output backwards, so that all of them can reach it.
    #[default]
    Greedy,
    /// The best of all.
    Top,
}

/// How many edges are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Keep {
    /// So many.
    Edges(usize),
    /// Those that count at least so much.
    AtLeast(f64),
}

/// Settings of pruning.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pruning {
    /// How edges are chosen.
    pub search: Search,
    /// How many are kept.
    pub keep: Keep,
    /// Whether an edge counts by its score as it is, not by its magnitude.
    pub signed: bool,
    /// Whether edges on no path from an input to the output are dropped.
    pub connected: bool,
}

impl Default for Pruning {
    fn default() -> Self {
        Self { search: Search::Greedy, keep: Keep::Edges(200), signed: false, connected: true }
    }
}

/// A part of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Circuit {
    /// Indices of its edges, ascending.
    pub edges: Vec<usize>,
    /// Nodes that its edges join, ascending.
    pub nodes: Vec<usize>,
}

/// Largest number of nodes.
pub const MAX_NODES: usize = 1 << 24;

impl Pruning {
    /// The circuit within `edges` between nodes `0..nodes` that leads from `inputs` to `output`.
    ///
    /// Two nodes may be joined by several edges. Of edges that count the same, the first is taken first.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for nodes that do not exist, and scores or a bound that are not numbers; [`Error::TooLarge`]
    /// above [`MAX_NODES`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::{Edge, Keep, Pruning};
    ///
    /// let edge = |from, to, score| Edge { from, to, score };
    /// // 0 -> 1 -> 3 and 0 -> 2 -> 3; the way into 1 is strong, the way out of it weak
    /// let edges = [edge(0, 1, 9.0), edge(1, 3, 0.1), edge(0, 2, 1.0), edge(2, 3, -2.0)];
    /// let pruning = Pruning { keep: Keep::Edges(2), ..Pruning::default() };
    /// assert_eq!(pruning.prune(4, &edges, &[0], 3)?.edges, [2, 3]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn prune(&self, nodes: usize, edges: &[Edge], inputs: &[usize], output: usize) -> Result<Circuit> {
        self.check(nodes, edges, inputs, output)?;
        let counts = |edge: &Edge| if self.signed { edge.score } else { edge.score.abs() };
        let values: Vec<f64> = edges.iter().map(counts).collect();
        let mut kept = match self.search {
            Search::Greedy => self.greedy(nodes, edges, &values, output),
            Search::Top => self.top(&values),
        };
        if self.connected {
            connect(nodes, edges, &mut kept, inputs, output);
        }
        let edges_kept: Vec<usize> = (0..edges.len()).filter(|&edge| kept[edge]).collect();
        let mut joined: Vec<usize> = edges_kept.iter().flat_map(|&edge| [edges[edge].from, edges[edge].to]).collect();
        joined.sort_unstable();
        joined.dedup();
        Ok(Circuit { edges: edges_kept, nodes: joined })
    }

    fn check(&self, nodes: usize, edges: &[Edge], inputs: &[usize], output: usize) -> Result<()> {
        check_limit("nodes", nodes, MAX_NODES)?;
        let ends = |end: fn(&Edge) -> usize| edges.iter().map(|edge| end(edge) as f64).collect::<Vec<_>>();
        let inputs: Vec<f64> = inputs.iter().map(|&node| node as f64).collect();
        for (what, ends) in [
            ("from", ends(|edge| edge.from)),
            ("to", ends(|edge| edge.to)),
            ("inputs", inputs),
            ("output", vec![output as f64]),
        ] {
            check_each(what, &ends, "a node that exists", |node| node < nodes as f64)?;
        }
        if let Some(index) = edges.iter().position(|edge| !edge.score.is_finite()) {
            return Err(Error::NotFinite { what: "score", index });
        }
        match self.keep {
            Keep::AtLeast(least) => check_each("bound", &[least], "a number", |least: f64| !least.is_nan()),
            Keep::Edges(_) => Ok(()),
        }
    }

    fn top(&self, values: &[f64]) -> Vec<bool> {
        let mut kept: Vec<bool> = values.iter().map(|&value| self.counts_enough(value)).collect();
        if let Keep::Edges(k) = self.keep {
            kept.fill(false);
            crate::math::select::top_k(values, k).into_iter().for_each(|edge| kept[edge] = true);
        }
        kept
    }

    fn counts_enough(&self, value: f64) -> bool {
        match self.keep {
            Keep::AtLeast(least) => value >= least,
            Keep::Edges(_) => true,
        }
    }

    fn greedy(&self, nodes: usize, edges: &[Edge], values: &[f64], output: usize) -> Vec<bool> {
        let incoming = adjacency(nodes, edges, |edge| edge.to);
        let (mut kept, mut joined) = (vec![false; edges.len()], vec![false; nodes]);
        let candidate = |&edge: &usize| Candidate { value: values[edge], edge: Reverse(edge) };
        let mut candidates: BinaryHeap<Candidate> = incoming[output].iter().map(candidate).collect();
        joined[output] = true;
        let mut room = if let Keep::Edges(k) = self.keep { k } else { usize::MAX };
        while let Some(best) = candidates.pop().filter(|best| room > 0 && self.counts_enough(best.value)) {
            let edge = best.edge.0;
            kept[edge] = true;
            room -= 1;
            let from = edges[edge].from;
            if !joined[from] {
                joined[from] = true;
                candidates.extend(incoming[from].iter().map(candidate));
            }
        }
        kept
    }
}

/// An edge that could join; the best is the largest, and of equals the one that comes first.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    value: f64,
    edge: Reverse<usize>,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal).then(self.edge.cmp(&other.edge))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// Edges by the node at one of their ends.
fn adjacency(nodes: usize, edges: &[Edge], end: impl Fn(&Edge) -> usize) -> Vec<Vec<usize>> {
    let mut adjacent = vec![Vec::new(); nodes];
    edges.iter().enumerate().for_each(|(index, edge)| adjacent[end(edge)].push(index));
    adjacent
}

/// Drops the kept edges that lie on no path from an input to the output.
fn connect(nodes: usize, edges: &[Edge], kept: &mut [bool], inputs: &[usize], output: usize) {
    let below = reach(nodes, edges, kept, inputs, |edge| (edge.from, edge.to));
    let above = reach(nodes, edges, kept, &[output], |edge| (edge.to, edge.from));
    for (kept, edge) in kept.iter_mut().zip(edges) {
        *kept &= below[edge.from] && above[edge.to];
    }
}

/// Nodes that kept edges lead to from `starts`, these included.
fn reach(
    nodes: usize,
    edges: &[Edge],
    kept: &[bool],
    starts: &[usize],
    ends: impl Fn(&Edge) -> (usize, usize),
) -> Vec<bool> {
    let leaving = adjacency(nodes, edges, |edge| ends(edge).0);
    let (mut reached, mut stack) = (vec![false; nodes], starts.to_vec());
    while let Some(node) = stack.pop() {
        if !reached[node] {
            reached[node] = true;
            stack.extend(leaving[node].iter().filter(|&&edge| kept[edge]).map(|&edge| ends(&edges[edge]).1));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: usize, to: usize, score: f64) -> Edge {
        Edge { from, to, score }
    }

    /// 0 and 1 are inputs, 4 is the output; node 3 leads nowhere else.
    fn graph() -> Vec<Edge> {
        vec![edge(0, 2, 1.0), edge(1, 2, -3.0), edge(2, 4, 2.0), edge(0, 3, 9.0), edge(3, 4, 0.5), edge(1, 4, 2.0)]
    }

    fn pruned(search: Search, keep: Keep, connected: bool) -> Vec<usize> {
        let pruning = Pruning { search, keep, signed: false, connected };
        pruning.prune(5, &graph(), &[0, 1], 4).unwrap().edges
    }

    #[test]
    fn top_takes_the_best_and_drops_what_dangles() {
        assert_eq!(pruned(Search::Top, Keep::Edges(3), false), [1, 2, 3]);
        assert_eq!(pruned(Search::Top, Keep::Edges(3), true), [1, 2]);
        assert_eq!(pruned(Search::Top, Keep::AtLeast(2.0), true), [1, 2, 5]);
        assert_eq!(pruned(Search::Top, Keep::Edges(99), true), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn greedy_goes_back_from_the_output() {
        // 2 -> 4 comes before 1 -> 4 of the same score, and opens the edges into 2
        assert_eq!(pruned(Search::Greedy, Keep::Edges(1), false), [2]);
        assert_eq!(pruned(Search::Greedy, Keep::Edges(1), true), [0_usize; 0]);
        assert_eq!(pruned(Search::Greedy, Keep::Edges(2), true), [1, 2]);
        assert_eq!(pruned(Search::Greedy, Keep::Edges(4), true), [0, 1, 2, 5]);
        assert_eq!(pruned(Search::Greedy, Keep::Edges(6), true), [0, 1, 2, 3, 4, 5]);
        // the strong edge 0 -> 3 is behind a weak one
        assert_eq!(pruned(Search::Greedy, Keep::AtLeast(1.0), true), [0, 1, 2, 5]);
    }

    #[test]
    fn signed_scores_count_as_they_are() {
        let pruning = Pruning { signed: true, keep: Keep::AtLeast(0.0), search: Search::Top, connected: true };
        let circuit = pruning.prune(5, &graph(), &[0, 1], 4).unwrap();
        assert_eq!(circuit, Circuit { edges: vec![0, 2, 3, 4, 5], nodes: vec![0, 1, 2, 3, 4] });
        let without = pruning.prune(5, &graph(), &[1], 4).unwrap();
        assert_eq!(without, Circuit { edges: vec![5], nodes: vec![1, 4] });
    }

    #[test]
    fn a_cycle_does_not_hang() {
        let edges = [edge(0, 1, 1.0), edge(1, 0, 1.0), edge(1, 1, 5.0), edge(1, 2, 1.0)];
        let circuit = Pruning::default().prune(3, &edges, &[0], 2).unwrap();
        assert_eq!(circuit.edges, [0, 1, 2, 3]);
        assert_eq!(Pruning::default().prune(1, &[], &[], 0).unwrap(), Circuit { edges: vec![], nodes: vec![] });
    }

    #[test]
    fn bad_graphs_are_named() {
        let prune = |edges: &[Edge], output| Pruning::default().prune(3, edges, &[0], output);
        assert!(matches!(prune(&[edge(0, 3, 1.0)], 2), Err(Error::OutOfRange { what: "to", index: 0, .. })));
        assert!(matches!(prune(&[], 3), Err(Error::OutOfRange { what: "output", .. })));
        assert!(matches!(prune(&[edge(0, 1, f64::NAN)], 2), Err(Error::NotFinite { what: "score", index: 0 })));
        let unlimited = Pruning::default().prune(usize::MAX, &[], &[], 0);
        assert!(matches!(unlimited, Err(Error::TooLarge { what: "nodes", .. })));
        let bound = Pruning { keep: Keep::AtLeast(f64::NAN), ..Pruning::default() };
        assert!(matches!(bound.prune(1, &[], &[], 0), Err(Error::OutOfRange { what: "bound", .. })));
    }
}
