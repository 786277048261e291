import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import { beside, forwardOf, type Located } from "../../../src/recovery/forward.ts";
import type { TrainedMethod } from "../../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions } from "../../../src/recovery/options.ts";
import { buildTrainingGraph, type TrainingGraph } from "../../../src/recovery/training-graph.ts";
import { wholeOfModel } from "../../../src/recovery/whole.ts";

/** The graph that heals a model by one method, after what it is itself and after what text goes on with: all that a run may ask for. */
export async function wholeTrainingGraph(
  { model, folder }: Located,
  method: TrainedMethod,
  batch: number,
  tokens: number,
): Promise<TrainingGraph> {
  const whole = await wholeOfModel(model, folder, method.divides ?? false);
  const own = await forwardOf(model, [...whole.parameters.keys()], [batch, tokens]);
  const { forward, trained } = method.prepare({
    forward: own.typed,
    whole,
    initializers: model.graph.initializers,
    read: tensorReader(folder),
    options: defaultRecoveryOptions,
  });
  const { typed, teacher } = beside({ ...own, typed: forward }, await forwardOf(model, [], [batch, tokens]));
  const objectives = { distill: 1, languageModel: 1 };
  return buildTrainingGraph(typed, own.logits, teacher, trained, { objectives, temperature: 2 });
}
