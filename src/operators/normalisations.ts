import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { type Node, sizeAt } from "../onnx/ir.ts";
import { inverse, optional, plus } from "./arithmetic.ts";
import { freezesAll, fromAxis, mixing } from "./axis-rules.ts";
import { layerNorm, normOf, rmsNorm } from "./norms.ts";
import type { LoweringRule, Operator, Primal } from "./operator.ts";
import { positionsFrom } from "./rotary.ts";

const lastAxis = (node: Node, x: Value) => ({ axes: [x.shape.length - 1], epsilon: attr.floatOf(node, "epsilon", 1e-12) });

const rms: LoweringRule = (b, { node, inputs: [x, scale] }) => {
  const { y, deviation } = rmsNorm(b, x, scale, normOf(node, x, 1e-5));
  return [y, node.outputs[1] ? inverse(b, deviation) : null];
};

/** The norm of `input + skip + bias`, and that sum, which carries on as the residual stream. */
const skipNorm =
  (norm: (b: GraphBuilder, sum: Value, primal: Primal) => Value, biasAt: number): LoweringRule =>
  (b, primal) => {
    const [x, skip] = primal.inputs;
    const sum = plus(b, b.add(x, skip), optional(primal, biasAt));
    return [norm(b, sum, primal), null, null, sum];
  };

/** The sum of token, position and segment embeddings, and its norm. Its mask counts tokens, which nothing here needs. */
const embedNorm: LoweringRule = (b, primal) => {
  const [tokens, segments, words] = primal.inputs;
  const [positionTable, segmentTable, gamma, beta] = [3, 4, 5, 6].map((i) => optional(primal, i)) as [Value, Value | null, Value, Value];
  const at = optional(primal, 8) ?? positionsFrom(b, 0, sizeAt(tokens.shape, 1));
  const placed = b.add(b.gather(words, tokens), b.gather(positionTable, at));
  const sum = segmentTable ? b.add(placed, b.gather(segmentTable, segments)) : placed;
  return [layerNorm(b, sum, gamma, beta, lastAxis(primal.node, sum)).y, null, sum];
};

/**
 * `norm(input + bias + skip)` in one node becomes the sums and the norm. Outputs: the norm, its mean and inverse deviation,
 * and the sum. The bias is that of the product before, so it is added to its side.
 *
 * Source: ONNX Runtime, docs/ContribOperators.md. ONNX Runtime fuses the parts again when it loads the graph.
 */
const unfusedSkip =
  (opType: string, biasInput: number): NonNullable<Operator["unfused"]> =>
  (node) => {
    const [input = "", skip = "", ...rest] = node.inputs;
    const bias = node.inputs[biasInput] ?? "";
    const [output = "", mean = "", inverse = "", sumOutput = ""] = node.outputs;
    const sum = sumOutput || `${node.name}/sum`;
    const add = (part: string, a: string, b: string, out: string): Node => ({
      name: `${node.name}/${part}`,
      opType: "Add",
      domain: "",
      inputs: [a, b],
      outputs: [out],
      attributes: {},
    });
    const biased = bias === "" ? input : `${node.name}/biased`;
    const outputs = [output, mean, inverse].filter((name, i) => i === 0 || name !== "");
    return [
      ...(bias === "" ? [] : [add("bias", input, bias, biased)]),
      add("skip", biased, skip, sum),
      { ...node, opType, domain: "", inputs: [sum, ...rest.slice(0, biasInput - 2)].filter((name) => name !== ""), outputs },
    ];
  };

const normalises = (lower: LoweringRule, more: Partial<Operator> = {}): Operator => ({
  gradient: { lower },
  axes: mixing(fromAxis(-1)),
  tokenWise: true,
  weights: "element",
  ...more,
});

/** They normalise the last axes of the first input; other inputs are terms, scales and biases. */
export const normalisations = {
  LayerNormalization: normalises((b, primal) => {
    const [x, scale] = primal.inputs;
    const { y, centre, deviation } = layerNorm(b, x, scale, optional(primal, 2), normOf(primal.node, x, 1e-5));
    return [y, centre, primal.node.outputs[2] ? inverse(b, deviation) : null];
  }),
  SimplifiedLayerNormalization: normalises(rms),
  RMSNormalization: normalises(rms),
  "com.microsoft::SkipLayerNormalization": normalises(
    skipNorm((b, sum, primal) => layerNorm(b, sum, primal.inputs[2], optional(primal, 3), lastAxis(primal.node, sum)).y, 4),
    { unfused: unfusedSkip("LayerNormalization", 4) },
  ),
  "com.microsoft::SkipSimplifiedLayerNormalization": normalises(
    skipNorm((b, sum, primal) => rmsNorm(b, sum, primal.inputs[2], lastAxis(primal.node, sum)).y, 3),
    { unfused: unfusedSkip("SimplifiedLayerNormalization", 3) },
  ),
  "com.microsoft::EmbedLayerNormalization": { gradient: { lower: embedNorm }, axes: freezesAll, tokenWise: false },
} satisfies Record<string, Operator>;
