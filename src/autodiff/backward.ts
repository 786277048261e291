import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { isFloat, type Node, operatorKey, sizeOf } from "../onnx/ir.ts";
import { zero } from "../operators/arithmetic.ts";
import type { Operators, Primal, Use } from "../operators/operator.ts";
import { operators } from "../operators/operators.ts";
import { refuse } from "../operators/refuse.ts";

export interface Gradients {
  /** By name: cotangents of the values on the way from the wanted ones to the seeds. */
  readonly cotangents: ReadonlyMap<string, Value>;
  /** By wanted name, in the order the walk meets them: last layer first. */
  readonly uses: ReadonlyMap<string, readonly Use[]>;
}

/**
 * Reverse-mode differentiation: appends to the graph the nodes that compute cotangents.
 *
 * Only values that a wanted one flows into get a cotangent, and the walk ends at the wanted values: their gradients are
 * left as uses, so that a caller may reduce each in its own way and need not form it (see ghost.ts, `gradientOf`).
 *
 * @param seeds cotangents of the outputs, by name
 * @param wanted names of initializers, inputs or inner values
 * @throws EspalierError UNSUPPORTED_OPERATOR if a node on the way has no rule, or none for that input
 */
export function backward(
  b: GraphBuilder,
  seeds: ReadonlyMap<string, Value>,
  wanted: readonly string[],
  table: Operators = operators,
): Gradients {
  const forward = [...b.nodes];
  const onPath = reach(b, forward, wanted, table);
  const uses = new Map<string, Use[]>();
  const targets = new Set(wanted);
  const cotangents = new Map(seeds);

  for (const node of forward.reverse()) {
    const known = node.outputs.map((o) => cotangents.get(o));
    if (!known.some((dy) => dy) || !node.inputs.some((i) => onPath.has(i))) continue;
    const rule = table.get(operatorKey(node))?.gradient;
    if (rule === "none") continue;
    if (typeof rule !== "function") return refuse(node, `operator ${operatorKey(node)} has no gradient rule`);

    const primal = primalOf(b, node);
    const [dy, ...dys] = known.map((dy, i) => dy ?? b.expand(zero(b, primal.outputs[0]), b.value(node.outputs[i] as string).shape));
    const dxs = rule(b, primal, dy as Value, ...dys);
    for (const [inputIndex, name] of node.inputs.entries()) {
      if (!onPath.has(name)) continue;
      const dx = dxs[inputIndex];
      if (!dx) return refuse(node, `operator ${operatorKey(node)} is not differentiable in its input ${inputIndex} ("${name}")`);
      if (targets.has(name)) {
        uses.set(name, [...(uses.get(name) ?? []), { primal, inputIndex, dy: dy as Value, dx }]);
        continue;
      }
      const summed = b.sumTo(dx, b.value(name).shape);
      const others = cotangents.get(name);
      cotangents.set(name, others ? b.add(others, summed) : summed);
    }
  }
  return { cotangents, uses };
}

/** The whole gradient of a wanted value: its uses, each summed down to its shape, added up. Null if it has none. */
export function gradientOf(b: GraphBuilder, value: Value, uses: readonly Use[] = []): Value | null {
  return uses.map((u) => b.sumTo(u.dx, value.shape)).reduce<Value | null>((sum, dx) => (sum ? b.add(sum, dx) : dx), null);
}

/** The wanted values and all float values that follow from them. Empty tensors carry nothing. */
function reach(b: GraphBuilder, nodes: readonly Node[], wanted: readonly string[], table: Operators): ReadonlySet<string> {
  const reached = new Set(wanted);
  for (const node of nodes) {
    if (table.get(operatorKey(node))?.gradient === "none" || !node.inputs.some((i) => reached.has(i))) continue;
    for (const name of node.outputs) {
      const value = name === "" ? null : b.value(name);
      if (value && isFloat(value.dataType) && sizeOf(value.shape) > 0) reached.add(name);
    }
  }
  return reached;
}

/** Rules name only what their operator requires, so the tuples may be shorter than their types say. */
export function primalOf(b: GraphBuilder, node: Node): Primal {
  const value = (name: string) => (name === "" ? null : b.value(name));
  return { node, inputs: node.inputs.map(value), outputs: node.outputs.map(value) } as unknown as Primal;
}
