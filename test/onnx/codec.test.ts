import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { int } from "../../src/onnx/attributes.ts";
import { decode } from "../../src/onnx/decode.ts";
import { removeDead, sortFromOutputs } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Graph, Tensor } from "../../src/onnx/ir.ts";
import { print } from "../../src/onnx/print.ts";
import { verify } from "../../src/onnx/verify.ts";

const file = readFileSync(new URL("../../models/ahab/onnx/model.onnx", import.meta.url));

describe("the ONNX codec", () => {
  const model = decode(file);

  it("is the identity, decoding what it encoded", () => {
    const bytes = encode(model);
    assert.deepEqual(decode(bytes), model);
    assert.deepEqual(encode(decode(bytes)), bytes);
  });

  it("keeps tensors as views into the file", () => {
    const [first] = model.graph.initializers.values();
    assert.ok(first?.data.kind === "inline" && first.data.bytes.buffer === file.buffer);
  });

  it("refuses what is not a whole model", () => {
    for (const bytes of [new Uint8Array(), file.subarray(0, 1000), file.subarray(0, file.length - 1), Buffer.from("not a model")])
      assert.throws(() => decode(bytes), { code: "INVALID_ONNX" });
  });

  it("refuses names that hold NUL, which no database stores: whatever they are of", () => {
    const nul = "a\0b";
    const { graph } = model;
    const [first, ...nodes] = graph.nodes as [(typeof graph.nodes)[0]];
    const [input, ...inputs] = graph.inputs as [(typeof graph.inputs)[0]];
    const [[, weight]] = graph.initializers as unknown as [[string, Tensor]];
    const graphs: Record<string, Partial<Graph>> = {
      "a node": { nodes: [{ ...first, name: nul }, ...nodes] },
      "an operator": { nodes: [{ ...first, opType: nul }, ...nodes] },
      "a domain": { nodes: [{ ...first, domain: nul }, ...nodes] },
      "what is read": { nodes: [{ ...first, inputs: [nul] }, ...nodes] },
      "what is made": { nodes: [{ ...first, outputs: [nul] }, ...nodes] },
      "an attribute": { nodes: [{ ...first, attributes: { [nul]: int(1) } }, ...nodes] },
      "an input": { inputs: [{ ...input, name: nul }, ...inputs] },
      "an axis": { inputs: [{ ...input, shape: [nul] }, ...inputs] },
      "a weight": { initializers: new Map([[nul, { ...weight, name: nul }]]) },
      "a node in a body": {
        nodes: [{ ...first, attributes: { body: { kind: "graph", value: { ...graph, nodes: [{ ...first, name: nul }] } } } }, ...nodes],
      },
    };
    for (const [of, changed] of Object.entries(graphs))
      assert.throws(() => decode(encode({ ...model, graph: { ...graph, ...changed } })), { code: "INVALID_ONNX", message: /NUL/ }, of);
    assert.throws(() => decode(encode({ ...model, opsets: { ...model.opsets, [nul]: 1 } })), { message: /NUL/ });
  });
});

describe("graph edits", () => {
  const model = decode(file);

  it("accept the exporter's graph, and an order from the outputs", () => {
    verify(model);
    const sorted = { ...model, graph: sortFromOutputs(removeDead(model.graph)) };
    verify(sorted);
    assert.equal(sorted.graph.nodes.length, model.graph.nodes.length);
    assert.equal(print(sorted.graph), print(sortFromOutputs(sorted.graph)));
  });

  it("keep only what an output needs", () => {
    const graph = removeDead({ ...model.graph, outputs: model.graph.outputs.slice(1, 2) });
    assert.deepEqual(
      [...graph.initializers.keys()].filter((n) => n.includes("layers.1.")),
      [],
    );
    assert.ok(graph.nodes.length > 0 && graph.nodes.length < model.graph.nodes.length / 6);
  });

  it("are refused by verify when they break the graph", () => {
    const { graph } = model;
    const broken = {
      "a missing definition": { ...graph, nodes: graph.nodes.slice(1) },
      "a second definition": { ...graph, nodes: [...graph.nodes, graph.nodes[0] as (typeof graph.nodes)[0]] },
      "a wrong order": { ...graph, nodes: [...graph.nodes].reverse() },
      "a missing output": { ...graph, outputs: [...graph.outputs, { name: "nowhere", dataType: "float32" as const, shape: [] }] },
    };
    for (const [what, bad] of Object.entries(broken))
      assert.throws(() => verify({ ...model, graph: bad }), { code: "INVALID_GRAPH" }, what);
    assert.throws(() => verify({ ...model, opsets: {} }), { code: "INVALID_GRAPH" });
  });
});
