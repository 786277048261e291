import { numberAt } from "../../number-at.ts";
import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { sizeAt, sizeOf } from "../../onnx/ir.ts";
import { specialise } from "../../runtime/specialise.ts";
import { bindingOf } from "../../signature/binding.ts";
import { expertOutputs, type OpenGroup } from "../open-groups.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { expertOutput } from "./expert-output.ts";
import { overTexts } from "./over-texts.ts";
import { residualStreamOf } from "./residual-stream.ts";

/**
 * Of each expert, over the calibration tokens that chose it, the mean length of what it gives times its weight; 0 where none did.
 * Forward passes only.
 *
 * @throws EspalierError UNSUPPORTED_PARAMETER_USE if what experts give cannot be told apart
 */
export const routedNorms: Gather<number> = async function* (scene, groups) {
  const { samples, sequenceLength: T, whole, judge } = scene;
  const outputs = [...new Set(groups.flatMap(expertOutputs))];
  const places = [...new Set(groups.flatMap((g) => g.experts?.found.places ?? []))];
  const names = [...outputs, ...places];
  const model = residualStreamOf(scene, groups).giving(outputs, places);
  const B = Math.min(samples.length, rowsPerRun(T));
  const typed = await specialise(model, bindingOf(model, B, T, [...whole.parameters.keys()], judge != null), names);
  const b = new GraphBuilder(typed, "routed");
  const weights = b.input("routed/weights", "float32", [B, T]);
  const isText = b.reshape(b.op("Greater", [weights, b.scalar(0)], [B, T], {}, "bool"), [B * T, 1]);
  const sums = groups.flatMap((group) => group.indexes.flatMap((_, place) => lengthAndCount(b, group, place, isText)));
  const joined = b.concat(sums, 0);
  const totals = new Float64Array(sums.length);
  yield* overTexts(scene, model, b, weights, joined, (found) => {
    for (const [i, value] of found.entries()) totals[i] = numberAt(totals, i) + value;
  });
  let at = 0;
  const evidence = groups.map((g) =>
    g.indexes.map(() => {
      const [length, count] = [numberAt(totals, at++), numberAt(totals, at++)];
      return count === 0 ? 0 : length / count;
    }),
  );
  return { evidence, loss: null, perturbedLoss: null };
};

/** Over the tokens of texts that chose an expert: the sum of the lengths of what it gives, [1], and how many they are, [1]. */
function lengthAndCount(b: GraphBuilder, group: OpenGroup, place: number, isText: Value): [Value, Value] {
  const given = expertOutput(b, group, place);
  const rows = sizeAt(isText.shape, 0);
  const flat = b.reshape(given, [rows, sizeOf(given.shape) / rows]);
  const length = b.sqrt(b.reduceSum(b.mul(flat, flat), [1]));
  const places = b.value(group.experts?.found.places ?? "");
  const slots = b.reshape(places, [rows, sizeOf(places.shape) / rows]);
  const is = b.cast(b.op("Equal", [slots, b.ints([place], [1, 1])], slots.shape, {}, "bool"), "float32", 1);
  const chose = b.mul(b.reduceSum(is, [1]), b.cast(isText, "float32", 1));
  return [b.reduceSum(b.mul(length, chose), [0, 1], false), b.reduceSum(chose, [0, 1], false)].map((v) => b.reshape(v, [1])) as [
    Value,
    Value,
  ];
}
