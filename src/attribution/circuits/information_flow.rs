//! Information-flow routes: the sub-graph through which a prediction got its information, from one forward pass.
//!
//! ```text
//! importance of edge k into a sum y = Σ_k z_k:   max(0, ‖y‖₁ - ‖y - z_k‖₁), divided by the sum over k
//! attention block   z: the residual x_i, and what head h moves from token j, α^h_ij v^h_j
//! feed-forward      z: the residual, and the output of the block
//! ```
//!
//! The graph starts at chosen positions above the last layer and follows edges downwards whose importance is at least the
//! threshold. No patching and no second prompt are needed: the proximity is that of [ALTI](super::AttentionBlock).
//!
//! Source: Ferrando and Voita, "Information Flow Routes: Automatically Interpreting Language Models at Scale"
//! (arXiv 2403.00824).

use alloc::vec::Vec;
use ndarray::{Array1, Array2, Array3, ArrayRef2, Axis};

use super::MAX_TOKENS;
use super::alti::{AttentionBlock, proximity};
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::par;
use crate::{Dims, Error, Result, Scalar};

/// Importance of the edges into one attention block; those of a position sum to 1, or are all 0.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttentionEdges<T> {
    /// Of the residual connection, `(t)`.
    pub residual: Array1<T>,
    /// Of what each head moves to a position from a token, `(h, t, t)`, row = the position.
    pub heads: Array3<T>,
}

/// Importance of the edges into the sum after a feed-forward block; those of a position sum to 1, or are both 0.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MlpEdges<T> {
    /// Of the residual connection, `(t)`.
    pub residual: Array1<T>,
    /// Of the block, `(t)`.
    pub mlp: Array1<T>,
}

/// Edges of one layer: attention first, then a feed-forward block where there is one.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerEdges<T> {
    /// Of the attention block.
    pub attention: AttentionEdges<T>,
    /// Of the feed-forward block.
    pub mlp: Option<MlpEdges<T>>,
}

/// Importance of the edges into an attention block. A norm after the sum is taken as linear, as in ALTI.
///
/// # Errors
/// As [`AttentionBlock::contributions`].
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{AttentionBlock, ResidualNorm, attention_edges};
/// use ndarray::array;
///
/// let (attention, values, residual) = (array![[[1.0]]], array![[[3.0, 0.0]]], array![[0.0, 1.0]]);
/// let block = AttentionBlock {
///     attention: attention.view(),
///     values: values.view(),
///     residual: residual.view(),
///     bias: None,
///     norm: ResidualNorm::default(),
/// };
/// let edges = attention_edges(&block)?;
/// assert_eq!((edges.residual[0], edges.heads[[0, 0, 0]]), (0.25, 0.75));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn attention_edges<T: Scalar>(block: &AttentionBlock<'_, T>) -> Result<AttentionEdges<T>> {
    let whole = block.whole()?;
    let (heads, tokens, _) = block.attention.dim();
    // one row per position: all heads and tokens, then the residual
    let mut edges = Array2::zeros((tokens, heads * tokens + 1));
    if let Some(edges) = edges.as_slice_mut() {
        par::for_each_chunk_mut(edges, heads * tokens + 1, |i, row| {
            let mut part = Array1::zeros(block.residual.ncols());
            let importance = |part: &mut Array1<T>| {
                block.norm.part_in_place(part, whole.scales[i]);
                T::of(proximity(&whole.output.row(i), part))
            };
            for (edge, out) in row[..heads * tokens].iter_mut().enumerate() {
                let (head, j) = (edge / tokens, edge % tokens);
                let weight = block.attention[[head, i, j]];
                if weight != T::zero() {
                    part.assign(&block.values.index_axis(Axis(0), head).row(j));
                    part.mapv_inplace(|value| weight * value);
                    *out = importance(&mut part);
                }
            }
            part.assign(&block.residual.row(i));
            row[heads * tokens] = importance(&mut part);
        });
    }
    check_finite("importance", &edges)?;
    super::attention::normalise_rows_with_zeros(edges.rows_mut().into_iter());
    Ok(AttentionEdges {
        residual: edges.column(heads * tokens).to_owned(),
        heads: Array3::from_shape_fn((heads, tokens, tokens), |(head, i, j)| edges[[i, head * tokens + j]]),
    })
}

