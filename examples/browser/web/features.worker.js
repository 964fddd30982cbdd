// Reads dropped files and encodes them beside the page, which stays responsive meanwhile.
import init, { Session, exampleFiles } from "./pkg/limpid_browser.js";

const started = init().then(() => new Session());

self.addEventListener("message", async ({ data: { id, ...task } }) => {
  try {
    self.postMessage({ id, answer: answer(await started, task) });
  } catch (error) {
    // a trap, such as memory that has run out, leaves the program in an unknown state
    const fatal = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    self.postMessage({ id, fatal, error: fatal ? `the program stopped (${error.message}): the files may be too large for its memory` : error.message || String(error) });
  }
});

function answer(session, task) {
  if (task.add) return session.add(task.add, new Uint8Array(task.bytes));
  if (task.page) return session.page((done, all) => self.postMessage({ progress: [done, all] }));
  if (task.example) return exampleFiles().map(([name, bytes]) => ({ name, bytes: bytes.buffer }));
  return session.status();
}
