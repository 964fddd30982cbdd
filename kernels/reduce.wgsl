// Sums over rows and over columns in a fixed order: strands of elements, then halves.

struct Params {
  rows: u32, columns: u32, offset: u32, term: u32,
  out_offset: u32, add: u32, scale: f32, unused: u32,
}

// What is summed: x, x squared, or 1 where x is not 0.
const SQUARE: u32 = 1u;
const ACTIVE: u32 = 2u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

var<workgroup> partial: array<f32, 256>;

fn term(value: f32) -> f32 {
  if (p.term == SQUARE) { return value * value; }
  if (p.term == ACTIVE) { return select(0.0, 1.0, value != 0.0); }
  return value;
}

fn keep(at: u32, sum: f32) {
  var before = 0.0;
  if (p.add != 0u) { before = out[p.out_offset + at]; }
  out[p.out_offset + at] = before + p.scale * sum;
}

// A workgroup per row.
@compute @workgroup_size(256)
fn row_sums(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
  var sum = 0.0;
  for (var column = t; column < p.columns; column += 256u) {
    sum += term(x[p.offset + row * p.columns + column]);
  }
  partial[t] = sum;
  workgroupBarrier();
  for (var span = 128u; span > 0u; span /= 2u) {
    if (t < span) { partial[t] += partial[t + span]; }
    workgroupBarrier();
  }
  if (t == 0u) { keep(row, partial[0]); }
}

// A workgroup per 32 columns; eight strands of rows.
@compute @workgroup_size(256)
fn column_sums(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let column = (group.y * groups.x + group.x) * 32u + t % 32u;
  var sum = 0.0;
  if (column < p.columns) {
    for (var row = t / 32u; row < p.rows; row += 8u) {
      sum += term(x[p.offset + row * p.columns + column]);
    }
  }
  partial[t] = sum;
  workgroupBarrier();
  for (var span = 128u; span >= 32u; span /= 2u) {
    if (t < span) { partial[t] += partial[t + span]; }
    workgroupBarrier();
  }
  if (t < 32u && column < p.columns) { keep(column, partial[t]); }
}
