// What is drawn: pictures of 28×28 pixels and the complex plane.

export const SIDE = 28;

/** An element with attributes and children; a function as attribute is an event listener. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Draw values of [0, 1] as grey pixels, black for 0; values outside are cut off. */
export function paint(canvas, values) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  values.forEach((v, i) => image.data.set([...Array(3).fill(Math.round(255 * Math.min(1, Math.max(0, v)))), 255], 4 * i));
  context.putImageData(image, 0, 0);
}

export const picture = (label) => element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });

const SVG = "http://www.w3.org/2000/svg";
const REACHES = [1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6, 1e9];

/** The complex plane with the unit circle, round marks for K_I and crosses for K_L. */
export function plane(svg, I, L) {
  const largest = Math.max(...[...I, ...L].map((v) => Math.hypot(...v)));
  const reach = REACHES.find((r) => r >= 1.05 * largest) ?? largest;
  const size = 150;
  const at = (v) => (v / reach) * size;
  svg.setAttribute("viewBox", "-170 -165 340 330");
  svg.replaceChildren();
  const draw = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    svg.append(node);
    return node;
  };
  draw("line", { class: "axis", x1: -size, x2: size, y1: 0, y2: 0 });
  draw("line", { class: "axis", x1: 0, x2: 0, y1: -size, y2: size });
  draw("circle", { class: "unit", cx: 0, cy: 0, r: at(1) });
  const step = reach <= 2 ? 1 : reach <= 5 ? reach - 1 : reach / 2;
  for (const t of [-step, step]) {
    draw("line", { class: "axis", x1: at(t), x2: at(t), y1: -3, y2: 3 });
    draw("text", { x: at(t) + (t > 0 ? 4 : -4), y: 15, "text-anchor": t > 0 ? "start" : "end" }, String(t).replace("-", "−"));
  }
  draw("text", { x: size + 4, y: -6, "text-anchor": "end" }, "Re");
  draw("text", { x: 6, y: -size + 4 }, "Im");
  const titled = (node, text) => node.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: text }));
  for (const [re, im] of I) titled(draw("circle", { class: "of-I", cx: at(re), cy: -at(im), r: 5.5 }), `K_I: ${complex(re, im)}`);
  for (const [re, im] of L) {
    const [x, y, s] = [at(re), -at(im), 4.5];
    titled(draw("path", { class: "of-L", d: `M${x - s},${y - s}l${2 * s},${2 * s}m0,${-2 * s}l${-2 * s},${2 * s}` }), `K_L: ${complex(re, im)}`);
  }
}

/** Three digits, a true minus sign. */
export function number(v) {
  if (v === 0) return "0";
  const size = Math.abs(v);
  const text = size >= 1e-3 && size < 1e4 ? v.toPrecision(3) : v.toExponential(2);
  return text.replace("-", "−").replace("e-", "e−");
}

export const complex = (re, im) => (im === 0 ? number(re) : `${number(re)} ${im > 0 ? "+" : "−"} ${number(Math.abs(im))}i`);
