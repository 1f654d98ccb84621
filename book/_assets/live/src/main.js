// The page's live network: an input to draw on, one network or two in the browser, their round trips and eigenvalues.

import { CodePlane } from "./code.js";
import { drawable } from "./drawing.js";
import { framed } from "./framing.js";
import { difference, eigenvalues } from "./network.js";
import { generator, noise, NOISE_SETS } from "./noise.js";
import { packed, Past, read, STEPS, words } from "./state.js";
import { complex, complexPlane, element, gauge, indexed, number, paint, picture, plane, reaching, SIDE, standing, standingInWords } from "./view.js";
import { bytes, load, receive, trainedNetwork, untrainedNetwork } from "./weights.js";

/** How often the autoencoder has been applied in the strip of pictures. */
const TIMES = [1, 2, 4, 8, 16, 32, 64];
const INKS = { white: 1, grey: 0.5, black: 0 };
/** The scores in words and as a formula; their names are those of lib.studies.detection_scores. */
const SCORES = {
  "relative error": ["Relative error", "‖y−x‖²/‖x‖²"],
  "re-encoding shift": ["Re-encoding shift", "‖f_enc(y)−z‖"],
  hamming: ["Units that switch", "from x to y"],
  "K_L defect": ["Defect", "‖K_L−1‖"],
};
const BLANK = new Float64Array(SIDE * SIDE);

let files = null; // addresses: { images, networks: {id: address}, planes: {seed: address} }
let held = null; // { images: [{label, x}], framed, levels, inside, noise }: what the file of held-out images hands over
let state = null; // what the address says, see state.js
let shown = { network: null, beside: null }; // networks by their place on the page
let result = null; // of the first network
let other = null; // of the one beside it
let ui = null;
const past = new Past();

// --- networks -----------------------------------------------------------------------------------------------------------

/** A network is called seed.d, one before training u + seed.d. */
const about = (id) => {
  const [, u, seed, d] = /^(u?)(\d+)\.(\d+)$/.exec(id);
  return { seed: +seed, d: +d, trained: !u };
};

const named = (id) => {
  const { seed, d, trained } = about(id);
  return `d = ${d}, seed ${seed}${trained ? "" : ", untrained"}`;
};

/** The address of the plane of codes of a trained network with d = 2. */
const planeOf = (id) => {
  const { seed, d, trained } = about(id);
  return d === 2 && trained && files.planes[seed];
};

const fresh = new Map();

async function network(id) {
  if (!id) return null;
  const { seed, d, trained } = about(id);
  if (trained) return trainedNetwork(files.networks[id]);
  if (!fresh.has(id)) fresh.set(id, untrainedNetwork(seed, d));
  return fresh.get(id);
}

// --- state --------------------------------------------------------------------------------------------------------------

/** Change the state and show it; `keep` what was before for undo. */
function change(values, keep = true) {
  if (keep) past.keep(state);
  state = { ...state, ...values };
  show();
}

/** The input changes: what it was made of before no longer matters. */
const input = (values, keep = true) => change({ drawn: null, own: false, code: null, ...values }, keep);

let turn = 0;

/** Load the networks that the state names, then show everything. */
async function show() {
  const mine = ++turn;
  const wanted = [state.network, state.beside];
  if (wanted[0] !== ui.loaded?.[0] || wanted[1] !== ui.loaded?.[1]) {
    ui.busy.textContent = "Loading the network …";
    try {
      const plane = planeOf(state.network);
      const [first, second, codes] = await Promise.all([network(wanted[0]), network(wanted[1]), plane ? load(plane) : null]);
      if (mine !== turn) return; // another choice was made meanwhile
      shown = { network: first, beside: second };
      ui.loaded = wanted;
      ui.codes.node.hidden = !codes;
      if (codes) ui.codes.open(codes);
      ui.busy.textContent = "";
    } catch (error) {
      ui.busy.textContent = `${error.message}; choose another network, or reload the page.`;
      return;
    }
  }
  update();
}

