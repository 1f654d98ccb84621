// The autoencoder and its two Jacobians as d×d matrices, in double precision: what lib/jacobian.py does.

import { EigenvalueDecomposition, LuDecomposition, Matrix } from "ml-matrix";

/** The numbers behind base64 of little-endian float16. */
export function float16(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const halves = new DataView(bytes.buffer);
  const out = new Float64Array(bytes.length / 2);
  for (let i = 0; i < out.length; i++) {
    const h = halves.getUint16(2 * i, true);
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    out[i] = h >> 15 ? -size : size;
  }
  return out;
}

/** 1 − tanh², without cancellation. */
function sech2(a) {
  const t = Math.exp(-2 * Math.abs(a));
  return (4 * t) / ((1 + t) * (1 + t));
}

export class Network {
  /** @param sizes widths from input to output; @param weights base64: weight (out × in), bias, layer by layer */
  constructor({ sizes, weights }) {
    const flat = float16(weights);
    let at = 0;
    this.layers = sizes.slice(1).map((rows, i) => {
      const columns = sizes[i];
      const w = flat.subarray(at, (at += rows * columns));
      const b = flat.subarray(at, (at += rows));
      return { rows, columns, w, b };
    });
    this.half = this.layers.length / 2;
    this.encoder = this.layers.slice(0, this.half);
    this.decoder = this.layers.slice(this.half);
    this.d = sizes[this.half];
  }

  /** Last affine output of one half, and the slopes (0 or 1) of the ReLUs before it. */
  static through(half, h) {
    const slopes = [];
    let a = h;
    half.forEach(({ rows, columns, w, b }, l) => {
      a = new Float64Array(rows);
      for (let i = 0; i < rows; i++) {
        let sum = b[i];
        for (let j = 0, k = i * columns; j < columns; j++, k++) sum += w[k] * h[j];
        a[i] = sum;
      }
      if (l < half.length - 1) {
        slopes.push(a.map((v) => (v > 0 ? 1 : 0)));
        h = a.map((v) => Math.max(v, 0));
      }
    });
    return { a, slopes };
  }

  encode(x) {
    return Network.through(this.encoder, x).a;
  }

  decode(z) {
    return Network.through(this.decoder, z).a.map(Math.tanh);
  }

  reconstruct(x) {
    return this.decode(this.encode(x));
  }

  /** Everything the page shows of one input. */
  diagnose(x) {
    const atX = Network.through(this.encoder, x);
    const z = atX.a;
    const atZ = Network.through(this.decoder, z);
    const y = atZ.a.map(Math.tanh);
    const atY = Network.through(this.encoder, y);
    const out = atZ.slopes.concat([atZ.a.map(sech2)]);
    const cycle = (slopes) => [...this.decoder, ...this.encoder].map((layer, i) => ({ layer, slope: [...out, ...slopes, null][i] }));
    return { x, z, y, I: this.spectrum(cycle(atX.slopes)), L: this.spectrum(cycle(atY.slopes)) };
  }

  /** K, its rank, its eigenvalues by falling modulus, and its orientation, from the cycle of layers. */
  spectrum(cycle) {
    const d = this.d;
    const image = this.half - 1;
    let narrowest = -1;
    let rank = d;
    cycle.forEach(({ slope }, i) => {
      if (!slope || i === image) return; // the latent layer and the picture have no units that switch
      const active = slope.reduce((s, v) => s + v, 0);
      if (active < rank) [rank, narrowest] = [active, i];
    });
    const K = carry(cycle, identity(d), d);
    let R = K;
    if (rank < d && rank > 0) {
      // cut the cycle at its narrowest layer, between its active units: an r×r matrix with the nonzero spectrum of K
      const units = [...cycle[narrowest].slope.keys()].filter((i) => cycle[narrowest].slope[i]);
      const start = units.map((u) => cycle[narrowest].slope.map((_, i) => (i === u ? 1 : 0)));
      const turned = [...cycle.slice(narrowest + 1), ...cycle.slice(0, narrowest + 1)];
      const columns = transpose(start, cycle[narrowest].slope.length);
      const rows = carry(turned, columns, rank);
      R = units.map((u) => rows[u]);
    }
    const zeros = Array.from({ length: d - rank }, () => [0, 0]);
    const lam = rank ? eigenvalues(R).concat(zeros) : zeros;
    const orientation = rank ? Math.sign(new LuDecomposition(new Matrix(R)).determinant) : 1;
    return { K: K.map((row) => Array.from(row)), rank, lam, orientation };
  }
}

const identity = (d) => Array.from({ length: d }, (_, i) => Float64Array.from({ length: d }, (_, j) => +(i === j)));

const transpose = (rows, n) => Array.from({ length: n }, (_, i) => Float64Array.from(rows, (row) => row[i]));

/** Columns (an array of rows of length m) carried through layers and slopes; rows that are zero cost nothing. */
function carry(cycle, h, m) {
  for (const { layer, slope } of cycle) {
    const live = h.map((row) => row.some((v) => v !== 0));
    h = Array.from({ length: layer.rows }, (_, i) => {
      const out = new Float64Array(m);
      if (slope && slope[i] === 0) return out;
      for (let j = 0, k = i * layer.columns; j < layer.columns; j++, k++) {
        if (!live[j]) continue;
        const w = layer.w[k];
        const row = h[j];
        for (let c = 0; c < m; c++) out[c] += w * row[c];
      }
      if (slope && slope[i] !== 1) for (let c = 0; c < m; c++) out[c] *= slope[i];
      return out;
    });
  }
  return h;
}

/** [real, imaginary] by falling modulus, of a pair the positive imaginary part first. */
export function eigenvalues(rows) {
  const found = new EigenvalueDecomposition(new Matrix(rows.map((row) => Array.from(row))));
  const lam = found.realEigenvalues.map((re, i) => [re, found.imaginaryEigenvalues[i]]);
  return lam.sort((a, b) => Math.hypot(...b) - Math.hypot(...a));
}
