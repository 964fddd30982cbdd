// Starts the three parts. One that fails says so and leaves the others alone.
import init from "./pkg/limpid_browser.js";
import { startToy } from "./toy.js";
import { startFeatures } from "./features.js";
import { startWords } from "./words.js";
import { $, say } from "./dom.js";

$("theme").addEventListener("click", () => {
  const root = document.documentElement.style, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.colorScheme = (root.colorScheme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  document.dispatchEvent(new Event("themechange"));
});

// what nobody caught is shown too
addEventListener("error", (event) => say("failure", event.message));
addEventListener("unhandledrejection", (event) => say("failure", event.reason));

try {
  await init();
  for (const start of [startToy, startFeatures, startWords]) {
    try {
      start();
    } catch (error) {
      say("failure", error);
    }
  }
  document.documentElement.dataset.ready = "true";
} catch (error) {
  say("failure", `The program of this page could not be loaded: ${error.message || error}`);
}
