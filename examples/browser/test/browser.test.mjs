// The page in headless Chromium: what a reader does, and what must not go wrong. Screenshots go to test/shots.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../serve.mjs";

const SHOTS = fileURLToPath(new URL("shots/", import.meta.url));
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const DESKTOP = { viewport: { width: 1280, height: 900 } };
// with the training paused from the start: pages that are about something else load quickly on a slow machine
const STILL = { ...DESKTOP, reducedMotion: "reduce" };
// `accelerated` has an adapter for WebGPU, which the other has not
let server, browser, accelerated, home;

const launch = (...more) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...more],
});

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  server = await serve();
  home = `http://127.0.0.1:${server.address().port}/`;
  [browser, accelerated] = await Promise.all([launch(), launch("--enable-unsafe-webgpu")]);
});

after(async () => {
  await Promise.all([browser?.close(), accelerated?.close()]);
  server?.close();
});

// A page that is ready; whatever went wrong in it, and where it asked for something, is known in the end.
async function open(options = DESKTOP, of = browser) {
  const context = await of.newContext(options), page = await context.newPage(), wrong = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => request.url().startsWith(home) || /^(blob|data):/.test(request.url()) || wrong.push(`asked for ${request.url()}`));
  page.setDefaultTimeout(120000); // on a busy machine
  await page.goto(home);
  await page.waitForSelector("html[data-ready]");
  return { page, close: async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  } };
}

const EXAMPLE = ["sae_weights.safetensors", "cfg.json", "activations.safetensors", "vocab.txt"].map((name) => ({ name }));

// Drops files as a pointer would, or chooses them. Without bytes a file is that of the example, cut to `keep` bytes if there is such a number.
const drop = (page, files, by = "drop") => page.evaluate(async ({ files, by }) => {
  const { exampleFiles } = await import("./pkg/limpid_browser.js");
  const example = new Map(exampleFiles().map(([name, bytes]) => [name.split("/").pop(), bytes])), data = new DataTransfer();
  for (const { name, bytes, keep } of files) data.items.add(new File([bytes ? new Uint8Array(bytes) : example.get(name).slice(0, keep)], name));
  if (by === "drop") return void document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  const input = document.getElementById("files");
  input.files = data.files;
  input.dispatchEvent(new Event("change"));
}, { files, by });

const MATRICES = { d: 24, m: 160, rows: 90 };
const KINDS = [
  { architecture: "standard" },
  { architecture: "topk", k: 7, normalize_activations: "layer_norm" },
  { architecture: "topk", k: 7, rescale_acts_by_decoder_norm: true },
  { architecture: "jumprelu" },
  { architecture: "batchtopk", k: 7, rescale_acts_by_decoder_norm: true },
  { architecture: "gated" },
].map((settings) => ({ ...MATRICES, settings: { ...settings, d_in: MATRICES.d, d_sae: MATRICES.m, apply_b_dec_to_input: true, dtype: "float32" } }));

// In the page: the files of an autoencoder and activations, of numbers that are the same every time.
function make({ d, m, rows, settings }) {
  let state = 1;
  const random = (n, scale) => Float32Array.from({ length: n }, () => scale * ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1));
  const safetensors = (tensors) => {
    let end = 0;
    const header = Object.fromEntries(Object.entries(tensors).map(([name, [shape, data]]) => [name, { dtype: "F32", shape, data_offsets: [end, (end += data.byteLength)] }]));
    const said = new TextEncoder().encode(JSON.stringify(header)), bytes = new Uint8Array(8 + said.length + end);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(said.length), true);
    bytes.set(said, 8);
    Object.entries(tensors).forEach(([name, [, data]]) => bytes.set(new Uint8Array(data.buffer), 8 + said.length + header[name].data_offsets[0]));
    return [...bytes];
  };
  const vector = (scale) => [[m], random(m, scale)];
  const special = { jumprelu: { threshold: vector(0.5) }, batchtopk: { topk_threshold: [[], random(1, 0.5)] }, gated: { b_gate: vector(0.1), b_mag: vector(0.1), r_mag: vector(0.1) } };
  const bias = settings.architecture === "gated" ? {} : { b_enc: vector(0.1) };
  const weights = { W_enc: [[d, m], random(d * m, 0.4)], W_dec: [[m, d], random(m * d, 0.4)], b_dec: [[d], random(d, 0.3)], ...bias, ...special[settings.architecture] };
  return [
    { name: "sae_weights.safetensors", bytes: safetensors(weights) },
    { name: "cfg.json", bytes: [...new TextEncoder().encode(JSON.stringify(settings))] },
    { name: "activations.safetensors", bytes: safetensors({ activations: [[rows, d], random(rows * d, 1)] }) },
  ];
}

