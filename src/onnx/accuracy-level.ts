import * as attr from "./attributes.ts";
import { type Model, type Node, operatorKey } from "./ir.ts";

/** Levels of accuracy of products of codes: none stated, what they are given as it is, and rounded to 8 bits. */
const [unset, float32, int8] = [0, 1, 4];

/**
 * The same graph, whose products of codes keep what they are given as it is: slower, and for who holds two graphs against each other. At other accuracy levels they
 * round it to 8 bits, and a difference of a last bit becomes one of a hundredth within some layers.
 *
 * @returns the model itself if there is nothing to change
 */
export const atFullPrecision = (model: Model): Model => atLevel(model, float32, (level) => level > float32);

/**
 * The same graph, whose products of codes that state no accuracy level round what they are given to 8 bits. ONNX Runtime would unpack their weights in each run, which takes
 * up to thirty times as long.
 *
 * @returns the model itself if there is nothing to change
 */
export const atFastLevel = (model: Model): Model => atLevel(model, int8, (level, { inputs }) => level === unset && inputs.length <= 4);

function atLevel(model: Model, to: number, isOther: (level: number, node: Node) => boolean): Model {
  const { graph } = model;
  const changed = new Set(
    graph.nodes.filter((n) => operatorKey(n) === "com.microsoft::MatMulNBits" && isOther(attr.intOf(n, "accuracy_level", unset), n)),
  );
  if (changed.size === 0) return model;
  const nodes = graph.nodes.map((n) => (changed.has(n) ? { ...n, attributes: { ...n.attributes, accuracy_level: attr.int(to) } } : n));
  return { ...model, graph: { ...graph, nodes } };
}
