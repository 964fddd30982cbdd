// What every part needs of the document. Text enters it as text nodes only, never as markup.

export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Shows an error in its place, or takes it away.
export function say(id, error) {
  const element = $(id);
  element.hidden = !error;
  element.textContent = error ? String(error.message || error) : "";
}
