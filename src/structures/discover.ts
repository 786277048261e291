import type { Model } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { type Anatomy, anatomyOf } from "./anatomy.ts";
import { lostWith } from "./lost-with.ts";
import { parametersOf } from "./parameters.ts";
import type { Obstacle, StructureGroup } from "./structure.ts";

/** What can be removed from a model as a whole, and what it weighs. */
export interface Discovery {
  readonly anatomy: Anatomy;
  /** Number of layers, removable or not. */
  readonly layers: number;
  /** Layers, then attentions, then MLPs, each from the input on, and each a group of its own. */
  readonly structures: readonly StructureGroup[];
  /** Those that have no weight of their own: what layers share does not go with one of them. */
  readonly obstacles: readonly Obstacle[];
  /** Every trained weight and how many parameters it adds, each counted once. */
  readonly parameters: ReadonlyMap<string, number>;
  readonly parameterCount: number;
}

/**
 * Finds a model's layers, attentions and MLPs; `divide` finds what these consist of. What belongs to a structure is what
 * its removal takes away (lost-with.ts): so the counts of what is removed and of what is left always add up. A model's only
 * attention cannot be removed and is not listed, nor is what has no weight of its own.
 *
 * @throws EspalierError as `anatomyOf`; GRAPH_TOO_LARGE (effort.ts)
 */
export function discover(model: Model, read: TensorReader): Discovery {
  const anatomy = anatomyOf(model);
  const parameters = parametersOf(anatomy.flow, read);
  const attentions = anatomy.places.filter((p) => p.kind === "ATTENTION").flatMap((p) => p.branches);
  const removable = anatomy.places.filter((p) => attentions.length === 0 || !attentions.every((a) => p.branches.includes(a)));
  const losses = lostWith(anatomy.flow.graph);
  const found = removable.map(({ kind, index, layer, branches }): StructureGroup => {
    const lost = losses(branches);
    const own = [...parameters].filter(([name]) => lost.has(name));
    const parameterCount = own.reduce((n, [, count]) => n + count, 0);
    return { kind, index, count: 1, layer, parameters: own.map(([name]) => name), parameterCount };
  });
  const layers = anatomy.places.filter((p) => p.kind === "LAYER").length;
  const owning = (s: StructureGroup) => s.parameterCount > 0;
  return {
    anatomy,
    layers,
    structures: found.filter(owning),
    obstacles: found.filter((s) => !owning(s)).map(({ kind, layer }) => ({ kind, layer, reason: "it shares all its weights with others" })),
    parameters,
    parameterCount: [...parameters.values()].reduce((a, b) => a + b, 0),
  };
}
