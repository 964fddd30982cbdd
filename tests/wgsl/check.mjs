// Compiles every shader in headless Chromium, whose rules are stricter than those of the native validator: barriers must be in
// uniform control flow. Also makes a pipeline of every entry point. Fails on any message of severity "error".
//
//   cd tests/wgsl && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install && node check.mjs
//
// CHROMIUM names the browser, /usr/bin/chromium by default.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const folder = new URL("../../kernels/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".wgsl")).sort();
const sources = files.map((name) => ({ name, code: readFileSync(new URL(name, folder), "utf8") }));

// what the native validator accepts and a browser must refuse: so the check itself is checked
const planted = {
  name: "planted",
  code: `@group(0) @binding(0) var<storage, read_write> out: array<u32>;
    @compute @workgroup_size(64) fn planted(@builtin(local_invocation_index) t: u32) {
      if (t < 2u) { workgroupBarrier(); }
      out[t] = t;
    }`,
};

/** Runs in the page: messages of all modules and pipelines. */
async function compile(sources) {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { adapter: null, failures: [] };
  const device = await adapter.requestDevice();
  const failures = [];
  let pipelines = 0;
  for (const { name, code } of sources) {
    const module = device.createShaderModule({ label: name, code });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter((message) => message.type === "error");
    failures.push(...errors.map((e) => `${name}:${e.lineNum}:${e.linePos}: ${e.message}`));
    if (errors.length > 0) continue;
    const entries = [...code.matchAll(/@compute[^{]*?fn (\w+)/gs)].map((match) => match[1]);
    for (const entryPoint of entries) {
      try {
        await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint } });
        pipelines += 1;
      } catch (error) {
        failures.push(`${name}: ${entryPoint}: ${error.message}`);
      }
    }
  }
  const { vendor, architecture } = adapter.info;
  return { adapter: `${vendor} ${architecture}`, failures, pipelines };
}

// WebGPU needs a secure context, which a local server gives and a file does not
const server = createServer((_, response) => response.end("<!doctype html><title>shaders</title>"));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const profile = mkdtempSync(join(tmpdir(), "wgsl-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-webgpu"],
});
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const { adapter, failures, pipelines } = await page.evaluate(compile, sources);
  if (!adapter) throw new Error("the browser has no WebGPU adapter");
  const caught = await page.evaluate(compile, [planted]);
  if (caught.failures.length === 0) failures.push("a barrier in non-uniform control flow was accepted");
  failures.forEach((failure) => console.error(failure));
  console.log(`${sources.length} shaders and ${pipelines} pipelines in ${adapter}: ${failures.length} errors`);
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  await browser.close();
  server.close();
  rmSync(profile, { recursive: true, force: true });
}