// In the page: the features of one batch by both programs, for several autoencoders.
const compare = new Function("kinds", `
  ${make}
  return (async () => {
    const { Session } = await import("/pkg/limpid_browser.js"), { default: init, Device } = await import("/pkg/limpid_webgpu.js");
    await init();
    const device = await Device.open(), found = [];
    for (const kind of kinds) {
      const session = new Session();
      for (const { name, bytes } of make(kind)) session.add(name, new Uint8Array(bytes));
      session.start();
      const x = session.rows(), encoder = device.load(...session.autoencoder());
      const plain = (codes) => codes.map((array) => [...array]);
      found.push({ kind: JSON.stringify(kind.settings), wasm: plain(session.encode(x)), webgpu: plain(await encoder.encode(x)) });
      encoder.free();
    }
    return found;
  })();
`);

const trained = (page) => page.waitForSelector("#words[data-accuracy]");
const text = (page, id) => page.locator("#" + id).textContent();

// How many colours a screenshot has.
async function colours(png) {
  const context = await browser.newContext(), page = await context.newPage();
  const count = await page.evaluate(async (data) => {
    const image = await createImageBitmap(await (await fetch(data)).blob()), canvas = new OffscreenCanvas(image.width, image.height);
    const picture = canvas.getContext("2d");
    picture.drawImage(image, 0, 0);
    return new Set(new Uint32Array(picture.getImageData(0, 0, image.width, image.height).data.buffer)).size;
  }, "data:image/png;base64," + png.toString("base64"));
  await context.close();
  return count;
}

async function shoot(name, target, options = {}) {
  const png = await target.screenshot(options);
  writeFileSync(SHOTS + name + ".png", png);
  const found = await colours(png);
  assert.ok(found > 40, `${name} has ${found} colours`);
}

test("a model learns while the page is open, and answers to the slider from the keyboard", async () => {
  const { page, close } = await open();
  await page.waitForFunction(() => /2 of 5 features are kept/.test(document.getElementById("vectors-text").textContent));
  const picture = () => page.evaluate(() => document.getElementById("vectors").toDataURL());
  const before = await picture(), said = await text(page, "sparsity-text");
  await page.focus("#sparsity");
  for (let i = 0; i < 6; i++) await page.keyboard.press("PageUp");
  assert.notEqual(await text(page, "sparsity-text"), said);
  await page.selectOption("#speed", "0");
  await page.waitForFunction(() => /[45] of 5 features are kept/.test(document.getElementById("vectors-text").textContent));
  assert.notEqual(await picture(), before);
  await page.click("#run");
  const still = await picture();
  await page.waitForTimeout(300);
  assert.equal(await picture(), still);
  assert.equal(await page.getAttribute("#run", "aria-pressed"), "false");
  await page.selectOption("#count", "8");
  assert.equal(await page.locator("#shares tr").count(), 8);
  await shoot("vectors", page.locator("#vectors"));
  await close();
});

test("training leaves the page responsive", async () => {
  const { page, close } = await open();
  await page.selectOption("#speed", "0");
  const frames = await page.evaluate(() => new Promise((resolve) => {
    const times = [], until = performance.now() + 2000;
    const frame = (now) => (times.push(now), now < until ? requestAnimationFrame(frame) : resolve(times));
    requestAnimationFrame(frame);
  }));
  // on a busy machine without a graphics card a frame takes long, but most are far from a quarter of a second
  const gaps = frames.slice(1).map((time, i) => time - frames[i]).sort((a, b) => a - b);
  assert.ok(gaps[Math.floor(gaps.length / 2)] < 250, `half of the frames took ${gaps[Math.floor(gaps.length / 2)]} ms and more`);
  await close();
});

test("dropped files become a browser of features", async () => {
  const { page, close } = await open(STILL);
  await drop(page, EXAMPLE.slice(0, 1));
  await page.locator("#have li", { hasText: "part of an autoencoder" }).waitFor();
  await drop(page, EXAMPLE.slice(1));
  const frame = page.frameLocator("#browser");
  await frame.locator("#summary", { hasText: "64 features" }).waitFor();
  await frame.locator(".context").first().waitFor();
  await frame.locator("#search").fill("#5");
  await frame.locator(".row").first().click();
  await frame.locator("h2", { hasText: "Feature 5" }).waitFor();
  assert.ok((await frame.locator(".mark").count()) > 10);
  // words that look like markup are words
  await frame.locator("#search").fill("script");
  await frame.locator(".row", { hasText: "<script>alert(1)</script>" }).first().waitFor();
  assert.match(await page.getAttribute("#open", "href"), /^blob:/);
  assert.equal(await page.locator("#features-error").isVisible(), false);
  await page.locator("#features").scrollIntoViewIfNeeded();
  await shoot("features", page.locator("#features"));
  await close();
});

