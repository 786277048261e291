import { evaluate } from "../../evaluation/evaluate.ts";
import { materialise } from "../../models/artifact-store.ts";
import { readDataset } from "../../models/stored-dataset.ts";
import type { Task } from "../compute.ts";

export const evaluateTask: Task<"evaluate"> = async function* ({ model, dataset, settings }) {
  const graph = model.files.find((f) => f.path.endsWith(".onnx"))?.path ?? "model.onnx";
  return yield* evaluate({
    folder: await materialise(model),
    graph,
    content: await readDataset(dataset),
    vocabularySize: model.vocabularySize,
    ...settings,
  });
};