/// Importance of the edges into the sum of `residual: (t, d)` and the output `mlp: (t, d)` of a feed-forward block.
///
/// # Errors
/// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`].
pub fn mlp_edges<T: Scalar>(residual: &ArrayRef2<T>, mlp: &ArrayRef2<T>) -> Result<MlpEdges<T>> {
    check_not_empty("residual", residual)?;
    check_shape("mlp", mlp, residual.shape())?;
    check_finite("residual", residual)?;
    check_finite("mlp", mlp)?;
    let whole = residual + mlp;
    let mut edges = Array2::zeros((residual.nrows(), 2));
    for (i, mut row) in edges.rows_mut().into_iter().enumerate() {
        row[0] = T::of(proximity(&whole.row(i), &residual.row(i)));
        row[1] = T::of(proximity(&whole.row(i), &mlp.row(i)));
    }
    check_finite("importance", &edges)?;
    super::attention::normalise_rows_with_zeros(edges.rows_mut().into_iter());
    Ok(MlpEdges { residual: edges.column(0).to_owned(), mlp: edges.column(1).to_owned() })
}

/// What carries information along an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Carrier {
    /// The head with this index.
    Head(usize),
    /// The residual connection around attention.
    AroundAttention,
    /// The feed-forward block.
    Mlp,
    /// The residual connection around the feed-forward block.
    AroundMlp,
}

/// An edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteEdge {
    /// Its layer.
    pub layer: usize,
    /// What carries the information.
    pub carrier: Carrier,
    /// The token it comes from.
    pub from: usize,
    /// The position it goes to.
    pub to: usize,
    /// Its importance.
    pub importance: f64,
}

/// The sub-graph through which information came.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Routes {
    /// Edges from the top down; within a layer by position, then the residual, then by head and token.
    pub edges: Vec<RouteEdge>,
    /// Which residual states are part of it, `(l + 1, t)`: row 0 are the tokens, row `l` the states after the last layer.
    pub reached: Array2<bool>,
}

/// Follows the edges of importance `threshold` or more from positions `top` above the last layer; `layers`: first first.
///
/// # Errors
/// [`Error::Empty`] without layers, [`Error::Shape`] for layers of different sizes, [`Error::OutOfRange`] for a threshold
/// that is not above 0 and for positions that do not exist, [`Error::TooLarge`] above [`MAX_TOKENS`].
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{AttentionEdges, Carrier, LayerEdges, information_flow_routes};
/// use ndarray::array;
///
/// let attention = AttentionEdges { residual: array![0.9, 0.2], heads: array![[[0.1, 0.0], [0.75, 0.05]]] };
/// let layers = [LayerEdges { attention, mlp: None }];
/// let routes = information_flow_routes(&layers, &[1], 0.1)?;
/// assert_eq!(routes.reached, array![[true, true], [false, true]]);
/// assert_eq!((routes.edges[1].carrier, routes.edges[1].from), (Carrier::Head(0), 0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn information_flow_routes<T: Scalar>(layers: &[LayerEdges<T>], top: &[usize], threshold: f64) -> Result<Routes> {
    let Some(first) = layers.first() else { return Err(Error::Empty { what: "layers" }) };
    let tokens = first.attention.residual.len();
    check_limit("tokens", tokens, MAX_TOKENS)?;
    layers.iter().try_for_each(|layer| check_layer(layer, tokens))?;
    let positions: Vec<f64> = top.iter().map(|&position| position as f64).collect();
    check_each("top", &positions, "a position that exists", |position| position < tokens as f64)?;
    check_each("threshold", &[threshold], "0 < threshold", |threshold: f64| threshold > 0.0)?;
    let mut routes = Routes { edges: Vec::new(), reached: Array2::from_elem((layers.len() + 1, tokens), false) };
    top.iter().for_each(|&position| routes.reached[[layers.len(), position]] = true);
    for (layer, edges) in layers.iter().enumerate().rev() {
        for to in (0..tokens).filter(|&to| routes.reached[[layer + 1, to]]).collect::<Vec<_>>() {
            routes.descend(layer, edges, to, threshold);
        }
    }
    Ok(routes)
}

impl Routes {
    /// Follows the edges into one position of a layer.
    fn descend<T: Scalar>(&mut self, layer: usize, edges: &LayerEdges<T>, to: usize, threshold: f64) {
        let mut keep = |carrier, from, importance: T| {
            let edge = RouteEdge { layer, carrier, from, to, importance: importance.as_f64() };
            let kept = edge.importance >= threshold;
            self.edges.extend(kept.then_some(edge));
            kept
        };
        if let Some(mlp) = &edges.mlp {
            // both edges come from the state between the blocks
            let around = keep(Carrier::AroundMlp, to, mlp.residual[to]);
            if !keep(Carrier::Mlp, to, mlp.mlp[to]) && !around {
                return;
            }
        }
        let mut reached = self.reached.row_mut(layer);
        reached[to] |= keep(Carrier::AroundAttention, to, edges.attention.residual[to]);
        for (head, importance) in edges.attention.heads.outer_iter().enumerate() {
            for (from, &importance) in importance.row(to).iter().enumerate() {
                reached[from] |= keep(Carrier::Head(head), from, importance);
            }
        }
    }
}

