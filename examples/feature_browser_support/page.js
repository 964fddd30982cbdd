"use strict";
// Text from the model only ever enters the page as text nodes and attributes of no meaning.
const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const M = about.features;

// ---- columns: decoded when first used, and the text of their elements let go

const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
const decoded = new Map();

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), out = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

function column(name) {
  if (!decoded.has(name)) {
    const element = $(name);
    decoded.set(name, new TYPES[element.dataset.type](bytes(element.textContent).buffer));
    element.remove();
  }
  return decoded.get(name);
}

// Where the entries of each part begin, from their counts.
function starts(name, ...counts) {
  const key = "starts of " + name;
  if (!decoded.has(key)) {
    const all = counts.map(column), out = new Uint32Array(all[0].length + 1);
    for (let i = 0; i < all[0].length; i++) out[i + 1] = all.reduce((sum, count) => sum + count[i], out[i]);
    decoded.set(key, out);
  }
  return decoded.get(key);
}

const words = JSON.parse($("words").textContent);
const lower = words.map((word) => word.trim().toLowerCase());
const fired = column("fired");

// ---- small helpers

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "level") element.style.setProperty("--level", value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const grouped = new Intl.NumberFormat("en");
const whole = (x) => grouped.format(x);
function short(x) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-3) return x.toExponential(1).replace("e+", "e");
  return x.toFixed(Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(size)))));
}
const share = (x) => (x === 0 ? "0" : x < 1e-5 ? (100 * x).toExponential(1) + " %" : (x < 0.1 ? (100 * x).toPrecision(2) : +(100 * x).toPrecision(3)) + " %");
const density = (feature) => fired[feature] / Math.max(1, about.tokens);
const visible = (text) => text.replace(/\n/g, "↵").replace(/\t/g, "⇥");

// A token on its own: one that continues a word says so.
function alone(word) {
  return (/^[\p{L}\p{N}]/u.test(word) ? "…" : "") + (visible(word.trim()) || "␣");
}

function labels(feature) {
  const first = starts("labels", "label_counts");
  return Array.from(column("labels").subarray(first[feature], first[feature + 1]), (word) => alone(words[word]));
}

function labelled(feature) {
  const element = make("span", { class: "words" }), [best, ...others] = labels(feature);
  if (best === undefined) element.append(make("span", { class: "quiet" }, "dead"));
  else element.append(make("b", {}, best), make("span", { class: "quiet" }, others.length ? "  " + others.join("  ") : ""));
  return element;
}

// ---- the list: sorted, filtered, and only its visible rows in the document

const SORTS = {
  density: ["density", (f) => fired[f], (f) => share(density(f))],
  max: ["max", (f) => column("max")[f], (f) => short(column("max")[f])],
  mean: ["mean", (f) => column("mean")[f], (f) => short(column("mean")[f])],
  median: ["median", (f) => column("median")[f], (f) => short(column("median")[f])],
  q90: ["90 % quantile", (f) => column("q90")[f], (f) => short(column("q90")[f])],
  q99: ["99 % quantile", (f) => column("q99")[f], (f) => short(column("q99")[f])],
  near: ["nearest cosine", nearestCosine, (f) => nearestCosine(f).toFixed(3)],
  token: ["top token", wordRank, (f) => share(density(f))],
  id: ["number", (f) => f, (f) => share(density(f))],
};
const ROW = 44;
let ascending = false, chosen = -1, shown = new Uint32Array(0), drawn = "";

function nearestCosine(feature) {
  const first = starts("near", "near_counts")[feature];
  return column("near_counts")[feature] ? column("near_cosine")[first] : 0;
}

// Number of the top token in alphabetical order.
function wordRank(feature) {
  if (!decoded.has("ranks")) {
    const order = Array.from(lower.keys()).sort((a, b) => (lower[a] < lower[b] ? -1 : lower[a] > lower[b] ? 1 : a - b));
    const ranks = new Uint32Array(lower.length);
    order.forEach((word, rank) => (ranks[word] = rank));
    decoded.set("ranks", ranks);
  }
  return decoded.get("ranks")[column("labels")[starts("labels", "label_counts")[feature]]];
}

