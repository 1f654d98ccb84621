// Drawing on the input with mouse, finger, pen or keys.

import { STEPS } from "./state.js";
import { SIDE } from "./view.js";

const rounded = (v) => Math.round(STEPS * v) / STEPS; // what an address can say

/** A soft brush: full ink in the pixel, less of it beside. */
function dab(pixels, column, line, ink) {
  for (let i = -1; i <= 1; i++) {
    for (let j = -1; j <= 1; j++) {
      const [c, l] = [column + j, line + i];
      if (c < 0 || l < 0 || c >= SIDE || l >= SIDE) continue;
      const weight = i || j ? (i && j ? 0.25 : 0.6) : 1;
      const at = l * SIDE + c;
      pixels[at] = rounded(ink === 0 ? pixels[at] * (1 - weight) : Math.max(pixels[at], ink * weight));
    }
  }
}

/**
 * Make a canvas something to draw on.
 * @param canvas @param cursor the element that shows where the keys are
 * @param ink () → ink in [0, 1] @param begin called before a stroke: () → the pixels to be drawn on @param changed called after each dab
 */
export function drawable(canvas, cursor, ink, begin, changed) {
  let pixels = null;
  let last = null;
  let keys = [14, 14];
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE].map(Math.floor);
  };
  const along = (to) => {
    const from = last ?? to;
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
    for (let i = 0; i <= steps; i++) dab(pixels, ...from.map((v, k) => Math.round(v + ((to[k] - v) * i) / steps)), ink());
    last = to;
    changed();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture?.(event.pointerId);
    last = null;
    pixels = begin();
    along(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const part of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) along(place(part));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  const mark = () => {
    cursor.style.left = `${((keys[0] + 0.5) / SIDE) * 100}%`;
    cursor.style.top = `${((keys[1] + 0.5) / SIDE) * 100}%`;
  };
  canvas.addEventListener("focus", mark);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const erases = event.key === "Delete" || event.key === "Backspace";
    const draws = (step && event.shiftKey) || event.key === " " || event.key === "Enter";
    if (!step && !erases && !draws) return;
    event.preventDefault();
    if (step) keys = keys.map((v, i) => Math.min(SIDE - 1, Math.max(0, v + step[i])));
    mark();
    if (!draws && !erases) return;
    pixels = begin();
    dab(pixels, ...keys, erases ? 0 : ink());
    changed();
  });
}
