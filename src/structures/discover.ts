import type { Model } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { anatomyOf } from "./anatomy.ts";
import { lossesIn } from "./losses.ts";
import { parametersOf } from "./parameters.ts";
import type { Structure } from "./structure.ts";

/** What can be removed from a model, and what it weighs. */
export interface Discovery {
  readonly tokens: string;
  readonly logits: string;
  /** Values that depend on the tokens. */
  readonly stream: ReadonlySet<string>;
  /** Number of layers, removable or not. */
  readonly layers: number;
  /** Layers, then attentions, then MLPs, each from the input on. */
  readonly structures: readonly Structure[];
  /** Every trained weight and how many parameters it adds, each counted once. */
  readonly parameters: ReadonlyMap<string, number>;
  readonly parameterCount: number;
}

/**
 * Finds a model's structures. What belongs to a structure is what its removal takes away (losses.ts): so
 * the counts of what is removed and of what is left always add up. A model's only attention cannot be removed and is not listed.
 *
 * @throws EspalierError as `anatomyOf`; GRAPH_TOO_LARGE (effort.ts)
 */
export function discover(model: Model, read: TensorReader): Discovery {
  const anatomy = anatomyOf(model);
  const parameters = parametersOf(anatomy.flow, read);
  const attentions = anatomy.places.filter((p) => p.kind === "ATTENTION").flatMap((p) => p.branches);
  const removable = anatomy.places.filter((p) => attentions.length === 0 || !attentions.every((a) => p.branches.includes(a)));
  const losses = lossesIn(anatomy.flow.graph);
  const structures = removable.map(({ kind, index, layer, branches }): Structure => {
    const lost = losses(branches);
    const own = [...parameters].filter(([name]) => lost.has(name));
    return { kind, index, layer, parameters: own.map(([name]) => name), parameterCount: own.reduce((n, [, count]) => n + count, 0) };
  });
  const { tokens, logits } = anatomy;
  const layers = anatomy.places.filter((p) => p.kind === "LAYER").length;
  return {
    tokens,
    logits,
    stream: anatomy.flow.stream,
    layers,
    structures,
    parameters,
    parameterCount: [...parameters.values()].reduce((a, b) => a + b, 0),
  };
}
