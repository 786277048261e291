import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { signatureOf } from "../../src/signature/signature.ts";
import { discover } from "../../src/structures/discover.ts";
import { remove } from "../../src/structures/remove.ts";
import { unfuseSums } from "../../src/structures/unfuse-sums.ts";
import { feedsOf } from "../support/feeds.ts";
import { fixtures } from "../support/fixtures.ts";
import { assertClose, logitsOf, masked } from "../support/masked.ts";

const seed = 20250128;

/** ONNX Runtime's optimizer gives norms that have no bias one of zeros, which is stored and counts. */
const addedBiases: Readonly<Record<string, number>> = { "ort-optimized/mpt": 30 };

describe(`structures of what the exporters write (seed ${seed})`, () => {
  it("has fixtures", () => assert.ok(fixtures.length > 30));

  for (const { name, folder, read } of fixtures)
    it(`${name}: layers, attentions and MLPs are those of the config, and removing them equals masking them`, async () => {
      const { model, expected } = read();
      const found = discover(model, tensorReader(folder));
      const bias = addedBiases[name] ?? 0;
      const counts = (kind: string) => found.structures.filter((s) => s.kind === kind).map((s) => s.parameterCount);
      assert.deepEqual(
        counts("LAYER"),
        expected.layerParameters.map((l) => l.layer + 2 * bias),
      );
      assert.deepEqual(
        counts("ATTENTION"),
        expected.layerParameters.map((l) => l.attention + bias),
      );
      assert.deepEqual(
        counts("MLP"),
        expected.layerParameters.map((l) => l.mlp + bias),
      );
      assert.equal(found.parameterCount, expected.parameterCount + (2 * expected.layers + 1) * bias);

      const { tokens: ids, logits } = expected;
      if (ids && logits)
        assertClose(await logitsOf({ ...model, graph: unfuseSums(model.graph) }, feedsOf(model, ids)), Float32Array.from(logits.flat(2)));

      const token = fc.integer({ min: 3, max: expected.vocabularySize - 1 });
      const someTexts = fc
        .integer({ min: 1, max: 5 })
        .chain((T) => fc.array(fc.array(token, { minLength: T, maxLength: T }), { minLength: 1, maxLength: 2 }));
      const hasCache = signatureOf(model.graph.inputs).caches.length > 0;
      await fc.assert(
        fc.asyncProperty(
          fc.shuffledSubarray([...found.structures], { minLength: 1, maxLength: 3 }),
          someTexts,
          fc.integer({ min: 0, max: hasCache ? 4 : 0 }),
          async (ids, texts, past) => {
            const left = found.structures
              .filter((s) => s.kind === "ATTENTION")
              .filter((s) => !ids.some((id) => id.kind !== "MLP" && id.layer === s.layer));
            fc.pre(left.length > 0);
            // GroupQueryAttention on the CPU takes several tokens after a past for one text only.
            const tokens = past > 0 && (texts[0]?.length ?? 0) > 1 ? texts.slice(0, 1) : texts;
            const pruned = remove(model, ids);
            assert.deepEqual(decode(encode(pruned)), pruned);
            assert.equal(signatureOf(pruned.graph.inputs).caches.length, hasCache ? 2 * left.length : 0);
            // The entries of a layer that stays are the same in both models, wherever they now stand.
            const place = ({ graph }: Model, cache: string) => signatureOf(graph.inputs).caches.findIndex((c) => c.name === cache);
            const entry = (cache: string) => 2 * (left[Math.floor(place(pruned, cache) / 2)]?.layer as number) + (place(pruned, cache) % 2);
            assertClose(
              await logitsOf(pruned, feedsOf(pruned, tokens, past, entry)),
              await logitsOf(
                masked(model, ids),
                feedsOf(model, tokens, past, (cache) => place(model, cache)),
              ),
            );
          },
        ),
        { numRuns: 4, seed },
      );
    });
});
