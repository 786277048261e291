import { EspalierError } from "../errors.ts";
import { append } from "../large-lists.ts";
import type { Model } from "../onnx/ir.ts";
import { answerOf } from "../signature/logits.ts";
import { signatureOf } from "../signature/signature.ts";
import { type Branch, residualBranches } from "./branches.ts";
import { type Flow, flowOf } from "./flow.ts";
import { type StructureId, structureKey } from "./structure.ts";
import { unfuseSums } from "./unfuse-sums.ts";

/** Where a model's structures are in its graph. */
export interface Anatomy {
  readonly flow: Flow;
  /** Name of the token input, [B, T]. */
  readonly tokens: string;
  /** Name of the main output: logits [B, T, V] or [B, V], or hidden states. */
  readonly logits: string;
  /** Every removable structure, and the branches it consists of. */
  readonly places: readonly Place[];
}

export interface Place extends StructureId {
  readonly layer: number;
  readonly branches: readonly Branch[];
}

/**
 * Finds layers, attentions and MLPs from the graph alone: a layer begins at an attention and goes on to the next.
 *
 * @throws EspalierError NO_TOKEN_INPUT, NO_LOGITS, UNSUPPORTED_INPUT (see src/signature); NO_STRUCTURES if there is no residual
 *   branch between the two
 */
export function anatomyOf(model: Model): Anatomy {
  const tokens = signatureOf(model.graph.inputs).tokens.name;
  const logits = answerOf(model.graph.outputs).name;
  const flow = flowOf(unfuseSums(model.graph), tokens, logits);
  const layers: Branch[][] = [];
  for (const branch of inOrder(residualBranches(flow))) {
    const last = layers.at(-1);
    if (last && branch.kind === "MLP") last.push(branch);
    else layers.push([branch]);
  }
  if (layers.length === 0)
    throw new EspalierError(
      "NO_STRUCTURES",
      "the graph has no residual branches between its tokens and its logits: nothing can be removed from it",
    );

  const places: Place[] = layers.map((branches, layer) => ({ kind: "LAYER", index: layer, layer, branches }));
  for (const kind of ["ATTENTION", "MLP"] as const) {
    const ofKind = layers.flatMap((branches, layer) =>
      branches.filter((b) => b.kind === kind).map((branch) => ({ layer, branches: [branch] })),
    );
    append(
      places,
      ofKind.map((place, index) => ({ kind, index, ...place })),
    );
  }
  return { flow, tokens, logits, places };
}

/** Of branches that are added to the same value of the residual stream, the attention comes first, as in layers that add them in turn. */
function inOrder(branches: readonly Branch[]): Branch[] {
  const together = new Map<string, Branch[]>();
  for (const b of branches)
    together
      .set(b.skip, together.get(b.skip) ?? [])
      .get(b.skip)
      ?.push(b);
  return [...together.values()].flatMap((at) => at.sort((x, y) => x.kind.localeCompare(y.kind)));
}

/** @throws EspalierError UNKNOWN_STRUCTURE if the model has no such structure */
export function placesOf(anatomy: Anatomy, ids: readonly StructureId[]): Place[] {
  const byKey = new Map(anatomy.places.map((p) => [structureKey(p), p]));
  return ids.map((id) => {
    const place = byKey.get(structureKey(id));
    if (!place)
      throw new EspalierError("UNKNOWN_STRUCTURE", `the model has no structure ${id.kind} ${id.index}`, { kind: id.kind, index: id.index });
    return place;
  });
}
