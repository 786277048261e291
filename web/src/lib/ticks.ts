/** Round numbers from `low` to `high`, about so many: steps of 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number, about = 5): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** The same where logarithms are drawn: 1, 2 and 5 times powers of ten, or the powers alone where those are too many. */
export function logarithmicTicks(low: number, high: number, about = 6): number[] {
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20));
  const within = (factors: readonly number[]) =>
    powers
      .flatMap((power) => factors.map((factor) => Number((factor * power).toPrecision(3))))
      .filter((value) => value >= low && value <= high);
  const all = within([1, 2, 5]);
  if (all.length > about) return within([1]);
  return all.length > 1 ? all : ticks(low, high, about);
}

export type Point = readonly [x: number, y: number];

/** Points for a line over so many pixels: of those that share a pixel the lowest and the highest, in order. Shape and spikes stay. */
export function thinned(points: readonly Point[], pixels: number): readonly Point[] {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || points.length <= 2 * pixels) return points;
  const scale = pixels / (last[0] - first[0] || 1);
  const kept: Point[] = [];
  for (let i = 0; i < points.length; ) {
    const pixel = Math.floor(((points[i] as Point)[0] - first[0]) * scale);
    let [low, high] = [i, i];
    for (; i < points.length && Math.floor(((points[i] as Point)[0] - first[0]) * scale) === pixel; i++) {
      if ((points[i] as Point)[1] < (points[low] as Point)[1]) low = i;
      if ((points[i] as Point)[1] > (points[high] as Point)[1]) high = i;
    }
    for (const index of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) kept.push(points[index] as Point);
  }
  return kept;
}
