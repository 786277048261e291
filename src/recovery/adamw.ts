import { GraphBuilder } from "../onnx/builder.ts";
import type { TypedGraph } from "../onnx/ir.ts";
import { type Held, hold, InPlaceSession } from "../runtime/in-place.ts";
import type { TensorValue } from "../runtime/session.ts";

/** Of the two moments, and what keeps a root from 0: the first two as language models are trained (GPT-3, Llama). */
export const adamw = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 } as const;

/** Numbers of one run, at most: what is worked out in between is a few times as large. */
const mostAtOnce = 1 << 20;

/** How long vectors of so many numbers are made, so that they are whole runs. */
export const paddedLength = (count: number): number => (count <= mostAtOnce ? count : Math.ceil(count / mostAtOnce) * mostAtOnce);

/** What a step is made with. */
export interface StepSize {
  /** From 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** What gradients are multiplied with before all else. */
  readonly gradientScale: number;
}

/** One vector each, of `paddedLength` numbers. */
export interface Vectors {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/**
 * AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101), written into the vectors that it reads:
 *
 *     g = scale * gradient,  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
 *     w = w (1 - rate decay) - rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + e)
 */
export class Adamw {
  private constructor(
    private readonly session: InPlaceSession,
    private readonly pieces: readonly { readonly feeds: Held; readonly into: Held }[],
  ) {}

  static async open(vectors: Vectors, executionProvider: "CPU" | "CUDA"): Promise<Adamw> {
    const total = vectors.weights.length;
    const size = Math.min(total, mostAtOnce);
    const { graph, outputs } = updateGraph(size);
    const session = await InPlaceSession.open(modelOf(graph), "", { executionProvider });
    const pieces = Array.from({ length: total / size }, (_, i) => {
      const piece = (v: Float32Array): TensorValue => ({ dataType: "float32", dims: [size], data: v.subarray(i * size, (i + 1) * size) });
      const { weights, gradients, first, second } = vectors;
      return {
        feeds: hold({ w: piece(weights), g: piece(gradients), m: piece(first), v: piece(second) }),
        into: hold({ [outputs.w]: piece(weights), [outputs.m]: piece(first), [outputs.v]: piece(second) }),
      };
    });
    return new Adamw(session, pieces);
  }

  async step({ step, learningRate, weightDecay, gradientScale }: StepSize): Promise<void> {
    const numbers: Readonly<Record<Scalar, number>> = {
      scale: gradientScale,
      keep: 1 - learningRate * weightDecay,
      rate: learningRate / (1 - adamw.beta1 ** step),
      correction: 1 / Math.sqrt(1 - adamw.beta2 ** step),
    };
    const held = hold(
      Object.fromEntries(scalars.map((name) => [name, { dataType: "float32", dims: [1], data: Float32Array.of(numbers[name]) }])),
    );
    for (const { feeds, into } of this.pieces) await this.session.run({ ...feeds, ...held }, into);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const scalars = ["scale", "keep", "rate", "correction"] as const;
type Scalar = (typeof scalars)[number];

/** @param size numbers of a vector */
function updateGraph(size: number): { readonly graph: TypedGraph; readonly outputs: Readonly<Record<"w" | "m" | "v", string>> } {
  const b = GraphBuilder.empty({ "": 17 }, "adamw");
  const [w, gradient, m, v] = (["w", "g", "m", "v"] as const).map((name) => b.input(name, "float32", [size])) as never as [
    Value,
    Value,
    Value,
    Value,
  ];
  const [scale, keep, rate, correction] = scalars.map((name) => b.input(name, "float32", [1])) as never as [Value, Value, Value, Value];
  const { beta1, beta2, epsilon } = adamw;
  const g = b.mul(gradient, scale);
  const first = b.add(b.mul(m, b.scalar(beta1)), b.mul(g, b.scalar(1 - beta1)));
  const second = b.add(b.mul(v, b.scalar(beta2)), b.mul(b.mul(g, g), b.scalar(1 - beta2)));
  const divisor = b.add(b.mul(b.sqrt(second), correction), b.scalar(epsilon));
  const weights = b.sub(b.mul(w, keep), b.div(b.mul(first, rate), divisor));
  return { graph: b.build([weights, first, second]), outputs: { w: weights.name, m: first.name, v: second.name } };
}
type Value = ReturnType<GraphBuilder["input"]>;

const modelOf = ({ graph, opsets }: TypedGraph) => ({
  irVersion: 9,
  opsets,
  producerName: "espalier",
  producerVersion: "",
  metadata: {},
  graph,
});
