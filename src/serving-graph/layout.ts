import { numberAt } from "../number-at.ts";
import { consumers, producers } from "../onnx/edit.ts";
import { type Node, type StaticType, sizeOf, stridesOf, type TypedGraph } from "../onnx/ir.ts";
import { float32Of } from "../onnx/tensors.ts";
import type { Movement } from "../operators/operator.ts";
import { operatorOf } from "../operators/operators.ts";

/** A tensor's elements by where they came from: `ids[i]` is the place in the source of element i. */
export interface Layout {
  readonly shape: readonly number[];
  readonly ids: Int32Array;
}

/** How a node moves elements that it does not change; null if it does more. */
const movementOf = (node: Node | undefined): Movement | null => {
  const movement = node && operatorOf(node)?.moves;
  return movement && !movement.converts ? movement : null;
};

export const isMove = (node: Node | undefined): node is Node => movementOf(node) !== null;

/** The elements as a node that moves them lays them out. */
export function applyMove(x: Layout, node: Node, shape: readonly number[]): Layout {
  const steps = movementOf(node)?.steps;
  return steps ? gather(x, shape, steps(node, x.shape, shape)) : { shape, ids: x.ids };
}

function gather(x: Layout, shape: readonly number[], steps: readonly number[]): Layout {
  const ids = new Int32Array(sizeOf(shape));
  const own = stridesOf(shape);
  for (let i = 0; i < ids.length; i++) {
    let at = 0;
    for (const [axis, step] of steps.entries()) at += (Math.floor(i / (own[axis] as number)) % (shape[axis] as number)) * step;
    ids[i] = x.ids[at] as number;
  }
  return { shape, ids };
}

export const inOrder = (shape: readonly number[]): Layout => ({ shape, ids: Int32Array.from({ length: sizeOf(shape) }, (_, i) => i) });

/** A graph to look around in. */
export interface Search {
  readonly types: ReadonlyMap<string, StaticType>;
  readonly made: ReadonlyMap<string, Node>;
  readonly read: ReadonlyMap<string, readonly Node[]>;
  /** A constant of one element; null for anything else. */
  scalarOf(name: string): number | null;
}

export function searchIn({ graph, types }: TypedGraph): Search {
  const scalarOf = (name: string): number | null => {
    const t = graph.initializers.get(name);
    return t?.dataType === "float32" && sizeOf(t.dims) === 1 && t.data.kind === "inline" ? numberAt(float32Of(t), 0) : null;
  };
  return { types, made: producers(graph), read: consumers(graph), scalarOf };
}

/** Where a value's elements come from, through operators that only move them. */
export interface Origin {
  readonly source: string;
  readonly layout: Layout;
  /** What the elements are multiplied by on the way. */
  readonly scale: number;
}

/**
 * Follows a value back to the one whose elements it holds.
 */
export function originOf({ types, made, scalarOf }: Search, value: string): Origin {
  const way: Node[] = [];
  let scale = 1;
  let source = value;
  for (let node = made.get(source); node; node = made.get(source)) {
    const factor = scaleOf(node, scalarOf);
    if (isMove(node)) way.push(node);
    else if (factor === null) break;
    else scale *= factor.by;
    source = factor?.value ?? (node.inputs[0] as string);
  }
  const shapeOf = (name: string) => types.get(name)?.shape ?? [];
  let layout = inOrder(shapeOf(source));
  for (const node of way.reverse()) layout = applyMove(layout, node, shapeOf(node.outputs[0] as string));
  return { source, layout, scale };
}

/** A multiplication of a value by a constant scalar. */
export function scaleOf(node: Node, scalarOf: (name: string) => number | null): { value: string; by: number } | null {
  if (node.domain !== "" || (node.opType !== "Mul" && node.opType !== "Div")) return null;
  const [a, b] = node.inputs as [string, string];
  const right = scalarOf(b);
  if (right !== null) return { value: a, by: node.opType === "Mul" ? right : 1 / right };
  const left = node.opType === "Mul" ? scalarOf(a) : null;
  return left === null ? null : { value: b, by: left };
}
