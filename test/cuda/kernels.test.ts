import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { wholeScoreGraph } from "../../scripts/checks/cuda/score-graph.ts";
import { wholeTrainingGraph } from "../../scripts/checks/cuda/training-graph.ts";
import { likelihoodGraph } from "../../src/evaluation/likelihood-graph.ts";
import { encode } from "../../src/onnx/encode.ts";
import { type DataType, type Graph, type Model, type Node, operatorKey } from "../../src/onnx/ir.ts";
import { trainedMethods } from "../../src/recovery/methods/index.ts";
import { openSession } from "../../src/runtime/session.ts";
import { servingGraph } from "../../src/serving-graph/serving-graph.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type KernelTable, missingKernel, parseKernelTable } from "../support/kernel-table.ts";
import { readModel, testModels } from "../support/models.ts";

// No GPU is needed to know that a graph will run on one: ONNX Runtime publishes which operators and types its CUDA
// provider has kernels for. The fixture is of an older release than the one installed: kernels are added over time.
const fixture = JSON.parse(readFileSync(new URL("../fixtures/cuda-kernels.json", import.meta.url), "utf8"));
const table: KernelTable = fixture.operators;

/** Operators that need no CUDA kernel, and why. */
const elsewhere: Readonly<Record<string, string>> = {
  Constant: "becomes an initializer when the graph is loaded",
};

type Types = ReadonlyMap<string, DataType>;

/** The nodes without a CUDA kernel, each with the reason. */
function withoutKernel(graph: Graph, opsets: Readonly<Record<string, number>>, types: Types): string[] {
  const typesOf = (names: readonly string[], node: Node): (DataType | null)[] =>
    names.map((name) => (name === "" ? null : (types.get(name) ?? assert.fail(`node ${node.name}: no type for "${name}"`))));
  return graph.nodes.flatMap((node) => {
    if (elsewhere[operatorKey(node)]) return [];
    const reason = missingKernel(table, node, opsets[node.domain] ?? 1, typesOf(node.inputs, node), typesOf(node.outputs, node));
    return reason ? [`${node.name}: ${reason}`] : [];
  });
}

/** Element types of every value of a graph with dynamic shapes, as ONNX Runtime infers them. */
async function typesOf(model: Model, externalFolder: string): Promise<Types> {
  const { graph } = model;
  const values = graph.nodes.flatMap((n) => n.outputs.filter((o) => o !== ""));
  const probe = encode({ ...model, graph: { ...graph, outputs: [] } }, values);
  const session = await openSession(
    { bytes: probe, externalFolder },
    { executionProvider: "CPU", threads: 1, native: { graphOptimizationLevel: "disabled" } },
  );
  const types = new Map([...session.inputs, ...session.outputs, ...graph.initializers.values()].map((v) => [v.name, v.dataType] as const));
  await session.close();
  return types;
}

