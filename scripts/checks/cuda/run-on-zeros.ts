import { encode } from "../../../src/onnx/encode.ts";
import { type Model, sizeOf, type TypedGraph } from "../../../src/onnx/ir.ts";
import { openSession, type SessionOptions } from "../../../src/runtime/session.ts";

/** Runs a graph of static shapes once, fed with zeros. */
export async function runOnZeros({ graph, opsets }: TypedGraph, model: Model, folder: string, options: SessionOptions): Promise<void> {
  const session = await openSession({ bytes: encode({ ...model, opsets, graph }), externalFolder: folder }, { ...options, lean: true });
  try {
    const zeros = session.inputs.map(({ name, dataType, shape }) => {
      const dims = shape as readonly number[];
      const size = sizeOf(dims);
      return [name, { dataType, dims, data: dataType === "float32" ? new Float32Array(size) : new BigInt64Array(size) }] as const;
    });
    await session.run(Object.fromEntries(zeros));
  } finally {
    await session.close();
  }
}
