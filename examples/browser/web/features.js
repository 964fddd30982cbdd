// Dropped files go to a worker that reads and encodes them; the page about the features comes back as a document of its own.
import { $, make, say } from "./dom.js";

const MOST = 1.5e9; // bytes of one file: the program has 4 GB in all

export function startFeatures() {
  let worker, next = 0, waiting = new Map(), queue = Promise.resolve(), address;

  function open() {
    worker = new Worker(new URL("features.worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => {
      if (data.progress) return progress(...data.progress);
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) reject(Object.assign(new Error(data.error), { fatal: data.fatal }));
      else resolve(data.answer);
    });
    worker.addEventListener("error", (event) => close(event.message || "the worker could not be started"));
  }

  // After a trap the memory of the worker cannot be trusted: a new one takes over, and files are to be dropped again.
  function close(message) {
    worker.terminate();
    for (const { reject } of waiting.values()) reject(new Error(message));
    waiting.clear();
    open();
    show({ have: [], missing: ["an autoencoder", "activations"] });
  }

  function ask(task, transfer = []) {
    return new Promise((resolve, reject) => {
      waiting.set(++next, { resolve, reject });
      worker.postMessage({ id: next, ...task }, transfer);
    });
  }

  // One drop after the other, so that their answers do not mix.
  function take(gather) {
    queue = queue.then(async () => {
      say("features-error");
      busy(true);
      try {
        for (const { name, bytes } of await gather()) await ask({ add: name, bytes }, [bytes]);
      } catch (error) {
        fail(error);
      }
      try {
        const status = JSON.parse(await ask({ status: true }));
        show(status);
        if (status.ready) present(await ask({ page: $("with").value }));
      } catch (error) {
        fail(error);
      }
      busy(false);
    });
  }

  function fail(error) {
    say("features-error", error);
    if (error.fatal) {
      close(error.message);
      say("features-error", `${error.message}. What was dropped before has to be dropped again.`);
    }
  }

  function busy(on) {
    $("features").setAttribute("aria-busy", on);
    $("example").disabled = $("files").disabled = $("with").disabled = on;
    $("progress").hidden = true;
  }

  function progress(done, all) {
    $("progress").hidden = false;
    $("encoded").value = done / all;
  }

  function show({ have, missing }) {
    $("have").replaceChildren(...have.map((text) => make("li", {}, text)), ...missing.map((text) => make("li", { class: "missing" }, `still missing: ${text}`)));
  }

  function present({ html, said, refused }) {
    $("encoding").replaceChildren(`${said}. `, ...(refused ? [make("b", {}, "Not on WebGPU"), `: ${refused.replace(/\.$/, "")}.`] : []));
    $("encoding").hidden = false;
    if (address) URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([html], { type: "text/html" }));
    $("open").href = $("save").href = $("browser").src = address;
    $("result").hidden = false;
  }

  $("files").addEventListener("change", () => {
    const files = [...$("files").files];
    $("files").value = "";
    take(() => readAll(files));
  });
  $("example").addEventListener("click", () => take(() => ask({ example: true })));
  $("with").addEventListener("change", () => take(() => []));
  const zone = $("drop");
  for (const kind of ["dragover", "dragenter"]) zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    // entries have to be asked for before anything is waited for
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    take(async () => readAll(entries.length ? (await Promise.all(entries.map(inside))).flat() : files));
  });
  open();
}

// The files of an entry, which may be a folder.
async function inside(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader(), files = [];
  for (;;) {
    // a folder is handed out in parts, and an empty part ends it
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return files;
    for (const child of part) files.push(...(await inside(child)));
  }
}

async function readAll(files) {
  const big = files.find((file) => file.size > MOST);
  if (big) throw new Error(`${big.name} has ${(big.size / 1e9).toFixed(1)} GB, and this page can hold ${MOST / 1e9} GB of one file`);
  return Promise.all(files.map(async (file) => ({ name: file.name, bytes: await file.arrayBuffer() })));
}
