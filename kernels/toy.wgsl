// Toy models of superposition, many runs at once: samples from random words, forward and backward, gradients of a batch.
// Samples come in blocks of 256; a run holds W: (m, n) and then b: (n).

struct Params {
  runs: u32, n: u32, m: u32, blocks: u32,
  batch: u32, architecture: u32, value: u32, theta_offset: u32,
  law_offset: u32, words_offset: u32, scratch_offset: u32, out_offset: u32,
}

const LINEAR: u32 = 0u;
const RELU_HIDDEN: u32 = 2u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> theta: array<f32>;
// Of each run: densities (n), their inverses (n), weights of the errors (n), penalty of the hidden layer.
@group(0) @binding(2) var<storage, read> law: array<f32>;
// Random words (runs, blocks, n, 256).
@group(0) @binding(3) var<storage, read> words: array<u32>;
// Of each run and block: hidden activations (m, 256), what comes back to them (m, 256), gradients by outputs (n, 256).
@group(0) @binding(4) var<storage, read_write> scratch: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;

// Feature `i` of sample `s` of a block; samples past the batch are 0.
fn feature(run: u32, block: u32, i: u32, s: u32) -> f32 {
  let of_run = p.law_offset + run * (3u * p.n + 1u);
  let word = words[p.words_offset + ((run * p.blocks + block) * p.n + i) * 256u + s];
  let u = f32(word >> 8u) * (1.0 / 16777216.0);
  var x = 0.0;
  if (u < law[of_run + i] && 256u * block + s < p.batch) {
    x = u * law[of_run + p.n + i];
    if (p.value == 1u) { x = x + x - 1.0; }
    if (p.value == 2u) { x = 1.0; }
  }
  return x;
}

// Start of the scratch of a run and block.
fn place(run: u32, block: u32) -> u32 {
  return p.scratch_offset + (run * p.blocks + block) * (2u * p.m + p.n) * 256u;
}

var<workgroup> partial: array<f32, 256>;

// Loss, gradient by outputs and what comes back to the hidden layer; a workgroup per run and block, a thread per sample.
@compute @workgroup_size(256)
fn forward(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) s: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= p.runs * p.blocks) { return; }
  let run = index / p.blocks;
  let block = index % p.blocks;
  let live = 256u * block + s < p.batch;
  let w = p.theta_offset + run * (p.m + 1u) * p.n;
  let of_run = p.law_offset + run * (3u * p.n + 1u);
  let penalty = law[of_run + 3u * p.n];
  let hidden = place(run, block) + s;
  let back = hidden + p.m * 256u;
  let delta = back + p.m * 256u;
  var loss = 0.0;
  for (var d = 0u; d < p.m; d += 1u) {
    var h = 0.0;
    for (var i = 0u; i < p.n; i += 1u) { h += theta[w + d * p.n + i] * feature(run, block, i, s); }
    if (p.architecture == RELU_HIDDEN && h <= 0.0) { h = 0.0; }
    loss += penalty * abs(h);
    scratch[hidden + d * 256u] = h;
  }
  for (var i = 0u; i < p.n; i += 1u) {
    var z = 0.0;
    for (var d = 0u; d < p.m; d += 1u) { z += theta[w + d * p.n + i] * scratch[hidden + d * 256u]; }
    z += theta[w + p.m * p.n + i];
    var y = z;
    if (p.architecture != LINEAR && z <= 0.0) { y = 0.0; }
    let error = select(0.0, y - feature(run, block, i, s), live);
    let weighted = error * law[of_run + 2u * p.n + i];
    loss += weighted * error;
    let passes = p.architecture == LINEAR || z > 0.0;
    scratch[delta + i * 256u] = select(0.0, weighted + weighted, passes);
  }
  for (var d = 0u; d < p.m; d += 1u) {
    let h = scratch[hidden + d * 256u];
    var g = 0.0;
    for (var i = 0u; i < p.n; i += 1u) { g += theta[w + d * p.n + i] * scratch[delta + i * 256u]; }
    if (h > 0.0) { g += penalty; }
    if (h < 0.0) { g -= penalty; }
    if (p.architecture == RELU_HIDDEN && h <= 0.0) { g = 0.0; }
    scratch[back + d * 256u] = g;
  }
  partial[s] = loss;
  workgroupBarrier();
  for (var span = 128u; span > 0u; span /= 2u) {
    if (s < span) { partial[s] += partial[s + span]; }
    workgroupBarrier();
  }
  if (s == 0u) { losses[index] = partial[0]; }
}

