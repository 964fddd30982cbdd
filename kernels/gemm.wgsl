// C = act(alpha op(A) op(B) [+ C] [+ bias]). A workgroup computes one tile of C: 64 x 64 (4 x 4 per thread),
// 128 x 128 (8 x 8 per thread), or up to 4 rows of 64 columns. Sums run over the inner index in order.

struct Params {
  m: u32, n: u32, k: u32, flags: u32,
  lda: u32, ldb: u32, ldc: u32, column: u32,
  a_offset: u32, b_offset: u32, c_offset: u32, alpha: f32,
}

const ADD: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;
const JUMP: u32 = 8u;

// Which way the operands lie, and whether four neighbours may be read at once.
override A_TRANSPOSED: bool = false;
override B_TRANSPOSED: bool = false;
override A_VEC4: bool = false;
override B_VEC4: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> a4: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> b4: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read> bar: array<f32>;
@group(0) @binding(7) var<storage, read_write> c: array<f32>;

// op(A)[i..i + 4, q], zero outside.
fn load_a(i: u32, q: u32) -> vec4<f32> {
  var v = vec4<f32>(0.0, 0.0, 0.0, 0.0);
  if (q < p.k && i < p.m) {
    if (A_TRANSPOSED) {
      let at = p.a_offset + q * p.lda + i;
      if (A_VEC4) {
        v = a4[at / 4u];
      } else {
        v.x = a[at];
        if (i + 1u < p.m) { v.y = a[at + 1u]; }
        if (i + 2u < p.m) { v.z = a[at + 2u]; }
        if (i + 3u < p.m) { v.w = a[at + 3u]; }
      }
    } else {
      let at = p.a_offset + i * p.lda + q;
      v.x = a[at];
      if (i + 1u < p.m) { v.y = a[at + p.lda]; }
      if (i + 2u < p.m) { v.z = a[at + 2u * p.lda]; }
      if (i + 3u < p.m) { v.w = a[at + 3u * p.lda]; }
    }
  }
  return v;
}

// op(B)[q, j..j + 4], zero outside.
fn load_b(q: u32, j: u32) -> vec4<f32> {
  var v = vec4<f32>(0.0, 0.0, 0.0, 0.0);
  if (q < p.k && j < p.n) {
    if (B_TRANSPOSED) {
      let at = p.b_offset + j * p.ldb + q;
      v.x = b[at];
      if (j + 1u < p.n) { v.y = b[at + p.ldb]; }
      if (j + 2u < p.n) { v.z = b[at + 2u * p.ldb]; }
      if (j + 3u < p.n) { v.w = b[at + 3u * p.ldb]; }
    } else {
      let at = p.b_offset + q * p.ldb + j;
      if (B_VEC4) {
        v = b4[at / 4u];
      } else {
        v.x = b[at];
        if (j + 1u < p.n) { v.y = b[at + 1u]; }
        if (j + 2u < p.n) { v.z = b[at + 2u]; }
        if (j + 3u < p.n) { v.w = b[at + 3u]; }
      }
    }
  }
  return v;
}

fn store(i: u32, j: u32, sum: f32) {
  if (i < p.m && j < p.n) {
    let at = p.c_offset + i * p.ldc + j;
    var v = p.alpha * sum;
    if ((p.flags & ADD) != 0u) { v = v + c[at]; }
    if ((p.flags & BIAS) != 0u) { v = v + bias[p.column + j]; }
    // written so that NaN stays NaN
    if ((p.flags & RELU) != 0u && v <= 0.0) { v = 0.0; }
    if ((p.flags & JUMP) != 0u) { v = select(0.0, v, v > bar[p.column + j]); }
    c[at] = v;
  }
}

fn store4(i: u32, j: u32, sums: vec4<f32>) {
  store(i, j, sums.x);
  store(i, j + 1u, sums.y);
  store(i, j + 2u, sums.z);
  store(i, j + 3u, sums.w);
}

// Inner indices by groups of four rows or columns; a group of padding keeps threads out of each other's banks.
var<workgroup> left: array<vec4<f32>, 272>;
var<workgroup> right: array<vec4<f32>, 272>;

@compute @workgroup_size(256)
fn tile64(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group.y * 64u;
  let column = group.x * 64u;
  let tx = t % 16u;
  let ty = t / 16u;
  // neighbouring threads read neighbouring numbers
  let aq = select(tx, ty, A_TRANSPOSED);
  let ag = select(ty, tx, A_TRANSPOSED);
  let bq = select(ty, tx, B_TRANSPOSED);
  let bg = select(tx, ty, B_TRANSPOSED);
  var c0 = vec4<f32>();
  var c1 = vec4<f32>();
  var c2 = vec4<f32>();
  var c3 = vec4<f32>();
  for (var q = 0u; q < p.k; q += 16u) {
    left[aq * 17u + ag] = load_a(row + 4u * ag, q + aq);
    right[bq * 17u + bg] = load_b(q + bq, column + 4u * bg);
    workgroupBarrier();
    for (var s = 0u; s < 272u; s += 34u) {
      let x = left[s + ty];
      let y = right[s + tx];
      c0 += x.x * y;
      c1 += x.y * y;
      c2 += x.z * y;
      c3 += x.w * y;
      let z = left[s + 17u + ty];
      let w = right[s + 17u + tx];
      c0 += z.x * w;
      c1 += z.y * w;
      c2 += z.z * w;
      c3 += z.w * w;
    }
    workgroupBarrier();
  }
  let i = row + 4u * ty;
  let j = column + 4u * tx;
  store4(i, j, c0);
  store4(i + 1u, j, c1);
  store4(i + 2u, j, c2);
  store4(i + 3u, j, c3);
}

