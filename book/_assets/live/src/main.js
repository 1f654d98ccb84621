// The page's live network: an input to draw on, a network in the browser, its round trip and its eigenvalues.

import { eigenvalues, Network } from "./network.js";
import { generator, noise, NOISE_SETS } from "./noise.js";
import { complex, element, number, paint, picture, plane, SIDE } from "./view.js";

/** How often the autoencoder has been applied in the strip of pictures. */
const TIMES = [1, 2, 4, 8, 16, 32, 64];
const INKS = { white: 1, grey: 0.5, black: 0 };

const networks = new Map(); // address of a weights file → Network
const waiting = new Map();
let samples = null;
let network = null;
let input = new Float64Array(SIDE * SIDE);
let result = null;
let ui = null;
let seed = 1;
let sample = 0;

/** Weights come as classic scripts that call `receive`: from file:// nothing else can be read. */
function load(address) {
  if (!waiting.has(address)) {
    waiting.set(
      address,
      new Promise((done, failed) => {
        const script = element("script", { src: address });
        script.onload = () => done(networks.get(address));
        script.onerror = () => failed(new Error(`could not load ${address}`));
        document.head.append(script);
      }),
    );
  }
  return waiting.get(address);
}

const receive = (file) => networks.set(document.currentScript.getAttribute("src"), new Network(file));

function receiveSamples({ labels, pixels }) {
  const bytes = Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0));
  samples = labels.map((label, i) => ({ label, x: Float64Array.from(bytes.subarray(784 * i, 784 * (i + 1)), (v) => v / 255) }));
}

async function select(address) {
  ui.status.textContent = "Loading the network …";
  network = await load(address);
  update();
}

function set(values) {
  input = Float64Array.from(values);
  update();
}

let scheduled = false;
function soon() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    update();
  });
}

function update() {
  paint(ui.input, input);
  if (!network) return;
  result = network.diagnose(input);
  paint(ui.output, result.y);
  let again = result.y;
  for (let times = 1, i = 0; i < TIMES.length; times++) {
    if (times === TIMES[i]) paint(ui.strip[i++], again);
    again = network.reconstruct(again);
  }
  plane(ui.plane, result.I.lam, result.L.lam);
  const d = network.d;
  const distance = result.I.lam.reduce((s, [re, im], i) => s + (re - result.L.lam[i][0]) ** 2 + (im - result.L.lam[i][1]) ** 2, 0) / d;
  const error = result.y.reduce((s, v, i) => s + (v - input[i]) ** 2, 0) / 784;
  const rows = [
    ["Rank r", (s) => `${s.rank} of ${d}`],
    ["Orientation", (s) => (s.orientation < 0 ? "reversed (−)" : "kept (+)")],
    ["Largest |λ|", (s) => number(Math.hypot(...s.lam[0]))],
    ["Mean |λ|", (s) => (s.rank ? number(s.lam.slice(0, s.rank).reduce((t, v) => t + Math.hypot(...v), 0) / s.rank) : "–")],
    ["Outside the circle", (s) => `${s.lam.filter((v) => Math.hypot(...v) > 1).length} of ${d}`],
  ];
  ui.facts.replaceChildren(...rows.map(([name, of]) => row(name, of(result.I), of(result.L))));
  ui.list.replaceChildren(...result.I.lam.map((v, i) => row(`λ${subscript(i + 1)}`, complex(...v), complex(...result.L.lam[i]))));
  ui.numbers.replaceChildren("‖λ", sub("I"), " − λ", sub("L"), `‖²/d = ${number(distance)}; mean squared pixel error ${number(error)}; code z = (${Array.from(result.z, number).join(", ")}).`);
  announce();
}

const sub = (text) => element("sub", {}, text);
const row = (name, ...cells) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((text) => element("td", {}, text)));
const subscript = (i) => String(i).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c]);

/** What a screen reader says, after the hand has come to rest. */
let timer = 0;
function announce() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const word = (s) => (s.orientation < 0 ? "reversed" : "kept");
    ui.status.textContent =
      `d = ${network.d}: rank ${result.I.rank}; orientation ${word(result.I)} for K_I, ${word(result.L)} for K_L; ` +
      `largest eigenvalue ${number(Math.hypot(...result.I.lam[0]))} and ${number(Math.hypot(...result.L.lam[0]))}.`;
  }, 400);
}

// --- drawing by hand ---------------------------------------------------------------------------------------------------

/** A soft brush: full ink in the pixel, half of it beside. */
function stroke(column, line, ink) {
  for (let i = -1; i <= 1; i++) {
    for (let j = -1; j <= 1; j++) {
      const [c, l] = [column + j, line + i];
      if (c < 0 || l < 0 || c >= SIDE || l >= SIDE) continue;
      const weight = i || j ? (i && j ? 0.25 : 0.6) : 1;
      const at = l * SIDE + c;
      input[at] = ink === 0 ? input[at] * (1 - weight) : Math.max(input[at], ink * weight);
    }
  }
}

