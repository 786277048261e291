import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { discover } from "../../src/structures/discover.ts";
import { readModel, testModels } from "../support/models.ts";
import { type Block, tinyModel } from "../support/tiny-models.ts";

/** Layers, parameters of the whole, of an attention and of an MLP with their norms: from the models' config.json by hand. */
const known: Record<string, [layers: number, whole: number, attention: number, mlp: number]> = {
  ahab: [12, 1_415_520, 2 * 96 * 96 + 2 * 96 * 48 + 96, 3 * 96 * 256 + 96],
  "tinystories-656k": [2, 656_000, 2 * 128 * 128 + 2 * 128 * 64 + 128, 3 * 128 * 384 + 128],
  stories260k: [5, 260_032, 2 * 64 * 64 + 2 * 64 * 32 + 64, 3 * 64 * 172 + 64],
};

/** These models hold their weights inline. */
const read = tensorReader(".");

describe("discover", () => {
  for (const { name, folder, skip } of testModels)
    it(`finds the layers, attentions and MLPs of ${name}`, { skip }, () => {
      const [layers, whole, attention, mlp] = known[name] as (typeof known)[string];
      const found = discover(readModel(folder), read);
      assert.equal(found.parameterCount, whole);
      assert.equal(found.anatomy.logits, "logits");
      const counts = (kind: string) => found.structures.filter((s) => s.kind === kind).map((s) => s.parameterCount);
      assert.deepEqual(counts("LAYER"), Array(layers).fill(attention + mlp));
      assert.deepEqual(counts("ATTENTION"), Array(layers).fill(attention));
      assert.deepEqual(counts("MLP"), Array(layers).fill(mlp));
      assert.deepEqual(
        found.structures.map((s) => s.layer),
        found.structures.map((s) => s.index),
      );
    });
});

const H = 6;

/** A small language model around `layer`, which adds its branches to the stream. */
function modelAround(layers: ((b: GraphBuilder, x: Value, weight: (rows: number, columns: number) => Value) => Value)[]): Model {
  const b = GraphBuilder.empty();
  let n = 0;
  const weight = (rows: number, columns: number) =>
    b.constant(
      float32Tensor(
        `w${n++}`,
        [rows, columns],
        Array.from({ length: rows * columns }, (_, i) => Math.sin(i + n)),
      ),
    );
  const tokens = b.input("input_ids", "int64", [2, 3]);
  const table = b.constant(
    float32Tensor(
      "table",
      [11, H],
      Array.from({ length: 11 * H }, (_, i) => Math.cos(i)),
    ),
  );
  let x = b.gather(table, tokens);
  for (const layer of layers) x = layer(b, x, weight);
  const logits = b.matMul(x, weight(H, 11));
  const { graph, opsets } = b.build([logits]);
  const named = {
    ...graph,
    outputs: graph.outputs.map((o) => ({ ...o, name: "logits" })),
    nodes: graph.nodes.map((node) => ({ ...node, outputs: node.outputs.map((o) => (o === logits.name ? "logits" : o)) })),
  };
  return { irVersion: 8, opsets, producerName: "", producerVersion: "", metadata: {}, graph: named };
}

type Layer = Parameters<typeof modelAround>[0][number];

const attend: Layer = (b, x, w) => {
  const scores = b.softmax(b.matMul(b.matMul(x, w(H, 4)), b.transpose(b.matMul(x, w(H, 4)))));
  return b.matMul(b.matMul(scores, b.matMul(x, w(H, 5))), w(5, H));
};
/** With the cubic term of GELU's approximation, whose sum is no residual addition. */
const gelu: Layer = (b, x, w) => {
  const h = b.matMul(x, w(H, 7));
  const inner = b.add(h, b.mul(b.mul(b.mul(h, h), h), b.scalar(0.044715)));
  return b.matMul(b.mul(h, b.tanh(inner)), w(7, H));
};
const biased =
  (branch: Layer): Layer =>
  (b, x, w) => {
    const bias = b.constant(float32Tensor(`bias${b.nodes.length}`, [H], [1, 2, 3, 4, 5, 6]));
    return b.add(branch(b, x, w), bias);
  };
const normed =
  (branch: Layer): Layer =>
  (b, x, w) => {
    const y = branch(b, x, w);
    const scale = b.constant(float32Tensor(`scale${b.nodes.length}`, [H], [6, 5, 4, 3, 2, 1]));
    return b.mul(b.div(y, b.sqrt(b.reduceSum(b.mul(y, y), [-1]))), scale);
  };
