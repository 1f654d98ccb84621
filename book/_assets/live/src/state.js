// What the page shows, as a few words behind # in its address, and the way back.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Drawn ink has so many steps, which is what a letter of the address can say. */
export const STEPS = ALPHABET.length - 1;

/** A drawing as text: a letter a pixel, runs of four and more as letter.length. */
export const packed = (pixels) =>
  Array.from(pixels, (v) => ALPHABET[Math.round(STEPS * v)]).join("").replace(/(.)\1{3,}/g, (run) => `${run[0]}.${run.length.toString(36)}.`);

/** The drawing behind the text, or null if it is none. */
export function unpacked(text) {
  const letters = text.replace(/([\w-])\.([0-9a-z]{1,3})\./g, (_, letter, length) => letter.repeat(Math.min(784, parseInt(length, 36))));
  return letters.length === 784 && /^[\w-]*$/.test(letters) ? Float64Array.from(letters, (c) => ALPHABET.indexOf(c) / STEPS) : null;
}

/** The words of a state. */
export function words({ network, beside, digit, noise, draw, mix, drawn, own, code }) {
  const found = { network, ...(beside && { beside }), digit, noise, draw, mix };
  if (drawn) Object.assign(found, { drawn: packed(drawn), ...(own && { own: 1 }) });
  if (code) found.code = code.join(",");
  return `#${new URLSearchParams(found)}`;
}

/** The state that an address speaks of: those of its words that say something possible, over `usual`. */
export function read(hash, usual, { networks, digits, noises }) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const among = (name, options) => (options.includes(given.get(name)) ? { [name]: given.get(name) } : {});
  const count = (name, below) => (/^\d{1,9}$/.test(given.get(name)) && +given.get(name) < below ? { [name]: +given.get(name) } : {});
  const found = { ...usual, ...among("network", networks), ...among("beside", networks), ...among("noise", noises), ...count("digit", digits), ...count("draw", 1e9) };
  const mix = parseFloat(given.get("mix"));
  if (mix >= 0 && mix <= 1) found.mix = mix;
  const drawn = given.has("drawn") ? unpacked(given.get("drawn")) : null;
  if (drawn) Object.assign(found, { drawn, own: given.get("own") === "1" });
  const code = (given.get("code") ?? "").split(",").map(parseFloat);
  if (code.length === 2 && code.every(Number.isFinite)) found.code = code;
  return found;
}

/** States to return to, at most a hundred. */
export class Past {
  #states = [];
  keep(state) {
    this.#states.push(state);
    if (this.#states.length > 100) this.#states.shift();
  }
  back() {
    return this.#states.pop();
  }
  get empty() {
    return !this.#states.length;
  }
}
