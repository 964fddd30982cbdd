"use strict";
// Text enters the page as text nodes only, never as markup.
const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const M = about.features;

// Columns: decoded when first used, and the text of their elements let go.

const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
const decoded = new Map();

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), out = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

function column(name) {
  if (!decoded.has(name)) {
    const element = $(name);
    decoded.set(name, new TYPES[element.dataset.type](bytes(element.textContent).buffer));
    element.remove();
  }
  return decoded.get(name);
}

// Where the entries of each part begin, from their counts.
function starts(name, ...counts) {
  const key = "starts of " + name;
  if (!decoded.has(key)) {
    const all = counts.map(column), out = new Uint32Array(all[0].length + 1);
    for (let i = 0; i < all[0].length; i++) out[i + 1] = all.reduce((sum, count) => sum + count[i], out[i]);
    decoded.set(key, out);
  }
  return decoded.get(key);
}

const words = JSON.parse($("words").textContent);
const lower = words.map((word) => word.trim().toLowerCase());
const fired = column("fired");
