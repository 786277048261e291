import { errorFactor, feedErrors } from "./feed-errors.ts";
import { nearestFloat16 } from "./float16.ts";
import { keepHighest, quotasOf } from "./masks.ts";
import type { CompressionMethod } from "./method.ts";
import { ternary } from "./ternary.ts";
import { blocksByTiles } from "./tiles.ts";

/**
 * Three levels, -a, 0 and a, for each block of inputs of each output, after PBS2P (arXiv 2502.01705), whose paper has no code: this is how it was understood.
 * Which weights become 0 is first chosen by `w^2 / U_ii^2`; signs and scale are then refit by what errors in the block cost; and what is lost is made up
 * for by the inputs that follow, as GPTQ has it.
 *
 * What errors in a block cost, with all that follows making up for them, is `e' S e`, S the inverse of the block's part of the inverse of H: `S = U_BB^-1
 * U_BB^-1'`. The levels of the paper are -a + mu, 0 and a + mu, which no operator multiplies by; so mu is 0 here. Of a pattern at most so many stay.
 */
export const pbs2p: CompressionMethod = {
  name: "PBS2P",
  description:
    "Three levels: some weights become 0, the others one size with a sign, refit block by block; the inputs that follow make up for it (PBS2P). Reads texts.",
  schemes: ["TERNARY"],
  options: ["damping"],
  needsGram: true,
  async compress(group, options, algebra) {
    const n = group.inputs;
    const { blockSize } = options;
    const u = await errorFactor(group.gram as Float64Array, n, options.damping, algebra);
    const spans = Array.from({ length: Math.ceil(n / blockSize) }, (_, b) => [b * blockSize, Math.min((b + 1) * blockSize, n)] as const);
    const costs = spans.map(([from, to]) => costOf(u, n, from, to));
    const found = [];
    for (const matrix of group.matrices) {
      const result = await blocksByTiles(group, matrix, { bits: 2, blockSize }, async ({ weights: w, outputs: m }, blocks) => {
        blocks.zeroPoints.fill(1);
        await feedErrors(w, u, n, m, algebra, (i, row) => {
          const b = Math.floor(i / blockSize);
          if (i % blockSize === 0) {
            const size = Math.min(blockSize, n - i);
            const quotas = quotasOf(size, options);
            const block = w.subarray(i * m, (i + size) * m);
            const left = block.slice();
            const scores = block.map((x, at) => (x / (u[(i + Math.floor(at / m)) * (n + 1)] as number)) ** 2);
            for (const { from, to, kept } of quotas)
              keepHighest(left.subarray(from * m, to * m), scores.subarray(from * m, to * m), m, kept);
            const [own, signs] = [new Float64Array(size), new Int8Array(size)];
            for (let c = 0; c < m; c++) {
              for (let r = 0; r < size; r++) {
                own[r] = block[r * m + c] as number;
                signs[r] = Math.sign(left[r * m + c] as number);
              }
              blocks.scales[b * m + c] = nearestFloat16(ternary(costs[b] as Float64Array, own, signs, quotas));
              for (let r = 0; r < size; r++) blocks.codes[(i + r) * m + c] = 1 + (signs[r] as number);
            }
          }
          for (let c = 0; c < m; c++) row[c] = (blocks.scales[b * m + c] as number) * ((blocks.codes[i * m + c] as number) - 1);
        });
      });
      found.push({ result });
    }
    return found;
  },
};

/** S of the inputs of a block. */
function costOf(u: Float64Array, n: number, from: number, to: number): Float64Array {
  const g = to - from;
  const v = new Float64Array(g * g);
  // U_BB^-1, upper triangular.
  for (let i = g - 1; i >= 0; i--) {
    v[i * g + i] = 1;
    for (let k = i + 1; k < g; k++) {
      const x = u[(from + i) * n + from + k] as number;
      for (let j = k; j < g; j++) v[i * g + j] = (v[i * g + j] as number) - x * (v[k * g + j] as number);
    }
    for (let j = i; j < g; j++) v[i * g + j] = (v[i * g + j] as number) / (u[(from + i) * (n + 1)] as number);
  }
  const s = new Float64Array(g * g);
  for (let i = 0; i < g; i++)
    for (let j = 0; j < g; j++) {
      let sum = 0;
      for (let k = Math.max(i, j); k < g; k++) sum += (v[i * g + k] as number) * (v[j * g + k] as number);
      s[i * g + j] = sum;
    }
  return s;
}
