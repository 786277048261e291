import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { renameValues } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { seededRandom } from "../../src/random.ts";

/** How a block is put together; each is the way of a real family of models. */
export const blocks = [
  "sequential",
  "parallel",
  "parallel, MLP first",
  "parallel, summed first",
  "sandwich",
  "gelu",
  "post-norm",
  "attention",
  "mlp",
] as const;
export type Block = (typeof blocks)[number];
export type Head = "untied" | "shared" | "copied" | "transposed";

export const batch = 2;
export const tokens = 5;
export const vocabulary = 16;
const hidden = 8;
const inner = 12;

/** A causal language model without a cache: input_ids [2, 5] to logits [2, 5, 16], with random weights from a fixed seed. */
export function tinyModel(blocks: readonly Block[], head: Head = "untied"): Model {
  const random = seededRandom(7);
  const b = GraphBuilder.empty();
  const weight = (name: string, dims: readonly number[]): Value =>
    b.constant(
      float32Tensor(
        name,
        dims,
        Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => random() - 0.5),
      ),
    );
  const linear = (name: string, x: Value, width: number) =>
    b.add(b.matMul(x, weight(`${name}.weight`, [x.shape.at(-1) as number, width])), weight(`${name}.bias`, [width]));
  const norm = (name: string, x: Value): Value => {
    const meanSquare = b.op("ReduceMean", [b.mul(x, x)], [...x.shape.slice(0, -1), 1], {
      axes: { kind: "ints", value: [-1n] },
      keepdims: { kind: "int", value: 1n },
    });
    return b.mul(b.div(x, b.sqrt(b.add(meanSquare, b.scalar(1e-5)))), weight(`${name}.norm`, [hidden]));
  };

  const rotary = b.gather(weight("rotary", [32, hidden]), b.ints(Array.from({ length: tokens }, (_, t) => t)));
  const mask = b.constant(
    float32Tensor(
      "mask",
      [tokens, tokens],
      Array.from({ length: tokens ** 2 }, (_, i) => (i % tokens <= i / tokens ? 0 : -1e9)),
    ),
  );
  const attention = (name: string, x: Value): Value => {
    const turned = (v: Value) => b.add(b.mul(v, rotary), v);
    const [q, k, v] = ["q", "k", "v"].map((part) => linear(`${name}.${part}`, x, hidden)) as [Value, Value, Value];
    const weights = b.softmax(b.add(b.matMul(turned(q), b.transpose(turned(k), [0, 2, 1])), mask));
    return linear(`${name}.o`, b.matMul(weights, v), hidden);
  };
  const gelu = (x: Value): Value => {
    const cubic = b.add(x, b.mul(b.pow(x, b.scalar(3)), b.scalar(0.044715)));
    return b.mul(b.mul(x, b.scalar(0.5)), b.add(b.tanh(b.mul(cubic, b.scalar(Math.sqrt(2 / Math.PI)))), b.scalar(1)));
  };
  const mlp = (name: string, x: Value, activation = b.tanh): Value =>
    linear(`${name}.down`, activation(linear(`${name}.up`, x, inner)), hidden);

  const make: Record<Block, (l: string, x: Value) => Value> = {
    sequential: (l, x) => make.mlp(l, make.attention(l, x)),
    attention: (l, x) => b.add(x, attention(`${l}.attention`, norm(`${l}.first`, x))),
    mlp: (l, x) => b.add(mlp(`${l}.mlp`, norm(`${l}.second`, x)), x),
    gelu: (l, x) => {
      const y = make.attention(l, x);
      return b.add(y, mlp(`${l}.mlp`, norm(`${l}.second`, y), gelu));
    },
    parallel: (l, x) => {
      const n = norm(l, x);
      return b.add(b.add(x, attention(`${l}.attention`, n)), mlp(`${l}.mlp`, n));
    },
    "parallel, MLP first": (l, x) => {
      const n = norm(l, x);
      return b.add(attention(`${l}.attention`, n), b.add(mlp(`${l}.mlp`, n), x));
    },
    "parallel, summed first": (l, x) => {
      const n = norm(l, x);
      return b.add(b.add(mlp(`${l}.mlp`, n), attention(`${l}.attention`, n)), x);
    },
    sandwich: (l, x) => {
      const y = b.add(x, norm(`${l}.second`, attention(`${l}.attention`, norm(`${l}.first`, x))));
      return b.add(y, norm(`${l}.fourth`, mlp(`${l}.mlp`, norm(`${l}.third`, y))));
    },
    "post-norm": (l, x) => {
      const y = norm(`${l}.first`, b.add(x, attention(`${l}.attention`, x)));
      return norm(`${l}.second`, b.add(y, mlp(`${l}.mlp`, y)));
    },
  };

  const ids = b.input("input_ids", "int64", [batch, tokens]);
  const table = weight("embedding", [vocabulary, hidden]);
  const positions = b.gather(weight("positions", [32, hidden]), b.ints(Array.from({ length: tokens }, (_, t) => t)));
  const last = blocks.reduce((x, block, l) => make[block](`layers.${l}`, x), b.add(b.gather(table, ids), positions));

  const values = floats(table);
  const heads: Record<Head, () => Value> = {
    untied: () => weight("head", [hidden, vocabulary]),
    shared: () => b.transpose(table),
    copied: () => b.transpose(b.constant(float32Tensor("head", [vocabulary, hidden], values))),
    transposed: () =>
      b.constant(
        float32Tensor(
          "head",
          [hidden, vocabulary],
          values.map((_, i) => values[(i % vocabulary) * hidden + Math.floor(i / vocabulary)] as number),
        ),
      ),
  };
  const logits = b.matMul(norm("last", last), heads[head]());
  const { graph, opsets } = b.build([logits]);
  return {
    irVersion: 8,
    opsets,
    producerName: "",
    producerVersion: "",
    metadata: {},
    graph: renameValues(graph, new Map([[logits.name, "logits"]])),
  };

  function floats(value: Value): number[] {
    const data = b.initializer(value.name)?.data;
    if (data?.kind !== "inline") throw new Error(`"${value.name}" is not inline`);
    return [...new Float32Array(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength / 4)];
  }
}
