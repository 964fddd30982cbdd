// Encoding with a TopK autoencoder on one thread: limpid in WebAssembly, limpid natively, onnxruntime-web in WebAssembly.
//
//   bash examples/browser/build.sh && cargo build --release --example throughput
//   npm install --prefix target/peers onnxruntime-web@1.30.0
//   node benches/peers/wasm.mjs [--rows 64] [--rounds 5]
//
// Prints a JSON line per contender and one with the ratios. All three do x W + b, the k largest of each row, and rectify those.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const option = (name, usual) => Number(process.argv[process.argv.indexOf("--" + name, 2) + 1 || Infinity] ?? usual);
const [d, m, k, rows, rounds] = [512, 4096, 32, option("rows", 64), option("rounds", 5)];
const BUDGET = 700; // milliseconds of one round

function needs(path, how) {
  if (existsSync(path)) return path;
  console.error(`${path} is missing: ${how}`);
  process.exit(2);
}

// ONNX is protobuf; what a graph of four nodes needs of it is a few lines.
const varint = (n) => {
  const out = [];
  for (let x = BigInt(n); ; x >>= 7n) {
    if (x < 128n) return Buffer.from([...out, Number(x)]);
    out.push(Number(x & 127n) | 128);
  }
};
const field = (number, wire, body) => Buffer.concat([varint((number << 3) | wire), body]);
const int = (number, value) => field(number, 0, varint(value));
const bytes = (number, ...parts) => {
  const body = Buffer.concat(parts);
  return field(number, 2, Buffer.concat([varint(body.length), body]));
};
const text = (number, value) => bytes(number, Buffer.from(value));
const FLOAT = 1, INT64 = 7;
const tensor = (name, type, dims, data) => Buffer.concat([...dims.map((n) => int(1, n)), int(2, type), text(8, name), bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength))]);
const shaped = (name, type, dims) => Buffer.concat([text(1, name), bytes(2, bytes(1, int(1, type), bytes(2, ...dims.map((n) => bytes(1, int(1, n))))))]);
const node = (kind, inputs, outputs) => Buffer.concat([...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name)), text(4, kind)]);

function model(weights) {
  const graph = [
    bytes(1, node("MatMul", ["x", "w"], ["product"])),
    bytes(1, node("Add", ["product", "b"], ["z"])),
    bytes(1, node("TopK", ["z", "k"], ["largest", "latents"])),
    bytes(1, node("Relu", ["largest"], ["features"])),
    text(2, "encode"),
    bytes(5, tensor("w", FLOAT, [d, m], weights)),
    bytes(5, tensor("b", FLOAT, [m], new Float32Array(m))),
    bytes(5, tensor("k", INT64, [1], new BigInt64Array([BigInt(k)]))),
    bytes(11, shaped("x", FLOAT, [rows, d])),
    bytes(12, shaped("features", FLOAT, [rows, k])),
    bytes(12, shaped("latents", INT64, [rows, k])),
  ];
  return Buffer.concat([int(1, 8), bytes(7, ...graph), bytes(8, int(2, 17))]);
}

// Rows per second in the best of the rounds.
async function rate(encode) {
  await encode();
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    let times = 0;
    while (performance.now() - start < BUDGET) {
      await encode();
      times++;
    }
    best = Math.max(best, (1000 * times * rows) / (performance.now() - start));
  }
  return best;
}

const rates = {};
function report(contender, perSecond, sum) {
  rates[contender] = perSecond;
  console.log(JSON.stringify({ workload: "sae-encode", contender, sizes: { d, m, k, rows }, threads: 1, per_second: perSecond, flops: perSecond * 2 * d * m, checks: { sum } }));
}

const pkg = join(root, "examples/browser/web/pkg"), program = needs(join(pkg, "limpid_browser_bg.wasm"), "bash examples/browser/build.sh");
const { initSync, Encoder } = await import(pathToFileURL(join(pkg, "limpid_browser.js")));
initSync({ module: readFileSync(program) });
const encoder = new Encoder(d, m, k, rows);
const perSecond = await rate(() => encoder.encode(1));
report("limpid wasm", perSecond, encoder.encode(1));

const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const native = needs(join(target, "release/examples/throughput"), "cargo build --release --example throughput");
const iterations = Math.max(10, Math.ceil((0.001 * BUDGET * 3 * perSecond) / rows));
let best = 0;
for (let round = 0; round < rounds; round++) {
  const line = execFileSync(native, ["sae-encode", "--threads", "1", "--batch", String(rows), "--iterations", String(iterations)], { encoding: "utf8" });
  best = Math.max(best, JSON.parse(line).per_second);
}
report("limpid native", best);

const home = needs(join(root, "target/peers/node_modules/onnxruntime-web/package.json"), "npm install --prefix target/peers onnxruntime-web");
const ort = createRequire(home)("onnxruntime-web");
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = pathToFileURL(join(dirname(home), "dist")).href + "/";
const session = await ort.InferenceSession.create(model(encoder.weights), { executionProviders: ["wasm"] });
const feeds = { x: new ort.Tensor("float32", encoder.batch, [rows, d]) };
const { features } = await session.run(feeds);
report("onnxruntime-web", await rate(() => session.run(feeds)), features.data.reduce((sum, value) => sum + value, 0));

console.log(JSON.stringify({ native_over_wasm: rates["limpid native"] / rates["limpid wasm"], wasm_over_onnxruntime: rates["limpid wasm"] / rates["onnxruntime-web"] }));
