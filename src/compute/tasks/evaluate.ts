import { materialise } from "../../artifacts/model-files.ts";
import { evaluate } from "../../evaluation/evaluate.ts";
import type { Task } from "../child.ts";
import { readDataset } from "../stored-dataset.ts";

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
