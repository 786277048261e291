import { GraphBuilder, type Value } from "../onnx/builder.ts";
import { dataTypes, type TypedGraph } from "../onnx/ir.ts";
import { seededRandom } from "../random.ts";

/** How hidden states become one vector of a text, and whether that is brought to length 1: what a graph does with a gradient. */
export interface GraphPooling {
  readonly mode: "MEAN" | "CLS";
  readonly normalize: boolean;
}

/** Directions in which vectors are read. */
export const directions = 256;

/** Under a root or a divisor, so that a vector of zeros has a length and a gradient. */
const tiny = 1e-12;

/**
 * Adds to a graph that gives hidden states [B, T, H], or vectors of texts [B, H], what those vectors read along fixed random directions: pooled and, if the
 * model does so, brought to length 1. Each direction has as many signs as the vector has numbers, over the root of that.
 *
 * @param answer the hidden states or vectors
 * @param mask the input [B, T] of integers that is 1 where there is a token
 * @returns the graph, and the name of the readings [B, directions]
 */
export function withReadout(
  typed: TypedGraph,
  answer: string,
  mask: string,
  pooling: GraphPooling,
): { typed: TypedGraph; readings: string } {
  const b = new GraphBuilder(typed, "readout");
  const hidden = b.value(answer);
  const vector = hidden.shape.length === 2 ? hidden : pooled(b, hidden, b.value(mask), pooling.mode);
  const [B, H] = vector.shape as [number, number];
  const length = b.sqrt(b.add(b.reduceSum(b.mul(vector, vector), [1]), b.scalar(tiny)));
  const random = seededRandom(0, "readout");
  const signs = Array.from({ length: H * directions }, () => (random() < 0.5 ? -1 : 1) / Math.sqrt(H));
  const readings = b.matMul(pooling.normalize ? b.div(vector, length) : vector, b.floats(signs, [H, directions]));
  return { typed: b.build([b.reshape(readings, [B, directions])]), readings: readings.name };
}

function pooled(b: GraphBuilder, hidden: Value, mask: Value, mode: GraphPooling["mode"]): Value {
  const [B, T, H] = hidden.shape as [number, number, number];
  if (mode === "CLS") return b.reshape(b.gather(hidden, b.ints([0]), 1), [B, H]);
  const seen = b.reshape(b.cast(mask, "float32", dataTypes.float32.onnx), [B, T, 1]);
  return b.div(b.reduceSum(b.mul(hidden, seen), [1], false), b.add(b.reduceSum(seen, [1], false), b.scalar(tiny)));
}
