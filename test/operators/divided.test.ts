import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as attr from "../../src/onnx/attributes.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { renameValues } from "../../src/onnx/edit.ts";
import { type Attribute, type Model, sizeOf } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import { rangesOf } from "../../src/structures/entries.ts";
import { assertClose, logitsOf } from "../support/masked.ts";

/**
 * Heads and channels of branches that are made of one operator each, or end in it: what stays after one is removed must give what
 * the whole gives with that one's weights set to zero.
 */
const contrib = "com.microsoft";
const [batch, tokens, vocabulary, hidden, inner] = [2, 5, 16, 8, 12];
const read = tensorReader(".");

/** What a branch is written with. */
interface Tools {
  readonly b: GraphBuilder;
  weight(name: string, dims: readonly number[]): Value;
  linear(name: string, x: Value, width: number): Value;
  node(
    opType: string,
    inputs: readonly (Value | null)[],
    shape: readonly number[],
    attributes?: Record<string, Attribute>,
    domain?: string,
  ): Value;
}

interface Row {
  readonly operator: string;
  readonly form?: string;
  readonly opset?: number;
  readonly kind: "HEAD" | "CHANNEL";
  /** How many heads or channels. */
  readonly count: number;
  /** What comes before the last product: [B, T, I]. */
  make(tools: Tools, x: Value): Value;
}

const up = (t: Tools, x: Value) => t.linear("up", x, inner);
const wide = [batch, tokens, inner];
const activation = (operator: string, opset = 17, attributes: Record<string, Attribute> = {}): Row => ({
  operator,
  opset,
  kind: "CHANNEL",
  count: inner,
  make: (t, x) => t.node(operator, [up(t, x)], wide, attributes),
});
const qkv = (t: Tools, x: Value, heads: number, groups: number, width: number) =>
  [t.linear("q", x, heads * width), t.linear("k", x, groups * width), t.linear("v", x, groups * width)] as const;
const byHeads = (t: Tools, x: Value, heads: number) =>
  t.b.transpose(t.b.reshape(x, [batch, tokens, heads, (x.shape[2] as number) / heads]), [0, 2, 1, 3]);
const angles = (t: Tools, f: (angle: number) => number) =>
  t.b.floats(
    Array.from({ length: 2 * tokens }, (_, i) => f(Math.floor(i / 2) / 10 ** (i % 2))),
    [tokens, 2],
  );
const places = (t: Tools) =>
  t.b.ints(
    Array.from({ length: batch * tokens }, (_, i) => i % tokens),
    [batch, tokens],
  );
const attends = (t: Tools, q: Value, k: Value, v: Value, heads: number, groups: number, shape: readonly number[]) =>
  t.node("Attention", [q, k, v], shape, {
    is_causal: attr.int(1),
    ...(q.shape.length === 3 ? { q_num_heads: attr.int(heads), kv_num_heads: attr.int(groups) } : {}),
  });
const turned = (t: Tools, x: Value, heads: number) =>
  t.node("RotaryEmbedding", [x, angles(t, Math.cos), angles(t, Math.sin), places(t)], x.shape, { num_heads: attr.int(heads) });

