import { evaluate } from "../../evaluation/evaluate.ts";
import { materialise } from "../../models/artifact-store.ts";
import type { Task } from "../compute.ts";

export const evaluateTask: Task<"evaluate"> = async function* ({ model, ...request }) {
  return yield* evaluate({ ...request, folder: await materialise(model) });
};
