// What the page shows of one feature.

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
  if (!dead) parts.push(facts(f));
  parts.push(effects(f));
  if (!dead) parts.push(activating(f), charts(f));
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

// What one unit of the feature adds to the logits of the next token.
function effects(f) {
  const count = about.effects;
  if (!count) return null;
  const most = Math.max(1e-9, Math.abs(column("raised_by")[f * count]), Math.abs(column("lowered_by")[f * count]));
  const side = (name, title) => {
    const rows = range(f * count, count).map((n) => {
      const value = column(name + "_by")[n];
      return make("div", { class: "effect " + (value < 0 ? "down" : "up") },
        make("b", { class: "number" }, visible(about.outputs[column(name)[n]]).replace(/^ | $/g, "␣")),
        make("span", { class: "bar", level: ((100 * Math.abs(value)) / most).toFixed(1) }),
        make("span", { class: "value number" }, (value > 0 ? "+" : "") + short(value)));
    });
    return make("div", {}, make("h4", {}, title), ...rows);
  };
  return section("Effects on the next token", "change of its logit for each unit of activation",
    make("div", { class: "effects" }, side("raised", "raised most"), side("lowered", "lowered most")));
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
