import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { GraphBuilder } from "../../src/onnx/builder.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";

const B = 3;
const T = 11;
const model = decode(readFileSync(new URL("../../models/ahab/onnx/model.onnx", import.meta.url)));
const parameters = [...model.graph.initializers.values()].filter((t) => t.dims.length > 0 && t.dims.length < 3).map((t) => t.name);
const ids: TensorValue = {
  dataType: "int64",
  dims: [B, T],
  data: BigInt64Array.from({ length: B * T }, (_, i) => BigInt((i * 37) % 2048)),
};

describe("specialise", () => {
  it("computes what the dynamic graph computes, with every shape known and the shape arithmetic gone", async () => {
    const binding = bindingOf(model, B, T, parameters);
    const typed = await specialise(model, binding, ["logits"]);

    assert.deepEqual(
      typed.graph.inputs.map((i) => [i.name, i.shape]),
      [["input_ids", [B, T]]],
    );
    assert.deepEqual(typed.types.get("logits"), { dataType: "float32", shape: [B, T, 2048] });
    assert.deepEqual(
      typed.graph.nodes.filter((n) => ["Shape", "ConstantOfShape", "Range"].includes(n.opType)),
      [],
    );
    assert.deepEqual(
      parameters.filter((p) => typed.graph.initializers.get(p) !== model.graph.initializers.get(p)),
      [],
    );
    for (const node of typed.graph.nodes) for (const output of node.outputs) assert.ok(typed.types.has(output), output);

    const cpu = { executionProvider: "CPU" } as const;
    const fixed = await openSession({ bytes: encode({ ...model, opsets: typed.opsets, graph: typed.graph }) }, cpu);
    const dynamic = await openSession({ bytes: encode(model) }, cpu);
    const constants = Object.fromEntries(
      binding.constants.map((t) => {
        const bytes = t.data.kind === "inline" ? t.data.bytes.slice().buffer : new ArrayBuffer(0);
        return [
          t.name,
          { dataType: t.dataType, dims: t.dims, data: t.dataType === "int64" ? new BigInt64Array(bytes) : new Float32Array(bytes) },
        ];
      }),
    );
    const a = (await fixed.run({ input_ids: ids }))["logits"] as TensorValue<Float32Array>;
    const b = (await dynamic.run({ input_ids: ids, ...constants }, ["logits"]))["logits"] as TensorValue<Float32Array>;
    assert.ok(a.data.every((v, i) => Math.abs(v - (b.data[i] as number)) < 1e-4));
  });

  it("gives the same graph every time", async () => {
    const [a, b] = await Promise.all([1, 2].map(() => specialise(model, bindingOf(model, B, T, parameters), ["logits"])));
    assert.deepEqual(a?.graph.nodes, b?.graph.nodes);
  });

  it("refuses an input left dynamic", async () => {
    await assert.rejects(specialise(model, { shapes: {}, constants: [], parameters }, ["logits"]), { code: "UNBOUND_INPUT" });
  });

  it("refuses a shape that depends on the data", async () => {
    const b = GraphBuilder.empty();
    const x = b.input("x", "float32", [4]);
    const found = b.op("NonZero", [x], [1, 4], {}, "int64");
    const { graph, opsets } = b.build([found]);
    const dynamic = { irVersion: 8, opsets, producerName: "", producerVersion: "", metadata: {}, graph };
    await assert.rejects(specialise(dynamic, { shapes: { x: [4] }, constants: [], parameters: [] }, [found.name]), {
      code: "DYNAMIC_SHAPE",
    });
  });

  it("folds what a constant input determines", async () => {
    const b = GraphBuilder.empty();
    const x = b.input("x", "float32", [2]);
    const y = b.input("y", "float32", [2]);
    const out = b.mul(x, b.exp(b.add(y, y)));
    const { graph, opsets } = b.build([out]);
    const typed = await specialise(
      { irVersion: 8, opsets, producerName: "", producerVersion: "", metadata: {}, graph },
      { shapes: { x: [2] }, constants: [float32Tensor("y", [2], [1, 2])], parameters: [] },
      [out.name],
    );
    assert.deepEqual(
      typed.graph.nodes.map((n) => n.opType),
      ["Mul"],
    );
  });
});
