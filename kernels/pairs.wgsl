// Statistics of pairs (t, s) row by row, and histograms; a workgroup serves one row.
// Pairs that are not finite are counted and otherwise left out. Moments are taken around the means of the row.

struct Params {
  rows: u32, columns: u32, t_offset: u32, s_offset: u32,
  out_offset: u32, bins: u32, unused1: u32, unused2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> truth: array<f32>;
@group(0) @binding(2) var<storage, read> predicted: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

var<workgroup> partial: array<vec4<f32>, 256>;
var<workgroup> found: atomic<u32>;

fn total(t: u32, value: vec4<f32>) -> vec4<f32> {
  workgroupBarrier();
  partial[t] = value;
  workgroupBarrier();
  for (var span = 128u; span > 0u; span /= 2u) {
    if (t < span) { partial[t] += partial[t + span]; }
    workgroupBarrier();
  }
  return partial[0];
}

fn finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// Per row: count, first pair (2), mean shifts (2), moments (3), absolute truth, absolute and square error.
@compute @workgroup_size(256)
fn stats(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let ts = p.t_offset + row * p.columns;
  let ss = p.s_offset + row * p.columns;
  if (t == 0u) { atomicStore(&found, p.columns); }
  workgroupBarrier();
  for (var i = t; i < p.columns; i += 256u) {
    if (finite(truth[ts + i]) && finite(predicted[ss + i])) { atomicMin(&found, i); }
  }
  workgroupBarrier();
  let first = atomicLoad(&found);
  var origin = vec2<f32>();
  if (first < p.columns) { origin = vec2<f32>(truth[ts + first], predicted[ss + first]); }
  // shifts of the means, counts
  var sums = vec4<f32>();
  var errors = vec4<f32>();
  for (var i = t; i < p.columns; i += 256u) {
    let x = truth[ts + i];
    let y = predicted[ss + i];
    if (finite(x) && finite(y)) {
      sums += vec4<f32>(x - origin.x, y - origin.y, 1.0, 0.0);
      errors += vec4<f32>(abs(x), abs(x - y), (x - y) * (x - y), 0.0);
    }
  }
  let all = total(t, sums);
  let of_errors = total(t, errors);
  let shift = all.xy / max(all.z, 1.0);
  var moments = vec4<f32>();
  for (var i = t; i < p.columns; i += 256u) {
    let x = truth[ts + i];
    let y = predicted[ss + i];
    if (finite(x) && finite(y)) {
      let d = (x - origin.x) - shift.x;
      let e = (y - origin.y) - shift.y;
      moments += vec4<f32>(d * d, e * e, d * e, 0.0);
    }
  }
  let of_moments = total(t, moments);
  if (t == 0u) {
    let at = p.out_offset + row * 12u;
    out[at] = all.z;
    out[at + 1u] = origin.x;
    out[at + 2u] = origin.y;
    out[at + 3u] = shift.x;
    out[at + 4u] = shift.y;
    out[at + 5u] = of_moments.x;
    out[at + 6u] = of_moments.y;
    out[at + 7u] = of_moments.z;
    out[at + 8u] = of_errors.x;
    out[at + 9u] = of_errors.y;
    out[at + 10u] = of_errors.z;
    out[at + 11u] = 0.0;
  }
}

@group(0) @binding(2) var<storage, read> edges: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, 2048>;

// Whole numbers in the order of floats, so that zeros of both signs and subnormal numbers compare as they should.
fn ordered(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits != magnitude);
}

// Per row: values of each bin, then those below the first edge, above the last, and NaN. Edges come as ordered keys: the
// smallest value of each bin, and at the end the largest of the last.
@compute @workgroup_size(256)
fn histogram(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  for (var i = t; i < p.bins + 3u; i += 256u) { atomicStore(&bins[i], 0u); }
  workgroupBarrier();
  for (var i = t; i < p.columns; i += 256u) {
    let bits = bitcast<u32>(truth[p.t_offset + row * p.columns + i]);
    let key = ordered(bits);
    var at = p.bins + 2u;
    if ((bits & 0x7fffffffu) <= 0x7f800000u) {
      at = p.bins;
      if (key > edges[p.bins]) { at = p.bins + 1u; }
      else if (key >= edges[0]) {
        // the last bin whose smallest value is not above
        var low = 0u;
        var high = p.bins;
        while (high - low > 1u) {
          let middle = (low + high) / 2u;
          if (key >= edges[middle]) { low = middle; } else { high = middle; }
        }
        at = low;
      }
    }
    atomicAdd(&bins[at], 1u);
  }
  workgroupBarrier();
  for (var i = t; i < p.bins + 3u; i += 256u) {
    atomicStore(&counts[p.out_offset + row * (p.bins + 3u) + i], atomicLoad(&bins[i]));
  }
}
