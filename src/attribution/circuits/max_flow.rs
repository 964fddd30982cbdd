//! Maximum flow from one position above the last layer to one token below the first, through layers that are all dense.
//!
//! ```text
//! node (l, i) = l t + i,  l = 0 the tokens, l = L the outputs        edge (l + 1, i) -> (l, j) has capacity A_l[i, j]
//! V_l[k] bounds what can come to node k of layer l from the source:   V_{l-1}[m] = Σ_k min(A_{l-1}[k, m], V_l[k])
//! W_l[k] bounds what can go from it to the sink:                      W_l[k] = Σ_m min(A_{l-1}[k, m], W_{l-1}[m])
//! flow <= min over l of Σ_k min(V_l[k], W_l[k])
//! ```
//!
//! Dinic's algorithm: in every phase the shortest paths that are left are filled until none is open. Layers spare the
//! first search, since every path of the first phase goes straight down; wide edges are tried first, so that few paths do;
//! the bound spares the last search, since most flows reach it. Only what carried flow is undone between pairs.
//!
//! It ends for any floats: filling a path sets one of its edges to exactly 0, so a phase fills at most as many paths as
//! there are edges; then no path of this length is left, so there are at most as many phases as nodes.
//!
//! Source: Dinic, "Algorithm for solution of a problem of maximum flow in networks with power estimation", Soviet Math.
//! Doklady 11 (1970).

use alloc::vec;
use alloc::vec::Vec;

use crate::math::select::order;

/// A node that no path can use any more, or that was not reached yet.
const CLOSED: usize = usize::MAX;

/// A node from which nothing goes to the sink, even before there is any flow.
const DEAD: usize = usize::MAX - 1;

/// Share of the largest capacity below which a capacity counts as nothing: dust that rounding leaves behind.
const DUST: f64 = 8.0 * f64::EPSILON;

/// A flow that comes so close to its bound, relative to it, has reached it.
const REACHED: f64 = 1e-13;

/// The capacities of all layers, and what they allow towards every sink.
#[derive(Debug)]
pub(super) struct Network {
    tokens: usize,
    layers: usize,
    /// Of edge `(u - t) t + j` from node `u` to position `j` of the layer below.
    capacity: Vec<f64>,
    /// `W` of node `u` for sink `j` at `u t + j`.
    towards: Vec<f64>,
    /// Positions below that node `u` has an edge to, the widest first: `wide[first[u - t]..first[u - t + 1]]`.
    wide: Vec<usize>,
    first: Vec<usize>,
    dust: f64,
}

impl Network {
    /// A network of layers of `tokens × tokens` capacities, row by row, the lowest layer first.
    pub(super) fn new(tokens: usize, capacity: Vec<f64>) -> Self {
        let layers = capacity.len() / (tokens * tokens).max(1);
        let mut towards = vec![0.0; tokens * tokens];
        (0..tokens).for_each(|j| towards[j * tokens + j] = f64::INFINITY);
        for (edge, &open) in capacity.iter().enumerate() {
            if edge % tokens == 0 {
                towards.resize(towards.len() + tokens, 0.0);
            }
            let (node, layer) = (tokens + edge / tokens, edge / (tokens * tokens));
            let (below, here) = towards.split_at_mut(node * tokens);
            let head = layer * tokens + edge % tokens;
            let below = &below[head * tokens..][..tokens];
            here.iter_mut().zip(below).for_each(|(here, &below)| *here += open.min(below));
        }
        let dust = DUST * capacity.iter().fold(0.0_f64, |largest, &open| largest.max(open));
        let (mut wide, mut first) = (Vec::new(), vec![0]);
        for open in capacity.chunks(tokens.max(1)) {
            wide.extend((0..tokens).filter(|&j| open[j] > dust));
            let start = first.last().copied().unwrap_or(0);
            wide[start..].sort_by(|&a, &b| order((open[a], a), (open[b], b)));
            first.push(wide.len());
        }
        Self { tokens, layers, capacity, towards, wide, first, dust }
    }

    /// Positions below that `node` has an edge to, the widest edge first.
    fn below(&self, node: usize) -> &[usize] {
        node.checked_sub(self.tokens).map_or(&[], |node| &self.wide[self.first[node]..self.first[node + 1]])
    }

    /// `V` of every node for one source, an output.
    fn coming_from(&self, source: usize) -> Vec<f64> {
        let mut coming = vec![0.0; (self.layers + 1) * self.tokens];
        coming[source] = f64::INFINITY;
        for node in (self.tokens..coming.len()).rev() {
            let (below, here) = coming.split_at_mut(node);
            let first = node - node % self.tokens - self.tokens;
            let open = &self.capacity[(node - self.tokens) * self.tokens..][..self.tokens];
            below[first..].iter_mut().zip(open).for_each(|(below, open)| *below += open.min(here[0]));
        }
        coming
    }

    /// No flow can be larger than what passes the narrowest layer.
    fn bound(&self, coming: &[f64], sink: usize) -> f64 {
        let pass = |(node, &coming): (usize, &f64)| coming.min(self.towards[node * self.tokens + sink]);
        let nodes: Vec<f64> = coming.iter().enumerate().map(pass).collect();
        nodes.chunks(self.tokens).map(|layer| layer.iter().sum()).fold(f64::INFINITY, f64::min)
    }

    /// Maximum flow from position `output` above the last layer to every token, into `flow: (t)`.
    pub(super) fn flows_from(&self, output: usize, flow: &mut [f64]) {
        let source = self.layers * self.tokens + output;
        let coming = self.coming_from(source);
        let mut search = Search::new(self);
        for (sink, flow) in flow.iter_mut().enumerate() {
            *flow = search.flow(source, sink, self.bound(&coming, sink));
        }
    }
}