fn check_layer<T: Scalar>(layer: &LayerEdges<T>, tokens: usize) -> Result<()> {
    let AttentionEdges { residual, heads } = &layer.attention;
    if residual.len() != tokens {
        let (expected, got) = (Dims::new(&[tokens]), Dims::new(residual.shape()));
        return Err(Error::Shape { what: "residual", expected, got });
    }
    check_shape("heads", heads, &[heads.dim().0, tokens, tokens])?;
    check_finite("residual", residual)?;
    check_finite("heads", heads)?;
    layer.mlp.as_ref().map_or(Ok(()), |mlp| {
        check_shape("mlp", &mlp.mlp, &[tokens])?;
        check_shape("residual", &mlp.residual, &[tokens])?;
        check_finite("mlp", &mlp.mlp)?;
        check_finite("residual", &mlp.residual)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::circuits::ResidualNorm;
    use ndarray::array;

    /// Position 1 takes from token 0 in both layers; its feed-forward block matters in layer 1 only.
    fn layers() -> [LayerEdges<f64>; 2] {
        let attention = AttentionEdges { residual: array![1.0, 0.05], heads: array![[[0.0, 0.0], [0.95, 0.0]]] };
        let mlp = |mlp: f64| Some(MlpEdges { residual: array![1.0, 1.0 - mlp], mlp: array![0.0, mlp] });
        [LayerEdges { attention: attention.clone(), mlp: mlp(0.0) }, LayerEdges { attention, mlp: mlp(0.5) }]
    }

    #[test]
    fn only_what_is_reached_is_followed() {
        let routes = information_flow_routes(&layers(), &[1], 0.1).unwrap();
        let edge = |layer, carrier, from, to, importance| RouteEdge { layer, carrier, from, to, importance };
        let expected = [
            edge(1, Carrier::AroundMlp, 1, 1, 0.5),
            edge(1, Carrier::Mlp, 1, 1, 0.5),
            edge(1, Carrier::Head(0), 0, 1, 0.95),
            edge(0, Carrier::AroundMlp, 0, 0, 1.0),
            edge(0, Carrier::AroundAttention, 0, 0, 1.0),
        ];
        assert_eq!(routes.edges, expected);
        assert_eq!(routes.reached, array![[true, false], [true, false], [false, true]]);
        let none = information_flow_routes(&layers(), &[1], 0.99).unwrap();
        assert_eq!((none.edges.len(), none.reached.iter().filter(|&&reached| reached).count()), (0, 1));
        assert_eq!(information_flow_routes(&layers(), &[], 0.1).unwrap().edges, []);
    }

    #[test]
    fn edges_of_blocks_by_hand() {
        // two heads move (2, 0) and (0, 1) from the only token; the residual works against both
        let (attention, values) = (array![[[1.0]], [[0.5]]], array![[[2.0, 0.0]], [[0.0, 2.0]]]);
        let residual = array![[-1.0, 0.0]];
        let (attention, values, residual) = (attention.view(), values.view(), residual.view());
        let block = AttentionBlock { attention, values, residual, bias: None, norm: ResidualNorm::default() };
        let edges = attention_edges(&block).unwrap();
        // the output is (1, 1): head 0 takes it to (-1, 1), which is no nearer; head 1 takes it to (1, 0)
        assert_eq!((edges.residual, edges.heads), (array![0.0], array![[[0.0]], [[1.0]]]));
        let edges = mlp_edges(&array![[1.0, 0.0], [0.0, 0.0]], &array![[0.0, 3.0], [0.0, 0.0]]).unwrap();
        assert_eq!(edges, MlpEdges { residual: array![0.25, 0.0], mlp: array![0.75, 0.0] });
    }

    #[test]
    fn bad_layers_positions_and_thresholds_are_named() {
        let mut layers = layers();
        assert!(matches!(information_flow_routes(&layers, &[2], 0.1), Err(Error::OutOfRange { what: "top", .. })));
        let zero = information_flow_routes(&layers, &[0], 0.0);
        assert!(matches!(zero, Err(Error::OutOfRange { what: "threshold", .. })));
        assert!(information_flow_routes::<f64>(&[], &[0], 0.1).is_err());
        layers[1].attention.residual = array![1.0];
        assert!(matches!(information_flow_routes(&layers, &[0], 0.1), Err(Error::Shape { what: "residual", .. })));
        assert!(matches!(mlp_edges(&array![[1.0]], &array![[1.0, 2.0]]), Err(Error::Shape { what: "mlp", .. })));
    }
}
