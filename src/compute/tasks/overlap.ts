import { textsOf } from "../../text/dataset-content.ts";
import { overlapOf } from "../../text/overlap.ts";
import type { Task } from "../child.ts";
import { readDataset } from "../stored-dataset.ts";

// biome-ignore lint/correctness/useYield: it has nothing to report before its result
export const overlapTask: Task<"overlap"> = async function* ({ dataset, other }) {
  return overlapOf(textsOf("digest" in dataset ? await readDataset(dataset) : dataset), textsOf(await readDataset(other)));
};
