// Features in k slots per sample, latents ascending: decoding, gradients by features, and the samples of each latent.
// Every sum has one fixed order; atomics only count, and what they place is sorted afterwards.

struct Params {
  rows: u32, k: u32, d: u32, latents: u32,
  first: u32, last: u32, w_offset: u32, flags: u32,
  slope: f32, extra: f32, x_offset: u32, entries: u32,
}

const FIRST: u32 = 1u;
const NORMS: u32 = 2u;
const SIGNED: u32 = 4u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> features: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read> w4: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> shift4: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out4: array<vec4<f32>>;

// out = shift + sum f_i w_i over the latents first..last, in their order; a workgroup per sample.
@compute @workgroup_size(256)
fn decode(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  for (var column = t; column < p.d; column += 256u) {
    let at = row * p.d + column;
    var sum = 0.0;
    if ((p.flags & FIRST) != 0u) { sum = shift[column]; } else { sum = out[at]; }
    for (var j = row * p.k; j < (row + 1u) * p.k; j += 1u) {
      let latent = indices[j];
      let f = features[j];
      if (f != 0.0 && latent >= p.first && latent < p.last) {
        sum += f * w[p.w_offset + (latent - p.first) * p.d + column];
      }
    }
    out[at] = sum;
  }
}

// The same for widths that are multiples of four.
@compute @workgroup_size(256)
fn decode4(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  let d = p.d / 4u;
  for (var column = t; column < d; column += 256u) {
    let at = row * d + column;
    var sum = vec4<f32>();
    if ((p.flags & FIRST) != 0u) { sum = shift4[column]; } else { sum = out4[at]; }
    for (var j = row * p.k; j < (row + 1u) * p.k; j += 1u) {
      let latent = indices[j];
      let f = features[j];
      if (f != 0.0 && latent >= p.first && latent < p.last) {
        sum += f * w4[p.w_offset / 4u + (latent - p.first) * d + column];
      }
    }
    out4[at] = sum;
  }
}

var<workgroup> partial: array<f32, 256>;

// Sum of `value` over the workgroup, by halves; all threads take part and get the result.
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

@group(0) @binding(6) var<storage, read> target_rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> squares: array<f32>;

// out = slope (out - target), squares = sum of the squared differences; a workgroup per sample.
@compute @workgroup_size(256)
fn residual(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  var sum = 0.0;
  for (var column = t; column < p.d; column += 256u) {
    let at = row * p.d + column;
    let error = out[at] - target_rows[at];
    sum += error * error;
    out[at] = p.slope * error;
  }
  let all = total(t, sum);
  if (t == 0u) { squares[row] = all; }
}

@group(0) @binding(4) var<storage, read> by_output: array<f32>;
@group(0) @binding(6) var<storage, read> norms: array<f32>;

// out = (G w_i + extra [norm_i]) where feature i is above 0, or not 0 where features have signs; a workgroup per sample and slot.
@compute @workgroup_size(64)
fn by_feature(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let entry = group.y * groups.x + group.x;
  if (entry >= p.rows * p.k) { return; }
  let latent = indices[entry];
  let row = entry / p.k;
  let here = latent >= p.first && latent < p.last;
  let f = features[entry];
  let passes = here && (f > 0.0 || ((p.flags & SIGNED) != 0u && f < 0.0));
  var sum = 0.0;
  if (passes) {
    for (var column = t; column < p.d; column += 64u) {
      sum += by_output[row * p.d + column] * w[p.w_offset + (latent - p.first) * p.d + column];
    }
  }
  partial[t] = sum;
  workgroupBarrier();
  for (var span = 32u; span > 0u; span /= 2u) {
    if (t < span) { partial[t] += partial[t + span]; }
    workgroupBarrier();
  }
  if (t == 0u && here) {
    var extra = p.extra;
    if ((p.flags & NORMS) != 0u) { extra *= norms[latent]; }
    out[entry] = select(0.0, partial[0] + extra, passes);
  }
}

@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read> starts: array<u32>;
@group(0) @binding(5) var<storage, read_write> places: array<u32>;

// Uses of each latent, among features that are not 0.
@compute @workgroup_size(256)
fn count(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let entry = (group.y * groups.x + group.x) * 256u + t;
  if (entry < p.entries) {
    if (features[entry] != 0.0) { atomicAdd(&counts[indices[entry]], 1u); }
  }
}

// Puts each entry somewhere among those of its latent.
@compute @workgroup_size(256)
fn place(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let entry = (group.y * groups.x + group.x) * 256u + t;
  if (entry < p.entries) {
    if (features[entry] != 0.0) {
      let latent = indices[entry];
      let at = starts[latent] + atomicAdd(&counts[latent], 1u);
      places[at] = entry;
    }
  }
}

@group(0) @binding(1) var<storage, read> of_latents: array<u32>;
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;

var<workgroup> sums: array<u32, 256>;

// ends[i + 1] = sum of the counts up to latent i, ends[0] = 0; one workgroup.
@compute @workgroup_size(256)
fn scan(@builtin(local_invocation_index) t: u32) {
  var before = 0u;
  if (t == 0u) { ends[0] = 0u; }
  for (var start = 0u; start < p.latents; start += 256u) {
    var own = 0u;
    if (start + t < p.latents) { own = of_latents[start + t]; }
    sums[t] = own;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
      var other = 0u;
      if (t >= step) { other = sums[t - step]; }
      workgroupBarrier();
      sums[t] += other;
      workgroupBarrier();
    }
    if (start + t < p.latents) { ends[start + t + 1u] = before + sums[t]; }
    before += sums[255];
    workgroupBarrier();
  }
}

@group(0) @binding(1) var<storage, read> unsorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> sorted: array<u32>;

// Samples of each latent in ascending order, by their rank; a workgroup per latent.
@compute @workgroup_size(64)
fn order(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let latent = group.y * groups.x + group.x;
  if (latent >= p.latents) { return; }
  let start = starts[latent];
  let end = starts[latent + 1u];
  for (var i = start + t; i < end; i += 64u) {
    let own = unsorted[i];
    var rank = start;
    for (var j = start; j < end; j += 1u) {
      if (unsorted[j] < own) { rank += 1u; }
    }
    sorted[rank] = own;
  }
}

@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read> rows_of: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;

// gradient_i = sum weight x over the samples of latent i, ascending, for latents first..last; a workgroup per latent.
@compute @workgroup_size(256)
fn accumulate(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let latent = p.first + group.y * groups.x + group.x;
  if (latent >= p.last) { return; }
  let start = starts[latent];
  let end = starts[latent + 1u];
  for (var column = t; column < p.d; column += 256u) {
    let at = p.w_offset + (latent - p.first) * p.d + column;
    var sum = 0.0;
    if ((p.flags & FIRST) == 0u) { sum = gradient[at]; }
    for (var i = start; i < end; i += 1u) {
      let entry = of_latents[i];
      sum += weights[entry] * rows_of[p.x_offset + (entry / p.k) * p.d + column];
    }
    gradient[at] = sum;
  }
}

// gradient_i = sum of the weights of latent i; a thread per latent.
@compute @workgroup_size(64)
fn weigh(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let latent = (group.y * groups.x + group.x) * 64u + t;
  if (latent < p.latents) {
    var sum = 0.0;
    if ((p.flags & FIRST) == 0u) { sum = gradient[latent]; }
    for (var i = starts[latent]; i < starts[latent + 1u]; i += 1u) {
      sum += weights[of_latents[i]];
    }
    gradient[latent] = sum;
  }
}