test("files that are no good are named, and good ones are taken afterwards", async () => {
  const { page, close } = await open(STILL);
  const refused = async (dropped, message) => {
    await drop(page, [dropped]);
    await page.locator("#features-error", { hasText: message }).waitFor();
  };
  await refused({ name: "sae_weights.safetensors", keep: 3000 }, "sae_weights.safetensors");
  await refused({ name: "photo.png", bytes: [137, 80, 78, 71] }, "photo.png");
  await refused({ name: "empty.safetensors", bytes: [] }, "empty.safetensors");
  await refused({ name: "huge.safetensors", bytes: [255, 255, 255, 255, 255, 255, 255, 127, 0] }, "huge.safetensors");
  assert.equal(await page.locator("#result").isVisible(), false);
  await shoot("refused", page.locator("#features"));
  await drop(page, EXAMPLE, "choose");
  await page.frameLocator("#browser").locator("#summary", { hasText: "64 features" }).waitFor();
  assert.equal(await page.locator("#features-error").isVisible(), false);
  await close();
});

// What the page says about the encoding once it has done it.
async function encoded(page, start) {
  await page.evaluate(() => (document.getElementById("encoding").textContent = ""));
  await start();
  await page.waitForFunction(() => document.getElementById("encoding").textContent);
  await page.frameLocator("#browser").locator(".row").first().waitFor();
  return text(page, "encoding");
}

test("WebGPU and WASM find the same features", async () => {
  const { page, close } = await open(STILL, accelerated);
  const found = await page.evaluate(compare, KINDS.slice(0, -1));
  for (const { kind, wasm, webgpu } of found) {
    const [counts, latents, values] = webgpu;
    assert.deepEqual(counts, wasm[0], kind);
    assert.deepEqual(latents, wasm[1], kind);
    assert.ok(values.length > 200, `${kind}: ${values.length} features`);
    // a small feature is the sum of terms about as large as 0.1
    values.forEach((value, i) => assert.ok(Math.abs(value - wasm[2][i]) <= 1e-5 * Math.max(0.1, Math.abs(value)), `${kind}: ${value} and ${wasm[2][i]}`));
  }
  await close();
});

test("dropped files are encoded where the reader wants it, and the page says where", async () => {
  const { page, close } = await open(STILL, accelerated);
  await page.selectOption("#with", "webgpu");
  const rows = async () => (await page.locator("#have").textContent()).match(/activations of (\d+) tokens/)[1];
  const said = await encoded(page, () => page.click("#example"));
  const [, count] = said.match(/^Encoded ([\d,]+) rows on WebGPU: \w[^,]*, [\d.,]+ ms\. $/);
  assert.equal(count.replace(",", ""), await rows());
  await page.locator("#features").scrollIntoViewIfNeeded();
  await shoot("webgpu", page.locator("#features"));
  // the adapter of the tests is a program on the processor, which nobody gets unasked
  assert.match(await encoded(page, () => page.selectOption("#with", "automatic")), /^Encoded [\d,]+ rows in WASM, [\d.,]+ ms\. Not on WebGPU: \w.* would compute on the processor too, and slower\.$/);
  assert.match(await encoded(page, () => page.selectOption("#with", "wasm")), /^Encoded [\d,]+ rows in WASM, [\d.,]+ ms\. $/);
  await close();
});

test("without an adapter the page encodes in WASM and says so", async () => {
  const { page, close } = await open(STILL), asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.selectOption("#with", "webgpu");
  assert.match(await encoded(page, () => drop(page, EXAMPLE)), /rows in WASM, [\d.,]+ ms\. Not on WebGPU: this browser finds no adapter for it\.$/);
  assert.deepEqual(asked.filter((url) => url.includes("limpid_webgpu")), []);
  await close();
});

test("a program for the device that is missing is no reason to stop", async () => {
  const context = await accelerated.newContext(STILL), page = await context.newPage();
  await context.route("**/limpid_webgpu_bg.wasm", (route) => route.fulfill({ status: 404, body: "not found" }));
  await page.goto(home);
  await page.waitForSelector("html[data-ready]");
  await page.selectOption("#with", "webgpu");
  assert.match(await encoded(page, () => page.click("#example")), /rows in WASM, [\d.,]+ ms\. Not on WebGPU: .+\.$/);
  await context.close();
});

