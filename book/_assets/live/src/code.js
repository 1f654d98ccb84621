// Dragging a code of a network with d = 2: the plane of codes, coloured, and the picture decoded under the finger.

import { element, number, paint, picture, svg } from "./view.js";
import { bytes } from "./weights.js";

const SIZE = 300;
const COLOURS = { orientation: "orientation of encoder after decoder", defect: "retraction defect: distance of the new code" };

/**
 * The plane of codes. Its colours were computed when the book was built, on a grid:
 * the sign of det K_L(z) = det D(f_enc ∘ f_dec)(z), and the retraction defect ‖f_enc(f_dec(z)) − z‖.
 * @param begin called when a drag begins @param move called with each code
 */
export class CodePlane {
  constructor(begin, move) {
    this.move = move;
    this.grid = element("canvas", { "aria-hidden": "true" });
    this.marks = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, "aria-hidden": "true" });
    this.decoded = picture("The picture decoded from the code");
    this.place = element("div", {
      class: "codes", tabindex: 0, role: "application", "aria-roledescription": "plane of codes",
      "aria-label": "Code, two numbers; arrow keys move it, with Shift in larger steps",
    }, this.grid, this.marks, this.decoded);
    this.legend = element("p", { class: "legend" });
    this.told = element("p", { class: "told" });
    this.colour = element("select", { change: () => this.coloured() }, ...Object.entries(COLOURS).map(([value, text]) => element("option", { value }, text)));
    this.node = element("section", { class: "code-plane" },
      this.place,
      element("div", { class: "beside" },
        element("h3", {}, "Drag a code"),
        element("p", {}, "Every point of the plane is a code of this network. Drag the ring: the decoder's picture follows your finger and becomes the input above. The line leads to the code of that picture."),
        element("label", {}, element("span", {}, "Colour"), this.colour), this.legend, this.told));
    const at = (event) => {
      const box = this.place.getBoundingClientRect();
      const [left, right, bottom, top] = this.file.frame;
      return this.within([left + ((right - left) * (event.clientX - box.left)) / box.width, top + ((bottom - top) * (event.clientY - box.top)) / box.height]);
    };
    let dragging = false;
    this.place.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.place.setPointerCapture?.(event.pointerId);
      dragging = true;
      begin();
      move(at(event));
    });
    this.place.addEventListener("pointermove", (event) => dragging && move(at(event)));
    for (const end of ["pointerup", "pointercancel"]) this.place.addEventListener(end, () => (dragging = false));
    this.place.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [left, right, bottom, top] = this.file.frame;
      const far = event.shiftKey ? 10 : 1;
      begin();
      move(this.within([this.code[0] + (step[0] * far * (right - left)) / 100, this.code[1] + (step[1] * far * (top - bottom)) / 100]));
    });
  }

  /** The code, or the nearest in the plane. */
  within([a, b]) {
    const [left, right, bottom, top] = this.file.frame;
    return [Math.min(right, Math.max(left, a)), Math.min(top, Math.max(bottom, b))];
  }

  /** Take the colours of a network's plane. */
  open(file) {
    if (this.file === file) return;
    this.file = file;
    this.orientation = bytes(file.orientation); // 0 reversed, 1 singular, 2 kept
    this.defect = bytes(file.defect); // log ‖f_enc(f_dec(z)) − z‖ in 255 steps from low to high
    this.coloured();
  }

  /** Paint the grid; both colourings are laid over the page's own background, light or dark. */
  coloured() {
    const { side, low, high } = this.file;
    const style = getComputedStyle(this.node);
    const rgb = (name) => style.getPropertyValue(name).trim().match(/\w\w/g).map((part) => parseInt(part, 16));
    const [blue, red, green] = ["--fig-blue", "--fig-red", "--fig-green"].map(rgb);
    this.grid.width = this.grid.height = side;
    const context = this.grid.getContext("2d");
    const image = context.createImageData(side, side);
    const kept = this.colour.value === "orientation";
    for (let i = 0; i < side * side; i++) {
      const sign = this.orientation[i];
      image.data.set(kept ? [...(sign === 0 ? red : blue), sign === 1 ? 0 : 150] : [...green, 255 - this.defect[i]], 4 * i);
    }
    context.putImageData(image, 0, 0);
    const swatch = (name, text) => element("span", {}, element("i", { class: name }), text);
    this.legend.replaceChildren(...(kept
      ? [swatch("kept", "kept"), swatch("reversed", "reversed")]
      : [swatch("near", `${number(10 ** low)} and less`), swatch("far", `${number(10 ** high)} and more`)]));
  }

  /** Show a code, what is decoded from it, and where the decoded picture is encoded. */
  show(code, y, again, orientation) {
    this.code = Array.from(code);
    const [left, right, bottom, top] = this.file.frame;
    const at = ([a, b]) => [((a - left) / (right - left)) * SIZE, ((top - b) / (top - bottom)) * SIZE];
    const [x, w] = at(this.code);
    const [p, q] = at(again);
    this.marks.replaceChildren(
      ...this.file.codes.map(([a, b, digit]) => svg("text", { x: at([a, b])[0], y: at([a, b])[1], "text-anchor": "middle", dy: ".35em" }, String(digit))),
      svg("line", { class: "way", x1: x, y1: w, x2: p, y2: q }),
      svg("circle", { class: "end", cx: p, cy: q, r: 3.5 }),
      svg("circle", { class: "halo", cx: x, cy: w, r: 9 }),
      svg("circle", { class: "ring", cx: x, cy: w, r: 9 }),
    );
    // above the finger, and below it where there is no room above
    this.decoded.style.left = `${Math.min(86, Math.max(14, (100 * x) / SIZE))}%`;
    this.decoded.style.top = `${(100 * w) / SIZE + (w > 0.36 * SIZE ? -20 : 20)}%`;
    paint(this.decoded, y);
    const defect = Math.hypot(again[0] - code[0], again[1] - code[1]);
    this.told.textContent = `z = (${this.code.map(number).join(", ")}); orientation ${orientation < 0 ? "reversed" : "kept"}; the picture's code lies ${number(defect)} away.`;
    return defect;
  }
}
