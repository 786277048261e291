import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Algebra } from "../../../src/algebra/algebra.ts";
import { compressionMethodNamed } from "../../../src/compression/methods/index.ts";
import type { Blocks, Compressed, Group } from "../../../src/compression/methods/method.ts";
import { type CompressionOptions, defaultCompressionOptions } from "../../../src/compression/options.ts";
import { seededRandom } from "../../../src/random.ts";

/** What scripts/fixtures/compression.py found. */
export const expected = JSON.parse(readFileSync(new URL("../../fixtures/compression.json", import.meta.url), "utf8"));

export type Small = Group & { readonly gram: Float64Array; readonly weights: Float32Array; readonly outputs: number };

/** A group of one matrix, as `group` of scripts/fixtures/compression.py makes it. */
export function smallGroup(inputs = 72, outputs = 6, seed = 0): Small {
  const random = seededRandom(seed, "compression");
  const gram = new Float64Array(inputs * inputs);
  for (let t = 0; t < 200; t++) {
    let last = 0;
    const x = Array.from({ length: inputs }, (_, i) => {
      last = random() - 0.5 + 0.7 * last;
      return i === 11 ? 0 : last * (i % 9 === 4 ? 6 : 1);
    });
    for (let at = 0; at < gram.length; at++)
      gram[at] = (gram[at] as number) + (x[Math.floor(at / inputs)] as number) * (x[at % inputs] as number);
  }
  const weights = Float32Array.from({ length: inputs * outputs }, () => random() - 0.4);
  return { inputs, gram, matrices: [{ parameter: "w", outputs, weights }], weights, outputs };
}

/** What a method makes of a group of one matrix. It has changed nothing that it was given. */
export async function compressed(name: string, group: Small, options: Partial<CompressionOptions>, algebra: Algebra): Promise<Compressed> {
  const given = [group.weights.slice(), group.gram.slice()];
  const [found] = await compressionMethodNamed(name).compress(group, { ...defaultCompressionOptions, ...options }, algebra);
  assert.deepEqual([group.weights, group.gram], given);
  return found as Compressed;
}

/** The weights [n, m] that a result stands for. */
export function weightsOf({ result }: Compressed, outputs: number): Float64Array {
  if (result.kind === "WEIGHTS") return Float64Array.from(result.weights);
  const { codes, scales, zeroPoints, blockSize } = result;
  return Float64Array.from(codes, (code, at) => {
    const place = Math.floor(at / outputs / blockSize) * outputs + (at % outputs);
    return (scales[place] as number) * (code - (zeroPoints[place] as number));
  });
}

export function blocksOf({ result }: Compressed): Blocks {
  assert.ok(result.kind === "BLOCKS");
  return result;
}

/** Of each output, how far its sums over all tokens are from what they were: (v - w)' G (v - w). */
export function objective({ inputs: n, gram, weights, outputs: m }: Small, v: Float64Array): number[] {
  return Array.from({ length: m }, (_, c) => {
    const e = Array.from({ length: n }, (_, i) => (v[i * m + c] as number) - (weights[i * m + c] as number));
    let sum = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += (e[i] as number) * (gram[i * n + j] as number) * (e[j] as number);
    return sum;
  });
}

/** Whether numbers are alike to a share of each. */
export function alike(found: readonly number[], wanted: readonly number[], share: number): void {
  assert.equal(found.length, wanted.length);
  for (const [i, value] of found.entries()) {
    const other = wanted[i] as number;
    assert.ok(Math.abs(value - other) <= share * Math.abs(other), `${i}: ${value} is not ${other}`);
  }
}
