// A classifier that is trained in slices when the page opens, and the reasons for what it says.
import { Classifier } from "./pkg/limpid_browser.js";
import { $, make, say } from "./dom.js";

const SLICE = 12; // milliseconds
const SAMPLES = [
  "The film was not great",
  "I thought the story was hardly boring and the music was wonderful",
  "Our room isn't bright but the view is perfect",
  "This book was not only good",
];
const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);

export function startWords() {
  const classifier = new Classifier(0);
  let trained = false;

  function train() {
    try {
      const start = performance.now();
      let share = 0;
      while (share < 1 && performance.now() - start < SLICE) share = classifier.train(2);
      $("verdict").textContent = `Training the classifier: ${Math.floor(100 * share)} %`;
      if (share < 1) return void requestAnimationFrame(train);
      trained = true;
      $("words").dataset.accuracy = classifier.accuracy();
      explain();
    } catch (error) {
      say("words-error", error);
    }
  }

  function explain() {
    if (!trained) return;
    try {
      show(JSON.parse(classifier.explain($("text").value, $("method").value)));
      say("words-error");
    } catch (error) {
      say("words-error", error);
    }
  }

  $("text").addEventListener("input", explain);
  $("method").addEventListener("change", explain);
  for (const text of SAMPLES) {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      $("text").value = text;
      explain();
    });
    $("samples").append(button);
  }
  train();
}

function show({ tokens, probability, output, base, delta, evaluations, cut }) {
  const praise = probability >= 0.5, sure = praise ? probability : 1 - probability;
  $("verdict").replaceChildren(make("b", {}, praise ? "Praise" : "Not praise"), ` with a probability of ${(100 * sure).toFixed(1)} %`);
  const most = Math.max(1e-9, ...tokens.map(({ value }) => Math.abs(value ?? 0)));
  $("tokens").replaceChildren(...tokens.map(({ text, known, value }) => {
    if (!known) return make("li", { class: "unknown", title: "a word that the classifier does not know" }, text, make("small", {}, "unknown"));
    const strength = (75 * Math.abs(value) / most).toFixed(0);
    return make("li", { "--side": value < 0 ? "var(--against)" : "var(--for)", "--strength": strength }, text, make("small", {}, signed(value)));
  }));
  const sum = tokens.reduce((sum, { value }) => sum + (value ?? 0), 0);
  const parts = [`Values add up to ${signed(sum)}; the answer is ${signed(output)}, and ${signed(base)} without words.`];
  if (delta !== null) parts.push(`What is missing: ${delta.toExponential(1)}.`);
  parts.push(`${evaluations} passes through the model; it judges ${(100 * $("words").dataset.accuracy).toFixed(1)} % of unseen sentences rightly.`);
  if (cut) parts.push(`The last ${cut} words are not read.`);
  $("account").textContent = parts.join(" ");
}
