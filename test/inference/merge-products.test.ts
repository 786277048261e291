import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as attr from "../../src/onnx/attributes.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Attribute, Graph, Model, Node, Tensor, ValueInfo } from "../../src/onnx/ir.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { verify } from "../../src/onnx/verify.ts";
import { seededRandom } from "../../src/random.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { mergeProducts } from "../../src/serving-graph/merge-products.ts";

const random = seededRandom(2, "weights");
const floats = (count: number) => Float32Array.from({ length: count }, () => random() - 0.5);
const H = 320;

const node = (opType: string, inputs: string[], output: string, attributes: Record<string, Attribute> = {}, domain = ""): Node => ({
  name: output,
  opType,
  domain,
  inputs,
  outputs: [output],
  attributes,
});
const weight = (name: string, columns: number): Tensor => float32Tensor(name, [H, columns], floats(H * columns));
const value = (name: string, dataType: ValueInfo["dataType"] = "float32", shape: ValueInfo["shape"] = null): ValueInfo => ({
  name,
  dataType,
  shape,
});

const modelOf = (nodes: Node[], weights: Tensor[], inputs: ValueInfo[], outputs: string[]): Model => {
  const initializers = new Map(weights.map((w) => [w.name, w]));
  const x = value("x", "float32", ["batch", "tokens", H]);
  const graph: Graph = { name: "g", inputs: [x, ...inputs], outputs: outputs.map((o) => value(o)), initializers, nodes, valueInfo: [] };
  return { irVersion: 8, opsets: { "": 17, "com.microsoft": 1 }, producerName: "", producerVersion: "", metadata: {}, graph };
};

/** What the graph gives as it is and merged must be the same to the bit. Gives the merged graph's operators. */
async function sameBits(model: Model, feeds: Record<string, TensorValue>, rows: readonly (readonly [B: number, T: number])[]) {
  const merged = { ...model, graph: mergeProducts(model.graph) };
  verify(merged);
  const open = (m: Model) => openSession({ bytes: encode(m) }, { executionProvider: "CPU", threads: 2 });
  const [plain, one] = [await open(model), await open(merged)];
  for (const [B, T] of rows) {
    const x = { dataType: "float32" as const, dims: [B, T, H], data: floats(B * T * H) };
    assert.deepEqual(await one.run({ x, ...feeds }), await plain.run({ x, ...feeds }), `${B} x ${T}`);
  }
  await plain.close();
  await one.close();
  return merged.graph.nodes.map((n) => n.opType);
}

