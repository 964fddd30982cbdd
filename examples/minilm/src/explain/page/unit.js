// What the page shows of one unit.

let simulated = NGRAMS, numbers = false;

function choose(unit) {
  chosen = unit;
  $("list").setAttribute("aria-activedescendant", "row" + unit);
  const at = shown.indexOf(unit);
  if (at >= 0) reveal(at);
  draw();
  detail(unit);
  // stepping through the list does not fill the history
  history.replaceState(null, "", `#${kind.name}-${unit}`);
}

function detail(unit) {
  const full = kind.full[unit], main = $("unit");
  const chips = columns.tokens[unit].map((word) => make("span", { class: "chip" }, alone(words[word])));
  const head = make("div", { class: "head" }, make("h2", { class: "number" }, title(unit)), make("div", { class: "chips" }, ...chips));
  const parts = [head, scores(unit)];
  if (full) parts.push(texts(unit, full), statistics(unit, full), tokenTable(full));
  else parts.push(make("p", { class: "quiet" }, "Texts were kept of the units that the list shows \"with texts\" (option --full)."));
  parts.push(keys());
  main.replaceChildren(...parts);
  main.scrollTop = 0;
}

function fact(name, value, more = "", interval = null) {
  const definition = make("dd", { class: "number" }, value, make("small", {}, more));
  if (interval) {
    const bar = make("div", { class: "interval", role: "presentation" }), place = (x) => 100 * Math.max(0, Math.min(1, (x + 0.25) / 1.25));
    ["--from", "--to", "--at"].forEach((name, i) => bar.style.setProperty(name, place(interval[i])));
    definition.append(bar);
  }
  return make("div", {}, make("dt", {}, name), definition);
}

function scores(unit) {
  const of = (name, which) => judged(name, which)(unit);
  const score = (which) => {
    const [low, high, at] = [of("low", which), of("high", which), of("score", which)];
    const interval = low === null ? null : [low, high, at];
    return fact(`score: ${data.explanations[which]}`, signed(at), interval ? `95 %: ${signed(low)} to ${signed(high)}` : "undefined", interval);
  };
  return make("dl", { class: "facts" },
    score(NGRAMS), score(TABLE),
    fact("top and random texts", signed(of("both")), "n-grams, 20 documents"),
    fact("variance explained", signed(of("explained")), "n-grams, calibrated"),
    fact("largest activation", sized(columns.max[unit]), `mean ${sized(columns.mean[unit])}`),
    fact("share not 0", signed(columns.density[unit]), "of all tokens"));
}

function section(title, note, ...children) {
  return make("section", {}, make("h3", {}, title, make("small", {}, note)), ...children);
}

function texts(unit, full) {
  const box = make("div", { class: numbers ? "numbers" : "" });
  const fill = () => {
    const most = Math.max(1e-9, columns.max[unit]);
    const group = (name, top) => [make("h4", {}, name), ...full.texts.filter((text) => text.top === top).map((text) => paragraph(text, most))];
    box.replaceChildren(...group("strongest", true), ...group("random", false));
  };
  const select = make("select", { "aria-label": "Explanation that is simulated" }, ...data.explanations.map((name, at) => make("option", { value: at }, name)));
  select.value = simulated;
  select.addEventListener("change", () => { simulated = Number(select.value); fill(); });
  const check = make("input", { type: "checkbox" });
  check.checked = numbers;
  check.addEventListener("change", () => { numbers = check.checked; box.className = numbers ? "numbers" : ""; });
  const tools = make("div", { class: "tools" },
    make("span", { class: "legend" }, make("i"), "real, behind the token"),
    make("span", { class: "legend" }, make("i", { class: "thin" }), "simulated, below it"),
    make("label", {}, "by ", select), make("label", {}, check, " numbers"));
  fill();
  return section("Texts that no explanation was made from", "", tools, box);
}

function paragraph(text, most) {
  const level = (x) => (100 * Math.max(0, Math.min(1, x / most))).toFixed(0);
  const guess = text.simulated[simulated];
  const tokens = text.words.map((word, i) => {
    const written = visible(words[word]), bare = written.trimStart() || "␣";
    const told = `${bare}: real ${short(text.real[i])}, simulated ${short(guess[i])}`;
    const token = make("span", { class: "token", "data-value": told.slice(bare.length + 2) },
      make("span", { class: "real", level: level(text.real[i]) }, bare),
      make("span", { class: "simulated", level: level(guess[i]) }),
      make("small", { class: "number" }, short(text.real[i])), make("small", { class: "number" }, short(guess[i])));
    const before = i > 0 ? words[text.words[i - 1]].trim() : "";
    if (i > 0 && bare !== written && !/^[.,!?;:)']$/.test(bare) && !/^['(\[]$/.test(before)) token.classList.add("start");
    return token;
  });
  const peak = Math.max(...text.real);
  return make("div", { class: "text" },
    make("span", { class: "from number" }, make("b", { title: "largest activation" }, short(peak)), "line " + text.line),
    make("p", { class: "tokens" }, ...tokens));
}

function statistics(unit, full) {
  const names = ["smallest", "standard deviation", "skewness", "excess kurtosis", ...data.quantiles.map((q) => `${100 * q} % quantile`), "largest"];
  const values = [...full.numbers, ...full.quantiles, columns.max[unit]];
  const facts = names.map((name, at) => fact(name, sized(values[at])));
  return section("Activations", "over the whole text; quantiles within 6 %", make("dl", { class: "facts" }, ...facts.slice(0, 6), ...facts.slice(6)));
}

function tokenTable(full) {
  const head = make("thead", {}, make("tr", {}, ...["token", "mean activation", "places"].map((name) => make("th", { scope: "col" }, name))));
  const line = ([word, mean, places]) => make("tr", {}, make("td", {}, alone(words[word])), make("td", {}, short(mean)), make("td", {}, whole(places)));
  const table = make("table", {}, head, make("tbody", {}, ...full.table.map(line)));
  return section("Token table", "tokens of the highest mean in the training documents", make("div", { class: "scroll" }, table));
}

function keys() {
  const key = (name) => make("kbd", {}, name);
  return make("p", { class: "keys" }, key("↑"), " ", key("↓"), " next   ", key("/"), " search   ", key("n"), " numbers   ", key("Esc"), " clear");
}
