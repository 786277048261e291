import { type Product, productsOf } from "../../autodiff/products.ts";
import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { type Model, sizeAt, sizeOf } from "../../onnx/ir.ts";
import { toFloat32 } from "../../onnx/to-float32.ts";
import type { Signature } from "../../signature/signature.ts";
import { rowsPerRun } from "./batch.ts";
import type { Scene } from "./evidence.ts";
import { judgedGraph } from "./judged.ts";

/** A graph of a batch of texts [B, T], in which what products are given can be summed up. */
export interface ProductInputs {
  /** The scene's model in float32, which the graph is made of. */
  readonly model: Model;
  readonly b: GraphBuilder;
  readonly B: number;
  readonly signature: Signature;
  /** The products that read parameters, by parameter. */
  readonly products: ReadonlyMap<string, Product>;
  /** Names of what they are given, each once. */
  readonly inputs: readonly string[];
  /** One of the inputs by token [B T, rows of a token, channels]. */
  rowsOf(input: string): Value;
}

/**
 * @param name what the values that are added are named by
 * @param texts how many there are in all
 * @param parameters matrices; those that no plain product reads are passed over
 */
export async function productInputs(
  scene: Pick<Scene, "model" | "whole" | "sequenceLength" | "judge">,
  name: string,
  texts: number,
  parameters: readonly string[],
): Promise<ProductInputs> {
  const { sequenceLength: T } = scene;
  const model = toFloat32(scene.model);
  const B = Math.min(texts, rowsPerRun(T));
  const { typed, signature } = await judgedGraph(scene, model, B);
  const products = productsOf(typed, parameters);
  const b = new GraphBuilder(typed, name);
  return {
    ...{ model, b, B, products, signature },
    inputs: [...new Set([...products.values()].map((p) => p.input))],
    rowsOf(input) {
      const x = b.value(input);
      const width = sizeAt(x.shape, -1);
      return b.reshape(x, [B * T, sizeOf(x.shape) / (B * T * width), width]);
    },
  };
}
