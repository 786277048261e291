import { emptyBlocks } from "./grid.ts";
import type { Blocks, Group, Matrix } from "./method.ts";

/** Outputs that are worked on at a time: enough for products, and few enough for rows of some to stay near the processor. */
const width = 512;

/** Some outputs of a matrix, which no other outputs have to do with. */
export interface Tile {
  /** [n, m], inputs as rows; its own, to be changed. */
  readonly weights: Float64Array;
  readonly outputs: number;
}

async function byTiles(n: number, { weights, outputs }: Matrix, solve: (tile: Tile, left: number) => Promise<void>): Promise<void> {
  for (let left = 0; left < outputs; left += width) {
    const m = Math.min(width, outputs - left);
    const own = new Float64Array(n * m);
    for (let i = 0; i < n; i++) own.set(weights.subarray(i * outputs + left, i * outputs + left + m), i * m);
    await solve({ weights: own, outputs: m }, left);
  }
}

/** Puts columns [rows, m] of a tile into their place. */
function paste(into: Float32Array | Uint8Array, outputs: number, left: number, columns: ArrayLike<number>, m: number): void {
  for (let from = 0, to = left; from < columns.length; from += m, to += outputs)
    for (let c = 0; c < m; c++) into[to + c] = columns[from + c] as number;
}

/** Weights in place of others, some outputs at a time. What is 0 stays 0. */
export async function weightsByTiles(
  { inputs }: Pick<Group, "inputs">,
  matrix: Matrix,
  solve: (tile: Tile) => Promise<Float64Array>,
): Promise<Float32Array> {
  const weights = new Float32Array(matrix.weights.length);
  await byTiles(inputs, matrix, async (tile, left) => paste(weights, matrix.outputs, left, await solve(tile), tile.outputs));
  return weights;
}

/** Codes, some outputs at a time: they are written into what is given. */
export async function blocksByTiles(
  { inputs }: Pick<Group, "inputs">,
  matrix: Matrix,
  { bits, blockSize }: Pick<Blocks, "bits" | "blockSize">,
  solve: (tile: Tile, blocks: Blocks) => Promise<void>,
): Promise<Blocks> {
  const all = emptyBlocks(bits, blockSize, inputs, matrix.outputs);
  await byTiles(inputs, matrix, async (tile, left) => {
    const own = emptyBlocks(bits, blockSize, inputs, tile.outputs);
    await solve(tile, own);
    for (const part of ["codes", "scales", "zeroPoints"] as const) paste(all[part], matrix.outputs, left, own[part], tile.outputs);
  });
  return all;
}
