import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { buildScoreGraph } from "../../src/autodiff/score-graph.ts";
import { EspalierError } from "../../src/errors.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { type Attribute, dataTypes, operatorKey, sizeOf } from "../../src/onnx/ir.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import type { LoweringRule, Operator, Operators } from "../../src/operators/operator.ts";
import { operators } from "../../src/operators/operators.ts";
import { seededRandom } from "../../src/random.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { evaluate, floats, points, primalOf, type Row, relativeErrors, titleOf } from "../support/finite-differences.ts";
import { loweringRows } from "../support/lowering-rows.ts";
import { answered, wholes } from "../support/norms.ts";

const loweringOf = (operator: string): LoweringRule | null => {
  const gradient = operators.get(operator)?.gradient;
  return typeof gradient === "object" ? gradient.lower : null;
};
const seed = 21;

/** The largest difference between the operator as ONNX Runtime runs it and what it is lowered to, by the scale of its results. */
async function difference(row: Row, by: Operators): Promise<number> {
  const { b, y } = primalOf(row);
  const fused = b.build([y]);
  const lowered = lower(fused, by);
  assert.ok(!lowered.graph.nodes.some((n) => loweringOf(operatorKey(n))), "nothing compound is left");
  const at = points(row, seededRandom(seed, titleOf(row)));
  const feeds = Object.fromEntries(at.map((values, i) => [`x${i}`, floats(row.shapes[i] as number[], values)]));
  const [[expected], [actual]] = (await Promise.all([evaluate(fused, feeds), evaluate(lowered, feeds)])) as [
    [Float32Array],
    [Float32Array],
  ];
  assert.equal(actual.length, expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((e, i) => Math.abs(e - (actual[i] as number)))) / scale;
}

/** The table with one rule slightly wrong. */
const mutated = (operator: string): Operators => {
  const lower: LoweringRule = (b, primal) => (loweringOf(operator) as LoweringRule)(b, primal).map((y) => y && b.mul(y, b.scalar(1.05)));
  return new Map([...operators, [operator, { ...(operators.get(operator) as Operator), gradient: { lower } }]]);
};

describe(`compound operators and what they are lowered to (seed ${seed})`, () => {
  for (const row of loweringRows) {
    it(`${titleOf(row)}: the same results`, async () => {
      const error = await difference(row, operators);
      assert.ok(error < 2e-6, `off by ${error}`);
    });

    it(`${titleOf(row)}: gradients`, async () => {
      const errors = await relativeErrors(row, operators, seed);
      assert.ok(
        errors.every((e) => e < 0.005),
        `relative errors by input: ${errors}`,
      );
    });

    it(`${titleOf(row)}: the check notices results scaled by 1.05`, async () => {
      assert.ok((await difference(row, mutated(row.operator))) > 0.01);
    });
  }

  it("have a row for every rule, and every row runs its operator", () => {
    const covered = new Set(loweringRows.map((r) => r.operator));
    assert.deepEqual(
      [...operators.keys()].filter((operator) => loweringOf(operator) && !covered.has(operator)),
      [],
    );
    for (const row of loweringRows)
      assert.ok(
        primalOf(row).b.nodes.some((n) => operatorKey(n) === row.operator),
        titleOf(row),
      );
  });
});

