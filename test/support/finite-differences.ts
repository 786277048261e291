import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { encode } from "../../src/onnx/encode.ts";
import { sizeOf, type TypedGraph } from "../../src/onnx/ir.ts";
import type { Operators } from "../../src/operators/operator.ts";
import { type Random, seededRandom, shuffled } from "../../src/random.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";

/** One use of an operator: the shapes of its differentiable inputs, where their elements lie, and how it is called. */
export interface Row {
  readonly operator: string;
  /** What sets this row apart from others of its operator. */
  readonly form?: string;
  readonly shapes: readonly (readonly number[])[];
  /** Elements lie in it, all of them apart by far more than the step of the difference; (-1, 1) unless told otherwise. */
  readonly domain?: readonly [number, number];
  readonly opset?: number;
  /** Calls the operator; several results are joined into one, each with a weight of its own. */
  make(b: GraphBuilder, ...xs: Value[]): Value;
}

export const titleOf = ({ operator, form }: Row): string => (form ? `${operator}, ${form}` : operator);

const STEP = 1 / 128;

export const bytesOf = (typed: TypedGraph): Uint8Array =>
  encode({ irVersion: 8, opsets: typed.opsets, producerName: "espalier", producerVersion: "", metadata: {}, graph: typed.graph });

export const floats = (dims: readonly number[], data: ArrayLike<number>): TensorValue<Float32Array> => ({
  dataType: "float32",
  dims,
  data: Float32Array.from(data),
});

/** Runs a graph once and gives its outputs in order. */
export async function evaluate(typed: TypedGraph, feeds: Readonly<Record<string, TensorValue>>): Promise<Float32Array[]> {
  const session = await openSession({ bytes: bytesOf(typed) }, { executionProvider: "CPU", threads: 1, lean: true });
  try {
    const results = await session.run(feeds);
    return session.outputs.map((o) => (results[o.name] as TensorValue<Float32Array>).data);
  } finally {
    await session.close();
  }
}

/** The row's graph as made, with its inputs x0, x1, ... */
export function primalOf(row: Row): { b: GraphBuilder; xs: Value[]; y: Value } {
  const b = GraphBuilder.empty({ "": row.opset ?? 17, "com.microsoft": 1 });
  const xs = row.shapes.map((shape, i) => b.input(`x${i}`, "float32", shape));
  return { b, xs, y: row.make(b, ...xs) };
}

/** Distinct values at the middles of equal cells of the domain: no two within a cell, none on a bound, none at 0 if symmetric. */
export function points(row: Row, random: Random): Float32Array[] {
  const [low, high] = row.domain ?? [-1, 1];
  const total = row.shapes.reduce((n, s) => n + sizeOf(s), 0);
  const cells = total + (total % 2);
  const all = shuffled(
    random,
    Array.from({ length: cells }, (_, i) => low + ((i + 0.5) / cells) * (high - low)),
  );
  return row.shapes.map((s) => Float32Array.from(all.splice(0, sizeOf(s))));
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, v, i) => sum + v * (b[i] as number), 0);

/**
 * Relative difference between the two sides of `<Jv, Jv> = <v, J^T Jv>` for each input on its own: `Jv` by central
 * differences, `J^T` by the table. With `Jv` itself as the cotangent the left side is a norm, so an error in any
 * direction that matters shows.
 */
export async function relativeErrors(row: Row, table: Operators, seed: number): Promise<number[]> {
  const random = seededRandom(seed, titleOf(row));
  const { b: primal, xs, y } = primalOf(row);
  const forward = primal.build([y]);
  const b = new GraphBuilder(lower(forward), "gradient");
  const dy = b.input("dy", "float32", y.shape);
  const { uses } = backward(
    b,
    new Map([[y.name, dy]]),
    xs.map((x) => x.name),
    table,
  );
  const gradients = xs.map((x) => gradientOf(b, x, uses.get(x.name)) ?? b.expand(b.scalar(0), x.shape));
  const backwards = b.build(gradients);

  const at = points(row, random);
  const errors: number[] = [];
  for (const [i, x] of xs.entries()) {
    const direction = Float32Array.from({ length: sizeOf(x.shape) }, () => (random() < 0.5 ? -1 : 1) * (0.5 + random() / 2));
    const feeds = (step: number) =>
      Object.fromEntries(
        at.map((values, k) => [
          `x${k}`,
          floats(row.shapes[k] as number[], k === i ? values.map((v, j) => v + step * (direction[j] as number)) : values),
        ]),
      );
    const [[above], [below]] = [await evaluate(forward, feeds(STEP)), await evaluate(forward, feeds(-STEP))] as [
      [Float32Array],
      [Float32Array],
    ];
    const jv = above.map((v, j) => (v - (below[j] as number)) / (2 * STEP));
    const results = await evaluate(backwards, { ...feeds(0), dy: floats(y.shape, jv) });
    const numeric = dot(jv, jv);
    errors.push(Math.abs(dot(results[i] as Float32Array, direction) - numeric) / numeric);
  }
  return errors;
}