/// One way out of a node: down an edge, or back up an edge that carries flow.
#[derive(Debug, Clone, Copy)]
struct Step {
    tail: usize,
    edge: usize,
    down: bool,
}

/// The flow of one pair while it grows.
#[derive(Debug)]
struct Search<'a> {
    network: &'a Network,
    /// Capacity that is left on every edge.
    left: Vec<f64>,
    /// For every node, the nodes above it that send flow to it.
    senders: Vec<Vec<usize>>,
    /// Steps from the source on a shortest open path.
    level: Vec<usize>,
    /// The next way out to try, per node.
    way: Vec<usize>,
    path: Vec<Step>,
}

impl<'a> Search<'a> {
    fn new(network: &'a Network) -> Self {
        let nodes = (network.layers + 1) * network.tokens;
        Self {
            network,
            left: network.capacity.clone(),
            senders: vec![Vec::new(); nodes],
            level: vec![CLOSED; nodes],
            way: vec![0; nodes],
            path: Vec::new(),
        }
    }

    fn flow(&mut self, source: usize, sink: usize, bound: f64) -> f64 {
        let mut total = 0.0;
        if bound > self.network.dust {
            let enough = bound - bound * REACHED;
            self.straight_down(sink);
            loop {
                total += self.fill(source, sink, enough - total);
                if total >= enough || !self.shortest(source, sink) {
                    break;
                }
            }
            self.undo();
        }
        total
    }

    /// Levels before any flow: every path goes down one layer per step.
    fn straight_down(&mut self, sink: usize) {
        let network = self.network;
        for (node, level) in self.level.iter_mut().enumerate() {
            let reaches = network.towards[node * network.tokens + sink] > 0.0;
            *level = if reaches { network.layers - node / network.tokens } else { DEAD };
        }
    }

    /// Levels by breadth-first search from the source; whether the sink can still be reached.
    fn shortest(&mut self, source: usize, sink: usize) -> bool {
        self.level.iter_mut().filter(|level| **level != DEAD).for_each(|level| *level = CLOSED);
        self.way.fill(0);
        self.level[source] = 0;
        let mut queue = vec![source];
        let mut at = 0;
        while let Some(&node) = queue.get(at) {
            while let Some((_, head)) = self.next(node, CLOSED) {
                self.level[head] = self.level[node] + 1;
                if head == sink {
                    return true;
                }
                queue.push(head);
            }
            at += 1;
        }
        false
    }

    /// The next open way from `node` to a node of this level.
    fn next(&mut self, node: usize, level: usize) -> Option<(Step, usize)> {
        let (tokens, network) = (self.network.tokens, self.network);
        let (position, below) = (node % tokens, network.below(node));
        while let Some(child) = below.get(self.way[node]) {
            let (edge, head) = ((node - tokens) * tokens + child, node - position - tokens + child);
            if self.level[head] == level && self.left[edge] > network.dust {
                return Some((Step { tail: node, edge, down: true }, head));
            }
            self.way[node] += 1;
        }
        while let Some(&sender) = self.senders[node].get(self.way[node] - below.len()) {
            let edge = (sender - tokens) * tokens + position;
            if self.level[sender] == level && network.capacity[edge] - self.left[edge] > network.dust {
                return Some((Step { tail: node, edge, down: false }, sender));
            }
            self.way[node] += 1;
        }
        None
    }

    /// Fills paths until every path along ascending levels is closed or `enough` is on its way; returns how much that is.
    fn fill(&mut self, source: usize, sink: usize, enough: f64) -> f64 {
        self.way.fill(0);
        self.path.clear();
        let (mut total, mut node) = (0.0, source);
        loop {
            if node == sink {
                let (amount, tail) = self.send();
                total += amount;
                if total >= enough {
                    return total;
                }
                node = tail;
            } else if let Some((step, head)) = self.next(node, self.level[node] + 1) {
                self.path.push(step);
                node = head;
            } else {
                self.level[node] = CLOSED;
                let Some(step) = self.path.pop() else { return total };
                node = step.tail;
                self.way[node] += 1;
            }
        }
    }

    /// Sends as much as the path holds, and goes back to where its first full edge begins.
    fn send(&mut self) -> (f64, usize) {
        let mut path = core::mem::take(&mut self.path);
        let amount = path.iter().fold(f64::INFINITY, |least, &step| least.min(self.open(step)));
        let (mut first, tokens) = (0, self.network.tokens);
        for (at, &step) in path.iter().enumerate().rev() {
            if self.open(step) <= amount {
                first = at;
                // exactly, so that this edge is closed whatever rounding would have left
                self.left[step.edge] = if step.down { 0.0 } else { self.network.capacity[step.edge] };
            } else if step.down {
                self.left[step.edge] -= amount;
            } else {
                self.left[step.edge] += amount;
            }
            if step.down {
                let head = step.edge / (tokens * tokens) * tokens + step.edge % tokens;
                let senders = &mut self.senders[head];
                if !senders.contains(&step.tail) {
                    senders.push(step.tail);
                }
            }
        }
        let tail = path[first].tail;
        path.truncate(first);
        self.path = path;
        (amount, tail)
    }

    /// What a step can still take.
    fn open(&self, step: Step) -> f64 {
        let left = self.left[step.edge];
        if step.down { left } else { self.network.capacity[step.edge] - left }
    }

    /// Takes all flow out again.
    fn undo(&mut self) {
        let tokens = self.network.tokens;
        for (node, senders) in self.senders.iter_mut().enumerate() {
            for sender in senders.drain(..) {
                let edge = (sender - tokens) * tokens + node % tokens;
                self.left[edge] = self.network.capacity[edge];
            }
        }
    }
}
