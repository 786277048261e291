import { type CompressionOptions, patterns } from "../options.ts";

/** Of the inputs from one up to another, so many keep their weights, in each output by itself. */
export interface Quota {
  readonly from: number;
  readonly to: number;
  readonly kept: number;
}

/**
 * How many weights stay where. Of neighbours that are fewer than a pattern has, as at the end of inputs, the same share stays, rounded up.
 *
 * @param within inputs among which a share is compared, if not all
 */
export function quotasOf(
  inputs: number,
  { pattern, sparsity }: Pick<CompressionOptions, "pattern" | "sparsity">,
  within = inputs,
): Quota[] {
  const neighbours = patterns[pattern];
  const size = neighbours?.of ?? within;
  const gone = (count: number) => Math.round(count * sparsity);
  return Array.from({ length: Math.ceil(inputs / size) }, (_, k) => {
    const [from, to] = [k * size, Math.min((k + 1) * size, inputs)];
    const kept = neighbours ? Math.ceil(((to - from) * neighbours.kept) / neighbours.of) : to - from - gone(to) + gone(from);
    return { from, to, kept };
  });
}

/**
 * Sets weights to 0 but for those with the highest scores, in each output. Of equals the first stay.
 *
 * @param weights [count, m] of the inputs of a quota, which are changed
 * @param scores [count, m]
 */
export function keepHighest(weights: Float64Array, scores: Float64Array, m: number, kept: number): void {
  const count = scores.length / m;
  if (kept >= count) return;
  const own = new Float64Array(count);
  for (let c = 0; c < m; c++) {
    for (let i = 0; i < count; i++) own[i] = scores[i * m + c] as number;
    const least = kept === 0 ? Number.POSITIVE_INFINITY : highest(own, kept);
    let equals = kept;
    for (let i = 0; i < count; i++) if ((scores[i * m + c] as number) > least) equals--;
    for (let i = 0; i < count; i++) {
      const score = scores[i * m + c] as number;
      if (score > least || (score === least && equals-- > 0)) continue;
      weights[i * m + c] = 0;
    }
  }
}

/** The k-th highest of numbers, which change places (Hoare 1961). */
function highest(x: Float64Array, k: number): number {
  for (let low = 0, high = x.length - 1; low < high; ) {
    const pivot = x[(low + high) >> 1] as number;
    let [i, j] = [low, high];
    while (i <= j) {
      while ((x[i] as number) > pivot) i++;
      while ((x[j] as number) < pivot) j--;
      if (i > j) break;
      const held = x[i] as number;
      x[i++] = x[j] as number;
      x[j--] = held;
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break;
  }
  return x[k - 1] as number;
}
