//! Attention flow: how much of every input token can reach every position, if each attention weight is the capacity of a
//! pipe.
//!
//! ```text
//! flow[i, j] = maximum flow from position i above the last layer to token j below the first, alone in the network,
//!              where the edge from position i of layer l to position j below it has capacity Ā_l[i, j]
//! ```
//!
//! One flow per pair: the rows are no distribution, see [`normalised_flow`]. Cost grows with `l t²` per pair, `l t⁴` in all;
//! [`attention_flow_of`] computes the rows that are asked for.
//!
//! Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (arXiv 2005.00928).

use alloc::vec;
use alloc::vec::Vec;
use ndarray::{Array2, ArrayRef2, ArrayRef3};

use super::attention::{Mixing, check_square, normalise_rows};
use super::max_flow::Network;
use crate::error::{check_each, check_finite};
use crate::math::par;
use crate::{Result, Scalar};

/// Attention flow for all positions; see [`Fusion::heads`](super::Fusion::heads) for several heads.
///
/// `attention: (l, t, t)`, first layer first, row = the position that attends. Returns `(t, t)`: row `i` is the flow from
/// every token to position `i`.
///
/// # Errors
/// As [`Mixing::matrices`].
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{Mixing, attention_flow};
/// use ndarray::array;
///
/// let attention = array![[[0.5, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]];
/// // position 1 reaches token 0 through (1 -> 0 -> 0) = 0.25 and (1 -> 1 -> 0) = 0.125
/// assert_eq!(attention_flow(&attention, Mixing::default())?, array![[0.75, 0.25], [0.375, 1.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn attention_flow<T: Scalar>(attention: &ArrayRef3<T>, mixing: Mixing) -> Result<Array2<T>> {
    let outputs: Vec<usize> = (0..attention.dim().1).collect();
    attention_flow_of(attention, mixing, &outputs)
}

/// Attention flow for some positions: row `r` of `(outputs, t)` is that of position `outputs[r]`.
///
/// # Errors
/// As [`flow`].
pub fn attention_flow_of<T: Scalar>(attention: &ArrayRef3<T>, mixing: Mixing, outputs: &[usize]) -> Result<Array2<T>> {
    flow(&mixing.matrices(attention)?, outputs)
}

/// Maximum flow through any capacities `(l, t, t)`, first layer first; row `r` of `(outputs, t)` is that of position
/// `outputs[r]` above the last layer.
///
/// Computed in double precision. Capacities below 2e-15 of the largest count as nothing.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless matrices are square, [`Error::Empty`](crate::Error::Empty),
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for negative capacities
/// and for positions that do not exist.
pub fn flow<T: Scalar>(capacity: &ArrayRef3<T>, outputs: &[usize]) -> Result<Array2<T>> {
    check_square("capacity", capacity)?;
    check_finite("capacity", capacity)?;
    check_each("capacity", capacity, "capacities >= 0", |open| open >= T::zero())?;
    let tokens = capacity.dim().1;
    let positions: Vec<f64> = outputs.iter().map(|&output| output as f64).collect();
    check_each("output", &positions, "a position that exists", |output| output < tokens as f64)?;
    let network = Network::new(tokens, capacity.iter().map(|open| open.as_f64()).collect());
    let mut flows = Array2::zeros((outputs.len(), tokens));
    if let Some(flows) = flows.as_slice_mut() {
        par::for_each_chunk_mut(flows, tokens, |row, flows| {
            let mut exact = vec![0.0; tokens];
            network.flows_from(outputs[row], &mut exact);
            flows.iter_mut().zip(exact).for_each(|(flow, exact)| *flow = T::of(exact));
        });
    }
    check_finite("flow", &flows)?;
    Ok(flows)
}