/** The picture that the network is shown, and the same in the steps of ink that an address can say. */
function pictured() {
  if (state.code) return shown.network.decode(state.code);
  if (state.drawn) return state.own && held.framed ? framed(state.drawn) : state.drawn;
  const digit = held.images[state.digit].x;
  if (!state.mix) return digit;
  const random = noise(state.noise, generator(state.draw));
  return digit.map((v, i) => (1 - state.mix) * v + state.mix * random[i]);
}

const inked = () => (state.drawn ?? pictured()).map((v) => Math.round(STEPS * Math.min(1, Math.max(0, v))) / STEPS);

function update() {
  if (!shown.network || !held) return;
  if (state.code) state.code = ui.codes.node.hidden ? null : ui.codes.within(state.code);
  const x = pictured();
  result = shown.network.diagnose(x);
  other = shown.beside?.diagnose(x) ?? null;
  const drawing = state.drawn ?? x;
  paint(ui.input, drawing);
  ui.framed.hidden = !(state.own && held.framed && state.drawn.some((v, i) => v !== x[i]));
  if (!ui.framed.hidden) paint(ui.framed, x);
  paint(ui.output, result.y);
  const reach = reaching(result.I.lam, result.L.lam, other?.I.lam ?? [], other?.L.lam ?? []);
  plane(ui.plane, result.I.lam, result.L.lam, reach);
  ui.place.classList.toggle("two", !!other);
  if (other) {
    paint(ui.output2, other.y);
    plane(ui.plane2, other.I.lam, other.L.lam, reach);
  }
  controls();
  tables();
  if (state.code) announceCode(ui.codes.show(state.code, result.y, result.again, result.L.orientation));
  else {
    if (!ui.codes.node.hidden) ui.codes.show(result.z, result.y, result.again, result.L.orientation);
    announce();
  }
  later();
}

/** Controls say what the state is, also when it came from the address or from undo. */
function controls() {
  ui.network.value = state.network;
  ui.beside.value = state.beside ?? "";
  ui.noise.value = state.noise;
  const percent = Math.round(100 * state.mix);
  if (document.activeElement !== ui.mix || +ui.mix.value !== percent) ui.mix.value = percent;
  const made = !state.drawn && !state.code;
  ui.mix.classList.toggle("unused", !made);
  ui.mix.setAttribute("aria-valuetext", made ? `${percent} percent noise` : `${percent} percent noise, not in use: the input was ${state.code ? "decoded from a code" : "drawn"}`);
  ui.undo.disabled = past.empty;
}

const row = (name, ...cells) => element("tr", {}, element("th", { scope: "row" }, ...[name].flat()), ...cells.map((cell) => element("td", {}, cell)));
const subscript = (i) => String(i).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c]);

function tables() {
  const two = other ? [result, other] : [result];
  const all = two.flatMap((r) => [r.I, r.L]);
  const mean = (s) => s.lam.slice(0, s.rank).reduce((t, v) => t + Math.hypot(...v), 0) / s.rank;
  const heads = () => element("thead", {},
    ...(other ? [element("tr", {}, element("td"), ...[state.network, state.beside].map((id) => element("th", { scope: "colgroup", colspan: 2 }, named(id))))] : []),
    element("tr", {}, element("td"), ...two.flatMap(() => [element("th", { scope: "col", class: "of-I" }, ...indexed("○ K_I")), element("th", { scope: "col", class: "of-L" }, ...indexed("× K_L"))])));
  ui.facts.replaceChildren(heads(), element("tbody", {},
    row("Rank", ...all.map((s) => `${s.rank} of ${s.lam.length}`)),
    row("Orientation", ...all.map((s) => (s.orientation < 0 ? "reversed" : "kept"))),
    row("Largest |λ|", ...all.map((s) => number(Math.hypot(...s.lam[0])))),
    row("Mean |λ|", ...all.map((s) => (s.rank ? number(mean(s)) : "–"))),
    row("Outside circle", ...all.map((s) => `${s.lam.filter((v) => Math.hypot(...v) > 1).length} of ${s.lam.length}`))));
  ui.list.replaceChildren(heads(), element("tbody", {}, ...Array.from({ length: Math.max(...all.map((s) => s.lam.length)) }, (_, i) => row(`λ${subscript(i + 1)}`, ...all.map((s) => (s.lam[i] ? complex(...s.lam[i]) : ""))))));
  ui.code.textContent = `Code z = (${Array.from(result.z, number).join(", ")}).`;
  const usual = [state.network, state.beside].filter(Boolean).map((id) => held.inside[id]);
  ui.scores.replaceChildren(...Object.entries(SCORES).map(([score, [name, formula]]) =>
    row([name, " ", element("small", {}, ...indexed(formula))], ...two.map((r, i) => against(r.scores[score], usual[i]?.[score])))));
  ui.difference.replaceChildren(...(other ? compared() : []));
}

