import { mean } from "../../src/pruning/mean.ts";

/** The sample's standard deviation, over n - 1. NaN of a single value. */
export const deviation = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, v) => sum + (v - mean(values)) ** 2, 0) / (values.length - 1));

/** Of an even number of values, the upper of the two in the middle. */
export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
