// The autoencoder and its two Jacobians as d×d matrices, in double precision: what lib/jacobian.py does.

import { EigenvalueDecomposition, LuDecomposition, Matrix } from "ml-matrix";

/** 1 − tanh², without cancellation. */
function sech2(a) {
  const t = Math.exp(-2 * Math.abs(a));
  return (4 * t) / ((1 + t) * (1 + t));
}

const sum = (values, of) => values.reduce((s, v, i) => s + of(v, i), 0);

export class Network {
  /** @param sizes widths from input to output; @param flat numbers: weight (out × in), bias, layer by layer */
  constructor(sizes, flat) {
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
        let total = b[i];
        for (let j = 0, k = i * columns; j < columns; j++, k++) total += w[k] * h[j];
        a[i] = total;
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

  /** Everything the page shows of one input: z, y, f_enc(y), the spectra of K_I and K_L, and the scores. */
  diagnose(x) {
    const atX = Network.through(this.encoder, x);
    const z = atX.a;
    const atZ = Network.through(this.decoder, z);
    const y = atZ.a.map(Math.tanh);
    const atY = Network.through(this.encoder, y);
    const down = [...atZ.slopes, atZ.a.map(sech2)];
    // W₁G is nearly all of the work, and both matrices have it in common: its rows that are active at x or at y
    const either = atX.slopes[0].map((v, i) => Math.max(v, atY.slopes[0][i]));
    const image = carry([...pairs(this.decoder, down), { layer: this.encoder[0], slope: either }], identity(this.d), this.d);
    const I = this.spectrum(image, down, atX.slopes);
    const L = this.spectrum(image, down, atY.slopes);
    return { x, z, y, again: atY.a, I, L, scores: scores(x, y, z, atY.a, atX.slopes, atY.slopes, L.K) };
  }

  /** K = E·G, its rank, its eigenvalues by falling modulus and its orientation, from W₁G and the slopes around the cycle. */
  spectrum(image, down, up) {
    const d = this.d;
    const K = rows(carry(pairs(this.encoder.slice(1), [...up.slice(1), null]), image.map((v, i) => v * up[0][Math.floor(i / d)]), d), d);
    const cycle = pairs([...this.decoder, ...this.encoder], [...down, ...up, null]);
    let narrowest = -1;
    let rank = d;
    cycle.forEach(({ slope }, i) => {
      if (!slope || i === this.half - 1) return; // the latent layer and the picture have no units that switch
      const active = sum(slope, (v) => v);
      if (active < rank) [rank, narrowest] = [active, i];
    });
    let R = K;
    if (rank < d && rank > 0) {
      // cut the cycle at its narrowest layer, between its active units: an r×r matrix with the nonzero spectrum of K
      const units = [...cycle[narrowest].slope.keys()].filter((i) => cycle[narrowest].slope[i]);
      const start = new Float64Array(cycle[narrowest].slope.length * rank);
      units.forEach((u, c) => (start[u * rank + c] = 1));
      const turned = [...cycle.slice(narrowest + 1), ...cycle.slice(0, narrowest + 1)];
      const around = rows(carry(turned, start, rank), rank);
      R = units.map((u) => around[u]);
    }
    const zeros = Array.from({ length: d - rank }, () => [0, 0]);
    const lam = rank ? eigenvalues(R).concat(zeros) : zeros;
    const orientation = rank ? Math.sign(new LuDecomposition(new Matrix(R)).determinant) : 1;
    return { K, rank, lam, orientation };
  }
}

const square = (a, b) => sum(a, (v, i) => (v - b[i]) ** 2);

/** Mean squared difference of two pictures. */
export const difference = (a, b) => square(a, b) / a.length;

/**
 * Scores of lib/studies/detection_scores.py, larger meaning further out:
 * ‖y − x‖²/‖x‖², ‖f_enc(y) − z‖, units of the encoder active at one of x and y alone, ‖K_L − 1‖_F.
 */
function scores(x, y, z, again, atX, atY, K) {
  return {
    "relative error": square(y, x) / Math.max(sum(x, (v) => v * v), 1e-10),
    "re-encoding shift": Math.sqrt(square(again, z)),
    hamming: sum(atX, (slopes, l) => square(slopes, atY[l])),
    "K_L defect": Math.sqrt(sum(K, (row, i) => sum(row, (v, j) => (v - (i === j)) ** 2))),
  };
}

const pairs = (layers, slopes) => layers.map((layer, i) => ({ layer, slope: slopes[i] }));

const identity = (d) => Float64Array.from({ length: d * d }, (_, i) => +(i % (d + 1) === 0));

/** The rows of a matrix that is kept row by row in one array, m numbers each. */
const rows = (flat, m) => Array.from({ length: flat.length / m }, (_, i) => Array.from(flat.subarray(i * m, (i + 1) * m)));

/** m columns, kept row by row in one array, carried through layers and slopes; rows that are zero cost nothing. */
function carry(cycle, h, m) {
  for (const { layer, slope } of cycle) {
    const live = [];
    for (let j = 0; j < layer.columns; j++) if (h.subarray(j * m, (j + 1) * m).some((v) => v !== 0)) live.push(j);
    const out = new Float64Array(layer.rows * m);
    for (let i = 0, to = 0; i < layer.rows; i++, to += m) {
      const s = slope ? slope[i] : 1;
      if (s === 0) continue;
      for (let l = 0; l < live.length; l++) {
        const w = layer.w[i * layer.columns + live[l]];
        const from = live[l] * m;
        for (let c = 0; c < m; c++) out[to + c] += w * h[from + c];
      }
      if (s !== 1) for (let c = 0; c < m; c++) out[to + c] *= s;
    }
    h = out;
  }
  return h;
}

/** [real, imaginary] by falling modulus, of a pair the positive imaginary part first. */
export function eigenvalues(matrix) {
  const found = new EigenvalueDecomposition(new Matrix(matrix));
  const lam = found.realEigenvalues.map((re, i) => [re, found.imaginaryEigenvalues[i]]);
  return lam.sort((a, b) => Math.hypot(...b) - Math.hypot(...a));
}
