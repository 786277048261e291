import * as attr from "./attributes.ts";
import { type Model, operatorKey } from "./ir.ts";

/** At which products of codes keep the numbers that they are given as they are. */
const float32 = 1;

/**
 * The same graph, whose products of codes keep what they are given as it is: slower, and for who holds two graphs against each other. At other accuracy levels they
 * round it to 8 bits, and a difference of a last bit becomes one of a hundredth within some layers.
 *
 * @returns the model itself if there is nothing to change
 */
export function atFullPrecision(model: Model): Model {
  const { graph } = model;
  const isRough = new Set(
    graph.nodes.filter((n) => operatorKey(n) === "com.microsoft::MatMulNBits" && attr.intOf(n, "accuracy_level", 0) > float32),
  );
  if (isRough.size === 0) return model;
  const nodes = graph.nodes.map((n) => (isRough.has(n) ? { ...n, attributes: { ...n.attributes, accuracy_level: attr.int(float32) } } : n));
  return { ...model, graph: { ...graph, nodes } };
}
