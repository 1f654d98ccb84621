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
    // the first encoder layer times G(z) is nearly all of the work, and both matrices have it in common
    const image = carry([...pairs(this.decoder, down), { layer: this.encoder[0] }], identity(this.d), this.d);
    const I = this.spectrum(image, down, atX.slopes);
    const L = this.spectrum(image, down, atY.slopes);
    return { x, z, y, again: atY.a, I, L, scores: scores(x, y, z, atY.a, atX.slopes, atY.slopes, L.K) };
  }

  /** K = E·G, its rank, its eigenvalues by falling modulus and its orientation, from W₁G and the slopes around the cycle. */
  spectrum(image, down, up) {
    const d = this.d;
    const K = carry(pairs(this.encoder.slice(1), [...up.slice(1), null]), image.map((row, i) => row.map((v) => v * up[0][i])), d);
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
      const start = units.map((u) => cycle[narrowest].slope.map((_, i) => (i === u ? 1 : 0)));
      const turned = [...cycle.slice(narrowest + 1), ...cycle.slice(0, narrowest + 1)];
      const rows = carry(turned, transpose(start, cycle[narrowest].slope.length), rank);
      R = units.map((u) => rows[u]);
    }
    const zeros = Array.from({ length: d - rank }, () => [0, 0]);
    const lam = rank ? eigenvalues(R).concat(zeros) : zeros;
    const orientation = rank ? Math.sign(new LuDecomposition(new Matrix(R)).determinant) : 1;
    return { K: K.map((row) => Array.from(row)), rank, lam, orientation };
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
