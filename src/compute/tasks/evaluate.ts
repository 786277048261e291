import { materialise } from "../../artifacts/model-files.ts";
import { evaluate } from "../../evaluation/evaluate.ts";
import type { Task } from "../child.ts";
import { readDataset } from "../stored-dataset.ts";
import type { StoredModel } from "../tasks.ts";

const located = async (model: StoredModel) => ({
  folder: await materialise(model),
  graph: model.files.find((f) => f.path.endsWith(".onnx"))?.path ?? "model.onnx",
});

export const evaluateTask: Task<"evaluate"> = async function* ({ model, against, dataset, settings }) {
  return yield* evaluate({
    ...(await located(model)),
    other: against ? await located(against) : null,
    content: await readDataset(dataset),
    vocabularySize: model.vocabularySize,
    task: model.task,
    ...settings,
  });
};