/// Every row of `flow: (t, t)` divided by its sum.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a row whose sum is not positive and finite.
pub fn normalised_flow<T: Scalar>(flow: &ArrayRef2<T>) -> Result<Array2<T>> {
    let mut normalised = flow.to_owned();
    normalise_rows("flow", normalised.rows_mut().into_iter())?;
    Ok(normalised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{below, uniform};
    use crate::{Error, Seed};
    use ndarray::{Array3, array};

    /// Smallest cut by trying every set of nodes that holds the source and not the sink.
    fn smallest_cut(capacity: &Array3<f64>, output: usize, token: usize) -> f64 {
        let (layers, tokens, _) = capacity.dim();
        let (source, nodes) = (layers * tokens + output, (layers + 1) * tokens);
        let sides = (0..1_usize << nodes).filter(|side| side >> source & 1 == 1 && side >> token & 1 == 0);
        let cut = |side: usize| -> f64 {
            let inside = |node: usize| side >> node & 1 == 1;
            let edges = capacity.indexed_iter();
            let crossing = edges.filter(|((l, i, j), _)| inside((l + 1) * tokens + i) && !inside(l * tokens + j));
            crossing.map(|(_, open)| open).sum()
        };
        sides.map(cut).fold(f64::INFINITY, f64::min)
    }

    /// Edmonds-Karp on a dense residual matrix, as a peer does it.
    fn naive(capacity: &Array3<f64>, output: usize, token: usize) -> f64 {
        let (layers, tokens, _) = capacity.dim();
        let (source, nodes) = (layers * tokens + output, (layers + 1) * tokens);
        let mut left = Array2::zeros((nodes, nodes));
        capacity.indexed_iter().for_each(|((l, i, j), &open)| left[[(l + 1) * tokens + i, l * tokens + j]] = open);
        let mut total = 0.0;
        loop {
            let (mut from, mut queue, mut at) = (vec![None; nodes], vec![source], 0);
            while at < queue.len() {
                for head in 0..nodes {
                    if left[[queue[at], head]] > 1e-15 && from[head].is_none() && head != source {
                        from[head] = Some(queue[at]);
                        queue.push(head);
                    }
                }
                at += 1;
            }
            let (mut path, mut head) = (Vec::new(), token);
            while let Some(tail) = from[head] {
                path.push((tail, head));
                head = tail;
            }
            if path.is_empty() {
                return total;
            }
            let amount = path.iter().fold(f64::INFINITY, |least, &(tail, head)| least.min(left[[tail, head]]));
            path.iter().for_each(|&(tail, head)| left[[tail, head]] -= amount);
            path.iter().for_each(|&(tail, head)| left[[head, tail]] += amount);
            total += amount;
        }
    }

    /// Capacities of which some are 0, some equal, some tiny.
    fn capacities(layers: usize, tokens: usize, seed: u64) -> Array3<f64> {
        let mut stream = Seed(seed).stream(0, 0);
        Array3::from_shape_simple_fn((layers, tokens, tokens), || match below(&mut stream, 5) {
            0 => 0.0,
            1 => 0.25,
            2 => 1e-9,
            _ => uniform(&mut stream),
        })
    }

    fn all(capacity: &Array3<f64>) -> Array2<f64> {
        flow(capacity, &(0..capacity.dim().1).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn equals_the_smallest_cut_over_all_sets_of_nodes() {
        let sizes = if cfg!(miri) { [(2, 2), (1, 2), (1, 1)] } else { [(2, 3), (3, 3), (4, 2)] };
        for (seed, (layers, tokens)) in (0..).zip(sizes.into_iter().cycle().take(12)) {
            let capacity = capacities(layers, tokens, seed);
            for ((i, j), &flow) in all(&capacity).indexed_iter() {
                assert!((flow - smallest_cut(&capacity, i, j)).abs() < 1e-12, "{seed} {i} {j}: {flow}");
            }
        }
    }

    #[test]
    fn equals_the_plain_algorithm() {
        for (seed, (layers, tokens)) in (20..).zip(if cfg!(miri) { [(2, 3); 3] } else { [(2, 9), (5, 6), (8, 4)] }) {
            let capacity = capacities(layers, tokens, seed);
            for ((i, j), &flow) in all(&capacity).indexed_iter() {
                assert!((flow - naive(&capacity, i, j)).abs() < 1e-12, "{seed} {i} {j}: {flow}");
            }
        }
    }

    #[test]
    fn a_greedy_first_choice_is_taken_back() {
        // both middle nodes of the left path are shared; the first path down blocks the second unless flow returns
        let capacity = array![
            [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        ];
        assert_eq!(all(&capacity), array![[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]);
    }

    #[test]
    fn rows_are_what_they_are_alone_and_normalise() {
        let attention = capacities(3, 5, 7);
        let mixing = Mixing::default();
        let all = attention_flow(&attention, mixing).unwrap();
        let some = attention_flow_of(&attention, mixing, &[4, 1]).unwrap();
        assert_eq!((some.row(0), some.row(1)), (all.row(4), all.row(1)));
        assert!(normalised_flow(&all).unwrap().rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-14));
        let error = normalised_flow(&array![[1.0, 0.0], [0.0, 0.0]]).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "flow", index: 1, .. }));
    }

    #[test]
    fn bad_capacities_and_positions_are_named() {
        let capacity = Array3::from_elem((1, 2, 2), 0.5_f32);
        assert!(matches!(flow(&capacity, &[0, 2]), Err(Error::OutOfRange { what: "output", index: 1, .. })));
        assert!(matches!(flow(&capacity.mapv(|x| -x), &[0]), Err(Error::OutOfRange { what: "capacity", .. })));
        assert!(matches!(flow(&capacity.mapv(|x| x / 0.0), &[0]), Err(Error::NotFinite { .. })));
        assert!(matches!(flow(&Array3::<f32>::zeros((2, 0, 0)), &[]), Err(Error::Empty { .. })));
        assert_eq!(flow(&capacity, &[]).unwrap().dim(), (0, 2));
    }
}