function arrange() {
  const query = $("search").value.trim().toLowerCase(), number = query.replace(/^#/, "");
  const isNumber = /^\d+$/.test(number), hideDead = $("alive").checked;
  const has = query && Uint8Array.from(lower, (word) => (word.includes(query) ? 1 : 0));
  const first = starts("labels", "label_counts"), all = column("labels");
  const found = [];
  for (let f = 0; f < M; f++) {
    if (hideDead && !fired[f]) continue;
    let fits = !query || (isNumber && String(f).startsWith(number));
    for (let at = first[f]; !fits && at < first[f + 1]; at++) fits = has[all[at]] === 1;
    if (fits) found.push(f);
  }
  const by = SORTS[$("sort").value][1], keys = new Float64Array(M), sign = ascending ? 1 : -1;
  const byNumber = $("sort").value === "id";
  // dead features have no place in an order of activations: they come last
  for (const f of found) keys[f] = byNumber || fired[f] ? sign * by(f) : Infinity;
  found.sort((a, b) => keys[a] - keys[b] || a - b);
  shown = Uint32Array.from(found);
  $("space").style.height = shown.length * ROW + "px";
  $("count").textContent = query || hideDead ? `${whole(shown.length)} of ${whole(M)} features` : `${whole(M)} features`;
  $("list").scrollTop = 0;
  drawn = "";
  draw();
}

function draw() {
  const list = $("list"), from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  const now = `${from} ${to} ${chosen}`;
  if (now === drawn) return;
  drawn = now;
  const value = SORTS[$("sort").value][2], rows = [];
  for (let at = from; at < to; at++) {
    const f = shown[at];
    const row = make("div", { class: "row", id: "row" + f, role: "option", "aria-selected": f === chosen }, make("span", { class: "id number" }, String(f)), labelled(f));
    if (f === chosen) row.classList.add("chosen");
    if (fired[f]) row.append(make("span", { class: "key number" }, value(f)));
    else row.classList.add("dead");
    row.dataset.feature = f;
    rows.push(row);
  }
  $("rows").replaceChildren(...rows);
  $("rows").style.transform = `translateY(${from * ROW}px)`;
}

function reveal(at) {
  const list = $("list"), top = at * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
}

// ---- one feature

function choose(feature, { link = true, list = true } = {}) {
  chosen = feature;
  $("list").setAttribute("aria-activedescendant", "row" + feature);
  if (list) {
    const at = shown.indexOf(feature);
    if (at >= 0) reveal(at);
  }
  draw();
  detail(feature);
  // stepping through the list does not fill the history
  if (link) history.replaceState(null, "", "#" + feature);
}

function detail(f) {
  const main = $("feature"), dead = !fired[f];
  const head = make("div", { class: "head" }, make("h2", { class: "number" }, "Feature " + f));
  if (dead) head.append(make("span", { class: "chip warn" }, "dead: never active on this text"));
  head.append(make("div", { class: "chips" }, ...labels(f).map((label) => make("span", { class: "chip" }, label))));
  const parts = [head];
  if (!dead) parts.push(facts(f), activating(f), charts(f));
  parts.push(near(f), dead ? null : samples(f), keys());
  main.replaceChildren(...parts.filter(Boolean));
  main.scrollTop = 0;
}

function facts(f) {
  const fact = (name, value, more = "") => make("div", {}, make("dt", {}, name), make("dd", { class: "number" }, value, make("small", {}, more)));
  const of = (name) => short(column(name)[f]);
  return make("dl", { class: "facts" },
    fact("density", share(density(f)), `${whole(fired[f])} of ${whole(about.tokens)} tokens`),
    fact("max", of("max")),
    fact("mean", of("mean"), "where active"),
    fact("median", of("median"), "where active"),
    fact("90 % quantile", of("q90"), "where active"),
    fact("99 % quantile", of("q99"), "where active"),
  );
}

function section(title, note, ...children) {
  return make("section", {}, make("h3", {}, title, make("small", {}, note)), ...children);
}

function activating(f) {
  const first = starts("contexts", "tops", "samples")[f], count = column("tops")[f];
  return section("Top activating text", "the strongest of each document", ...range(first, count).map((c) => context(c, f)));
}

const range = (first, count) => Array.from({ length: count }, (_, i) => first + i);

// Fifths of a random sample of the firings: each stands for about a fifth of all of them.
function samples(f) {
  const tops = column("tops")[f], count = column("samples")[f], first = starts("contexts", "tops", "samples")[f] + tops;
  if (!count) return null;
  const groups = Math.min(5, count), value = column("value"), out = [];
  for (let g = 0; g < groups; g++) {
    const from = Math.round((g * count) / groups), to = Math.round(((g + 1) * count) / groups);
    const [low, high] = [100 - (100 * (g + 1)) / groups, 100 - (100 * g) / groups].map(Math.round);
    const between = [...new Set([short(value[first + to - 1]), short(value[first + from])])].join(" to ");
    out.push(make("h4", {}, make("span", {}, `quantiles ${low} to ${high} %`), make("span", { class: "number" }, between)));
    out.push(...range(first + from, to - from).map((c) => context(c, f)));
  }
  return section("Samples by quantile", count < fired[f] ? `${count} firings drawn at random` : "all firings", ...out);
}

function context(c, f) {
  const first = starts("marks", "marks")[c], at = column("mark_at"), level = column("mark_level"), max = column("max")[f];
  const place = column("first")[c], peak = column("peak")[c], text = column("text"), value = column("value")[c];
  const paragraph = make("p", {});
  let next = first;
  for (let i = 0; i < column("length")[c]; i++) {
    const word = visible(words[text[place + i]]), inside = next < starts("marks", "marks")[c + 1] && at[next] === i;
    if (!inside) {
      paragraph.append(word);
      continue;
    }
    const bare = word.trimStart() || "␣", exact = i === peak ? short(value) : "≈ " + short((level[next] / 255) * max);
    if (bare !== word) paragraph.append(word.slice(0, word.length - bare.length));
    const mark = make("span", { class: "mark", "data-value": exact, level: (8 + (level[next] / 255) * 82).toFixed(0) }, bare);
    if (i === peak) mark.classList.add("peak");
    paragraph.append(mark);
    next++;
  }
  paragraph.normalize();
  if (paragraph.firstChild && paragraph.firstChild.nodeType === 3) paragraph.firstChild.data = paragraph.firstChild.data.trimStart();
  return make("div", { class: "context" }, make("span", { class: "value number" }, short(value)), paragraph,
    make("span", { class: "from number", title: "document" }, "doc " + column("document")[c]));
}

function near(f) {
  const first = starts("near", "near_counts")[f], count = column("near_counts")[f];
  if (!count) return null;
  const rows = range(first, count).map((n) => {
    const other = column("near")[n], cosine = column("near_cosine")[n];
    return make("a", { class: "near", href: "#" + other },
      make("span", { class: "id number" }, String(other)), labelled(other),
      make("span", { class: "bar", level: (100 * Math.max(0, cosine)).toFixed(1) }), make("span", { class: "value number" }, cosine.toFixed(3)));
  });
  return section("Nearest features", "cosine of decoder directions", ...rows);
}

function keys() {
  const key = (name) => make("kbd", {}, name);
  return make("p", { class: "keys" }, key("↑"), " ", key("↓"), " next feature   ", key("/"), " search   ", key("Esc"), " clear");
}

// ---- charts

function charts(f) {
  const first = starts("bins", "bins")[f], count = column("bins")[f], from = column("bins_first")[f];
  const counts = Array.from(column("bin_counts").subarray(first, first + count));
  const edges = about.edges.slice(from, from + count + 1);
  const bars = counts.map((n, i) => [n, `${short(edges[i])} to ${short(edges[i + 1])}: ${whole(n)}`, false]);
  const mine = Math.floor(densityBin(fired[f]));
  const all = densities().map(([n, title], i) => [n, title, i === mine]);
  const step = Math.ceil(count / 5), ticks = range(0, count + 1).filter((i) => i % step === 0).map((i) => [i, short(edges[i])]);
  const decades = range(0, DECADES + 1).map((d) => [d * PER_DECADE, d === DECADES ? "100 %" : share(10 ** (d - DECADES))]);
  return make("div", { class: "pair" },
    section("Activations", "where active, logarithmic", histogram(bars, ticks)),
    section("Density", "of all features; this one marked", histogram(all, decades.filter(([i]) => i % (2 * PER_DECADE) === 0 || DECADES < 5))));
}

const PER_DECADE = 6, DECADES = Math.max(1, Math.ceil(Math.log10(Math.max(10, about.tokens))));
const densityBin = (count) => Math.min(PER_DECADE * DECADES - 1, Math.max(0, PER_DECADE * (DECADES + Math.log10(count / about.tokens))));

function densities() {
  if (!decoded.has("densities")) {
    const counts = new Array(PER_DECADE * DECADES).fill(0);
    for (const count of fired) if (count) counts[Math.floor(densityBin(count))]++;
    decoded.set("densities", counts.map((n, i) => [n, `about ${share(10 ** ((i + 0.5) / PER_DECADE - DECADES))}: ${whole(n)} features`]));
  }
  return decoded.get("densities");
}

function histogram(bars, ticks) {
  const NS = "http://www.w3.org/2000/svg", W = 420, H = 150, LEFT = 4, BOTTOM = 18, TOP = 14;
  const draw = (tag, attributes, text) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const most = Math.max(...bars.map(([n]) => n)), width = (W - 2 * LEFT) / bars.length, high = H - BOTTOM - TOP;
  const svg = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "img" });
  bars.forEach(([n, title, here], i) => {
    if (!n) return;
    const height = Math.max(1.5, (high * n) / most);
    const bar = draw("rect", { class: here ? "bar here" : "bar", x: LEFT + i * width + 0.5, width: Math.max(1, width - 1), y: H - BOTTOM - height, height });
    bar.append(draw("title", {}, title));
    svg.append(bar);
  });
  svg.append(draw("line", { class: "axis", x1: 0, x2: W, y1: H - BOTTOM + 0.5, y2: H - BOTTOM + 0.5 }));
  svg.append(draw("text", { x: LEFT, y: 10 }, "most in a bin: " + whole(most)));
  for (const [i, text] of ticks) {
    const x = LEFT + i * width, anchor = x < 20 ? "start" : x > W - 20 ? "end" : "middle";
    svg.append(draw("text", { x, y: H - 4, "text-anchor": anchor }, text));
  }
  return svg;
}

