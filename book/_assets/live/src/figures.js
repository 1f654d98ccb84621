// Figures that answer: the paper's figures drawn once more by uPlot, from the numbers in the page, in place of their pictures.
// Without scripts, and on paper, the pictures stay.

import uPlot from "uplot";
import style from "uplot/dist/uPlot.min.css";
import { NOISE_SETS } from "./noise.js";
import { element, indexed, number, raised } from "./view.js";

const WORDS = { train: "training data", test: "held-out images", ...NOISE_SETS };
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const FONT = '12px "Source Sans 3", system-ui, sans-serif';
/** Half the distance between the two boxes of one d, and half the width of a box, in units of d. */
const [APART, HALF] = [0.21, 0.16];

const dark = () => document.documentElement.dataset.theme === "dark";
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (colour, alpha) => colour + Math.round(255 * alpha).toString(16).padStart(2, "0");

class Answering {
  constructor(script) {
    this.about = JSON.parse(script.textContent);
    const before = script.previousElementSibling;
    this.still = before.matches("img") ? before : before.querySelector("img");
    this.picked = new Set(); // data sets; none picked shows all
    this.at = null;
    this.place = element("div", { class: "answering" });
    this.readout = element("p", { class: "readout", role: "status" });
    this.sets = [...new Set(this.about.panels.flatMap((p) => p.series.map((s) => s.set)))].filter(Boolean);
    this.panels = this.about.panels.map((panel) => new Panel(this, panel));
    this.rest();
    this.place.append(
      this.legend(),
      element("p", { class: "axis" }, ...indexed(this.about.y), " against the latent dimension ", element("em", {}, "d")),
      element("div", { class: "panels" }, ...this.panels.map((p) => p.node)),
      this.readout,
    );
    this.still.before(this.place);
    this.still.classList.add("still");
    this.width = 0;
    // a figure behind a tab has no width until it is shown
    new ResizeObserver(() => this.resize()).observe(this.place);
  }

  legend() {
    const entry = (set) => {
      const label = this.about.sets[set].label;
      const button = element("button", { type: "button", "aria-pressed": "false", title: WORDS[set], click: () => this.pick(set) },
        element("i", { "aria-hidden": "true", style: `background:${this.colour(set)}` }),
        ...(label ? [element("em", {}, "D"), element("sub", {}, label)] : [WORDS[set]]));
      return button;
    };
    this.buttons = Object.fromEntries(this.sets.map((set) => [set, entry(set)]));
    const seeds = [...new Set(this.about.panels.flatMap((p) => p.series.map((s) => s.seed)))].filter((seed) => seed !== null);
    const lines = this.about.kind === "boxes" || seeds.length < 2 || seeds.length > DASHES.length ? [] : seeds.map((seed, i) => `${["solid", "dashed", "dotted", "dash-dotted"][i % 4]}: seed ${seed}`);
    return element("div", { class: "legend", role: "group", "aria-label": "Data sets: pick some to see them alone" }, ...Object.values(this.buttons),
      element("span", {}, ...indexed([...lines, ...(this.about.key ? [this.about.key] : [])].join(" · "))));
  }

  colour(set) {
    return this.about.sets[set].colours[+dark()];
  }

  shows(series) {
    return !this.picked.size || this.picked.has(series.set);
  }

  /** Pick a data set, or let it go. */
  pick(set) {
    if (!this.picked.delete(set)) this.picked.add(set);
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", this.picked.has(name));
    this.width = 0;
    this.resize();
  }

  resize() {
    const width = Math.floor(this.place.getBoundingClientRect().width);
    if (!width || width === this.width) return;
    this.width = width;
    const seen = this.panels.filter((p) => p.about.series.some((s) => this.shows(s)));
    const most = this.about.columns ?? 2;
    const columns = Math.min(seen.length, width < 520 ? most - 1 : most);
    this.place.style.setProperty("--columns", columns);
    for (const panel of this.panels) panel.draw(seen.includes(panel) ? Math.floor((width - 12 * (columns - 1)) / columns) : 0);
  }

  redraw() {
    for (const [set, button] of Object.entries(this.buttons)) button.firstChild.style.background = this.colour(set);
    for (const panel of this.panels) panel.plot?.redraw();
  }

  rest() {
    this.readout.textContent = "Point at a mark to read it; click it to see its network in the explorer. With the keyboard: Tab to a panel, arrows, Enter.";
  }

  /** Say what a mark is, with the way to its network. */
  tell(panel, series, i) {
    const x = this.about.x[i];
    const values = this.about.kind === "boxes"
      ? `median ${number(series.median[i])}, quartiles ${number(series.q1[i])} and ${number(series.q3[i])}, whiskers ${number(series.low[i])} and ${number(series.high[i])}`
      : `${series.what ?? ""} ${number(series.values[i])}${series.low ? `, quartiles ${number(series.low[i])} and ${number(series.high[i])}` : ""}`.trim();
    const link = this.address(series, x);
    const where = series.matrix ?? (this.about.sets[panel.about.title] ? "" : panel.about.title);
    this.readout.replaceChildren(element("strong", {}, `d = ${x}`), ...(series.set ? [`, ${WORDS[series.set]}, seed ${series.seed}`] : []), where ? ", " : "", ...indexed(where), ": ", values, ". ",
      ...(link ? [element("a", { href: link.href }, link.d === x ? "Open in the explorer" : `Open d = ${link.d} in the explorer`)] : []));
  }

