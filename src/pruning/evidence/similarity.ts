import { numberAt } from "../../number-at.ts";
import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { sizeOf } from "../../onnx/ir.ts";
import { specialise } from "../../runtime/specialise.ts";
import { bindingOf } from "../../signature/binding.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { overTexts } from "./over-texts.ts";
import { residualStreamOf } from "./residual-stream.ts";

/** The mean over a text's tokens of the cosine between the residual stream before a structure and after it, on the mean of the texts. Forward passes only. */
export const similarity: Gather<number> = async function* (scene, groups) {
  const { samples, sequenceLength: T, whole, judge } = scene;
  const residualStream = residualStreamOf(scene, groups);
  const ends = residualStream.branches.map((own) => [own[0]?.skip ?? "", own.at(-1)?.sum ?? ""] as const);
  const names = [...new Set(ends.flat())];
  const model = residualStream.giving(names);
  const B = Math.min(samples.length, rowsPerRun(T));
  const typed = await specialise(model, bindingOf(model, B, T, [...whole.parameters.keys()], judge != null), names);
  const b = new GraphBuilder(typed, "similarity");
  const weights = b.input("similarity/weights", "float32", [B, T]);
  const rows = (name: string): Value => {
    const v = b.value(name);
    return b.reshape(v, [B, T, sizeOf(v.shape) / (B * T)]);
  };
  const length = (v: Value) => b.sqrt(b.reduceSum(b.mul(v, v), [2], false));
  const cosines = ends.map(([before, after]) => {
    const [x, y] = [rows(before), rows(after)];
    // Of nothing (a padding token's embedding may be all 0) the cosine is 0, not 0 / 0, which no weight would make 0 again.
    const lengths = b.op("Max", [b.mul(length(x), length(y)), b.scalar(1e-30)], [B, T]);
    const cosine = b.div(b.reduceSum(b.mul(x, y), [2], false), lengths);
    return b.reduceSum(b.mul(cosine, weights), [1]);
  });
  const joined = b.concat(cosines, 1);
  const sums = groups.map(() => 0);
  yield* overTexts(scene, model, b, weights, joined, (found, texts) => {
    for (const [g] of groups.entries())
      for (let r = 0; r < texts; r++) sums[g] = numberAt(sums, g) + numberAt(found, r * groups.length + g);
  });
  return { evidence: sums.map((sum) => [sum / samples.length]), loss: null, perturbedLoss: null };
};
