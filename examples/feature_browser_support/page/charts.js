// Histograms: of the activations of a feature, and of the densities of all.

function charts(f) {
  const first = starts("bins", "bins")[f], count = column("bins")[f], from = column("bins_first")[f];
  const counts = Array.from(column("bin_counts").subarray(first, first + count));
  const edges = about.edges.slice(from, from + count + 1);
  const bars = counts.map((n, i) => [n, `${short(edges[i])} to ${short(edges[i + 1])}: ${whole(n)}`, false]);
  const mine = Math.floor(densityBin(fired[f]));
  const all = densities().map(([n, title], i) => [n, title, i === mine]);
  const step = Math.ceil(count / 5), ticks = range(0, count + 1).filter((i) => i % step === 0).map((i) => [i, short(edges[i])]);
  const decades = range(0, DECADES + 1).map((d) => [d * PER_DECADE, +(100 * 10 ** (d - DECADES)).toPrecision(1) + " %"]);
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
    // a low bar would be overlooked
    if (here) svg.append(draw("rect", { class: "place", x: LEFT + i * width, width, y: TOP, height: high }));
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