@group(0) @binding(4) var<storage, read> made: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

var<workgroup> of_biases: array<f32, 256>;
var<workgroup> backs: array<f32, 272>;
var<workgroup> hiddens: array<f32, 272>;
var<workgroup> inputs: array<f32, 272>;
var<workgroup> deltas: array<f32, 272>;

// Gradient of 16 x 16 weights, and of 16 biases; samples in order.
@compute @workgroup_size(256)
fn gradients(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let wide = (p.n + 15u) / 16u;
  let high = (p.m + 15u) / 16u;
  let index = group.y * groups.x + group.x;
  if (index >= p.runs * wide * high) { return; }
  let run = index / (wide * high);
  let top = (index / wide) % high * 16u;
  let side = index % wide * 16u;
  let tx = t % 16u;
  let ty = t / 16u;
  var sum = 0.0;
  var bias = 0.0;
  for (var sample = 0u; sample < 256u * p.blocks; sample += 16u) {
    let block = sample / 256u;
    let s = sample % 256u + tx;
    let start = place(run, block) + s;
    var of_hidden = vec2<f32>();
    if (top + ty < p.m) {
      of_hidden = vec2<f32>(made[start + (top + ty) * 256u], made[start + (p.m + top + ty) * 256u]);
    }
    var of_output = vec2<f32>();
    if (side + ty < p.n) {
      of_output = vec2<f32>(feature(run, block, side + ty, s), made[start + (2u * p.m + side + ty) * 256u]);
    }
    hiddens[ty * 17u + tx] = of_hidden.x;
    backs[ty * 17u + tx] = of_hidden.y;
    inputs[ty * 17u + tx] = of_output.x;
    deltas[ty * 17u + tx] = of_output.y;
    workgroupBarrier();
    for (var q = 0u; q < 16u; q += 1u) {
      let by_output = deltas[tx * 17u + q];
      sum += backs[ty * 17u + q] * inputs[tx * 17u + q] + hiddens[ty * 17u + q] * by_output;
      bias += by_output;
    }
    workgroupBarrier();
  }
  let d = top + ty;
  let i = side + tx;
  let of_run = p.out_offset + run * (p.m + 1u) * p.n;
  if (d < p.m && i < p.n) { gradient[of_run + d * p.n + i] = sum; }
  if (d == 0u && i < p.n) { gradient[of_run + p.m * p.n + i] = bias; }
}

// The same where a run has at most 128 weights: every weight is summed in strands of samples, and these in order.
@compute @workgroup_size(256)
fn gradients_few(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let run = group.y * groups.x + group.x;
  if (run >= p.runs) { return; }
  let strands = 256u / (p.m * p.n);
  let cell = t / strands;
  let strand = t % strands;
  let d = cell / p.n;
  let i = cell % p.n;
  var sum = 0.0;
  var bias = 0.0;
  if (d < p.m) {
    for (var block = 0u; block < p.blocks; block += 1u) {
      let start = place(run, block);
      for (var s = strand; s < 256u; s += strands) {
        let by_output = made[start + (2u * p.m + i) * 256u + s];
        sum += made[start + (p.m + d) * 256u + s] * feature(run, block, i, s) + made[start + d * 256u + s] * by_output;
        bias += by_output;
      }
    }
  }
  partial[t] = sum;
  of_biases[t] = bias;
  workgroupBarrier();
  if (strand == 0u && d < p.m) {
    for (var other = t + 1u; other < t + strands; other += 1u) {
      sum += partial[other];
      bias += of_biases[other];
    }
    let of_run = p.out_offset + run * (p.m + 1u) * p.n;
    gradient[of_run + d * p.n + i] = sum;
    if (d == 0u) { gradient[of_run + p.m * p.n + i] = bias; }
  }
}
