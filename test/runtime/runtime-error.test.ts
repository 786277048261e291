import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../../src/onnx/encode.ts";
import { openSession } from "../../src/runtime/session.ts";

const input = (name: string, shape: readonly number[]) => ({ name, dataType: "float32" as const, shape });

test("a run's failure names the node and what is wrong, and no file of ONNX Runtime's source", async () => {
  const session = await openSession(
    {
      bytes: encode({
        ...{ irVersion: 8, opsets: { "": 17 }, producerName: "", producerVersion: "", metadata: {} },
        graph: {
          ...{ name: "sum", initializers: new Map(), valueInfo: [], outputs: [{ ...input("z", []), shape: ["z0", "z1"] }] },
          inputs: ["x", "y"].map((name) => ({ ...input(name, []), shape: [`${name}0`, `${name}1`] })),
          nodes: [{ name: "joined", opType: "Add", domain: "", inputs: ["x", "y"], outputs: ["z"], attributes: {} }],
        },
      }),
    },
    { executionProvider: "CPU" },
  );
  const zeros = (dims: readonly number[]) => ({ dataType: "float32" as const, dims, data: new Float32Array(6) });
  await assert.rejects(session.run({ x: zeros([2, 3]), y: zeros([3, 2]) }), ({ code, message }) => {
    assert.equal(code, "ONNX_RUNTIME");
    assert.match(message, /Add node\. Name:'joined'.*broadcast an axis by a dimension other than 1\. \d by \d$/);
    assert.doesNotMatch(message, /onnxruntime_src|was false/);
    return true;
  });
  await session.close();
});