/** ONNX Runtime runs these on CUDA only; its CPU kernel refuses them. So they are held to what they stand for. */
describe("forms that the CPU has no kernel for", () => {
  const contrib = "com.microsoft";
  const same = async (spelled: (b: GraphBuilder, x: Value) => Value, compact: (b: GraphBuilder, x: Value) => Value, shape: number[]) => {
    const random = seededRandom(seed, "compact");
    const feeds = {
      x: floats(
        shape,
        Array.from({ length: sizeOf(shape) }, () => random() - 0.5),
      ),
    };
    const [expected, actual] = await Promise.all(
      [spelled, compact].map(async (make, i) => {
        const b = GraphBuilder.empty({ "": 17, [contrib]: 1 });
        const graph = b.build([make(b, b.input("x", "float32", shape))]);
        return (await evaluate(i === 0 ? graph : lower(graph), feeds))[0] as Float32Array;
      }),
    );
    expected?.forEach((e, i) => {
      assert.ok(Math.abs(e - (actual?.[i] as number)) < 1e-5, `element ${i}: ${actual?.[i]}, not ${e}`);
    });
    assert.ok(expected?.some((e) => Math.abs(e) > 0.01));
  };
  const multiHead = (b: GraphBuilder, inputs: Value[]) =>
    b.node("MultiHeadAttention", inputs, [{ dataType: "float32", shape: [2, 3, 20] }], { num_heads: attr.int(5) }, contrib)[0] as Value;

  it("MultiHeadAttention of packed queries, keys and values", async () => {
    const parts = (b: GraphBuilder, x: Value) => b.split(x, [1, 1, 1], 3).map((part) => b.reshape(part, [2, 3, 20]));
    await same(
      (b, x) => multiHead(b, parts(b, x)),
      (b, x) => multiHead(b, [x]),
      [2, 3, 5, 3, 4],
    );
  });

  it("MultiHeadAttention of packed keys and values", async () => {
    const query = (b: GraphBuilder) =>
      b.floats(
        Array.from({ length: 120 }, (_, i) => Math.sin(i)),
        [2, 3, 20],
      );
    const parts = (b: GraphBuilder, x: Value) => b.split(x, [1, 1], 3).map((part) => b.reshape(part, [2, 3, 20]));
    await same(
      (b, x) => multiHead(b, [query(b), ...parts(b, x)]),
      (b, x) => multiHead(b, [query(b), x]),
      [2, 3, 5, 2, 4],
    );
  });

  it("GroupQueryAttention with norms of queries and keys", async () => {
    const [n, k, d] = [6, 3, 8];
    const weight = (b: GraphBuilder, i: number) => b.floats(Array.from({ length: d }, (_, j) => 1 + Math.sin(i + j)));
    const attention = (b: GraphBuilder, inputs: Value[], weights: Value[]) => {
      const shapes = [
        [2, 3, n * d],
        [2, k, 3, d],
        [2, k, 3, d],
      ];
      const lengths = [b.ints([2, 2]), b.ints([3], [])].map((v) => b.cast(v, "int32", dataTypes.int32.onnx));
      const all = [
        ...inputs,
        ...(inputs.length === 1 ? [null, null] : []),
        null,
        null,
        ...lengths,
        ...(weights.length ? Array<null>(7).fill(null) : []),
        ...weights,
      ];
      const types = shapes.map((shape) => ({ dataType: "float32" as const, shape }));
      return b.node("GroupQueryAttention", all, types, { num_heads: attr.int(n), kv_num_heads: attr.int(k) }, contrib)[0] as Value;
    };
    const normed = (b: GraphBuilder, x: Value, heads: number, scale: Value) => {
      const apart = b.reshape(x, [2, 3, heads, d]);
      return b.reshape(b.op("SimplifiedLayerNormalization", [apart, scale], apart.shape, { epsilon: attr.float(1e-6) }), x.shape);
    };
    await same(
      (b, x) => {
        const [q, key, value] = b.split(x, [n * d, k * d, k * d], 2) as [Value, Value, Value];
        return attention(b, [normed(b, q, n, weight(b, 0)), normed(b, key, k, weight(b, 1)), value], []);
      },
      (b, x) => attention(b, [x], [weight(b, 0), weight(b, 1)]),
      [2, 3, (n + 2 * k) * d],
    );
  });
});

