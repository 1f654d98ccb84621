// Where networks come from: trained ones from files that are loaded when they are chosen, untrained ones from their seed.

import { Network } from "./network.js";

/** The bytes behind base64. */
export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The numbers behind base64 of little-endian float16. */
export function float16(text) {
  const halves = new DataView(bytes(text).buffer);
  const out = new Float64Array(halves.byteLength / 2);
  for (let i = 0; i < out.length; i++) {
    const h = halves.getUint16(2 * i, true);
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    out[i] = h >> 15 ? -size : size;
  }
  return out;
}

const loading = new Map(); // address → promise of what the file hands over
const handed = new Map();

/** What a file hands over. Files are classic scripts that call `receive`: from file:// nothing else can be read. */
export function load(address) {
  if (!loading.has(address)) {
    const script = document.createElement("script");
    script.src = address;
    loading.set(address, new Promise((done, failed) => {
      script.onload = () => done(handed.get(script.src));
      script.onerror = () => {
        loading.delete(address);
        failed(new Error(`could not load ${address}`));
      };
    }));
    document.head.append(script);
  }
  return loading.get(address);
}

export const receive = (content) => handed.set(document.currentScript.src, content);

const trained = new Map();

export async function trainedNetwork(address) {
  const { sizes, weights } = await load(address);
  if (!trained.has(address)) trained.set(address, new Network(sizes, float16(weights)));
  return trained.get(address);
}

/** The Mersenne twister MT19937 with 32-bit output, seeded as torch.Generator is. */
function twister(seed) {
  const s = new Uint32Array(624);
  s[0] = seed;
  for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1] ^ (s[i - 1] >>> 30)) + i;
  let at = 624;
  return () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = s[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/**
 * The network of a seed before training: every weight and bias uniform on ±1/√(inputs of its layer), layer by layer,
 * in the float32 arithmetic of PyTorch's default initialisation: lib.model.Autoencoder(d, generator) to the last bit, where
 * the processor multiplies and adds in one step, as nearly all do.
 */
export function untrainedNetwork(seed, d, widths = [784, 128, 64, 32]) {
  const sizes = [...widths, d, ...[...widths].reverse()];
  const next = twister(seed);
  const flat = [];
  sizes.slice(1).forEach((rows, i) => {
    // the weight's bound is √3·√(1/3)/√inputs in double precision, which may differ from the bias' in the last place
    for (const [count, bound] of [[rows * sizes[i], (Math.sqrt(3) * Math.sqrt(2 / (1 + Math.sqrt(5) ** 2))) / Math.sqrt(sizes[i])], [rows, 1 / Math.sqrt(sizes[i])]]) {
      const from = Math.fround(-bound);
      const width = Math.fround(Math.fround(bound) - from);
      for (let k = 0; k < count; k++) flat.push(Math.fround(((next() & 0xffffff) / 16777216) * width + from)); // rounded once
    }
  });
  return new Network(sizes, Float64Array.from(flat));
}
