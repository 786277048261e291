import assert from "node:assert/strict";
import { it } from "node:test";
import { GraphBuilder } from "../../src/onnx/builder.ts";
import { encode } from "../../src/onnx/encode.ts";
import { dataTypes } from "../../src/onnx/ir.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";

for (const [opType, expected] of [
  ["LessOrEqual", [1, 1, 0, 0, 1, 1]],
  ["GreaterOrEqual", [0, 1, 1, 1, 1, 0]],
] as const)
  it(`${opType} of operator set 14 has its shape, and its meaning, after specialising`, async () => {
    const b = GraphBuilder.empty({ "": 14 });
    const [x, y] = [b.input("x", "int64", [2, 3]), b.input("y", "int64", [3])];
    const compared = b.op(opType, [x, y], [2, 3], {}, "bool");
    const result = b.cast(compared, "int64", dataTypes.int64.onnx);
    const { graph, opsets } = b.build([result]);
    const model = { irVersion: 8, opsets, producerName: "", producerVersion: "", metadata: {}, graph };
    const typed = await specialise(model, { shapes: { x: [2, 3], y: [3] }, constants: [], parameters: [] }, [result.name]);
    assert.deepEqual(typed.types.get(compared.name), { dataType: "bool", shape: [2, 3] });

    const session = await openSession({ bytes: encode({ ...model, graph: typed.graph }) }, { executionProvider: "CPU", threads: 1 });
    const feeds = {
      x: { dataType: "int64", dims: [2, 3], data: BigInt64Array.from([1n, 2n, 3n, 4n, 2n, 0n]) },
      y: { dataType: "int64", dims: [3], data: BigInt64Array.from([2n, 2n, 2n]) },
    } as const;
    const { data } = (await session.run(feeds))[result.name] as TensorValue<BigInt64Array>;
    assert.deepEqual(Array.from(data, Number), expected);
    await session.close();
  });