/** A value, and where it lies among those of held-out images. */
function against(value, quantiles) {
  const told = element("span", { class: "value" }, number(value));
  if (!quantiles) return told;
  return element("span", { class: "against" }, told, gauge(standing(value, held.levels, quantiles)), element("span", { class: "words" }, standingInWords(value, held.levels, quantiles)));
}

/** How far two reconstructions differ, beside what two seeds usually differ by. */
function compared() {
  const between = difference(result.y, other.y);
  const [a, b] = [state.network, state.beside].map(about);
  const pair = a.d === b.d && a.trained && b.trained && a.seed !== b.seed ? "difference between seeds" : null;
  const inside = pair && held.inside[state.network]?.[pair];
  const parts = [element("p", {}, "The two reconstructions differ by ‖y−y′‖²/784 = ", element("strong", {}, number(between)), ".")];
  if (inside) {
    const outside = Object.entries(held.noise[state.network]?.[pair] ?? {}).map(([name, median]) => `${number(median)} on ${name} noise`);
    parts.push(element("p", {}, `Median for these two: ${number(inside[held.levels.indexOf(0.5)])} on held-out digits, ${outside.join(", ")}.`));
  }
  const [here, there] = [result, other].map((r) => kept(r.I));
  parts.push(element("p", {}, "Orientation of ", ...indexed("K_I"), `: ${here === there ? `${here} by both` : `${here} by the first, ${there} by the second`}.`));
  return parts;
}

// --- said and written when the hand has come to rest -------------------------------------------------------------------

let resting = 0;
let told = ""; // the address as it was last read or written here

function later() {
  clearTimeout(resting);
  const y = result.y;
  resting = setTimeout(() => {
    let again = y;
    for (let times = 1, i = 0; i < TIMES.length; times++) {
      if (times === TIMES[i]) paint(ui.strip[i++], again);
      again = shown.network.reconstruct(again);
    }
    if (location.hash !== told) return; // a reader gave another, and hashchange is on its way
    const address = words(state);
    if (address !== told) history.replaceState(null, "", address);
    told = location.hash;
  }, 60);
}

let speaking = 0;

function say(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (ui.status.textContent = text()), 400);
}

const kept = (s) => (s.orientation < 0 ? "reversed" : "kept");

function announce() {
  say(() => {
    const { d, trained, seed } = about(state.network);
    const usual = held.inside[state.network]?.["relative error"];
    const error = result.scores["relative error"];
    const among = usual ? `, ${standingInWords(error, held.levels, usual).replace("%", " percent of held-out images")}` : "";
    return `Network of ${d} latent dimensions, seed ${seed}${trained ? "" : ", untrained"}. Relative error ${number(error)}${among}. ` +
      `Jacobian at the input: rank ${result.I.rank}, orientation ${kept(result.I)}, largest modulus of an eigenvalue ${number(Math.hypot(...result.I.lam[0]))}. ` +
      `Jacobian at the reconstruction: orientation ${kept(result.L)}, largest modulus ${number(Math.hypot(...result.L.lam[0]))}.` +
      (other ? ` The second network's reconstruction differs by ${number(difference(result.y, other.y))} in mean square.` : "");
  });
}

function announceCode(defect) {
  say(() => `Code ${state.code.map(number).join(" and ")}: orientation ${kept(result.L)}, the decoded picture is encoded ${number(defect)} away.`);
}

// --- the page ----------------------------------------------------------------------------------------------------------

const choice = (label, groups, change) => {
  const list = element("select", { change: () => change(list.value) }, ...groups);
  return [list, element("label", {}, element("span", {}, label), list)];
};
const option = ([value, text]) => element("option", { value }, text);
const button = (text, title, press) => element("button", { type: "button", title, click: press }, text);

