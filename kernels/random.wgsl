// The ChaCha8 key stream of the processor's generator, word for word; a thread makes one block of 16 words.
// Batches of 256 words come word by word: word 16 w + l of a batch is word w of its block l.

struct Params {
  first_low: u32, first_high: u32, streams: u32, batches: u32,
  columns: u32, scale: f32, out_offset: u32, per_key: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> entries: array<f32>;
// Each key serves `per_key` streams.
@group(0) @binding(2) var<storage, read> keys: array<vec4<u32>>;

fn rotate(x: u32, bits: u32) -> u32 {
  return (x << bits) | (x >> (32u - bits));
}

// A quarter round.
fn quarter(x: vec4<u32>) -> vec4<u32> {
  var a = x.x;
  var b = x.y;
  var c = x.z;
  var d = x.w;
  a += b;
  d = rotate(d ^ a, 16u);
  c += d;
  b = rotate(b ^ c, 12u);
  a += b;
  d = rotate(d ^ a, 8u);
  c += d;
  b = rotate(b ^ c, 7u);
  return vec4<u32>(a, b, c, d);
}

// Block `counter` of a stream, numbered from `first` for each key: four vectors of four words.
fn block(stream: u32, counter: u32) -> array<vec4<u32>, 4> {
  let item = stream % p.per_key;
  let low = p.first_low + item;
  let high = p.first_high + select(0u, 1u, low < item);
  let a = vec4<u32>(0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u);
  let b = keys[2u * (stream / p.per_key)];
  let c = keys[2u * (stream / p.per_key) + 1u];
  let d = vec4<u32>(counter, 0u, low, high);
  var x0 = a;
  var x1 = b;
  var x2 = c;
  var x3 = d;
  for (var i = 0u; i < 4u; i += 1u) {
    let q0 = quarter(vec4<u32>(x0.x, x1.x, x2.x, x3.x));
    let q1 = quarter(vec4<u32>(x0.y, x1.y, x2.y, x3.y));
    let q2 = quarter(vec4<u32>(x0.z, x1.z, x2.z, x3.z));
    let q3 = quarter(vec4<u32>(x0.w, x1.w, x2.w, x3.w));
    let r0 = quarter(vec4<u32>(q0.x, q1.y, q2.z, q3.w));
    let r1 = quarter(vec4<u32>(q1.x, q2.y, q3.z, q0.w));
    let r2 = quarter(vec4<u32>(q2.x, q3.y, q0.z, q1.w));
    let r3 = quarter(vec4<u32>(q3.x, q0.y, q1.z, q2.w));
    x0 = vec4<u32>(r0.x, r1.x, r2.x, r3.x);
    x1 = vec4<u32>(r3.y, r0.y, r1.y, r2.y);
    x2 = vec4<u32>(r2.z, r3.z, r0.z, r1.z);
    x3 = vec4<u32>(r1.w, r2.w, r3.w, r0.w);
  }
  return array<vec4<u32>, 4>(x0 + a, x1 + b, x2 + c, x3 + d);
}

// Which stream and block a thread makes.
fn place(group: vec3<u32>, groups: vec3<u32>, t: u32) -> vec2<u32> {
  let i = (group.y * groups.x + group.x) * 64u + t;
  let blocks = 16u * p.batches;
  return vec2<u32>(i / blocks, i % blocks);
}

// words (streams, 256 batches)
@compute @workgroup_size(64)
fn key_stream(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let at = place(group, groups, t);
  if (at.x < p.streams) {
    var made = block(at.x, at.y);
    let start = p.out_offset + at.x * p.batches * 256u + (at.y / 16u) * 256u + at.y % 16u;
    for (var w = 0u; w < 16u; w += 1u) {
      words[start + 16u * w] = made[w / 4u][w % 4u];
    }
  }
}

// entries (streams, columns): scale or -scale by the bits of the words, the lowest first
@compute @workgroup_size(64)
fn signs(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let at = place(group, groups, t);
  if (at.x < p.streams) {
    var made = block(at.x, at.y);
    for (var w = 0u; w < 16u; w += 1u) {
      let word = made[w / 4u][w % 4u];
      let first = 32u * ((at.y / 16u) * 256u + 16u * w + at.y % 16u);
      for (var bit = 0u; bit < 32u; bit += 1u) {
        if (first + bit < p.columns) {
          entries[p.out_offset + at.x * p.columns + first + bit] = select(-p.scale, p.scale, ((word >> bit) & 1u) == 1u);
        }
      }
    }
  }
}
