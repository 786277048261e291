import { numberAt } from "../number-at.ts";
import { floatOf, intOf } from "../onnx/attributes.ts";
import type { Node } from "../onnx/ir.ts";
import { applyMove, inOrder, isMove, type Layout, originOf, type Search, scaleOf } from "./layout.ts";
import { type Rotary, rotaryOf } from "./rotary.ts";
import { firstView, type TwoViews, unfit } from "./two-views.ts";

/** Queries, keys or values: a value of the stream that holds them, head by head. */
export interface Heads {
  readonly source: string;
  readonly count: number;
  readonly width: number;
  /** Whether heads come before tokens in the source: [B, N, T, D], else [B, T, N, D]. */
  readonly headsFirst: boolean;
  readonly rotary: Rotary | null;
}

/** Something added to scores, or that chooses which count. */
export interface Mask {
  readonly value: string;
  /** How it is read: added; or true, or false, where a token is seen. */
  readonly kind: "added" | "seenWhereTrue" | "seenWhereFalse";
}

/** Scores this low count for nothing after a softmax: exporters hide tokens by the lowest number of the type, -1e4 or infinity. */
export const unseen = -9999;

/** `softmax(scale q k' + mask) v` as it stands in a graph, over several nodes. */
export interface Attention {
  readonly q: Heads;
  readonly k: Heads;
  readonly v: Heads;
  readonly scale: number;
  /** Of `cap tanh(scores / cap)`; 0 for none. */
  readonly softcap: number;
  readonly masks: readonly Mask[];
  /** [B, N, T, D]. */
  readonly output: string;
  /** The value with the same elements in the order [B, T, N, D], if the graph has one. */
  readonly joined: string | null;
}

/** Every attention of the graph, in order. @throws EspalierError CANNOT_REWRITE if one is none that is known */
export function attentionsOf(views: TwoViews, search: Search): Attention[] {
  const { graph } = views.graph;
  return (
    graph.nodes
      // One over a fixed number of entries weighs something else, such as experts.
      .filter((n) => n.opType === "Softmax" && views.stream.has(n.outputs[0] as string) && !isOfFixedSize(views, n))
      .map((n) => attentionAt(views, search, n))
  );
}

const isOfFixedSize = ({ sizes }: TwoViews, softmax: Node): boolean =>
  typeof sizes(softmax.outputs[0] as string)?.at(intOf(softmax, "axis", -1)) === "number";

function attentionAt(views: TwoViews, search: Search, softmax: Node): Attention {
  const { types } = search;
  const shape = types.get(softmax.outputs[0] as string)?.shape ?? [];
  const axis = intOf(softmax, "axis", -1);
  if (axis !== -1 && axis !== shape.length - 1) unfit(`softmax "${softmax.name}" is not over the last axis`);
  const weights = throughGuards(views, search, softmax.outputs[0] as string);
  const product = search.read.get(weights)?.[0];
  if (product?.opType !== "MatMul" || product.inputs[0] !== weights) unfit(`softmax "${softmax.name}" weighs no values`);
  const { scores, scale, softcap, masks } = scoresOf(views, search, softmax.inputs[0] as string);
  const alpha = scores.opType === "FusedMatMul" ? floatOf(scores, "alpha", 1) : 1;
  const turned = scores.opType === "FusedMatMul" && intOf(scores, "transB", 0) === 1;
  const output = (product as Node).outputs[0] as string;
  const [q, k, v] = [scores.inputs[0] as string, scores.inputs[1] as string, (product as Node).inputs[1] as string].map((name) =>
    originAndRotary(views, search, name),
  ) as [Found, Found, Found];
  const { B, T } = firstView;
  const width = types.get(scores.inputs[0] as string)?.shape.at(-1) ?? 0;
  const N = q.layout.ids.length / (B * T * width);
  if (types.get(output)?.shape.at(-1) !== width) unfit("keys and values differ in width");
  const queries = headsOf(q, N, width, (b, n, t, d) => ((b * N + n) * T + t) * width + d);
  const keys = headsOf(k, N, width, (b, n, t, d) => (turned ? ((b * N + n) * T + t) * width + d : ((b * N + n) * width + d) * T + t));
  const values = headsOf(v, N, width, (b, n, t, d) => ((b * N + n) * T + t) * width + d);
  if (queries.count !== N || keys.count !== values.count || v.scale !== 1) unfit("its heads are laid out in no known way");
  return {
    q: queries,
    k: keys,
    v: values,
    scale: scale * alpha * q.scale * k.scale,
    softcap,
    masks,
    output,
    joined: joinedOf(search, output, N, width),
  };
}

interface Found {
  readonly source: string;
  readonly layout: Layout;
  readonly scale: number;
  readonly rotary: Rotary | null;
}