const rows: readonly Row[] = [
  activation("HardSwish"),
  activation("HardSigmoid", 17, { alpha: attr.float(0.3), beta: attr.float(0.4) }),
  activation("Mish", 18),
  {
    operator: "Mean",
    kind: "CHANNEL",
    count: inner,
    make: (t, x) => t.node("Mean", [up(t, x), t.b.tanh(t.linear("gate", x, inner))], wide),
  },
  {
    operator: "ReduceL2",
    kind: "CHANNEL",
    count: inner,
    make: (t, x) => {
      const y = up(t, x);
      return t.b.div(y, t.b.add(t.node("ReduceL2", [y], [batch, tokens, 1], { axes: attr.ints([-1]) }), t.b.scalar(1)));
    },
  },
  {
    operator: "ReduceMin",
    form: "over the tokens' channels, which all count",
    kind: "CHANNEL",
    count: 0,
    make: (t, x) => {
      const y = up(t, x);
      return t.b.sub(y, t.node("ReduceMin", [y], [batch, tokens, 1], { axes: attr.ints([-1]) }));
    },
  },
  {
    operator: "Einsum",
    kind: "CHANNEL",
    count: inner,
    make: (t, x) => t.b.tanh(t.node("Einsum", [x, t.weight("up", [inner, hidden])], wide, { equation: attr.string("bth, ih -> bti") })),
  },
  {
    operator: "com.microsoft::FusedMatMul",
    kind: "CHANNEL",
    count: inner,
    make: (t, x) =>
      t.b.tanh(t.node("FusedMatMul", [x, t.weight("up", [inner, hidden])], wide, { transB: attr.int(1), alpha: attr.float(0.5) }, contrib)),
  },
  {
    operator: "com.microsoft::FusedGemm",
    kind: "CHANNEL",
    count: inner,
    make: (t, x) => {
      const flat = t.b.reshape(x, [batch * tokens, hidden]);
      const attributes = { activation: attr.string("Relu"), transB: attr.int(1) };
      const y = t.node(
        "FusedGemm",
        [flat, t.weight("up", [inner, hidden]), t.weight("bias", [inner])],
        [batch * tokens, inner],
        attributes,
        contrib,
      );
      return t.b.reshape(y, wide);
    },
  },
  {
    operator: "Attention",
    form: "columns, groups of queries",
    opset: 23,
    kind: "HEAD",
    count: 2,
    make: (t, x) => attends(t, ...qkv(t, x, 4, 2, 4), 4, 2, [batch, tokens, 16]),
  },
  {
    operator: "Attention",
    form: "an axis of heads",
    opset: 23,
    kind: "HEAD",
    count: 2,
    make: (t, x) => {
      const [q, k, v] = qkv(t, x, 4, 2, 4);
      const y = attends(t, byHeads(t, q, 4), byHeads(t, k, 2), byHeads(t, v, 2), 4, 2, [batch, 4, tokens, 4]);
      return t.b.reshape(t.b.transpose(y, [0, 2, 1, 3]), [batch, tokens, 16]);
    },
  },
  {
    operator: "RotaryEmbedding",
    opset: 23,
    kind: "HEAD",
    count: 3,
    make: (t, x) => {
      const [q, k, v] = qkv(t, x, 3, 3, 4);
      return attends(t, turned(t, q, 3), turned(t, k, 3), v, 3, 3, [batch, tokens, 12]);
    },
  },
  {
    operator: "com.microsoft::Attention",
    kind: "HEAD",
    count: 4,
    make: (t, x) => {
      const inputs = [x, t.weight("qkv", [hidden, 3 * 8]), t.weight("bias", [3 * 8])];
      return t.node("Attention", inputs, [batch, tokens, 8], { num_heads: attr.int(4), unidirectional: attr.int(1) }, contrib);
    },
  },
  {
    operator: "com.microsoft::MultiHeadAttention",
    form: "with a bias",
    kind: "HEAD",
    count: 3,
    make: (t, x) => {
      const inputs = [...qkv(t, x, 3, 3, 4), t.weight("bias", [3 * 12])];
      return t.node("MultiHeadAttention", inputs, [batch, tokens, 12], { num_heads: attr.int(3), unidirectional: attr.int(1) }, contrib);
    },
  },
  {
    operator: "com.microsoft::MultiHeadAttention",
    form: "values wider than keys",
    kind: "HEAD",
    count: 3,
    make: (t, x) => {
      const inputs = [t.linear("q", x, 12), t.linear("k", x, 12), t.linear("v", x, 18)];
      return t.node("MultiHeadAttention", inputs, [batch, tokens, 18], { num_heads: attr.int(3), unidirectional: attr.int(1) }, contrib);
    },
  },
];

