import { lower } from "../../autodiff/lower.ts";
import { withReadout } from "../../autodiff/readout.ts";
import { EspalierError } from "../../errors.ts";
import type { Model, TypedGraph } from "../../onnx/ir.ts";
import { specialise } from "../../runtime/specialise.ts";
import { bindingOf } from "../../signature/binding.ts";
import { type Signature, signatureOf } from "../../signature/signature.ts";
import type { Scene } from "./evidence.ts";

type Judged = Pick<Scene, "whole" | "sequenceLength" | "judge">;

/** A forward graph of B texts of T tokens at most, and what of it is judged. */
export interface JudgedGraph {
  /** Without compound operators. */
  readonly typed: TypedGraph;
  /** Name of the value that a loss is taken of. */
  readonly answer: string;
  readonly signature: Signature;
  /** Places of a text that predict. */
  readonly places: number;
}

/**
 * @param values others that it gives too
 * @throws EspalierError as `specialise`
 */
export async function judgedGraph(
  { whole, sequenceLength: T, judge }: Judged,
  model: Model,
  B: number,
  values: readonly string[] = [],
): Promise<JudgedGraph> {
  const signature = signatureOf(model.graph.inputs);
  const main = whole.anatomy.logits;
  const binding = bindingOf(model, B, T, [...whole.parameters.keys()], judge != null);
  const typed = lower(await specialise(model, binding, [main, ...values]));
  const places = judge?.places === "TEXT" ? 1 : T;
  if (!judge?.pooling) return { typed, answer: main, signature, places };
  if (!signature.mask) throw new EspalierError("UNSUPPORTED_INPUT", 'the model has no input "attention_mask"');
  const read = withReadout(typed, main, signature.mask.name, judge.pooling);
  return { typed: lower(read.typed), answer: read.readings, signature, places };
}
