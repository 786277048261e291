import { GraphBuilder } from "../../../src/onnx/builder.ts";
import { encode } from "../../../src/onnx/encode.ts";
import { float32Tensor } from "../../../src/onnx/tensors.ts";
import { openSession } from "../../../src/runtime/session.ts";

/** What the machine gives ONNX Runtime at its best, with so many threads. */
export interface Machine {
  /** Bytes a second that a product of one row with a matrix much larger than the caches reads. */
  bandwidth(): Promise<number>;
  /** Floating point operations a second of a large product of matrices. */
  sgemm(): Promise<number>;
  close(): Promise<void>;
}

async function product(M: number, K: number, N: number, threads: number | undefined) {
  const b = GraphBuilder.empty();
  const x = b.input("x", "float32", [M, K]);
  const y = b.matMul(x, b.constant(float32Tensor("w", [K, N], new Float32Array(K * N).fill(0.5))));
  const { graph, opsets } = b.build([y]);
  const model = { irVersion: 8, opsets, producerName: "espalier", producerVersion: "", metadata: {}, graph };
  const session = await openSession({ bytes: encode(model) }, { executionProvider: "CPU", ...(threads === undefined ? {} : { threads }) });
  const feeds = { x: { dataType: "float32" as const, dims: [M, K], data: new Float32Array(M * K).fill(0.25) } };
  return {
    async best(): Promise<number> {
      let best = Number.POSITIVE_INFINITY;
      for (let n = 0; n < 5; n++) {
        const begun = performance.now();
        await session.run(feeds);
        best = Math.min(best, performance.now() - begun);
      }
      return best / 1000;
    },
    close: () => session.close(),
  };
}

export async function machine(threads: number | undefined): Promise<Machine> {
  const row = await product(1, 8192, 8192, threads);
  const square = await product(1024, 2048, 2048, threads);
  return {
    bandwidth: async () => (8192 * 8192 * 4) / (await row.best()),
    sgemm: async () => (2 * 1024 * 2048 * 2048) / (await square.best()),
    close: async () => {
      await row.close();
      await square.close();
    },
  };
}
