// Superposition while it happens. Training runs in slices of a few milliseconds, one per frame of the screen.
import { Toy } from "./pkg/limpid_browser.js";
import { $, make, say } from "./dom.js";

const SLICE = 8; // milliseconds
const POINTS = 600; // of the loss curve; then every second one goes
const VIEW = 1.45; // half the width of the picture of vectors
const HELD = 0.5; // length from which on a feature counts as kept

const color = (i) => `hsl(${(212 + i * 137.5) % 360} 68% 52%)`;
const percent = (x) => `${+(100 * x).toPrecision(2)} %`;
const density = () => 10 ** (-2.2 * $("sparsity").value / 100);

export function startToy() {
  let toy, losses, every, changes, waiting, running = !matchMedia("(prefers-reduced-motion: reduce)").matches, seed = 1, visible = true, told = 0;

  function begin() {
    toy?.free();
    toy = new Toy(Number($("count").value), 2, 0.9, density(), seed);
    [losses, every, changes, waiting] = [[], 1, [], []];
    const rows = Array.from({ length: Number($("count").value) }, (_, i) =>
      make("tr", { "--own": color(i), "--share": 0 }, make("th", { scope: "row" }, `feature ${i + 1}`), make("td", {}, make("span", { class: "bar" })), make("td", {})));
    $("shares").replaceChildren(...rows);
    draw();
  }

  function slice() {
    const most = Number($("speed").value) || Infinity, start = performance.now();
    for (let done = 0; done < most && performance.now() - start < SLICE; done += 5) note(toy.advance(Math.min(5, most)));
  }

  // Keeps at most POINTS points, each the mean of `every` slices.
  function note(loss) {
    waiting.push(loss);
    if (waiting.length < every) return;
    losses.push({ step: toy.step, loss: waiting.reduce((a, b) => a + b, 0) / waiting.length });
    waiting = [];
    if (losses.length >= POINTS) {
      losses = losses.filter((_, i) => i % 2 === 1);
      every *= 2;
    }
  }

  function frame(now) {
    requestAnimationFrame(frame);
    if (!running || !visible || document.hidden) return;
    try {
      slice();
      draw();
      if (now - told > 1000) {
        told = now;
        describe();
      }
    } catch (error) {
      press(false);
      say("failure", error);
    }
  }

  function draw() {
    const vectors = toy.vectors();
    drawVectors($("vectors"), vectors);
    drawLosses($("losses"), losses, changes);
    const shares = toy.dimensionality();
    [...$("shares").rows].forEach((row, i) => {
      row.style.setProperty("--share", Math.min(1, shares[i]));
      row.lastElementChild.textContent = shares[i].toFixed(2);
    });
  }

  function describe() {
    const vectors = toy.vectors(), count = vectors.length / 2;
    const kept = Array.from({ length: count }, (_, i) => Math.hypot(vectors[2 * i], vectors[2 * i + 1])).filter((length) => length > HELD).length;
    $("vectors-text").textContent = `${kept} of ${count} features are kept in 2 dimensions, after ${toy.step.toLocaleString("en")} steps.`;
    const last = losses.at(-1);
    if (last) $("losses-text").textContent = `Loss: ${percent(last.loss)} of that of a model without weights.`;
  }

  function press(on) {
    running = on;
    $("run").textContent = on ? "Pause" : "Go on";
    $("run").setAttribute("aria-pressed", on);
  }

  function slide() {
    $("sparsity-text").textContent = `each feature is present in ${percent(density())} of the samples`;
  }

  $("sparsity").addEventListener("input", () => {
    slide();
    toy.setDensity(density());
    changes.push(toy.step);
  });
  // once it is let go: a feature that was given up has no gradient that would bring it back
  $("sparsity").addEventListener("change", () => toy.shake());
  $("count").addEventListener("change", begin);
  $("run").addEventListener("click", () => press(!running));
  $("again").addEventListener("click", () => {
    seed++;
    begin();
    press(true);
  });
  new IntersectionObserver(([entry]) => (visible = entry.isIntersecting)).observe($("superposition"));
  new ResizeObserver(() => toy && draw()).observe($("vectors"));
  document.addEventListener("themechange", () => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  slide();
  press(running);
  begin();
  requestAnimationFrame(frame);
}

// A canvas with one unit per CSS pixel, cleared, and the colours of the page.
function prepare(canvas) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  return { context, width, height, text: style.color, line: style.borderTopColor };
}

function drawVectors(canvas, vectors) {
  const { context, width, height, line } = prepare(canvas), scale = width / (2 * VIEW), [x0, y0] = [width / 2, height / 2];
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, y0);
  context.lineTo(width, y0);
  context.moveTo(x0, 0);
  context.lineTo(x0, height);
  context.stroke();
  context.beginPath();
  context.arc(x0, y0, scale, 0, 2 * Math.PI);
  context.stroke();
  for (let i = vectors.length / 2 - 1; i >= 0; i--) {
    const x = x0 + vectors[2 * i] * scale, y = y0 - vectors[2 * i + 1] * scale;
    context.strokeStyle = context.fillStyle = color(i);
    context.lineWidth = 3;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x, y);
    context.stroke();
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.fill();
  }
}

// Loss by step, both ends of a logarithmic axis labelled; a thin line where the data changed.
function drawLosses(canvas, losses, changes) {
  const { context, width, height, text, line } = prepare(canvas), [left, right, top, bottom] = [44, 10, 12, 22];
  const last = Math.max(100, losses.at(-1)?.step ?? 0), low = Math.min(0.1, ...losses.map(({ loss }) => loss));
  const floor = 10 ** Math.floor(Math.log10(Math.max(low, 1e-5))), ceiling = Math.max(1, ...losses.map(({ loss }) => loss));
  const x = (step) => left + (step / last) * (width - left - right);
  const y = (loss) => top + (Math.log(ceiling / Math.max(loss, floor)) / Math.log(ceiling / floor)) * (height - top - bottom);
  context.strokeStyle = line;
  context.fillStyle = text;
  context.lineWidth = 1;
  context.textAlign = "right";
  for (let mark = floor; mark <= 1.0001; mark *= 10) {
    context.beginPath();
    context.moveTo(left, y(mark));
    context.lineTo(width - right, y(mark));
    context.stroke();
    context.fillText(percent(mark), left - 6, y(mark) + 4);
  }
  context.fillText(`${last.toLocaleString("en")} steps`, width - right, height - 6);
  context.textAlign = "left";
  context.fillText("0", left, height - 6);
  context.setLineDash([2, 3]);
  for (const step of changes.slice(-200)) {
    context.beginPath();
    context.moveTo(x(step), top);
    context.lineTo(x(step), height - bottom);
    context.stroke();
  }
  context.setLineDash([]);
  context.strokeStyle = color(0);
  context.lineWidth = 1.8;
  context.beginPath();
  losses.forEach(({ step, loss }, i) => (i ? context.lineTo : context.moveTo).call(context, x(step), y(loss)));
  context.stroke();
}
