import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { removeDead, replaceUses, sortFromOutputs } from "../../onnx/edit.ts";
import type { TypedGraph } from "../../onnx/ir.ts";

/**
 * A graph in which other values are read in place of some: `write` makes them, of inputs of its own and of values of the graph.
 *
 * @param write given the builder, and which value is read in place of another so far; returns by name what is read instead from now on
 */
export function spliced(typed: TypedGraph, write: (b: GraphBuilder, instead: Map<string, Value>) => void): TypedGraph {
  const b = new GraphBuilder(typed, "recovery");
  const instead = new Map<string, Value>();
  write(b, instead);
  const outputs = typed.graph.outputs.map((o) => b.value(o.name));
  const built = b.build([...outputs, ...instead.values()]);
  const own = new Set(typed.graph.nodes.flatMap((n) => n.outputs));
  const isOwn = (node: { readonly outputs: readonly string[] }) => node.outputs.some((o) => own.has(o));
  const names = new Map([...instead].map(([name, v]) => [name, v.name]));
  const { nodes } = replaceUses({ ...built.graph, nodes: built.graph.nodes.filter(isOwn) }, names);
  const all = [...nodes, ...built.graph.nodes.filter((n) => !isOwn(n))];
  const graph = sortFromOutputs(removeDead({ ...built.graph, nodes: all, outputs: typed.graph.outputs }));
  return { ...built, graph };
}
