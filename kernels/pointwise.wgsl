// One thread per number: centring, roots, sums, and which latents are silent.

struct Params {
  count: u32, d: u32, offset: u32, out_offset: u32,
  rows: u32, limit: u32, factor: f32, unused: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> row: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// out = x - row for every row of x, `d` wide.
@compute @workgroup_size(256)
fn centre(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count) { out[p.out_offset + i] = x[p.offset + i] - row[i % p.d]; }
}

// out = square root of x.
@compute @workgroup_size(256)
fn roots(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count) { out[p.out_offset + i] = sqrt(x[p.offset + i]); }
}

// out = out + factor x.
@compute @workgroup_size(256)
fn blend(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count) { out[p.out_offset + i] += p.factor * x[p.offset + i]; }
}

// out = factor x[0] out.
@compute @workgroup_size(256)
fn times(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count) { out[p.out_offset + i] *= p.factor * x[0]; }
}

// out[0] = factor share / x[0], 0 where x[0] is not above 0; share = 1, or that of row[0] in `limit`, at most 1, and 0 for 0.
@compute @workgroup_size(1)
fn share() {
  let many = row[0];
  var found = 0.0;
  if (many > 0.0 && x[0] > 0.0) {
    found = p.factor / x[0];
    if (p.limit > 0u) { found *= min(many / f32(p.limit), 1.0); }
  }
  out[0] = found;
}

@group(0) @binding(1) var<storage, read> uses: array<u32>;
@group(0) @binding(2) var<storage, read> gate: array<u32>;
@group(0) @binding(4) var<storage, read_write> silent: array<u32>;

// Samples since each latent last fired, and 1 for those that are silent for `limit`; nothing where the loss is not finite.
@compute @workgroup_size(256)
fn follow(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (group.y * groups.x + group.x) * 256u + t;
  if (i < p.count && (gate[0] & 0x7f800000u) != 0x7f800000u) {
    var since = 0u;
    if (uses[i] == 0u) { since = silent[i] + min(p.rows, 0xffffffffu - silent[i]); }
    silent[i] = since;
    out[i] = select(0.0, 1.0, since >= p.limit);
  }
}