const sequential =
  (...branches: Layer[]): Layer =>
  (b, x, w) =>
    branches.reduce((stream, branch) => b.add(stream, branch(b, stream, w)), x);
const parallel =
  (...branches: Layer[]): Layer =>
  (b, x, w) =>
    b.add(branches.map((branch) => branch(b, x, w)).reduce(b.add), x);

const attentionSize = 2 * H * 4 + 2 * H * 5;
const mlpSize = 2 * H * 7;
const shapes: [name: string, layers: Layer[], counts: Record<string, number[]>][] = [
  [
    "attention and MLP in turn",
    [sequential(attend, gelu), sequential(attend, gelu)],
    { LAYER: [attentionSize + mlpSize, attentionSize + mlpSize], ATTENTION: [attentionSize, attentionSize], MLP: [mlpSize, mlpSize] },
  ],
  [
    "attention and MLP in parallel",
    [parallel(gelu, attend), parallel(attend, gelu)],
    { LAYER: [attentionSize + mlpSize, attentionSize + mlpSize], ATTENTION: [attentionSize, attentionSize], MLP: [mlpSize, mlpSize] },
  ],
  [
    "biases, which belong to their branch",
    [sequential(biased(attend), biased(gelu)), sequential(attend)],
    { LAYER: [attentionSize + mlpSize + 2 * H, attentionSize], ATTENTION: [attentionSize + H, attentionSize], MLP: [mlpSize + H] },
  ],
  [
    "norms after the branch as well",
    [sequential(normed(attend), normed(gelu)), sequential(normed(attend))],
    { LAYER: [attentionSize + mlpSize + 2 * H, attentionSize + H], ATTENTION: [attentionSize + H, attentionSize + H], MLP: [mlpSize + H] },
  ],
  [
    "several MLPs to an attention",
    [sequential(attend, gelu, gelu), sequential(attend)],
    { LAYER: [attentionSize + 2 * mlpSize, attentionSize], ATTENTION: [attentionSize, attentionSize], MLP: [mlpSize, mlpSize] },
  ],
];

describe("discover, on graphs of every layout,", () => {
  for (const [name, layers, counts] of shapes)
    it(`finds ${name}`, () => {
      const found = discover(modelAround(layers), read);
      for (const [kind, sizes] of Object.entries(counts))
        assert.deepEqual(
          found.structures.filter((s) => s.kind === kind).map((s) => s.parameterCount),
          sizes,
          kind,
        );
    });

  it("refuses a graph in which nothing is added to a stream", () => {
    assert.throws(() => discover(modelAround([attend, gelu]), read), { code: "NO_STRUCTURES" });
  });

  it("does not offer a model's only attention", () => {
    const kinds = discover(modelAround([sequential(attend, gelu)]), read).structures.map((s) => s.kind);
    assert.deepEqual(kinds, ["MLP"]);
  });

  it("looks at what lies beside the path once, however many branches there are", () => {
    const model = tinyModel(Array<Block>(60).fill("attention"));
    const aside = Array.from({ length: 150_000 }, (_, i) => ({
      opType: "Neg",
      domain: "",
      name: `aside/${i}`,
      inputs: ["input_ids"],
      outputs: [`aside/${i}`],
      attributes: {},
    }));
    const found = discover({ ...model, graph: { ...model.graph, nodes: [...model.graph.nodes, ...aside] } }, read);
    assert.deepEqual(found.structures, discover(model, read).structures);
  });

  it("counts tied weights once, also when one is the other's transpose", () => {
    const model = modelAround([sequential(attend, gelu)]);
    const table = model.graph.initializers.get("table");
    assert.ok(table);
    const before = discover(model, read).parameterCount;
    const head = [...model.graph.initializers.values()].find((t) => t.dims[1] === 11);
    assert.ok(head);
    const tied = float32Tensor(
      head.name,
      head.dims,
      Array.from({ length: H * 11 }, (_, i) => Math.cos((i % 11) * H + Math.floor(i / 11))),
    );
    const graph = { ...model.graph, initializers: new Map([...model.graph.initializers, [head.name, tied]]) };
    assert.equal(before - discover({ ...model, graph }, read).parameterCount, H * 11);
  });
});
