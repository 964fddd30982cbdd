// The k largest of each row, among what was kept before and a tile of new columns; a workgroup serves one row.
// Radix select on ordered keys, 8 bits a pass, then one sweep in the order of indices: ties go to the lower index.

struct Params {
  rows: u32, columns: u32, stride: u32, offset: u32,
  k: u32, kept: u32, first: u32, flags: u32,
  out_offset: u32, unused1: u32, unused2: u32, unused3: u32,
}

const SCALED: u32 = 1u;
const RECTIFY: u32 = 2u;
const MASKED: u32 = 4u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> tile: array<u32>;
@group(0) @binding(2) var<storage, read> kept_values: array<u32>;
@group(0) @binding(3) var<storage, read> kept_indices: array<u32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read> eligible: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<u32>;
@group(0) @binding(7) var<storage, read_write> indices: array<u32>;

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> sums: array<u32, 256>;
var<workgroup> digit: u32;
var<workgroup> wanted: u32;

// Larger keys for larger numbers; -0 equals 0 and NaN comes last, as in the order of the processor's choice.
fn ordered(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0u; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits != magnitude);
}

// Bits of the value, and index, of candidate `j` of a row.
fn candidate(row: u32, j: u32) -> vec2<u32> {
  if (j < p.kept) {
    return vec2<u32>(kept_values[row * p.k + j], kept_indices[row * p.k + j]);
  }
  let column = j - p.kept;
  return vec2<u32>(tile[p.offset + row * p.stride + column], p.first + column);
}

fn key(found: vec2<u32>) -> u32 {
  if ((p.flags & MASKED) != 0u && eligible[found.y] == 0u) { return 0u; }
  if ((p.flags & SCALED) != 0u) {
    return ordered(bitcast<u32>(bitcast<f32>(found.x) * scale[found.y]));
  }
  return ordered(found.x);
}

// Sum of `value` over this thread and those before it; all threads take part.
fn inclusive(t: u32, value: u32) -> u32 {
  sums[t] = value;
  workgroupBarrier();
  for (var step = 1u; step < 256u; step *= 2u) {
    var other = 0u;
    if (t >= step) { other = sums[t - step]; }
    workgroupBarrier();
    sums[t] += other;
    workgroupBarrier();
  }
  return sums[t];
}

fn write(at: u32, found: vec2<u32>) {
  var bits = found.x;
  // who may not be chosen fills a slot with 0
  let barred = (p.flags & MASKED) != 0u && eligible[found.y] == 0u;
  // NaN stays, whatever its sign bit says
  let negative = bits >= 0x80000000u && (bits & 0x7fffffffu) <= 0x7f800000u;
  if (barred || ((p.flags & RECTIFY) != 0u && negative)) { bits = 0u; }
  values[at] = bits;
  indices[at] = found.y;
}

@compute @workgroup_size(256)
fn top_k(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let total = p.kept + p.columns;
  let k = min(p.k, total);
  var prefix = 0u;
  var seen = 0u;
  var need = k;
  for (var round = 0u; round < 4u; round += 1u) {
    let shift = 24u - 8u * round;
    atomicStore(&histogram[t], 0u);
    workgroupBarrier();
    for (var j = t; j < total; j += 256u) {
      let own = key(candidate(row, j));
      if ((own & seen) == prefix) { atomicAdd(&histogram[(own >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    // from the largest digit down
    let count = atomicLoad(&histogram[255u - t]);
    let up_to = inclusive(t, count);
    if (up_to >= need && up_to - count < need) {
      digit = 255u - t;
      wanted = need - (up_to - count);
    }
    workgroupBarrier();
    prefix |= digit << shift;
    seen |= 255u << shift;
    need = wanted;
    workgroupBarrier();
  }
  // all keys above `prefix` and the first `need` that equal it
  var above = 0u;
  var equal = 0u;
  for (var start = 0u; start < total; start += 1024u) {
    var mine = 0u;
    for (var u = 0u; u < 4u; u += 1u) {
      let j = start + 4u * t + u;
      if (j < total) {
        let own = key(candidate(row, j));
        if (own > prefix) { mine += 0x10000u; }
        if (own == prefix) { mine += 1u; }
      }
    }
    let before = inclusive(t, mine) - mine;
    var more = above + (before >> 16u);
    var same = equal + (before & 0xffffu);
    for (var u = 0u; u < 4u; u += 1u) {
      let j = start + 4u * t + u;
      if (j < total) {
        let found = candidate(row, j);
        let own = key(found);
        let at = p.out_offset + row * p.k + more + min(same, need);
        if (own > prefix) {
          write(at, found);
          more += 1u;
        }
        if (own == prefix) {
          if (same < need) { write(at, found); }
          same += 1u;
        }
      }
    }
    let all = sums[255u];
    above += all >> 16u;
    equal += all & 0xffffu;
    workgroupBarrier();
  }
}
