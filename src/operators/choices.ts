import * as attr from "../onnx/attributes.ts";
import { normalizeAxis } from "../onnx/builder.ts";
import { axisOf, zero } from "./arithmetic.ts";
import { type AxisRule, type Call, pick } from "./axis-rules.ts";
import { takenAlong, takenFrom } from "./lookups.ts";
import type { GradientRule, Operator } from "./operator.ts";
import { refuse } from "./refuse.ts";

/** Entries are chosen by their size: which are is a step, and has no slope; what was chosen has that of its place. */
const topK: GradientRule = (b, { node, inputs: [x], outputs }, dy) => {
  const places = (outputs as readonly (typeof x | null | undefined)[])[1];
  if (!places) return refuse(node, "TopK whose places nobody asks for has no gradient rule");
  return [takenAlong(b, x, places, normalizeAxis(attr.intOf(node, "axis", -1), x.shape.length), dy), null];
};

const topKAxes: AxisRule = (call) => {
  const x = pick(call, "x", 0);
  const at = normalizeAxis(attr.intOf(call.node, "axis", -1), x.length);
  for (const y of call.y) for (const [i, a] of x.entries()) if (i !== at) call.same(a, y[i]);
  call.weigh([x[at]]);
  call.givesPlaces(1, x[at]);
};

/** What was written over has no part in what comes of it. */
const scatterElements: GradientRule = (b, { node, inputs: [data, indices, updates] }, dy) => {
  const axis = axisOf(node, data, 0);
  const reduction = attr.stringOf(node, "reduction") ?? "none";
  const taken = b.gatherElements(dy, indices, axis);
  if (reduction === "add") return [dy, null, taken];
  if (reduction !== "none") return refuse(node, `ScatterElements that takes the "${reduction}" has no gradient rule`);
  const none = b.expand(zero(b, updates), updates.shape);
  return [b.op("ScatterElements", [dy, indices, none], data.shape, { axis: attr.int(axis) }), null, taken];
};

const scatterElementsAxes: AxisRule = (call) => {
  const [data, indices, updates, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "x", 2), pick(call, "y", 0)];
  const at = normalizeAxis(attr.intOf(call.node, "axis", 0), data.length);
  for (const [i, a] of data.entries()) call.same(a, y[i]);
  for (const [i, a] of indices.entries()) call.same(a, updates[i]);
  takenFrom(call, data[at]);
  for (const [i, a] of data.entries())
    if (i !== at) {
      if (a.size === indices[i]?.size) call.same(a, indices[i]);
      else call.freeze([a, indices[i]]);
    }
};

/** One more axis, of the places that the indices name. */
const oneHotAxes: AxisRule = (call) => {
  const [indices, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  const at = normalizeAxis(attr.intOf(call.node, "axis", -1), y.length);
  for (const [i, a] of indices.entries()) call.same(a, y[i < at ? i : i + 1]);
  const of = call.placesOf(0);
  if (of) call.same(of, y[at]);
  else call.freeze([y[at]]);
};

const along = (fallback: number) => (node: Call["node"]) => attr.intOf(node, "axis", fallback);

/** What sends each token to a few of many, by a score of each. */
export const choices = {
  TopK: { gradient: topK, axes: topKAxes, tokenWise: false, mixesAlong: along(-1), chooses: along(-1), shapeOperands: [1] },
  ScatterElements: { gradient: scatterElements, axes: scatterElementsAxes, tokenWise: false, mixesAlong: along(0) },
  OneHot: {
    gradient: "none",
    axes: oneHotAxes,
    tokenWise: true,
    shapeOperands: [1],
    shapesAfter: (r) => {
      const depth = r.ints(1);
      const y = r.y[0] ?? [];
      return depth && [[1, depth.map(() => y.at(normalizeAxis(attr.intOf(r.node, "axis", -1), y.length)) ?? 0)]];
    },
  },
} satisfies Record<string, Operator>;
