// A graphics device for the worker, and the program for it, which is fetched only where there is one.

// Why WASM has to do it.
export class NoDevice extends Error {}

let program, device, broken;

// What a device fails with is no reason to stop. After a trap its program cannot be called again; one in the midst of waiting
// leaves a promise that never settles, and shows as an error of the worker.
async function attempt(what) {
  let trap;
  const trapped = new Promise((_, reject) => {
    trap = (event) => {
      event.preventDefault();
      stop(event.message);
      reject(new NoDevice(broken));
    };
  });
  self.addEventListener("error", trap);
  try {
    return await Promise.race([what(), trapped]);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) stop(error.message);
    if (broken) throw new NoDevice(broken);
    throw new NoDevice([error.message ?? String(error), device?.message].filter(Boolean).join(": "));
  } finally {
    self.removeEventListener("error", trap);
  }
}

function stop(message) {
  broken = `its program stopped (${message})`;
}

async function start() {
  const module = await import("./pkg/limpid_webgpu.js");
  await module.default();
  return module;
}

// The adapter in words, and what brings an autoencoder to it. By itself the page takes none that is a program on the processor.
export async function openDevice(automatic) {
  if (broken) throw new NoDevice(broken);
  if (!navigator.gpu) throw new NoDevice(self.isSecureContext ? "this browser has no WebGPU" : "browsers have it on secure pages only");
  const adapter = await attempt(() => navigator.gpu.requestAdapter({ powerPreference: "high-performance" }));
  if (!adapter) throw new NoDevice("this browser finds no adapter for it");
  const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  if (automatic && isFallbackAdapter) throw new NoDevice(`${name} would compute on the processor too, and slower`);
  await attempt(async () => {
    program ??= await start();
    if (device && !device.lost) return;
    device?.free();
    device = undefined;
    device = await program.Device.open();
  });
  return { name, load };
}

// An encoder on the device.
async function load(autoencoder) {
  const encoder = await attempt(() => device.load(...autoencoder));
  return { encode: (x) => attempt(() => encoder.encode(x)), free: () => broken || encoder.free() };
}
