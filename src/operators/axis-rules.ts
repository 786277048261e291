import { intOf } from "../onnx/attributes.ts";
import { normalizeAxis } from "../onnx/builder.ts";
import type { Node } from "../onnx/ir.ts";
import type { Axis } from "./axis.ts";

/** An operator call as its rule of axes sees it. */
export interface Call {
  readonly node: Node;
  readonly opset: number;
  /** Axes of each input and output; those of an absent one are []. */
  readonly x: readonly (readonly Axis[])[];
  readonly y: readonly (readonly Axis[])[];
  /** The elements of an input that states a shape; null if it is absent or depends on the data. */
  ints(input: number): readonly number[] | null;
  same(a: Axis | undefined, b: Axis | undefined): void;
  freeze(axes: readonly (Axis | undefined)[]): void;
  /** Its entries are weighed against each other. */
  weigh(axes: readonly (Axis | undefined)[]): void;
  /** The axis whose places an input's elements are; undefined where that is not known. */
  placesOf(input: number): Axis | undefined;
  /** Says that an output's elements are places along an axis. */
  givesPlaces(output: number, of: Axis | undefined): void;
}

/** What an operator does to axes: which are the same, and which cannot lose an entry. */
export type AxisRule = (call: Call) => void;

/** Axes of an operand; of one that is absent, none. */
export const pick = (call: Call, side: "x" | "y", i: number): readonly Axis[] => call[side][i] ?? [];

/** Axes from the last on; those of size 1 are broadcast. */
export function broadcast(call: Call, from: readonly Axis[], to: readonly Axis[]): void {
  for (const [i, a] of from.entries()) {
    const b = to[to.length - from.length + i];
    if (b && a.size === b.size) call.same(a, b);
  }
}

/** Each entry of the results follows from the entries at its place in the operands. */
export const elementwise: AxisRule = (call) => {
  for (const y of call.y) for (const x of call.x) broadcast(call, x, y);
};

/** Elementwise but for one axis, whose entries are mixed with each other: none of them can go. */
export const mixing =
  (axesOf: (call: Call, rank: number) => readonly number[]): AxisRule =>
  (call) => {
    elementwise(call);
    const x = pick(call, "x", 0);
    call.freeze(axesOf(call, x.length).map((a) => x[normalizeAxis(a, x.length)]));
  };

/** Elementwise but for axes whose entries are weighed against each other. */
export const weighing =
  (axesOf: (call: Call, rank: number) => readonly number[]): AxisRule =>
  (call) => {
    elementwise(call);
    const x = pick(call, "x", 0);
    call.weigh(axesOf(call, x.length).map((a) => x[normalizeAxis(a, x.length)]));
  };

/** All axes from that of the attribute `axis` on. */
export const fromAxis: (fallback: number) => (call: Call, rank: number) => readonly number[] = (fallback) => (call, rank) => {
  const first = normalizeAxis(intOf(call.node, "axis", fallback), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
};

/** Results whose entries say nothing about where others lie: shapes, ranges, constants. */
export const unrelated: AxisRule = () => {};

/** Nothing is known of where entries come to lie, so none can go. */
export const freezesAll: AxisRule = (call) => call.freeze([...call.x, ...call.y].flat());
