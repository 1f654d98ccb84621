// What is drawn: pictures of 28×28 pixels, the complex plane, and a value among its quantiles.

export const SIDE = 28;

/** An element with attributes and children; a function as attribute is an event listener, null leaves an attribute out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Text in which what follows an underscore is an index: "K_I", "f_enc". */
export const indexed = (text) => text.split(/_([A-Za-z]+)/).map((part, i) => (i % 2 ? element("sub", {}, part) : part));

/** Draw values of [0, 1] as grey pixels, black for 0; values outside are cut off. */
export function paint(canvas, values) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  values.forEach((v, i) => image.data.set([...Array(3).fill(Math.round(255 * Math.min(1, Math.max(0, v)))), 255], 4 * i));
  context.putImageData(image, 0, 0);
}

export const picture = (label) => element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });

const REACHES = [1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6, 1e9];

export const complexPlane = (label) => svg("svg", { class: "plane", viewBox: "-120 -120 240 240", role: "img", "aria-label": label });

/** The complex plane with the unit circle, circles for K_I and crosses for K_L; `reach` is half the side of what is seen. */
export function plane(node, I, L, reach = reaching(I, L)) {
  const size = 112;
  const at = (v) => (v / reach) * size;
  const step = reach <= 2 ? 1 : reach <= 5 ? reach - 1 : reach / 2;
  const ticks = [-step, step].flatMap((t) => [
    svg("line", { class: "axis", x1: at(t), x2: at(t), y1: -3, y2: 3 }),
    svg("text", { x: at(t) + (t > 0 ? 3 : -3), y: 15, "text-anchor": t > 0 ? "start" : "end" }, short(t)),
  ]);
  const titled = (mark, name, v) => (mark.append(svg("title", {}, `${name}: ${complex(...v)}`)), mark);
  node.replaceChildren(
    svg("line", { class: "axis", x1: -size, x2: size, y1: 0, y2: 0 }),
    svg("line", { class: "axis", x1: 0, x2: 0, y1: -size, y2: size }),
    svg("circle", { class: "unit", cx: 0, cy: 0, r: at(1) }),
    ...ticks,
    ...I.map((v) => titled(svg("circle", { class: "of-I", cx: at(v[0]), cy: -at(v[1]), r: 4.5 }), "K_I", v)),
    ...L.map((v) => {
      const [x, y, s] = [at(v[0]), -at(v[1]), 3.8];
      return titled(svg("path", { class: "of-L", d: `M${x - s},${y - s}l${2 * s},${2 * s}m0,${-2 * s}l${-2 * s},${2 * s}` }), "K_L", v);
    }),
  );
}

/** Half the side of a plane in which all these eigenvalues and the unit circle are seen. */
export function reaching(...spectra) {
  const largest = Math.max(...spectra.flat().map((v) => Math.hypot(...v)));
  return REACHES.find((r) => r >= 1.05 * largest) ?? largest;
}

/** Where a value lies among quantiles, as a part of one: linear between them, 0 below the first, 1 above the last. */
export function standing(value, levels, quantiles) {
  if (value < quantiles[0]) return 0;
  for (let i = 1; i < levels.length; i++) {
    if (value < quantiles[i]) return levels[i - 1] + ((levels[i] - levels[i - 1]) * (value - quantiles[i - 1])) / (quantiles[i] - quantiles[i - 1]);
  }
  return value > quantiles[levels.length - 1] ? 1 : levels[levels.length - 1];
}

/** The same in words. */
export function standingInWords(value, levels, quantiles) {
  const percent = (q) => `${Math.round(100 * q)}%`;
  const above = levels.filter((_, i) => value > quantiles[i]);
  const below = levels.filter((_, i) => value < quantiles[i]);
  if (!below.length && above.length) return `more than ${percent(above[above.length - 1])}`;
  if (!above.length && below.length) return `less than ${percent(1 - below[0])}`;
  const [low, high] = [above[above.length - 1], below[0]];
  if (low >= 0.75) return `more than ${percent(low)}`;
  if (high <= 0.25) return `less than ${percent(1 - high)}`;
  return "as usual";
}

/** A bar from the least to the greatest of the reference, its middle 90 % filled, and a mark where the value lies. */
export function gauge(part) {
  const x = 2 + 76 * part;
  return svg("svg", { class: "gauge", viewBox: "0 0 80 12", "aria-hidden": "true" },
    svg("line", { class: "axis", x1: 2, x2: 78, y1: 6, y2: 6 }),
    svg("rect", { class: "usual", x: 2 + 76 * 0.05, width: 76 * 0.9, y: 3, height: 6 }),
    svg("line", { class: part > 0.95 || part < 0.05 ? "mark out" : "mark", x1: x, x2: x, y1: 0, y2: 12 }));
}

const minus = (text) => text.replace("-", "−");
const short = (v) => minus(String(v));

/** A whole number set high. */
export const raised = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

/** Three digits, a true minus sign, 1,230 and not 1.23e+3. */
export function number(v) {
  const size = Math.abs(v);
  if (v === 0) return "0";
  if (size >= 999.5 && size < 1e6) return minus(Number(v.toPrecision(3)).toLocaleString("en"));
  if (size >= 1e-3 && size < 1e3) return minus(v.toPrecision(3));
  const [factor, exponent] = v.toExponential(2).split("e");
  return `${minus(factor)}·10${raised(Number(exponent))}`;
}

export const complex = (re, im) => (im === 0 ? number(re) : `${number(re)} ${im > 0 ? "+" : "−"} ${number(Math.abs(im))}i`);