// ---- what the reader does

function listing(on) {
  document.body.classList.toggle("listing", on);
  $("menu").setAttribute("aria-expanded", on);
  drawn = "";
  draw();
}

function direction() {
  $("order").textContent = ascending ? "↑" : "↓";
  $("order").title = ascending ? "smallest first" : "largest first";
}

function step(by) {
  const at = shown.indexOf(chosen);
  const next = Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + by));
  if (shown.length) choose(shown[next]);
}

function fromLink() {
  const feature = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : -1;
  if (feature >= 0 && feature < M) choose(feature, { link: false });
  return feature >= 0 && feature < M;
}

document.addEventListener("keydown", (event) => {
  const typing = event.target === $("search"), page = Math.max(1, Math.floor($("list").clientHeight / ROW) - 1);
  const reading = $("feature").contains(event.target), far = { PageDown: page, PageUp: -page, Home: -M, End: M };
  // these keys keep their meaning where they move a cursor or the text
  const steps = { ArrowDown: 1, ArrowUp: -1, ...(typing || reading ? {} : far) };
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === $("sort")) return;
  if (event.key === "/" && !typing) $("search").focus();
  else if (event.key === "Escape" && typing) {
    $("search").value = "";
    $("search").blur();
    arrange();
  } else if (event.key === "Enter" && typing) {
    if (shown.length) choose(shown[0]);
    listing(false);
  } else if (event.key in steps) step(steps[event.key]);
  else return;
  event.preventDefault();
});
let waiting = false;
$("list").addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}, { passive: true });
$("list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (!row) return;
  choose(Number(row.dataset.feature), { list: false });
  listing(false);
});
$("search").addEventListener("input", arrange);
$("alive").addEventListener("change", arrange);
$("sort").addEventListener("change", () => {
  ascending = ["token", "id"].includes($("sort").value);
  direction();
  arrange();
});
$("order").addEventListener("click", () => {
  ascending = !ascending;
  direction();
  arrange();
});
$("menu").addEventListener("click", () => listing(!document.body.classList.contains("listing")));
$("theme").addEventListener("click", () => {
  const root = document.documentElement.style, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.colorScheme = (root.colorScheme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
});
addEventListener("hashchange", fromLink);
addEventListener("resize", () => {
  drawn = "";
  draw();
});

const dead = fired.reduce((sum, count) => sum + (count === 0), 0);
document.title = about.title + ": features";
$("title").textContent = about.title;
$("summary").textContent = `${whole(M)} features, ${whole(dead)} dead · ${whole(about.tokens)} tokens of ${whole(about.documents)} documents`;
for (const [value, [name]] of Object.entries(SORTS)) $("sort").append(make("option", { value }, name));
direction();
arrange();
if (!fromLink() && shown.length) choose(shown[0], { link: false });
