import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import { type Model, sizeAt } from "../../onnx/ir.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { signatureOf } from "../../signature/signature.ts";
import { batchOf, runOn } from "./batch.ts";
import type { Scene } from "./evidence.ts";
import { openScoring } from "./open-scoring.ts";

/**
 * Runs a graph that is made of a scene's model over its unperturbed texts, some at a time.
 *
 * @param weights [B, T] its input that is fed each token's share of its text; B texts are run at once
 * @param output its one output
 * @param take is given the output's elements, and how many texts they are of
 * @yields how many texts are done
 */
export async function* overTexts(
  scene: Scene,
  model: Model,
  b: GraphBuilder,
  weights: Value,
  output: Value,
  take: (found: Float32Array, texts: number) => void,
): AsyncGenerator<number, void> {
  const { samples } = scene;
  const [B, T] = [sizeAt(weights.shape, 0), sizeAt(weights.shape, 1)];
  const session = await openScoring(scene, model, b.build([output]));
  try {
    const signature = signatureOf(model.graph.inputs);
    for (let done = 0; done < samples.length; done += B) {
      const texts = samples.slice(done, done + B).map((s) => s.unperturbed);
      const feeds = batchOf(signature, texts, [B, T]);
      const out = await runOn(session, { ...feeds.ids, [weights.name]: feeds.counted });
      take((out[output.name] as TensorValue<Float32Array>).data, texts.length);
      yield done + texts.length;
    }
  } finally {
    await session.close();
  }
}
