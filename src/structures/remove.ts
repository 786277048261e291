import { EspalierError } from "../errors.ts";
import { removeDead, renameValues, usesOf } from "../onnx/edit.ts";
import { type Graph, type Model } from "../onnx/ir.ts";
import { verify } from "../onnx/verify.ts";
import { cacheEntries } from "../signature/caches.ts";
import { signatureOf } from "../signature/signature.ts";
import { type Anatomy, anatomyOf, placesOf } from "./anatomy.ts";
import { withoutTerms } from "./experts.ts";
import { dataUses } from "./flow.ts";
import { withStandIn } from "./stand-in.ts";
import type { StructureId } from "./structure.ts";

/**
 * Removes structures in one rewrite of the graph, which stays as dynamic as it was. What only the removed parts used goes
 * with them: nodes, weights, cache inputs and outputs. What stays keeps its name, except that cache entries are numbered
 * from 0 without gaps.
 *
 * @param known the model's anatomy, if it has been found
 * @throws EspalierError UNKNOWN_STRUCTURE; LAST_ATTENTION if no attention would be left; UNSUPPORTED_INPUT if the graph reads
 *   the length of the past from a cache entry that goes, and none like it stays
 */
export function remove(model: Model, ids: readonly StructureId[], known?: Anatomy): Model {
  if (ids.length === 0) return model;
  const anatomy = known ?? anatomyOf(model);
  const branches = placesOf(anatomy, ids).flatMap((p) => p.branches);
  const attentions = anatomy.places.filter((p) => p.kind === "ATTENTION").flatMap((p) => p.branches);
  if (attentions.length > 0 && attentions.every((a) => branches.includes(a)))
    throw new EspalierError("LAST_ATTENTION", "a model's last attention cannot be removed: without one, no token would see another");
  const gone = new Set(branches.flatMap((b) => [...b.nodes].flatMap((n) => n.outputs)));
  const graph = withoutTerms(anatomy.flow.graph, new Set(branches.map((b) => b.output)));
  const trimmed = withoutCaches(removeDead({ ...graph, outputs: graph.outputs.filter((o) => !gone.has(o.name)) }));
  const result = { ...model, graph: renumbered(removeDead(trimmed), model.graph) };
  verify(result);
  return result;
}

/** Drops cache inputs that no node reads data from. Where a node read the length of the past from such an input, it now reads it from one that stays. */
function withoutCaches(graph: Graph): Graph {
  const data = new Set(graph.nodes.flatMap(dataUses));
  const any = new Set(graph.nodes.flatMap(usesOf));
  const { caches } = signatureOf(graph.inputs);
  const idle = caches.filter((c) => !data.has(c.name));
  const rewritten = idle
    .filter((c) => any.has(c.name))
    .reduce(
      (result, cache) =>
        withStandIn(
          result,
          cache,
          caches.filter((c) => data.has(c.name)),
        ),
      graph,
    );
  const names = new Set(idle.map((c) => c.name));
  return { ...rewritten, inputs: graph.inputs.filter((i) => !names.has(i.name)) };
}

/** `past_key_values.7.key` becomes `past_key_values.6.key` if one before it went, and so does the output of that number it comes back as. */
function renumbered(graph: Graph, before: Graph): Graph {
  const pattern = /^(.*?\D)?(\d+)(\D.*)?$/;
  const number = (name: string) => pattern.exec(name)?.[2];
  const stay = new Set(graph.inputs.map((i) => i.name));
  const entries = cacheEntries(before.inputs, before.outputs).filter(({ input }) => stay.has(input.name));
  const kept = [...new Set(entries.map(({ input }) => number(input.name)))];
  const names = new Map<string, string>();
  for (const { input, output } of entries)
    for (const name of [input.name, output]) {
      const [, head = "", old, tail = ""] = pattern.exec(name) ?? [];
      if (old !== undefined && old === number(input.name)) names.set(name, `${head}${kept.indexOf(old)}${tail}`);
    }
  return renameValues(graph, names);
}
