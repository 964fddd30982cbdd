// The list: sorted, filtered, and only its visible rows in the document.

const SORTS = {
  max: ["max", (f) => column("max")[f], (f) => short(column("max")[f])],
  density: ["density", (f) => fired[f], (f) => share(density(f))],
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
