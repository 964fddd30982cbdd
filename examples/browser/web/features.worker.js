// Reads dropped files and encodes them beside the page, which stays responsive meanwhile.
import init, { Session, exampleFiles } from "./pkg/limpid_browser.js";
import { NoDevice, openDevice } from "./device.js";

const started = init().then(() => new Session());

self.addEventListener("message", async ({ data: { id, ...task } }) => {
  try {
    self.postMessage({ id, answer: await answer(await started, task) });
  } catch (error) {
    const fatal = stopped(error);
    self.postMessage({ id, fatal, error: fatal ? `the program stopped (${error.message}): the files may be too large for its memory` : error.message || String(error) });
  }
});

// A trap, such as memory that has run out, leaves the program in an unknown state.
const stopped = (error) => error instanceof WebAssembly.RuntimeError || error instanceof RangeError;

function answer(session, task) {
  if (task.add) return session.add(task.add, new Uint8Array(task.bytes));
  if (task.page) return makePage(session, task.page);
  if (task.example) return exampleFiles().map(([name, bytes]) => ({ name, bytes: bytes.buffer }));
  return session.status();
}

// Encodes with `automatic`, `webgpu` or `wasm`; where the device cannot, all of it in WASM.
async function makePage(session, choice) {
  let refused;
  if (choice !== "wasm") {
    try {
      return await onDevice(session, choice);
    } catch (error) {
      if (!(error instanceof NoDevice)) throw error;
      refused = error.message;
    }
  }
  const said = await encodeAll(session, (x) => session.encode(x), "in WASM");
  return { html: session.page(), said, refused };
}

async function onDevice(session, choice) {
  const { name, load } = await openDevice(choice === "automatic");
  const encoder = await load(parts(session));
  try {
    const said = await encodeAll(session, encoder.encode, `on WebGPU: ${name}`);
    return { html: session.page(), said };
  } finally {
    encoder.free();
  }
}

// The autoencoder, if it is one for devices.
function parts(session) {
  try {
    return session.autoencoder();
  } catch (error) {
    throw stopped(error) ? error : new NoDevice(error.message);
  }
}

async function encodeAll(session, encode, where) {
  const all = session.start();
  let done = 0, took = 0;
  for (;;) {
    const x = session.rows();
    if (!x.length) return `Encoded ${all.toLocaleString("en")} rows ${where}, ${took.toLocaleString("en", { maximumSignificantDigits: 3 })} ms`;
    const start = performance.now(), codes = await encode(x);
    took += performance.now() - start;
    session.take(...codes);
    done += codes[0].length;
    self.postMessage({ progress: [done, all] });
  }
}
