import type { Model } from "../ir.ts";

/**
 * Brings one way of spelling a graph to the one that all later stages see. It computes the same from the same inputs.
 *
 * @returns the model itself, if there is nothing to do
 */
export type Pass = (model: Model) => Model;
