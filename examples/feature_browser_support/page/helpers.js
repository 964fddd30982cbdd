// Elements, and numbers and tokens as text.

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
  const bare = word.trim() || word.replace(/ /g, "␣");
  return (!about.letters && /^[\p{L}\p{N}]/u.test(word) ? "…" : "") + (visible(bare) || "␣");
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
