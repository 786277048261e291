import { GraphBuilder, type Value } from "../onnx/builder.ts";
import { removeDead, renameValues, usesOf } from "../onnx/edit.ts";
import { type Node, operatorKey, type TypedGraph } from "../onnx/ir.ts";
import type { LoweringRule, Operators } from "../operators/operator.ts";
import { operators } from "../operators/operators.ts";
import { refuse } from "../operators/refuse.ts";
import { primalOf } from "./backward.ts";

/**
 * Replaces compound operators by primitives. Values that were there keep their names, so that nothing else changes; a graph
 * without compound operators is returned as it is.
 *
 * @throws EspalierError UNSUPPORTED_OPERATOR if an operator is used in a form that has no lowering
 */
export function lower(typed: TypedGraph, table: Operators = operators): TypedGraph {
  if (!typed.graph.nodes.some((n) => loweringOf(n, table))) return typed;
  const b = new GraphBuilder(typed, "lower");
  const read = new Set([...typed.graph.nodes.flatMap(usesOf), ...typed.graph.outputs.map((o) => o.name)]);
  const names = new Map<string, string>();
  const results: Value[] = [];
  const nodes = typed.graph.nodes.flatMap((node) => {
    const rule = loweringOf(node, table);
    if (!rule) return [node];
    const start = b.nodes.length;
    const values = rule(b, primalOf(b, node));
    for (const [i, name] of node.outputs.entries()) {
      if (!read.has(name)) continue;
      const value = values[i] ?? refuse(node, `output ${i} of ${operatorKey(node)} ("${name}") has no lowering`);
      // A value that has a name already, as an input passed on, takes the second by a node of its own.
      const own = typed.types.has(value.name) || names.has(value.name) ? b.op("Identity", [value], value.shape) : value;
      names.set(own.name, name);
      results.push(own);
    }
    return b.nodes.slice(start);
  });
  const built = b.build([...typed.graph.outputs.map((o) => b.value(o.name)), ...results]);
  const graph = removeDead(renameValues({ ...built.graph, outputs: typed.graph.outputs, nodes }, names));
  return { ...built, graph, types: new Map([...built.types].filter(([name]) => !names.has(name))) };
}

function loweringOf(node: Node, table: Operators): LoweringRule | null {
  const gradient = table.get(operatorKey(node))?.gradient;
  return typeof gradient === "object" ? gradient.lower : null;
}
