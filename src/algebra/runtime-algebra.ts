import { encode } from "../onnx/encode.ts";
import type { Model, ValueInfo } from "../onnx/ir.ts";
import { openSession, type Session, type TensorValue } from "../runtime/session.ts";
import type { Algebra } from "./algebra.ts";

/** ONNX Runtime's product of float64, on the CPU. The same factors give the same bits. */
export class RuntimeAlgebra implements Algebra {
  private constructor(private readonly session: Session) {}

  /** @throws EspalierError ONNX_RUNTIME */
  static async open(threads?: number): Promise<RuntimeAlgebra> {
    const native = { enableCpuMemArena: false };
    return new RuntimeAlgebra(
      await openSession({ bytes: encode(product) }, { executionProvider: "CPU", native, ...(threads === undefined ? {} : { threads }) }),
    );
  }

  async multiply(a: Float64Array, b: Float64Array, n: number, k: number, m: number): Promise<Float64Array> {
    const matrix = (data: Float64Array, dims: readonly number[]): TensorValue => ({ dataType: "float64", dims, data });
    const { y } = await this.session.run({ a: matrix(a, [n, k]), b: matrix(b, [k, m]) });
    return (y as TensorValue<Float64Array>).data;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const value = (name: string, shape: readonly string[]): ValueInfo => ({ name, dataType: "float64", shape });

const product: Model = {
  irVersion: 8,
  opsets: { "": 13 },
  producerName: "espalier",
  producerVersion: "",
  metadata: {},
  graph: {
    name: "product",
    inputs: [value("a", ["n", "k"]), value("b", ["k", "m"])],
    outputs: [value("y", ["n", "m"])],
    initializers: new Map(),
    nodes: [{ name: "y", opType: "MatMul", domain: "", inputs: ["a", "b"], outputs: ["y"], attributes: {} }],
    valueInfo: [],
  },
};
