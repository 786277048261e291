import { rowOutputNorms } from "../../../src/autodiff/ghost.ts";
import type { Reduction, SliceRequest } from "../../../src/autodiff/reductions.ts";
import { buildScoreGraph, type ScoreGraph } from "../../../src/autodiff/score-graph.ts";
import type { Model } from "../../../src/onnx/ir.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import { toFloat32 } from "../../../src/onnx/to-float32.ts";
import { specialise } from "../../../src/runtime/specialise.ts";
import { bindingOf } from "../../../src/signature/binding.ts";
import { discover } from "../../../src/structures/discover.ts";

/** A model's score graph with the norms of every structure's weights, whole and along each axis, and by what it gives: all that a run may ask for. */
export async function wholeScoreGraph(stored: Model, folder: string, batch: number, tokens: number): Promise<ScoreGraph> {
  const { anatomy, structures } = discover(stored, tensorReader(folder));
  const { flow, places, logits } = anatomy;
  const model = toFloat32({ ...stored, graph: flow.graph });
  const parameters = [...new Set(structures.flatMap((s) => s.parameters))];
  const outputs = places.map(({ branches }) => ({ outputs: branches.map((b) => b.output), sum: branches.at(-1)?.sum ?? "", parameters }));
  const inner = outputs.flatMap((o) => [...o.outputs, o.sum]);
  const forward = await specialise(model, bindingOf(model, batch, tokens, parameters), [logits, ...inner]);
  const rank = (name: string) => forward.types.get(name)?.shape.length ?? 0;
  const everyWay = (name: string): SliceRequest[] =>
    [null, ...Array.from({ length: rank(name) }, (_, axis) => axis)].map((axis) => ({ parameter: name, axis }));
  const reduce: Reduction = rowOutputNorms;
  return buildScoreGraph(forward, logits, parameters.filter((p) => forward.types.has(p)).flatMap(everyWay), reduce, 2, outputs);
}
