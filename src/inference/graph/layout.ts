import { intsOf } from "../../onnx/attributes.ts";
import { consumers, producers } from "../../onnx/edit.ts";
import { type Node, type StaticType, sizeOf, type TypedGraph } from "../../onnx/ir.ts";
import { float32Of } from "../../onnx/tensors.ts";

/** A tensor's elements by where they came from: `ids[i]` is the place in the source of element i. */
export interface Layout {
  readonly shape: readonly number[];
  readonly ids: Int32Array;
}

type Move = (x: Layout, node: Node, shape: readonly number[]) => Layout;

const relabel: Move = ({ ids }, _, shape) => ({ shape, ids });

/** Operators that move elements and change none. */
const moves: Readonly<Record<string, Move>> = {
  Identity: relabel,
  Reshape: relabel,
  Unsqueeze: relabel,
  Squeeze: relabel,
  Flatten: relabel,
  Transpose: (x, node, shape) => {
    const perm = intsOf(node, "perm") ?? [...x.shape.keys()].reverse();
    const steps = strides(x.shape);
    return gather(
      x,
      shape,
      perm.map((p) => steps[p] as number),
    );
  },
  Expand: (x, _, shape) => {
    const steps = strides(x.shape);
    const missing = shape.length - x.shape.length;
    return gather(
      x,
      shape,
      shape.map((_, i) => (i < missing || x.shape[i - missing] === 1 ? 0 : (steps[i - missing] as number))),
    );
  },
};

const strides = (shape: readonly number[]): number[] => {
  const steps = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) steps[i] = (steps[i + 1] as number) * (shape[i + 1] as number);
  return steps;
};

function gather(x: Layout, shape: readonly number[], steps: readonly number[]): Layout {
  const ids = new Int32Array(sizeOf(shape));
  const own = strides(shape);
  for (let i = 0; i < ids.length; i++) {
    let at = 0;
    for (const [axis, step] of steps.entries()) at += (Math.floor(i / (own[axis] as number)) % (shape[axis] as number)) * step;
    ids[i] = x.ids[at] as number;
  }
  return { shape, ids };
}

export const inOrder = (shape: readonly number[]): Layout => ({ shape, ids: Int32Array.from({ length: sizeOf(shape) }, (_, i) => i) });

export const isMove = (node: Node | undefined): node is Node => node !== undefined && node.domain === "" && node.opType in moves;

export const applyMove = (x: Layout, node: Node, shape: readonly number[]): Layout => (moves[node.opType] as Move)(x, node, shape);

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
    return t?.dataType === "float32" && sizeOf(t.dims) === 1 && t.data.kind === "inline" ? (float32Of(t)[0] as number) : null;
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
