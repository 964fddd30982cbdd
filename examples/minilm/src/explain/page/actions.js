// What a reader can do: keys, search, order, kind, theme, links.

const typing = (target) => target.closest("input, select");

function step(by) {
  const at = shown.indexOf(chosen), next = at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by));
  if (shown.length) choose(shown[next]);
}

function listing(open) {
  document.body.classList.toggle("listing", open);
  $("menu").setAttribute("aria-expanded", open);
  draw();
}

function direction() {
  $("order").textContent = ascending ? "↑" : "↓";
  $("order").setAttribute("aria-label", ascending ? "Ascending" : "Descending");
}

function take(name) {
  kind = data.kinds.find((other) => other.name === name) || data.kinds[0];
  columns = kind.columns;
  $("kind").value = kind.name;
  arrange();
}

// Units are linked to as #neuron-1234.
function follow() {
  const [, name, unit] = /^#(\w+)-(\d+)$/.exec(location.hash) || [];
  const known = data.kinds.find((other) => other.name === name);
  if (known && Number(unit) < known.columns.index.length) {
    if (known !== kind) take(name);
    choose(Number(unit));
  } else if (shown.length) choose(shown[0]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    $("search").value = "";
    arrange();
    listing(false);
    $("list").focus();
  } else if (event.target.tagName === "SELECT") return;
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    step(event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
  } else if (typing(event.target)) return;
  else if (event.key === "/") {
    listing(true);
    $("search").focus();
    event.preventDefault();
  } else if (event.key === "n") {
    numbers = !numbers;
    if (chosen >= 0) detail(chosen);
  }
});
$("search").addEventListener("input", arrange);
$("whole").addEventListener("change", arrange);
$("sort").addEventListener("change", arrange);
$("kind").addEventListener("change", () => { take($("kind").value); if (shown.length) choose(shown[0]); });
$("order").addEventListener("click", () => { ascending = !ascending; direction(); arrange(); });
$("menu").addEventListener("click", () => listing(!document.body.classList.contains("listing")));
$("list").addEventListener("scroll", draw, { passive: true });
$("list").addEventListener("click", (event) => {
  const clicked = event.target.closest(".row");
  if (!clicked) return;
  choose(Number(clicked.dataset.unit));
  listing(false);
});
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.style.colorScheme = dark === "dark" ? "light" : "dark";
});
window.addEventListener("resize", () => { drawn = ""; draw(); });
window.addEventListener("hashchange", follow);

document.title = `Neurons of ${data.title}`;
$("title").textContent = document.title;
$("summary").textContent = data.summary;
$("kind").append(...data.kinds.map((kind) => make("option", { value: kind.name }, `${kind.name}s`)));
$("sort").append(...Object.entries(SORTS).map(([name, [text]]) => make("option", { value: name }, text)));
direction();
arrange();
follow();
