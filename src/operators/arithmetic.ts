import { EspalierError } from "../errors.ts";
import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { dataTypes, type Node, sizeAt, sizeOf } from "../onnx/ir.ts";
import { float32Of, integersOf } from "../onnx/tensors.ts";
import type { Primal } from "./operator.ts";

/** Small steps that gradient rules are written in. Numbers take the element type of the value they meet. */

/** `a` in the element type of `like`. */
export const onto = (b: GraphBuilder, a: Value, like: Value): Value => b.cast(a, like.dataType, dataTypes[like.dataType].onnx);

export const zero = (b: GraphBuilder, like: Value): Value => onto(b, b.scalar(0), like);
export const scaled = (b: GraphBuilder, a: Value, factor: number): Value => (factor === 1 ? a : b.mul(a, onto(b, b.scalar(factor), a)));
export const shifted = (b: GraphBuilder, a: Value, term: number): Value => b.add(a, onto(b, b.scalar(term), a));

/** `a > 0`. */
export const positive = (b: GraphBuilder, a: Value): Value => b.op("Greater", [a, zero(b, a)], a.shape, {}, "bool");
export const inverse = (b: GraphBuilder, a: Value): Value => b.div(onto(b, b.scalar(1), a), a);

/** `a + term`, where there is a term. */
export const plus = (b: GraphBuilder, a: Value, term: Value | null): Value => (term ? b.add(a, term) : a);

/** An input that may be absent. */
export const optional = (primal: Primal, input: number): Value | null =>
  (primal.inputs as readonly (Value | null | undefined)[])[input] ?? null;

/** The axis that an attribute names, counted from the first. */
export const axisOf = (node: Node, x: Value, fallback: number): number => normalizeAxis(attr.intOf(node, "axis", fallback), x.shape.length);

/** The elements of an integer constant. @throws EspalierError DYNAMIC_SHAPE if the value is not a constant. */
export function integersIn(b: GraphBuilder, v: Value): number[] {
  const tensor = b.initializer(v.name);
  if (!tensor) throw new EspalierError("DYNAMIC_SHAPE", `"${v.name}" decides a shape, but is not a constant`, { value: v.name });
  return integersOf(tensor);
}

/** The number a constant of one element holds; undefined for anything else. */
export function constantNumber(b: GraphBuilder, v: Value): number | undefined {
  const tensor = b.initializer(v.name);
  return tensor?.dataType === "float32" && tensor.data.kind === "inline" && sizeOf(tensor.dims) === 1 ? float32Of(tensor)[0] : undefined;
}

export interface GemmOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}

/** `alpha A' B'` of two matrices, where `'` transposes if asked: no transposed copy is made. */
export function gemm(b: GraphBuilder, x: Value, y: Value, { transA = false, transB = false, alpha = 1 }: GemmOptions): Value {
  const [rows, columns] = [sizeAt(x.shape, transA ? 1 : 0), sizeAt(y.shape, transB ? 0 : 1)];
  return b.op("Gemm", [x, y], [rows, columns], {
    transA: attr.int(transA ? 1 : 0),
    transB: attr.int(transB ? 1 : 0),
    alpha: attr.float(alpha),
  });
}
