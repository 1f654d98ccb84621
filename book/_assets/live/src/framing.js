// A drawing framed as the images of MNIST are: what lib.pages.live.framed does.

const SIDE = 28;

/** One line of pixels resized: weights 1 − |distance|/scale, summing to one; the filter is widened where pixels get fewer. */
function resized(values, size) {
  const scale = values.length / size;
  const support = Math.max(scale, 1);
  return Float64Array.from({ length: size }, (_, i) => {
    const centre = scale * (i + 0.5);
    const from = Math.max(0, Math.floor(centre - support + 0.5));
    const to = Math.min(values.length, Math.floor(centre + support + 0.5));
    let [total, weights] = [0, 0];
    for (let j = from; j < to; j++) {
      const w = Math.max(0, 1 - Math.abs((j - centre + 0.5) / support));
      total += w * values[j];
      weights += w;
    }
    return total / weights;
  });
}

const columns = (rows) => Array.from(rows[0], (_, j) => Float64Array.from(rows, (row) => row[j]));

/** The ink's box scaled to fit 20×20, its centre of mass in the middle of 28×28; an empty picture stays empty. */
export function framed(x) {
  const out = new Float64Array(SIDE * SIDE);
  const inked = [...x.keys()].filter((i) => x[i] > 0.1);
  if (!inked.length) return out;
  const range = (at) => [Math.min(...inked.map(at)), Math.max(...inked.map(at)) + 1];
  const [top, bottom] = range((i) => Math.floor(i / SIDE));
  const [left, right] = range((i) => i % SIDE);
  const longest = Math.max(bottom - top, right - left);
  const size = [bottom - top, right - left].map((n) => Math.max(1, even((20 * n) / longest)));
  let ink = Array.from({ length: bottom - top }, (_, i) => x.slice((top + i) * SIDE + left, (top + i) * SIDE + right));
  ink = columns(columns(ink.map((row) => resized(row, size[1]))).map((column) => resized(column, size[0])));
  ink = ink.map((row) => row.map((v) => Math.min(1, Math.max(0, v))));
  const corner = [ink, columns(ink)].map((lines, k) => {
    const mass = lines.map((line) => line.reduce((s, v) => s + v, 0));
    const centre = mass.reduce((s, m, i) => s + m * i, 0) / mass.reduce((s, m) => s + m, 0);
    return Math.min(Math.max(even(13.5 - centre), 0), SIDE - size[k]);
  });
  ink.forEach((row, i) => out.set(row, (corner[0] + i) * SIDE + corner[1]));
  return out;
}

/** Rounded to an integer, halves to the even one, as Python rounds. */
function even(v) {
  const down = Math.floor(v);
  return v - down === 0.5 ? down + (down % 2 ? 1 : 0) : Math.round(v);
}
