import { type Node, sizeAt, sizeOf } from "../onnx/ir.ts";
import { integersOf } from "../onnx/tensors.ts";
import type { Search } from "./layout.ts";
import type { TwoViews } from "./two-views.ts";

/**
 * A rotation of the first `width` entries of each head by its token's position, halves against each other:
 * `x cos + (-x2, x1) sin`, whichever way the exporter wrote it.
 */
export interface Rotary {
  /** What is rotated. */
  readonly x: string;
  readonly width: number;
  /** Tables by position: values [.., T, width] of the model, or caches [L, width / 2] of the operator and its position ids. */
  readonly tables:
    | { readonly kind: "values"; readonly cos: string; readonly sin: string }
    | { readonly kind: "caches"; readonly cos: string; readonly sin: string; readonly positions: string; readonly interleaved: boolean };
}

export function rotaryOf(views: TwoViews, search: Search, value: string): Rotary | null {
  const node = search.made.get(value);
  if (!node) return null;
  const whole = search.types.get(value)?.shape.at(-1) ?? 0;
  if (node.domain === "com.microsoft" && node.opType === "RotaryEmbedding") {
    const [x, positions, cos, sin] = node.inputs as [string, string, string, string];
    const half = search.types.get(cos)?.shape.at(-1) ?? 0;
    const scale = node.attributes["scale"];
    if (search.types.get(x)?.shape.length !== 4 || (scale?.kind === "float" && scale.value !== 1)) return null;
    const interleaved = node.attributes["interleaved"];
    return {
      x,
      width: 2 * half,
      tables: { kind: "caches", cos, sin, positions, interleaved: interleaved?.kind === "int" && interleaved.value === 1n },
    };
  }
  if (node.opType === "Concat" && node.inputs.length === 2) {
    // Only the first entries turn, the others pass.
    const [turned, passed] = node.inputs as [string, string];
    const inner = rotaryOf(views, search, turned);
    const head = inner && cutOf(views, search, inner.x);
    const tail = cutOf(views, search, passed);
    if (!inner || !head || !tail || head.x !== tail.x) return null;
    const fits = head.from === 0 && head.to === inner.width && tail.from === inner.width && tail.to === whole;
    return fits ? { ...inner, x: head.x } : null;
  }
  if (node.opType !== "Add") return null;
  const products = node.inputs.map((name) => productWithTable(views, search, name));
  for (const [plain, turned] of [products, [...products].reverse()]) {
    if (!plain || !turned) continue;
    if (halvesTurned(views, search, turned.x) === plain.x)
      return { x: plain.x, width: whole, tables: { kind: "values", cos: plain.table, sin: turned.table } };
  }
  return null;
}

function productWithTable({ stream, shaped }: TwoViews, { made }: Search, name: string): { x: string; table: string } | null {
  const node = made.get(name);
  if (node?.opType !== "Mul") return null;
  const x = node.inputs.find((i) => stream.has(i));
  const table = node.inputs.find((i) => shaped.has(i));
  return x !== undefined && table !== undefined ? { x, table } : null;
}

/** Of `(-x2, x1)`: x. */
function halvesTurned(views: TwoViews, search: Search, name: string): string | null {
  const node = search.made.get(name);
  if (node?.opType !== "Concat" || node.inputs.length !== 2) return null;
  const negated = search.made.get(node.inputs[0] as string);
  if (negated?.opType !== "Neg") return null;
  const second = cutOf(views, search, negated.inputs[0] as string);
  const first = cutOf(views, search, node.inputs[1] as string);
  const width = search.types.get(name)?.shape.at(-1) ?? 0;
  if (!first || !second || first.x !== second.x) return null;
  const fits = first.from === 0 && first.to === width / 2 && second.from === width / 2 && second.to === width;
  return fits ? first.x : null;
}

/** A piece of the last axis. */
function cutOf(views: TwoViews, { made, types }: Search, name: string): { x: string; from: number; to: number } | null {
  const node = made.get(name);
  const x = node?.inputs[0] ?? "";
  const shape = types.get(x)?.shape;
  if (!node || !shape) return null;
  const width = sizeAt(shape, -1);
  const constant = (i: number): number[] | null => {
    const t = views.graph.graph.initializers.get(node.inputs[i] ?? "");
    return t && sizeOf(t.dims) === 1 && !views.shaped.has(t.name) ? integersOf(t) : null;
  };
  const isLast = (axis: number) => axis === -1 || axis === shape.length - 1;
  if (node.opType === "Slice") {
    const [from, to, axis, step] = [1, 2, 3, 4].map((i) => constant(i)?.[0]);
    if (from === undefined || to === undefined || axis === undefined || !isLast(axis) || (node.inputs[4] && step !== 1)) return null;
    const bound = (v: number) => Math.min(width, v < 0 ? v + width : v);
    return { x, from: bound(from), to: bound(to) };
  }
  if (node.opType === "Split") return splitCut(node, x, shape, name, types, isLast);
  return null;
}

function splitCut(
  node: Node,
  x: string,
  shape: readonly number[],
  name: string,
  types: Search["types"],
  isLast: (axis: number) => boolean,
): { x: string; from: number; to: number } | null {
  const axis = node.attributes["axis"];
  if (axis?.kind !== "int" || !isLast(Number(axis.value))) return null;
  let from = 0;
  for (const output of node.outputs) {
    const size = types.get(output)?.shape.at(-1) ?? 0;
    if (output === name) return shape.length > 0 ? { x, from, to: from + size } : null;
    from += size;
  }
  return null;
}
