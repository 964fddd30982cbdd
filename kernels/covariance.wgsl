// C = [C +] sum over rows of w x xT, symmetric to the bit: a workgroup computes 64 x 64 numbers on or below the diagonal and
// their mirror. Sums run over 256 rows from 0, and these are added.

struct Params {
  rows: u32, d: u32, x_offset: u32, w_offset: u32,
  flags: u32, unused1: u32, unused2: u32, unused3: u32,
}

const ADD: u32 = 1u;
const WEIGHTED: u32 = 2u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> left: array<vec4<f32>, 272>;
var<workgroup> right: array<vec4<f32>, 272>;

// Four columns of one row, zero outside.
fn load(row: u32, column: u32) -> vec4<f32> {
  var v = vec4<f32>(0.0, 0.0, 0.0, 0.0);
  if (row < p.rows && column < p.d) {
    let at = p.x_offset + row * p.d + column;
    v.x = x[at];
    if (column + 1u < p.d) { v.y = x[at + 1u]; }
    if (column + 2u < p.d) { v.z = x[at + 2u]; }
    if (column + 3u < p.d) { v.w = x[at + 3u]; }
  }
  return v;
}

fn store(i: u32, j: u32, sum: f32) {
  if (i < p.d && j <= i) {
    var v = sum;
    if ((p.flags & ADD) != 0u) { v += c[i * p.d + j]; }
    c[i * p.d + j] = v;
    if (j < i) { c[j * p.d + i] = v; }
  }
}

fn store4(i: u32, j: u32, sums: vec4<f32>) {
  store(i, j, sums.x);
  store(i, j + 1u, sums.y);
  store(i, j + 2u, sums.z);
  store(i, j + 3u, sums.w);
}

@compute @workgroup_size(256)
fn rank_k(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  if (group.x > group.y) { return; }
  let i = group.y * 64u;
  let j = group.x * 64u;
  let tx = t % 16u;
  let ty = t / 16u;
  var c0 = vec4<f32>();
  var c1 = vec4<f32>();
  var c2 = vec4<f32>();
  var c3 = vec4<f32>();
  for (var start = 0u; start < p.rows; start += 256u) {
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var q = start; q < min(start + 256u, p.rows); q += 16u) {
      var weight = 1.0;
      if ((p.flags & WEIGHTED) != 0u && q + ty < p.rows) { weight = weights[p.w_offset + q + ty]; }
      left[ty * 17u + tx] = weight * load(q + ty, i + 4u * tx);
      right[ty * 17u + tx] = load(q + ty, j + 4u * tx);
      workgroupBarrier();
      for (var s = 0u; s < 272u; s += 17u) {
        let a = left[s + ty];
        let b = right[s + tx];
        s0 += a.x * b;
        s1 += a.y * b;
        s2 += a.z * b;
        s3 += a.w * b;
      }
      workgroupBarrier();
    }
    c0 += s0;
    c1 += s1;
    c2 += s2;
    c3 += s3;
  }
  store4(i + 4u * ty, j + 4u * tx, c0);
  store4(i + 4u * ty + 1u, j + 4u * tx, c1);
  store4(i + 4u * ty + 2u, j + 4u * tx, c2);
  store4(i + 4u * ty + 3u, j + 4u * tx, c3);
}