/** Two branches, each added to what was before: the row's, and an attention or an MLP beside it. */
function modelOf(row: Row): Model {
  const random = seededRandom(3, row.operator);
  const b = GraphBuilder.empty({ "": row.opset ?? 17, [contrib]: 1 });
  const own = new Map<string, Value>();
  const weight = (name: string, dims: readonly number[]): Value => {
    const value = b.constant(
      float32Tensor(
        name,
        dims,
        Array.from({ length: sizeOf(dims) }, () => random() - 0.5),
      ),
    );
    own.set(name, value);
    return value;
  };
  const tools = (prefix: string): Tools => ({
    b,
    weight: (name, dims) => weight(`${prefix}.${name}`, dims),
    linear: (name, x, width) =>
      b.add(b.matMul(x, weight(`${prefix}.${name}`, [x.shape.at(-1) as number, width])), weight(`${prefix}.${name}.bias`, [width])),
    node: (opType, inputs, shape, attributes = {}, domain = "") =>
      b.node(opType, inputs, [{ dataType: "float32", shape }], attributes, domain)[0] as Value,
  });
  const branch = (prefix: string, make: Row["make"], x: Value) => {
    const y = make(tools(prefix), x);
    return b.add(x, b.matMul(y, weight(`${prefix}.down`, [y.shape.at(-1) as number, hidden])));
  };
  const mask = b.floats(
    Array.from({ length: tokens ** 2 }, (_, i) => (i % tokens <= Math.floor(i / tokens) ? 0 : -1e9)),
    [tokens, tokens],
  );
  const plain: Row["make"] = (t, x) => {
    const [q, k, v] = qkv(t, x, 1, 1, 4);
    return b.matMul(b.softmax(b.add(b.matMul(q, b.transpose(k, [0, 2, 1])), mask)), v);
  };
  const ids = b.input("input_ids", "int64", [batch, tokens]);
  const first = branch("first", row.kind === "HEAD" ? row.make : plain, b.gather(weight("embedding", [vocabulary, hidden]), ids));
  const second = branch("second", row.kind === "HEAD" ? (t, x) => b.tanh(up(t, x)) : row.make, first);
  const logits = b.matMul(second, weight("head", [hidden, vocabulary]));
  const { graph, opsets } = b.build([logits]);
  const named = renameValues(graph, new Map([[logits.name, "logits"]]));
  return { irVersion: 10, opsets, producerName: "", producerVersion: "", metadata: {}, graph: named };
}

const feeds = {
  input_ids: {
    dataType: "int64",
    dims: [batch, tokens],
    data: BigInt64Array.from({ length: batch * tokens }, (_, i) => BigInt((i * 7) % vocabulary)),
  },
} as const;

describe("heads and channels of operators", () => {
  for (const row of rows)
    it(`${row.operator}${row.form ? `, ${row.form}` : ""}`, async () => {
      const model = modelOf(row);
      const { anatomy, parameters } = discover(model, read);
      const divided = await divide(model, anatomy, parameters);
      const groups = divided.groups.filter((g) => g.kind === row.kind && g.branch.nodes.size > 0 && g.layer === 0);
      const own = groups.find((g) => g.parameters.some((p) => p.startsWith(row.kind === "HEAD" ? "first" : "second")));
      assert.equal(own?.count ?? 0, row.count, JSON.stringify(divided.divisions.obstacles));
      for (let i = 0; own && i < own.count; i++) {
        const initializers = new Map(model.graph.initializers);
        for (const { parameter, axis, of } of own.slices) {
          const tensor = initializers.get(parameter);
          assert.ok(tensor);
          const values = Float32Array.from(float32Of(tensor));
          const [outer, size, width] = [
            sizeOf(tensor.dims.slice(0, axis)),
            tensor.dims[axis] as number,
            sizeOf(tensor.dims.slice(axis + 1)),
          ];
          for (const { start, length } of rangesOf(of, own.leaf, i))
            for (let o = 0; o < outer; o++) values.fill(0, (o * size + start) * width, (o * size + start + length) * width);
          initializers.set(parameter, float32Tensor(parameter, tensor.dims, [...values]));
        }
        const silenced = { ...model, graph: { ...model.graph, initializers } };
        const pruned = await removeStructures(model, [{ kind: row.kind, index: own.index + i }], read, { anatomy, divided });
        const left = [...discover(pruned, read).parameters.values()].reduce((a, n) => a + n, 0);
        assert.equal(left, [...parameters.values()].reduce((a, n) => a + n, 0) - own.parameterCount);
        assertClose(await logitsOf(pruned, feeds), await logitsOf(silenced, feeds));
      }
    });
});
