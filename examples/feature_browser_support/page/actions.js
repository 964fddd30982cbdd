// What the reader does, and the start.

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