describe("weights of compound operators", () => {
  it("meet the activations as they are stored: ghost norms are norms, of fused and transposed weights too", async () => {
    const [batch, tokens, hidden, heads, vocabulary] = [2, 3, 8, 2, 7];
    const random = seededRandom(seed, "weights");
    const b = GraphBuilder.empty({ "": 17, "com.microsoft": 1 });
    const weight = (name: string, dims: number[]) =>
      b.constant(
        float32Tensor(
          name,
          dims,
          Float32Array.from({ length: sizeOf(dims) }, () => random() - 0.5),
        ),
      );
    const ids = b.input("ids", "int64", [batch, tokens]);
    const names = ["qkv", "shift", "scale", "head"];
    const dims = [[hidden, 3 * hidden], [3 * hidden], [hidden], [vocabulary, hidden]];
    const [qkv, shift, scale, head] = names.map((name, i) => weight(name, dims[i] as number[])) as [Value, Value, Value, Value];
    const x = b.gather(weight("table", [vocabulary, hidden]), ids);
    const of = (opType: string, inputs: Value[], shape: number[], more: Record<string, Attribute>) =>
      b.node(opType, inputs, [{ dataType: "float32", shape }], more, "com.microsoft")[0] as Value;
    const mixed = of("Attention", [x, qkv, shift], x.shape as number[], { num_heads: attr.int(heads), unidirectional: attr.int(1) });
    const normed = of("SkipSimplifiedLayerNormalization", [x, mixed, scale], x.shape as number[], {});
    const logits = of("FusedMatMul", [normed, head], [batch, tokens, vocabulary], { transB: attr.int(1) });
    const graph = b.build([logits]);

    const integers = (values: number[]): TensorValue => ({
      dataType: "int64",
      dims: [batch, tokens],
      data: BigInt64Array.from(values, BigInt),
    });
    const [input, targets] = [integers([1, 0, 6, 1, 3, 6]), integers([0, 6, 2, 3, 6, 5])];
    const weights = floats([batch, tokens], [1, 1, 1, -1, -1, -1]);
    const score = buildScoreGraph(graph, logits.name, wholes(names), squaredNorms, 2);
    const squares = (await evaluate(score.graph, { ids: input, [score.targets]: targets, [score.weights]: weights }))[1] as Float32Array;

    const g = new GraphBuilder(lower(graph), "gradient");
    const fed = [g.input("targets", "int64", targets.dims), g.input("weights", "float32", weights.dims)] as const;
    const { dLogits } = signedCrossEntropy(g, g.value(logits.name), ...fed);
    const { uses } = backward(g, new Map([[logits.name, dLogits]]), names);
    const whole = g.build(names.map((name) => gradientOf(g, g.value(name), uses.get(name)) as Value));
    const gradients = await evaluate(whole, { ids: input, targets, weights });
    for (const [i, gradient] of gradients.entries()) {
      const square = gradient.reduce((sum, v) => sum + v * v, 0);
      const [ghost] = answered(score, squares, i, 0, 1) as unknown as [number];
      assert.ok(square > 1e-4 && Math.abs(ghost - square) < 1e-4 * square, `${names[i]}: ${ghost}, not ${square}`);
    }
  });
});

describe("a compound operator in a form that has no lowering", () => {
  const cases: Readonly<Record<string, (b: GraphBuilder, x: Value) => Value>> = {
    "rotates by itself": (b, x) =>
      b.node(
        "Attention",
        [x, b.floats(Array(180).fill(0), [6, 30])],
        [x],
        { num_heads: attr.int(1), do_rotary: attr.int(1) },
        "com.microsoft",
      )[0] as Value,
    "has a mask of a shape that says nothing": (b, x) =>
      b.node(
        "Attention",
        [x, b.floats(Array(180).fill(0), [6, 30]), b.floats(Array(30).fill(0)), b.input("mask", "int32", [2, 2])],
        [x],
        { num_heads: attr.int(1) },
        "com.microsoft",
      )[0] as Value,
    "reads an output that nothing gives": (b, x) =>
      b.node("SkipLayerNormalization", [x, x, b.floats(Array(6).fill(1))], [x, x], {}, "com.microsoft")[1] as Value,
  };
  for (const [what, make] of Object.entries(cases))
    it(`is refused with the node's name: one that ${what}`, () => {
      const b = GraphBuilder.empty({ "": 17, "com.microsoft": 1 });
      const graph = b.build([make(b, b.input("x", "float32", [2, 3, 6]))]);
      const node = graph.graph.nodes.at(-1)?.name;
      assert.throws(
        () => lower(graph),
        (e) =>
          e instanceof EspalierError && e.code === "UNSUPPORTED_OPERATOR" && e.details["node"] === node && e.message.includes(`"${node}"`),
      );
    });
});