describe("products of one value become one product", () => {
  const rows = [
    [1, 1],
    [8, 1],
    [1, 64],
    [2, 5],
  ] as const;

  it("of matrices of uneven widths, with biases, with a matrix that others read too, and with one that is cast", async () => {
    const half = { ...weight("e", 100), dataType: "float16" as const };
    const bits = Uint16Array.from({ length: H * 100 }, (_, i) => 0x2c00 + ((i * 37) % 0x800) + (i % 3 === 0 ? 0x8000 : 0));
    const stored: Tensor = { ...half, data: { kind: "inline", bytes: new Uint8Array(bits.buffer) } };
    const weights = [weight("a", 700), weight("b", 13), weight("c", 900), float32Tensor("bias", [13], floats(13)), stored];
    const nodes = [
      node("MatMul", ["x", "a"], "xa"),
      node("MatMul", ["x", "b"], "xb"),
      node("Add", ["xb", "bias"], "biased"),
      node("Mul", ["a", "a"], "squared"),
      node("MatMul", ["x", "c"], "xc"),
      node("Cast", ["e"], "e32", { to: attr.int(1) }),
      node("MatMul", ["x", "e32"], "xe"),
      node("Concat", ["xc", "biased", "xa", "xe"], "y", { axis: attr.int(2) }),
    ];
    const operators = await sameBits(modelOf(nodes, weights, [], ["y", "squared"]), {}, rows);
    assert.deepEqual(
      operators,
      ["Concat", "MatMul", "Split", "Add", "Mul", "Cast", "MatMul", "Concat"],
      "one of three, one of its own type",
    );
  });

  it("of matrices that are all cast", async () => {
    const cast = (name: string, columns: number): Tensor => {
      const bits = Uint16Array.from({ length: H * columns }, (_, i) => 0x2c00 + ((i * 53) % 0x800));
      return { name, dataType: "float16", dims: [H, columns], data: { kind: "inline", bytes: new Uint8Array(bits.buffer) } };
    };
    const nodes = ["a", "b"].flatMap((name) => [
      node("Cast", [name], `${name}32`, { to: attr.int(1) }),
      node("MatMul", ["x", `${name}32`], `x${name}`),
    ]);
    nodes.push(node("Concat", ["xb", "xa"], "y", { axis: attr.int(2) }));
    const operators = await sameBits(modelOf(nodes, [cast("a", 500), cast("b", 400)], [], ["y"]), {}, rows);
    assert.deepEqual(operators, ["Cast", "Cast", "Concat", "MatMul", "Split", "Concat"]);
  });

  for (const bits of [2, 4, 8])
    it(`of matrices of ${bits} bits, whose rows are the same in any company`, async () => {
      const [block, blocks] = [32, H / 32];
      const bytes = (name: string, dims: number[]): Tensor => {
        const data = Uint8Array.from({ length: dims.reduce((a, b) => a * b) }, () => Math.floor(random() * 256));
        return { name, dataType: "uint8", dims, data: { kind: "inline", bytes: data } };
      };
      const coded = (name: string, columns: number): Tensor[] => [
        bytes(`${name}/codes`, [columns, blocks, (block * bits) / 8]),
        float32Tensor(`${name}/scales`, [columns, blocks], floats(columns * blocks)),
        bytes(`${name}/zeros`, [columns, Math.ceil((blocks * bits) / 8)]),
      ];
      const product = (name: string, columns: number): Node => {
        const sizes = {
          K: attr.int(H),
          N: attr.int(columns),
          bits: attr.int(bits),
          block_size: attr.int(block),
          accuracy_level: attr.int(4),
        };
        return node("MatMulNBits", ["x", `${name}/codes`, `${name}/scales`, `${name}/zeros`], `x${name}`, sizes, "com.microsoft");
      };
      const nodes = [product("a", 704), product("b", 16), product("c", 912), product("d", 13)];
      nodes.push(node("Concat", ["xc", "xb", "xa", "xd"], "y", { axis: attr.int(2) }));
      const weights = [
        ["a", 704],
        ["b", 16],
        ["c", 912],
        ["d", 13],
      ].flatMap(([name, columns]) => coded(name as string, columns as number));
      const model = modelOf(nodes, weights, [], ["y"]);
      const operators = await sameBits(model, {}, rows);
      assert.deepEqual(operators, ["Concat", "Concat", "Concat", "MatMulNBits", "Split", "MatMulNBits", "Concat"]);

      const session = await openSession({ bytes: encode(model) }, { executionProvider: "CPU", threads: 2 });
      const run = async (dims: number[], data: Float32Array) => (await session.run({ x: { dataType: "float32", dims, data } }))["y"]?.data;
      const data = floats(64 * H);
      const all = await run([1, 64, H], data);
      for (const t of [0, 5, 63])
        assert.deepEqual(await run([1, 1, H], data.slice(t * H, (t + 1) * H)), all?.slice(t * 1645, (t + 1) * 1645), `row ${t}`);
      await session.close();
    });

  it("queries, keys and values in the order in which attention takes them", async () => {
    const [heads, groups, width, room] = [6, 2, 16, 16];
    const cache = { dataType: "float32" as const, dims: [1, groups, room, width], data: floats(groups * room * width) };
    const int = (dims: number[], n: number): TensorValue => ({ dataType: "int32", dims, data: Int32Array.of(n) });
    const feeds = { key: cache, value: { ...cache, data: floats(groups * room * width) }, lengths: int([1], 8), total: int([], 9) };
    const inputs = [
      ...["key", "value"].map((name) => value(name, "float32", ["batch", groups, room, width])),
      value("lengths", "int32", ["batch"]),
      value("total", "int32", []),
    ];
    const attributes = { num_heads: attr.int(heads), kv_num_heads: attr.int(groups) };
    const attention: Node = {
      ...node("GroupQueryAttention", ["xq", "xk", "xv", "key", "value", "lengths", "total"], "y", attributes, "com.microsoft"),
      outputs: ["y", "keys", "values"],
    };
    const weights = [weight("k", groups * width), weight("v", groups * width), weight("q", heads * width)];
    const nodes = ["k", "q", "v"].map((name) => node("MatMul", ["x", name], `x${name}`));
    const operators = await sameBits(modelOf([...nodes, attention], weights, inputs, ["y", "keys", "values"]), feeds, [
      [1, 1],
      [1, 9],
    ]);
    assert.deepEqual(operators, ["Concat", "MatMul", "GroupQueryAttention"]);
  });

  it("unless they are so small that taking the result apart takes longer", () => {
    const nodes = [
      node("MatMul", ["x", "a"], "xa"),
      node("MatMul", ["x", "b"], "xb"),
      node("Concat", ["xa", "xb"], "y", { axis: attr.int(2) }),
    ];
    const { graph } = modelOf(nodes, [weight("a", 30), weight("b", 30)], [], ["y"]);
    assert.deepEqual(mergeProducts(graph).nodes, graph.nodes);
  });
});