/** Networks to choose from: the trained ones by seed, then those before training. */
function groups(ids) {
  const seeds = [...new Set(ids.map((id) => about(id).seed))];
  const of = (label, some) => element("optgroup", { label }, ...some.map((id) => option([id, named(id)])));
  return [...seeds.map((seed) => of(`trained, seed ${seed}`, ids.filter((id) => about(id).trained && about(id).seed === seed))), of("untrained", ids.filter((id) => !about(id).trained))];
}

function build(place, ids) {
  ui = {
    place,
    input: element("canvas", {
      width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-roledescription": "drawing area",
      "aria-label": "Input, 28 by 28 pixels", "aria-describedby": "live-keys",
    }),
    framed: picture("The drawing, framed as the network sees it"),
    cursor: element("span", { class: "cursor", "aria-hidden": "true" }),
    output: picture("Reconstruction"),
    output2: picture("Reconstruction of the second network"),
    plane: complexPlane("Eigenvalues in the complex plane with the unit circle; a table below lists them"),
    plane2: complexPlane("Eigenvalues of the second network"),
    strip: TIMES.map((times) => picture(`Autoencoder applied ${times} times`)),
    facts: element("table"), scores: element("tbody"), list: element("table"),
    difference: element("div", { class: "difference" }),
    code: element("p", { class: "numbers" }),
    busy: element("p", { class: "busy", role: "alert" }),
    status: element("p", { class: "status", role: "status" }),
  };
  const [networks, networkField] = choice("Network", groups(ids), (id) => change({ network: id, ...(state.code && !planeOf(id) && { drawn: inked(), own: false, code: null }) }, false));
  const [besides, besideField] = choice("Beside it", [option(["", "no other"]), ...groups(ids)], (id) => change({ beside: id || null }, false));
  const [noises, noiseField] = choice("Noise", Object.entries(NOISE_SETS).map(option), (name) => input({ noise: name, mix: state.mix || 1 }));
  const [inks, inkField] = choice("Ink", Object.keys(INKS).map((name) => option([name, name])), () => {});
  const nextDigit = () => (state.drawn || state.code || state.mix ? state.digit : (state.digit + 1) % held.images.length);
  const nextDraw = (mix) => (state.drawn || state.code || state.mix !== mix ? state.draw : state.draw + 1);
  ui.undo = button("Undo", "Back to the input before (Ctrl+Z)", undo);
  let sliding = false;
  ui.mix = element("input", {
    type: "range", min: 0, max: 100, value: 0,
    input: () => {
      input({ mix: ui.mix.value / 100 }, !sliding);
      sliding = true;
    },
    change: () => (sliding = false),
  });
  Object.assign(ui, { network: networks, beside: besides, noise: noises });
  ui.codes = new CodePlane(() => past.keep(state), (code) => input({ code }, false));
  ui.codes.node.hidden = true;
  const figure = (name, content, ...caption) => element("figure", { class: name }, content, element("figcaption", {}, ...caption));
  const key = () => [element("span", { class: "of-I" }, ...indexed("○ K_I")), "  ", element("span", { class: "of-L" }, ...indexed("× K_L"))];
  place.replaceChildren(
    element("div", { class: "controls choices" }, networkField, besideField, noiseField, inkField),
    element("div", { class: "controls" },
      button("Digit", "A held-out digit; again for another", () => input({ digit: nextDigit(), mix: 0 })),
      button("Halfway", "The mean of the digit and the noise", () => input({ mix: 0.5 })),
      button("Noise", "A picture of noise; again for another", () => input({ draw: nextDraw(1), mix: 1 })),
      button("Clear", "No ink", () => change({ drawn: BLANK, own: true, code: null })),
      ui.undo,
      element("label", { class: "mix" }, element("span", {}, "From digit to noise"), ui.mix)),
    element("div", { class: "panels" },
      figure("input", element("div", { class: "drawing" }, ui.input, ui.cursor, ui.framed), "Input x: draw here"),
      figure("output", ui.output, "Reconstruction y"),
      figure("spectrum", ui.plane, "λ: ", ...key()),
      ui.difference,
      figure("output second", ui.output2, "The other’s y"),
      figure("spectrum second", ui.plane2, "The other’s λ")),
    ui.busy,
    element("div", { class: "tables" },
      element("div", { class: "scroll" }, ui.facts),
      element("div", { class: "scroll" }, element("table", { class: "scores" }, element("caption", {}, "Among held-out images"), ui.scores))),
    element("div", { class: "strip" }, ...ui.strip.map((canvas, i) => figure("", canvas, `${TIMES[i]}×`))),
    ui.codes.node,
    element("details", {}, element("summary", {}, "Code and all eigenvalues"), ui.code, element("div", { class: "scroll" }, ui.list)),
    element("p", { id: "live-keys", class: "keys" }, "With the keyboard: on the input, arrows move, Space or Shift with an arrow draws, Delete erases; Ctrl+Z takes the last change back."),
    ui.status,
  );
  const soon = frames(() => change({}, false));
  drawable(ui.input, ui.cursor, () => INKS[inks.value], () => {
    past.keep(state);
    const blank = state.own || (state.drawn ?? pictured()).every((v) => v === 0);
    const pixels = inked();
    state = { ...state, drawn: pixels, own: blank, code: null };
    return pixels;
  }, soon);
  place.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
    event.preventDefault();
    undo();
  });
}

