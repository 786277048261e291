import { mean } from "../../pruning/mean.ts";

/** The sample's standard deviation, over n - 1. NaN of a single value. */
export const deviation = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, v) => sum + (v - mean(values)) ** 2, 0) / (values.length - 1));
