import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gradientObstacle } from "../../src/autodiff/gradient-obstacle.ts";
import { decode } from "../../src/onnx/decode.ts";
import { consumers } from "../../src/onnx/edit.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { seededRandom } from "../../src/random.ts";
import { lossSlopes, weightsOf } from "./loss-slope.ts";

const root = new URL("../fixtures/exporters/", import.meta.url);
const entriesOf = (url: URL) => (existsSync(url) ? readdirSync(url).sort() : []);
const fixtures = entriesOf(root)
  .flatMap((exporter) => (exporter.includes(".") ? [] : entriesOf(new URL(`${exporter}/`, root)).map((family) => `${exporter}/${family}`)))
  .filter((fixture) => existsSync(new URL(`${fixture}/model.onnx`, root)));
const seed = 23;

/** Operators that look up what they read: embeddings, and the angles of positions. */
const lookups = new Set(["Gather", "GroupQueryAttention", "RotaryEmbedding"]);

/** Norms, biases and projections: vectors and matrices that one node reads, and not as a table. */
const projections = (model: Model): string[] => {
  const readers = consumers(model.graph);
  return weightsOf(model).filter((name) => {
    const [reader, ...others] = readers.get(name) ?? [];
    const rank = model.graph.initializers.get(name)?.dims.length ?? 0;
    return reader && others.length === 0 && !lookups.has(reader.opType) && rank <= 2;
  });
};

describe(`gradients of what the exporters write (seed ${seed})`, { skip: fixtures.length > 0 ? false : "there are no fixtures" }, () => {
  for (const fixture of fixtures)
    it(`${fixture}: each weight's gradient is the slope of the loss, and its ghost norms, whole and along its axes, are its norms`, async () => {
      const folder = new URL(`${fixture}/`, root);
      const model = decode(readFileSync(new URL("model.onnx", folder)));
      const { vocabularySize } = JSON.parse(readFileSync(new URL("expected.json", folder), "utf8")) as { vocabularySize: number };
      // Every exporter lists the logits first, if not always under that name.
      const logits = model.graph.outputs[0]?.name as string;
      assert.equal(gradientObstacle(model.graph, logits), null);

      const options = { ghosts: projections(model), lowered: false };
      const slopes = await lossSlopes(model, logits, vocabularySize, seededRandom(seed, fixture), options);
      for (const { parameter, norm, slope, blur, ghost, sliceError = 0 } of slopes) {
        assert.ok(Math.abs(slope - norm) < 0.01 * norm + blur, `${parameter}: slope ${slope}, norm of the gradient ${norm}`);
        if (ghost !== undefined) assert.ok(Math.abs(ghost - norm) < 1e-4 * norm + 1e-7, `${parameter}: ghost norm ${ghost}, norm ${norm}`);
        if (norm > 1e-4) assert.ok(sliceError < 1e-4, `${parameter}: a slice's squared norm is off by ${sliceError} of the whole`);
      }
      // Where a slope is as small as float32's blur, it tells nothing: keys' biases, which a softmax does not see.
      const telling = slopes.filter(({ norm, blur }) => blur < 0.05 * norm);
      assert.ok(telling.length > 0.8 * slopes.length && telling.length > 10, `${telling.length} of ${slopes.length} slopes tell anything`);
      assert.ok(slopes.filter((s) => s.ghost !== undefined).length > 10);
    });
});