test("a program for the device that stops leaves everything to WASM from then on", async () => {
  const { page, close } = await open(STILL, accelerated);
  await page.selectOption("#with", "webgpu");
  await page.workers()[0].evaluate(() => {
    GPUDevice.prototype.createComputePipeline = () => {
      throw new Error("planted");
    };
  });
  for (let i = 0; i < 2; i++) {
    assert.match(await encoded(page, () => page.click("#example")), /rows in WASM, [\d.,]+ ms\. Not on WebGPU: its program stopped \(.*planted\)\.$/);
  }
  assert.equal(await page.locator("#features-error").isVisible(), false);
  await close();
});

test("what the device cannot compute is computed in WASM", async () => {
  const { page, close } = await open(STILL, accelerated);
  await page.selectOption("#with", "webgpu");
  const files = await page.evaluate(make, KINDS.at(-1));
  assert.match(await encoded(page, () => drop(page, files)), /rows in WASM, [\d.,]+ ms\. Not on WebGPU: not supported: this activation on the device\.$/);
  await close();
});

test("a device that is lost leaves the rest to WASM, and another one is opened afterwards", async () => {
  const { page, close } = await open(STILL, accelerated);
  await page.selectOption("#with", "webgpu");
  // the worker's next device goes away while it is in use
  await page.workers()[0].evaluate(() => {
    const { requestDevice } = GPUAdapter.prototype, { submit } = GPUQueue.prototype;
    GPUAdapter.prototype.requestDevice = async function (...wanted) {
      const device = await requestDevice.apply(this, wanted);
      GPUAdapter.prototype.requestDevice = requestDevice;
      GPUQueue.prototype.submit = function (...commands) {
        GPUQueue.prototype.submit = submit;
        submit.apply(this, commands);
        device.destroy();
      };
      return device;
    };
  });
  assert.match(await encoded(page, () => page.click("#example")), /rows in WASM, [\d.,]+ ms\. Not on WebGPU: .*lost.*\.$/);
  assert.match(await encoded(page, () => page.click("#example")), /rows on WebGPU: /);
  await close();
});

test("every word gets its part of the answer, by any method", async () => {
  const { page, close } = await open(STILL);
  await trained(page);
  assert.ok(Number(await page.getAttribute("#words", "data-accuracy")) > 0.95);
  await page.fill("#text", "The film was not great frobnicate");
  assert.match(await text(page, "verdict"), /^Not praise/);
  assert.equal(await page.locator("#tokens li").count(), 6);
  assert.match(await page.locator("#tokens li").last().textContent(), /unknown/);
  const values = () => page.locator("#tokens small").allTextContents();
  const first = await values();
  await page.selectOption("#method", "leave_one_out");
  assert.notDeepEqual(await values(), first);
  await page.fill("#text", "");
  assert.equal(await page.locator("#tokens li").count(), 0);
  await page.locator("#samples button").nth(1).click();
  assert.match(await text(page, "verdict"), /^Praise/);
  await shoot("words", page.locator("#words"));
  await close();
});

test("everything can be reached from the keyboard", async () => {
  const { page, close } = await open(STILL);
  await trained(page);
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute("href")));
  }
  for (const id of ["#content", "theme", "sparsity", "count", "speed", "run", "again", "files", "example", "with", "text", "method"]) assert.ok(reached.has(id), id);
  await page.focus("#example");
  await page.keyboard.press("Enter");
  await page.frameLocator("#browser").locator("#summary", { hasText: "64 features" }).waitFor();
  await close();
});

for (const [name, options] of Object.entries({
  desktop: DESKTOP,
  dark: { ...DESKTOP, colorScheme: "dark" },
  phone: PHONE,
  phone_dark: { ...PHONE, colorScheme: "dark" },
})) {
  test(`the page on ${name.replace("_", ", ")}`, async () => {
    const { page, close } = await open(options);
    await trained(page);
    await page.selectOption("#speed", "0");
    await page.locator("#sparsity").fill("70"); // which tells of input and of change
    await page.waitForFunction(() => /[2-5] of 5 features are kept/.test(document.getElementById("vectors-text").textContent));
    await page.click("#example");
    await page.frameLocator("#browser").locator(".context").first().waitFor();
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= seen, `${wide} pixels wide, ${seen} are seen`);
    // a frame is painted once it has been seen
    await page.locator("#browser").scrollIntoViewIfNeeded();
    await page.waitForTimeout(500);
    await shoot(name + "_features", page);
    await page.evaluate(() => scrollTo(0, 0));
    await shoot(name, page, { fullPage: true });
    await close();
  });
}

test("a page whose program is missing says so", async () => {
  const context = await browser.newContext(DESKTOP), page = await context.newPage();
  await page.route("**/*.wasm", (route) => route.fulfill({ status: 404, body: "not found" }));
  await page.goto(home);
  await page.locator("#failure", { hasText: "could not be loaded" }).waitFor();
  await context.close();
});
