import type { Model } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import type { Whole } from "../pruning/open-groups.ts";
import { discover } from "../structures/discover.ts";
import { divide } from "../structures/divide.ts";

/** @param divided whether to find heads and channels too, for which ONNX Runtime is asked */
export async function wholeOfModel(model: Model, folder: string, divided: boolean): Promise<Whole> {
  const found = discover(model, tensorReader(folder));
  return { ...found, divided: divided ? await divide(model, found.anatomy, found.parameters) : null };
}