/** The function, called once a frame at most. */
function frames(of) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      of();
    });
  };
}

function undo() {
  const { network, beside } = state;
  const before = past.back();
  if (!before) return;
  state = { ...before, network, beside };
  show();
}

async function start() {
  const place = document.getElementById("live-network");
  const links = [...document.querySelectorAll(".live-weights a")];
  if (!place || !links.length) return;
  files = { networks: {}, planes: {} };
  for (const { href, textContent } of links) {
    const [, seed, what] = /^seed (\d+), (?:d\s=\s)?(\w+)/.exec(textContent.trim()) ?? [];
    if (!seed) files.images = href;
    else if (what === "plane") files.planes[seed] = href;
    else files.networks[`${seed}.${what}`] = href;
  }
  const trained = Object.keys(files.networks);
  const first = about(trained[0]).seed;
  const ids = [...trained, ...trained.filter((id) => about(id).seed === first).map((id) => `u${id}`)];
  build(place, ids);
  const { labels, pixels, usual, ...more } = await load(files.images);
  const grey = bytes(pixels);
  held = { ...more, ...usual, images: labels.map((label, i) => ({ label, x: Float64Array.from(grey.subarray(784 * i, 784 * (i + 1)), (v) => v / 255) })) };
  // one in the middle: it reconstructs well, and its plane can still be read
  const own = trained.filter((id) => about(id).seed === first);
  const usualState = { network: own[Math.floor(own.length / 2)], beside: null, digit: 3, noise: "beta_5_0.8", draw: 1, mix: 0, drawn: null, own: false, code: null };
  const possible = { networks: ids, digits: held.images.length, noises: Object.keys(NOISE_SETS) };
  const come = () => (state = read((told = location.hash), usualState, possible));
  come();
  addEventListener("hashchange", () => {
    if (location.hash === told) return;
    come();
    show();
  });
  await show();
}

const ready = document.readyState === "loading" ? new Promise((done) => document.addEventListener("DOMContentLoaded", () => done(start()))) : start();

/** For the files, and for whoever wants to look closer from the console. */
window.liveNetwork = {
  ready, receive, eigenvalues, noise, generator, framed, packed,
  /** Show this picture, exactly. */
  set: (values) => {
    state = { ...state, drawn: Float64Array.from(values), own: false, code: null };
    update();
  },
  change,
  untrained: (seed, d) => untrainedNetwork(seed, d).layers.map(({ w, b }) => [Array.from(w), Array.from(b)]),
  state: () => ({
    ...result, d: shown.network.d, x: Array.from(result.x), y: Array.from(result.y), z: Array.from(result.z),
    drawn: state.drawn && Array.from(state.drawn), said: ui.status.textContent, ...(other && { other: { ...other, x: null, y: Array.from(other.y) } }),
    id: state.network, beside: state.beside, mix: state.mix, code: state.code,
  }),
};