  /** The explorer at a cell, or at the nearest d that it has. */
  address({ set, seed }, d) {
    const open = this.about.open;
    if (!open || seed === null || !open.sets.includes(set) || !open.seeds.includes(seed)) return null;
    const near = open.d.reduce((a, b) => (Math.abs(b - d) < Math.abs(a - d) ? b : a));
    return { d: near, href: `${open.page}#${new URLSearchParams({ "data set": set.replaceAll("_", " "), seed, d: near })}` };
  }
}

class Panel {
  constructor(whole, about) {
    Object.assign(this, { whole, about, plot: null, at: null });
    this.chart = element("div", { tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": `${[about.title, whole.about.y].filter(Boolean).join(", ")} against the latent dimension d`, keydown: (e) => this.key(e) });
    this.node = element("div", { class: "panel" }, element("p", { class: "title" }, ...this.title()), this.chart);
  }

  title() {
    const set = this.whole.about.sets[this.about.title];
    if (!set) return indexed(this.about.title ?? "");
    return set.label ? [element("em", {}, "D"), element("sub", {}, set.label), ` (${WORDS[this.about.title]})`] : [WORDS[this.about.title]];
  }

  /** Draw at a width; at none be hidden. */
  draw(width) {
    this.node.hidden = !width;
    this.plot?.destroy();
    this.plot = null;
    this.at = null;
    if (!width) return;
    const { about: all } = this.whole;
    const boxes = all.kind === "boxes";
    this.series = this.about.series.filter((s) => this.whole.shows(s));
    const data = [all.x];
    const series = [{ label: "d" }];
    const bands = [];
    for (const s of this.series) {
      const colour = () => this.colour(s);
      data.push(boxes ? s.median : s.values);
      series.push({
        label: s.set, stroke: colour, width: boxes ? 0 : s.thin ? 1 : 2.2, dash: DASHES[this.seed(s) % 4],
        points: { show: !boxes && !s.thin, size: 5, fill: colour }, ...(boxes && { paths: () => null }),
      });
      s.index = data.length - 1;
    }
    for (const s of boxes ? [] : this.series.filter((s) => s.low)) {
      for (const side of [s.high, s.low]) {
        data.push(side);
        series.push({ label: "quartile", stroke: "transparent", width: 0, points: { show: false } });
      }
      bands.push({ series: [data.length - 2, data.length - 1], fill: () => faded(this.colour(s), 0.15) });
    }
    const axis = { stroke: () => ink("--pst-color-text-base"), font: FONT, grid: { stroke: () => faded(ink("--fig-grid"), 1), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot({
      width, height: Math.round(Math.min(300, 0.72 * width)), padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: !boxes, size: 9 }, y: false, focus: { prox: -1 } },
      scales: { x: { time: false, range: [all.x[0] - 0.6, all.x[all.x.length - 1] + 0.6] }, y: { distr: all.log ? 3 : 1, range: () => this.range() } },
      axes: [
        { ...axis, size: 26, splits: () => (all.x.length < 8 ? all.x : all.x.filter((d) => d % 4 === 0)), values: (_, at) => at.map(String) },
        { ...axis, size: 52, values: (_, at) => at.map(plain), ...(all.ticks && { splits: () => all.ticks.map(([v]) => v), values: () => all.ticks.map(([, text]) => text) }), ...(all.log && { filter: (_, at) => at, splits: (u) => decades(u.scales.y.min, u.scales.y.max), values: (_, at) => at.map(power) }) },
      ],
      series, bands,
      hooks: {
        setCursor: [(u) => this.point(u)],
        draw: boxes ? [(u) => this.boxes(u)] : [],
      },
    }, data, this.chart);
    this.plot.over.addEventListener("click", () => this.open());
    this.plot.over.addEventListener("pointerdown", (event) => (this.touched = event.pointerType !== "mouse"));
  }

  colour(s) {
    return s.colours ? s.colours[+dark()] : this.whole.colour(s.set);
  }

  seed(s) {
    return s.seed === null ? 0 : [...new Set(this.about.series.map((o) => o.seed))].indexOf(s.seed);
  }

  /** The same for all panels, of the data sets that are shown. */
  range() {
    const { about: all, panels } = this.whole;
    const group = panels.filter((p) => (p.about.row ?? 0) === (this.about.row ?? 0));
    const values = group.flatMap((p) => p.about.series.filter((s) => this.whole.shows(s)))
      .flatMap((s) => (all.kind === "boxes" ? [s.low, s.high] : [s.values, s.low ?? [], s.high ?? []]).flat())
      .filter((v) => v !== null && (!all.log || v > 0));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (all.limits) [low, high] = all.limits;
    if (all.log) return [low / 1.3, high * 1.3];
    return [low - 0.03 * (high - low || 1), high + 0.03 * (high - low || 1)];
  }

  boxes(u) {
    const { x } = this.whole.about;
    const c = u.ctx;
    c.save();
    c.beginPath();
    c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    c.clip();
    this.series.forEach((s) => {
      const colour = this.colour(s);
      x.forEach((d, i) => {
        if (s.median[i] === null) return;
        const middle = d + (s.shift ?? 0) * APART;
        const [left, centre, right] = [middle - HALF, middle, middle + HALF].map((v) => u.valToPos(v, "x", true));
        const [low, q1, median, q3, high] = ["low", "q1", "median", "q3", "high"].map((k) => u.valToPos(s[k][i], "y", true));
        const on = this.at && this.at.s === s && this.at.i === i;
        c.strokeStyle = colour;
        c.fillStyle = faded(colour, on ? 0.6 : 0.25);
        c.lineWidth = (on ? 2 : 1) * devicePixelRatio;
        c.fillRect(left, q3, right - left, q1 - q3);
        c.strokeRect(left, q3, right - left, q1 - q3);
        c.beginPath();
        for (const [a, b] of [[low, q1], [q3, high]]) c.moveTo(centre, a), c.lineTo(centre, b);
        for (const y of [low, high]) c.moveTo((left + centre) / 2, y), c.lineTo((right + centre) / 2, y);
        c.moveTo(left, median), c.lineTo(right, median);
        c.stroke();
      });
    });
    c.restore();
  }

  /** The mark nearest to the pointer becomes the one that is read. */
  point(u) {
    const { left, top, idx } = u.cursor;
    if (idx === null || idx === undefined || left < 0) return;
    const { kind, x } = this.whole.about;
    let best = null;
    for (const s of this.series) {
      const value = (kind === "boxes" ? s.median : s.values)[idx];
      if (value === null) continue;
      const far = kind === "boxes" ? Math.abs(u.valToPos(x[idx] + (s.shift ?? 0) * APART, "x") - left) : Math.abs(u.valToPos(value, "y") - top);
      if (!best || far < best.far) best = { s, i: idx, far };
    }
    if (best) this.choose(best.s, best.i);
  }

  choose(s, i) {
    if (this.at && this.at.s === s && this.at.i === i) return;
    this.at = { s, i };
    this.whole.tell(this, s, i);
    const u = this.plot;
    if (this.whole.about.kind === "boxes") u.redraw(false);
    else u.setSeries(s.index, { focus: true });
  }

  /** The explorer at the mark that is read; a finger takes the link below the figure. */
  open() {
    const link = this.at && this.whole.address(this.at.s, this.whole.about.x[this.at.i]);
    if (link && !this.touched) location.href = link.href;
  }

  key(event) {
    const { x, kind } = this.whole.about;
    const value = (s, i) => (kind === "boxes" ? s.median : s.values)[i];
    if (event.key === "Enter") {
      this.touched = false;
      return this.open();
    }
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    let { s, i } = this.at ?? { s: this.series[0], i: -(dx || 0) };
    i = Math.min(x.length - 1, Math.max(0, i + dx));
    if (dy) {
      const order = this.series.filter((o) => value(o, i) !== null).sort((a, b) => value(a, i) - value(b, i));
      s = order[Math.min(order.length - 1, Math.max(0, order.indexOf(s) + dy))];
    }
    this.choose(s, i);
    const u = this.plot;
    u.setCursor({ left: u.valToPos(x[i], "x"), top: u.valToPos(value(s, i), "y") }, false);
  }
}

/** Ticks of a logarithmic axis: powers of ten, fewer where they are many, and 1, 2, 5 times them where they are few. */
function decades(low, high) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const step = Math.ceil((to - from) / 7);
  const factors = Math.log10(high / low) > 2.2 ? [1] : Math.log10(high / low) > 1.2 ? [1, 3] : [1, 2, 5];
  const powers = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => 10 ** (from + step * i));
  return powers.flatMap((p) => factors.map((f) => Number((f * p).toPrecision(6)))).filter((v) => v >= low && v <= high);
}

const plain = (v) => v.toLocaleString("en", { maximumFractionDigits: 6 }).replace("-", "−");
const power = (v) => (v >= 0.01 && v <= 1000 ? plain(v) : `10${raised(Math.round(Math.log10(v)))}`);

function start() {
  document.head.append(element("style", {}, style));
  const figures = [...document.querySelectorAll("script.answers")].map((script) => new Answering(script));
  new MutationObserver(() => figures.forEach((f) => f.redraw())).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  window.answeringFigures = figures;
}

if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
