// The list: one kind of units, sorted, filtered, and only its visible rows in the document.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { words } = data;
const lower = words.map((word) => word.toLowerCase());
const ROW = 44, NGRAMS = 1, TABLE = 0;
const signed = (x) => (x === null ? "–" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(3));
const sized = (x) => (x === null ? "–" : short(x));
const judged = (name, kind = NGRAMS) => (unit) => columns.judged[kind][name][unit];
const SORTS = {
  score: ["score: n-grams", judged("score"), signed],
  table: ["score: token table", judged("score", TABLE), signed],
  gain: ["n-grams less table", (unit) => difference(judged("score")(unit), judged("score", TABLE)(unit)), signed],
  low: ["lower end of the score", judged("low"), signed],
  both: ["top and random", judged("both"), signed],
  random: ["random texts", judged("random"), signed],
  explained: ["variance explained", judged("explained"), signed],
  max: ["largest activation", (unit) => columns.max[unit], sized],
  mean: ["mean activation", (unit) => columns.mean[unit], sized],
  density: ["share not 0", (unit) => columns.density[unit], signed],
  id: ["layer and number", (unit) => unit, () => ""],
};
let kind = data.kinds[0], columns = kind.columns, chosen = -1, shown = [], ascending = false, drawn = "";

const difference = (a, b) => (a === null || b === null ? null : a - b);
const named = (unit) => (kind.name === "neuron" ? columns.layer[unit] + ":" + columns.index[unit] : String(columns.index[unit]));
const title = (unit) => (kind.name === "neuron" ? `Neuron ${named(unit)}` : `Feature ${named(unit)} of layer ${columns.layer[unit]}`);

function fits(unit, query, has) {
  if (!query) return true;
  if (query.includes(":")) return `${columns.layer[unit]}:${columns.index[unit]}`.startsWith(query);
  if (/^\d+$/.test(query) && String(columns.index[unit]) === query) return true;
  return columns.tokens[unit].some((word) => has[word]);
}

function arrange() {
  const query = $("search").value.trim().toLowerCase(), inFull = $("whole").checked, all = columns.index.length;
  const has = lower.map((word) => query !== "" && word.includes(query));
  const units = inFull ? Object.keys(kind.full).map(Number) : Array.from({ length: all }, (_, unit) => unit);
  const by = SORTS[$("sort").value][1], sign = ascending ? 1 : -1;
  // what is undefined comes last in either direction
  const key = (unit) => (by(unit) === null ? Infinity : sign * by(unit));
  shown = units.filter((unit) => fits(unit, query, has)).map((unit) => [key(unit), unit]);
  shown.sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] - b[0]));
  shown = shown.map((pair) => pair[1]);
  $("space").style.height = shown.length * ROW + "px";
  $("count").textContent = `${whole(shown.length)} of ${whole(all)} ${kind.name}s`;
  $("list").scrollTop = 0;
  drawn = "";
  draw();
}

function row(unit) {
  const [best, ...others] = columns.tokens[unit].map((word) => alone(words[word]));
  const text = make("span", { class: "words" }, make("b", {}, best || "–"), make("span", { class: "quiet" }, others.length ? "  " + others.join("  ") : ""));
  const [, value, format] = SORTS[$("sort").value];
  const element = make("div", { class: "row", id: "row" + unit, role: "option", "aria-selected": unit === chosen },
    make("span", { class: "id number" }, named(unit)), text, make("span", { class: "key number" }, format(value(unit))));
  if (unit === chosen) element.classList.add("chosen");
  element.dataset.unit = unit;
  return element;
}

function draw() {
  const list = $("list"), from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  const now = `${from} ${to} ${chosen}`;
  if (now === drawn) return;
  drawn = now;
  $("rows").replaceChildren(...shown.slice(from, to).map(row));
  $("rows").style.transform = `translateY(${from * ROW}px)`;
}

function reveal(at) {
  const list = $("list"), top = at * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
}