describe(`CUDA kernels (${fixture.source})`, () => {
  for (const { name, folder: whole, skip } of testModels) {
    const folder = join(whole, "onnx");
    it(`every node of ${name}, as registered, as it generates and as it is measured, has one`, { skip }, async () => {
      const registered = readModel(whole);
      for (const model of [registered, likelihoodGraph(registered).model]) {
        const types = await typesOf(model, folder);
        assert.deepEqual(withoutKernel(model.graph, model.opsets, types), []);
      }
    });
  }

  for (const { name, folder: whole, skip } of testModels) {
    const folder = join(whole, "onnx");
    it(`every node of ${name}, rewritten for serving, has one in float16, and in float32 all but grouped attention`, { skip }, async () => {
      const { model } = await servingGraph(readModel(whole), folder, 512);
      const types = await typesOf(model, folder);
      // So on CUDA models are served as they were registered, until there is a kernel.
      const missing = withoutKernel(model.graph, model.opsets, types);
      assert.deepEqual(
        missing.filter((m) => !/GroupQueryAttention \(opset 1\) has no kernel for \(float32/.test(m)),
        [],
      );
      assert.equal(missing.length, model.graph.nodes.filter((n) => n.opType === "GroupQueryAttention").length);
      const half = new Map([...types].map(([value, type]) => [value, type === "float32" ? "float16" : type] as const));
      assert.deepEqual(withoutKernel(model.graph, model.opsets, half), []);
    });
  }

  for (const { name, folder: whole, skip } of testModels) {
    const folder = join(whole, "onnx");
    it(`every node of ${name}'s score graph has one`, { skip }, async () => {
      const stored = readModel(whole);
      const { graph, opsets, types } = (await wholeScoreGraph(stored, folder, 4, 32)).graph;
      assert.ok(graph.nodes.length > 2 * stored.graph.nodes.filter((n) => n.opType === "MatMul").length, "a backward pass is in it");
      const missing = withoutKernel(graph, opsets, new Map([...types].map(([value, type]) => [value, type.dataType])));
      assert.deepEqual(missing, []);
    });
  }

  for (const method of trainedMethods)
    it(`every node of the graph that trains ahab's ${method.name} has one`, async () => {
      const located = { model: readModel(ahabFolder), folder: join(ahabFolder, "onnx") };
      const { graph, opsets, types } = (await wholeTrainingGraph(located, method, 2, 16)).graph;
      const missing = withoutKernel(graph, opsets, new Map([...types].map(([value, type]) => [value, type.dataType])));
      assert.deepEqual(missing, []);
    });

  it("are told apart from what is missing", () => {
    const node = (opType: string): Node => ({ name: "n", opType, domain: "", inputs: ["a"], outputs: ["b"], attributes: {} });
    assert.equal(missingKernel(table, node("Exp"), 17, ["float32"], ["float32"]), null);
    assert.match(missingKernel(table, node("Exp"), 17, ["int64"], ["int64"]) ?? "", /no kernel for \(int64\)/);
    assert.match(missingKernel(table, node("Log"), 17, ["bfloat16"], ["bfloat16"]) ?? "", /no kernel/);
    assert.match(missingKernel(table, node("Mean"), 17, ["float32"], ["float32"]) ?? "", /Mean has no kernel/);
    assert.match(missingKernel(table, node("Gelu"), 17, ["float32"], ["float32"]) ?? "", /for opset 17/);
    assert.equal(missingKernel(table, node("Cast"), 17, ["int64"], ["float32"]), null);
    assert.match(missingKernel(table, node("Cast"), 17, ["int64"], ["string"]) ?? "", /-> \(string\)/);
  });

  it("are read from the table as it is published", () => {
    const published = [
      '<a name="cpuexecutionprovider"/>',
      "|**Operator Domain:** *ai.onnx*||||",
      "|Abs|*in* X:**T**<br> *out* Y:**T**|13+|**T** = tensor(int8)|",
      '<a name="cudaexecutionprovider"/>',
      "| Op Name | Parameters | OpSet Version | Types Supported |",
      "|**Operator Domain:** *ai.onnx*||||",
      "|Pick|*in* data:**T**<br> *in* at:**tensor(int64)**<br> *out* out:**U**<br><br>or<br><br>*in* data:**T**<br> *out* out:**U**|13+|**T** = seq(tensor(bool)), tensor(double), tensor(float)<br/> **U** = tensor(int64)|",
      "|||[7, 12]|**T** = tensor(float)|",
      "|||6|**T** = tensor(float16)|",
      "|**Operator Domain:** *com.example*||||",
      "|Pick|*in* X:**T**|1+|**T** = tensor(float)|",
    ].join("\n");
    const forms = [
      { inputs: ["T", "=int64"], outputs: ["U"] },
      { inputs: ["T"], outputs: ["U"] },
    ];
    const kernels = [
      { since: 13, until: null, types: { T: "float64 float32", U: "int64" } },
      { since: 7, until: 12, types: { T: "float32" } },
      { since: 6, until: 6, types: { T: "float16" } },
    ];
    assert.deepEqual(parseKernelTable(published, "CUDAExecutionProvider", ["ai.onnx"]), { Pick: { forms, kernels } });
  });
});