function drawable(canvas, ink) {
  let last = null;
  let cursor = [14, 14];
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE].map(Math.floor);
  };
  const along = (to) => {
    const from = last ?? to;
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
    for (let i = 0; i <= steps; i++) stroke(...from.map((v, k) => Math.round(v + ((to[k] - v) * i) / steps)), ink());
    last = to;
    soon();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture?.(event.pointerId);
    last = null;
    along(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const part of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) along(place(part));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  const mark = () => {
    ui.cursor.style.left = `${((cursor[0] + 0.5) / SIDE) * 100}%`;
    ui.cursor.style.top = `${((cursor[1] + 0.5) / SIDE) * 100}%`;
  };
  canvas.addEventListener("focus", () => mark());
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) cursor = cursor.map((v, i) => Math.min(SIDE - 1, Math.max(0, v + step[i])));
    if ((step && event.shiftKey) || event.key === " " || event.key === "Enter") stroke(...cursor, ink());
    else if (event.key === "Delete" || event.key === "Backspace") stroke(...cursor, 0);
    else if (!step) return;
    event.preventDefault();
    mark();
    soon();
  });
}

// --- the page ----------------------------------------------------------------------------------------------------------

const choice = (label, options, change) => {
  const list = element("select", { change: () => change(list.value) }, ...options.map(([value, text]) => element("option", { value }, text)));
  return { list, field: element("label", {}, element("span", {}, label), list) };
};

const button = (text, press) => element("button", { type: "button", click: press }, text);

function build(place, links) {
  ui = {
    input: element("canvas", {
      width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-roledescription": "drawing area",
      "aria-label": "Input, 28 by 28 pixels", "aria-describedby": "live-keys",
    }),
    cursor: element("span", { class: "cursor", "aria-hidden": "true" }),
    output: picture("Reconstruction"),
    strip: TIMES.map((times) => picture(`Autoencoder applied ${times} times`)),
    plane: document.createElementNS("http://www.w3.org/2000/svg", "svg"),
    facts: element("tbody"),
    list: element("tbody"),
    numbers: element("p", { class: "numbers" }),
    status: element("p", { class: "status", role: "status" }),
  };
  ui.plane.setAttribute("role", "img");
  ui.plane.setAttribute("aria-label", "Eigenvalues in the complex plane with the unit circle; the table lists them");
  const dims = choice("Network", links.map((a) => [a.href, a.textContent.trim()]), select);
  const ink = choice("Ink", Object.keys(INKS).map((name) => [name, name]), () => {});
  const set_ = choice("Noise", Object.entries(NOISE_SETS), draw);
  function draw() {
    set(noise(set_.list.value, generator(seed++)));
  }
  const digit = () => {
    if (samples) set(samples[sample++ % samples.length].x);
  };
  const heads = (first) => element("thead", {}, element("tr", {}, element("td"), element("th", { scope: "col", class: "of-I" }, "● K", sub("I")), element("th", { scope: "col", class: "of-L" }, "✕ K", sub("L"))));
  place.replaceChildren(
    element("div", { class: "controls" }, dims.field, ink.field, button("Clear", () => set(new Float64Array(784))), button("A held-out digit", digit), element("span", { class: "together" }, set_.field, button("New noise", draw))),
    element("div", { class: "pair" },
      element("figure", {}, element("div", { class: "drawing" }, ui.input, ui.cursor), element("figcaption", {}, "Input: draw here")),
      element("figure", {}, ui.output, element("figcaption", {}, "Reconstruction"))),
    element("p", { id: "live-keys", class: "keys" }, "With the keyboard: arrows move, Space or Shift with an arrow draws, Delete erases."),
    element("div", { class: "strip" }, ...ui.strip.map((canvas, i) => element("figure", {}, canvas, element("figcaption", {}, `${TIMES[i]}×`)))),
    element("div", { class: "pair spectra" }, ui.plane, element("div", {}, element("table", {}, element("caption", {}, "At this input"), heads(), ui.facts))),
    ui.numbers,
    element("details", {}, element("summary", {}, "All eigenvalues"), element("table", {}, heads(), ui.list)),
    ui.status,
  );
  drawable(ui.input, () => INKS[ink.list.value]);
  return { dims, digit };
}

async function start() {
  const place = document.getElementById("live-network");
  const [images, ...links] = document.querySelectorAll(".live-weights a");
  if (!place || !links.length) return;
  const page = build(place, links);
  // one in the middle, as on the book's first page: it reconstructs well, and its plane can still be read
  page.dims.list.value = links[Math.floor(links.length / 2)].href;
  await Promise.all([load(images.href), select(page.dims.list.value)]);
  page.digit();
}

const ready = document.readyState === "loading" ? new Promise((done) => document.addEventListener("DOMContentLoaded", () => done(start()))) : start();

/** For the weights files, and for whoever wants to look closer from the console. */
window.liveNetwork = {
  ready, receive, receiveSamples, set, select, eigenvalues, noise, generator,
  state: () => ({ ...result, d: network.d, x: Array.from(input), y: Array.from(result.y), z: Array.from(result.z) }),
};
