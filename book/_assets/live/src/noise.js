// The paper's pixel distributions, and brightness laws of the same families.

/** A small generator with a seed, so that a picture can be drawn again (mulberry32). */
export function generator(seed) {
  let s = seed >>> 0;
  return () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const gaussian = (u) => Math.sqrt(-2 * Math.log(1 - u())) * Math.cos(2 * Math.PI * u());

/** Gamma(a, 1): Marsaglia and Tsang's method, raised by one where a < 1. */
function gamma(a, u) {
  if (a < 1) return gamma(a + 1, u) * Math.pow(1 - u(), 1 / a);
  const d = a - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = gaussian(u);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - u()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

function pixel(name, u) {
  const [family, a, b] = name.split("_").map((word, i) => (i ? Number(word) : word));
  switch (family) {
    case "bernoulli":
      return u() < a ? 1 : 0;
    case "beta": {
      const g = gamma(a, u);
      return g / (g + gamma(b, u));
    }
    case "uniform":
      return u();
    case "normal": // μ = .5, σ = 1, truncated to [0, 1] by rejection
      for (;;) {
        const x = 0.5 + gaussian(u);
        if (x >= 0 && x <= 1) return x;
      }
    default:
      throw new Error(`unknown noise set ${name}`);
  }
}

/** 784 independent pixels of a noise set. */
export const noise = (name, u) => Float64Array.from({ length: 784 }, () => pixel(name, u));

export const NOISE_SETS = {
  "bernoulli_0.13": "Bernoulli, p = .13 (dark)",
  "beta_0.8_5": "Beta(.8, 5) (dark)",
  "bernoulli_0.25": "Bernoulli, p = .25 (dark)",
  "bernoulli_0.5": "Bernoulli, p = .5",
  normal: "normal, μ = .5, σ = 1, truncated",
  uniform: "uniform",
  "beta_0.5_0.5": "Beta(.5, .5)",
  "bernoulli_0.75": "Bernoulli, p = .75 (bright)",
  "bernoulli_0.87": "Bernoulli, p = .87 (bright)",
  "beta_5_0.8": "Beta(5, .8) (bright)",
};
