// Adam on flat parameters, and what keeps dictionary vectors at length 1: rows of gradients without what points along
// the vector, rows of unit length. Nothing moves where the loss is not finite.

struct Params {
  count: u32, d: u32, offset: u32, w_offset: u32,
  rate: f32, root: f32, beta1: f32, beta2: f32,
  rest1: f32, rest2: f32, epsilon: f32, coupled: f32,
  keep: f32, clip: f32, unused: f32, flags: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<u32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<f32>;
@group(0) @binding(6) var<storage, read> squares: array<f32>;

const CLIP: u32 = 1u;

fn finite(bits: u32) -> bool {
  return (bits & 0x7f800000u) != 0x7f800000u;
}

// One step of `count` elements from `offset` on; the gradient starts at `w_offset`.
@compute @workgroup_size(256)
fn adam(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count && finite(gate[0])) {
    let at = p.offset + i;
    let theta = parameter[at];
    var g = gradient[p.w_offset + i];
    if ((p.flags & CLIP) != 0u) { g *= min(p.clip / (sqrt(squares[0]) + 1e-6), 1.0); }
    g += p.coupled * theta;
    let m = p.beta1 * first[at] + p.rest1 * g;
    let v = p.beta2 * second[at] + p.rest2 * (g * g);
    first[at] = m;
    second[at] = v;
    parameter[at] = p.keep * theta - p.rate * m / (sqrt(v) * p.root + p.epsilon);
  }
}

var<workgroup> partial: array<f32, 256>;

fn total(t: u32, value: f32) -> f32 {
  workgroupBarrier();
  partial[t] = value;
  workgroupBarrier();
  for (var span = 128u; span > 0u; span /= 2u) {
    if (t < span) { partial[t] += partial[t + span]; }
    workgroupBarrier();
  }
  return partial[0];
}

@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;

// Removes from each row of `rows` what points along the same row of `w`; a workgroup per row.
@compute @workgroup_size(256)
fn project(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.count) { return; }
  var square = 0.0;
  var product = 0.0;
  for (var column = t; column < p.d; column += 256u) {
    let x = w[p.w_offset + row * p.d + column];
    square += x * x;
    product += x * rows[p.offset + row * p.d + column];
  }
  square = total(t, square);
  product = total(t, product);
  if (square > 0.0) {
    let along = product / square;
    for (var column = t; column < p.d; column += 256u) {
      rows[p.offset + row * p.d + column] -= along * w[p.w_offset + row * p.d + column];
    }
  }
}

// Scales each row to length 1 and keeps rows of zeros; a workgroup per row.
@compute @workgroup_size(256)
fn normalise(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.count || !finite(gate[0])) { return; }
  var square = 0.0;
  for (var column = t; column < p.d; column += 256u) {
    let x = rows[p.offset + row * p.d + column];
    square += x * x;
  }
  square = total(t, square);
  if (square > 0.0 && finite(bitcast<u32>(square))) {
    let length = sqrt(square);
    for (var column = t; column < p.d; column += 256u) {
      rows[p.offset + row * p.d + column] /= length;
    }
  }
}
