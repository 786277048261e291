import type { SliceRequest } from "../../src/autodiff/reductions.ts";
import type { ScoreGraph } from "../../src/autodiff/score-graph.ts";

/** Asks for the norms of whole parameters. */
export const wholes = (parameters: readonly string[]): SliceRequest[] => parameters.map((parameter) => ({ parameter, axis: null }));

/** Asks for a parameter's norm as a whole, then along each of its axes. */
export const everyWay = (parameter: string, rank: number): SliceRequest[] => [
  { parameter, axis: null },
  ...Array.from({ length: rank }, (_, axis) => ({ parameter, axis })),
];

/** What a score graph's output says of one request, for one pair. */
export function answered({ columns }: ScoreGraph, squares: Float32Array, request: number, pair: number, pairs: number): Float32Array {
  const { start, length } = columns[request] as (typeof columns)[number];
  const width = squares.length / pairs;
  return squares.subarray(pair * width + start, pair * width + start + length);
}

/** Of a tensor, the sum of the squares of each slice along an axis; of the whole, one sum. In float64. */
export function squaresAlong(values: ArrayLike<number>, dims: readonly number[], axis: number | null): number[] {
  const stride = axis === null ? 1 : dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const sums = new Array<number>(axis === null ? 1 : (dims[axis] as number)).fill(0);
  for (let i = 0; i < values.length; i++) {
    const at = axis === null ? 0 : Math.floor(i / stride) % sums.length;
    sums[at] = (sums[at] as number) + (values[i] as number) ** 2;
  }
  return sums;
}