/** Where heads come from, before they turn: a rotation leaves each where it is. */
function originAndRotary(views: TwoViews, search: Search, value: string): Found {
  const after = originOf(search, value);
  const rotary = rotaryOf(views, search, after.source);
  if (!rotary) return { ...after, rotary };
  const before = originOf(search, rotary.x);
  const ids = after.layout.ids.map((id) => numberAt(before.layout.ids, id));
  return { source: before.source, layout: { shape: after.layout.shape, ids }, scale: after.scale * before.scale, rotary };
}

/** @param at the place of (batch, query head, token, entry) in the operand */
function headsOf(
  { source, layout, rotary }: Found,
  N: number,
  width: number,
  at: (b: number, n: number, t: number, d: number) => number,
): Heads {
  const { B, T } = firstView;
  const { ids } = layout;
  const id = (b: number, n: number, t: number, d: number) => numberAt(ids, at(b, n, t, d));
  const distinct = new Set(ids).size;
  const count = distinct / (B * T * width);
  const places = {
    first: (b: number, n: number, t: number, d: number) => ((b * count + n) * T + t) * width + d,
    last: (b: number, n: number, t: number, d: number) => ((b * T + t) * count + n) * width + d,
  };
  const repeat = N / count;
  if (!Number.isInteger(count) || !Number.isInteger(repeat)) return unfit("its heads are laid out in no known way");
  const fits = (place: typeof places.first) => {
    for (let b = 0; b < B; b++)
      for (let n = 0; n < N; n++)
        for (let t = 0; t < T; t++)
          for (let d = 0; d < width; d++) if (id(b, n, t, d) !== place(b, Math.floor(n / repeat), t, d)) return false;
    return true;
  };
  if (fits(places.last)) return { source, count, width, headsFirst: false, rotary };
  if (fits(places.first)) return { source, count, width, headsFirst: true, rotary };
  return unfit("its heads are laid out in no known way");
}

/** Follows the attention weights on through what only replaces NaN, which rows that see nothing give. */
function throughGuards({ stream }: TwoViews, { read, made }: Search, weights: string): string {
  for (const node of read.get(weights) ?? []) {
    if (node.opType === "Where" && made.get(node.inputs[0] as string)?.opType === "IsNaN" && node.inputs[2] === weights)
      return node.outputs[0] as string;
    if ((node.opType === "Identity" || node.opType === "Cast") && stream.has(node.outputs[0] as string)) return node.outputs[0] as string;
  }
  return weights;
}

interface Scores {
  readonly scores: Node;
  readonly scale: number;
  readonly softcap: number;
  readonly masks: readonly Mask[];
}

/** Goes from softmax back to the product of queries and keys. */
function scoresOf({ stream }: TwoViews, { made, scalarOf }: Search, value: string): Scores {
  const masks: Mask[] = [];
  let [scale, softcap] = [1, 0];
  for (let node = made.get(value); node; node = made.get(value)) {
    const [a = "", b = "", c = ""] = node.inputs;
    const factor = scaleOf(node, scalarOf);
    if (node.opType === "MatMul" || node.opType === "FusedMatMul")
      return { scores: node, scale: softcap ? scale * softcap : scale, softcap, masks };
    if (factor && made.get(factor.value)?.opType === "Tanh" && !softcap && scale === 1) {
      softcap = factor.by;
      value = made.get(factor.value)?.inputs[0] as string;
    } else if (factor) {
      scale *= factor.by;
      value = factor.value;
    } else if (node.opType === "Add" && stream.has(a) !== stream.has(b)) {
      masks.push({ value: stream.has(a) ? b : a, kind: "added" });
      value = stream.has(a) ? a : b;
    } else if (node.opType === "Where" && !stream.has(a) && stream.has(b) !== stream.has(c)) {
      const filler = scalarOf(stream.has(b) ? c : b);
      if (filler === null || filler > unseen) unfit(`Where "${node.name}" hides no scores`);
      masks.push({ value: a, kind: stream.has(b) ? "seenWhereTrue" : "seenWhereFalse" });
      value = stream.has(b) ? b : c;
    } else if (isMove(node) && node.opType !== "Transpose" && node.opType !== "Expand") value = a;
    else return unfit(`${node.opType} "${node.name}" stands between queries and softmax`);
  }
  return unfit("a softmax is over no scores");
}

/** Follows heads on to where they stand side by side. */
function joinedOf({ read, types }: Search, output: string, N: number, width: number): string | null {
  const { B, T } = firstView;
  let value = output;
  let layout = inOrder([B, N, T, width]);
  let joined: string | null = null;
  const inPlace = ({ ids }: Layout) =>
    ids.every((id, i) => {
      const [d, n, t, b] = [i % width, Math.floor(i / width) % N, Math.floor(i / (width * N)) % T, Math.floor(i / (width * N * T))];
      return id === ((b * N + n) * T + t) * width + d;
    });
  for (;;) {
    const readers = read.get(value) ?? [];
    const [node] = readers;
    if (readers.length !== 1 || !isMove(node)) return joined;
    value = node.outputs[0] as string;
    layout = applyMove(layout, node, types.get(value)?.shape ?? []);
    if (inPlace(layout)) joined = value;
  }
}