@compute @workgroup_size(256)
fn tile128(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group.y * 128u;
  let column = group.x * 128u;
  let tx = t % 16u;
  let ty = t / 16u;
  let aq = select(t % 8u, t / 32u, A_TRANSPOSED);
  let ag = select(t / 8u, t % 32u, A_TRANSPOSED);
  let bq = select(t / 32u, t % 8u, B_TRANSPOSED);
  let bg = select(t % 32u, t / 8u, B_TRANSPOSED);
  var c00 = vec4<f32>();
  var c01 = vec4<f32>();
  var c10 = vec4<f32>();
  var c11 = vec4<f32>();
  var c20 = vec4<f32>();
  var c21 = vec4<f32>();
  var c30 = vec4<f32>();
  var c31 = vec4<f32>();
  var c40 = vec4<f32>();
  var c41 = vec4<f32>();
  var c50 = vec4<f32>();
  var c51 = vec4<f32>();
  var c60 = vec4<f32>();
  var c61 = vec4<f32>();
  var c70 = vec4<f32>();
  var c71 = vec4<f32>();
  for (var q = 0u; q < p.k; q += 8u) {
    left[aq * 33u + ag] = load_a(row + 4u * ag, q + aq);
    right[bq * 33u + bg] = load_b(q + bq, column + 4u * bg);
    workgroupBarrier();
    for (var s = 0u; s < 264u; s += 33u) {
      let x = left[s + ty];
      let z = left[s + 16u + ty];
      let y = right[s + tx];
      let w = right[s + 16u + tx];
      c00 += x.x * y;
      c01 += x.x * w;
      c10 += x.y * y;
      c11 += x.y * w;
      c20 += x.z * y;
      c21 += x.z * w;
      c30 += x.w * y;
      c31 += x.w * w;
      c40 += z.x * y;
      c41 += z.x * w;
      c50 += z.y * y;
      c51 += z.y * w;
      c60 += z.z * y;
      c61 += z.z * w;
      c70 += z.w * y;
      c71 += z.w * w;
    }
    workgroupBarrier();
  }
  let i = row + 4u * ty;
  let j = column + 4u * tx;
  store4(i, j, c00);
  store4(i, j + 64u, c01);
  store4(i + 1u, j, c10);
  store4(i + 1u, j + 64u, c11);
  store4(i + 2u, j, c20);
  store4(i + 2u, j + 64u, c21);
  store4(i + 3u, j, c30);
  store4(i + 3u, j + 64u, c31);
  store4(i + 64u, j, c40);
  store4(i + 64u, j + 64u, c41);
  store4(i + 65u, j, c50);
  store4(i + 65u, j + 64u, c51);
  store4(i + 66u, j, c60);
  store4(i + 66u, j + 64u, c61);
  store4(i + 67u, j, c70);
  store4(i + 67u, j + 64u, c71);
}

// Up to four rows: B passes by once, in pieces of 32 inner indices and 64 columns.
var<workgroup> few: array<vec4<f32>, 32>;
var<workgroup> piece: array<f32, 2080>;
var<workgroup> parts: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn few_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group.y * 4u;
  let column = group.x * 64u;
  let x = t % 64u;
  let part = t / 64u;
  var sums = vec4<f32>();
  for (var q = 0u; q < p.k; q += 32u) {
    if (t < 32u) { few[t] = load_a(row, q + t); }
    if (B_TRANSPOSED) {
      for (var g = 0u; g < 64u; g += 32u) {
        let v = load_b(q + t % 32u, column + g + 4u * (t / 32u));
        let at = (t % 32u) * 65u + g + 4u * (t / 32u);
        piece[at] = v.x;
        piece[at + 1u] = v.y;
        piece[at + 2u] = v.z;
        piece[at + 3u] = v.w;
      }
    } else {
      for (var s = 0u; s < 32u; s += 16u) {
        let v = load_b(q + s + t / 16u, column + 4u * (t % 16u));
        let at = (s + t / 16u) * 65u + 4u * (t % 16u);
        piece[at] = v.x;
        piece[at + 1u] = v.y;
        piece[at + 2u] = v.z;
        piece[at + 3u] = v.w;
      }
    }
    workgroupBarrier();
    for (var s = 8u * part; s < 8u * part + 8u; s += 1u) {
      sums += few[s] * piece[s * 65u + x];
    }
    workgroupBarrier();
  }
  parts[t] = sums;
  workgroupBarrier();
  if (part == 0u) {
    let total = (parts[x] + parts[x + 64u]) + (parts[x + 128u] + parts[x + 192u]);
    store(row, column + x, total.x);
    store(row + 1u, column + x, total.y);
    store(row + 2u, column + x, total.z);
    store(row + 3u, column + x, total.w);
  }
}
