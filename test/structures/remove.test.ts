import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { exportPruned } from "../../src/models/export.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { openSession } from "../../src/runtime/session.ts";
import { discover } from "../../src/structures/discover.ts";
import { remove } from "../../src/structures/remove.ts";
import { feedsOf } from "../support/feeds.ts";
import { assertClose, logitsOf, masked } from "../support/masked.ts";
import { readModel, testModels } from "../support/models.ts";
import { openWriter } from "../support/writer.ts";

/** These models hold their weights inline. */
const read = tensorReader(".");
const cpu = { executionProvider: "CPU" } as const;

/** Numbers of the cache entries of a model, in the order of its inputs: `past_key_values.7.key` is 7. */
const cacheNumber = (name: string) => Number(/\d+/.exec(name)?.[0]);

for (const { name, folder, skip } of testModels)
  describe(`removal from ${name}`, { skip }, () => {
    const model = skip ? null : readModel(folder);
    const found = model && discover(model, read);

    it("of any structures equals masking them, and their parameters are what it takes", async () => {
      assert.ok(model && found);
      const { structures, parameterCount, parameters } = found;
      const attentions = structures.filter((s) => s.kind === "ATTENTION").length;
      await fc.assert(
        fc.asyncProperty(
          fc.shuffledSubarray([...structures], { minLength: 1, maxLength: 6 }),
          fc.record({ B: fc.integer({ min: 1, max: 3 }), T: fc.integer({ min: 1, max: 7 }), past: fc.integer({ min: 0, max: 5 }) }),
          fc.array(fc.integer({ min: 3, max: 500 }), { minLength: 7, maxLength: 7 }),
          async (ids, { B, T, past }, tokens) => {
            const left = new Set(structures.filter((s) => s.kind === "ATTENTION").map((s) => s.index));
            for (const id of ids) if (id.kind !== "MLP") left.delete(id.layer);
            fc.pre(left.size > 0);
            const pruned = remove(model, ids);

            const gone = new Set(ids.flatMap((s) => s.parameters));
            const counts = [...gone].reduce((n, p) => n + (parameters.get(p) ?? 0), 0);
            assert.equal(discover(pruned, read).parameterCount, parameterCount - counts);
            assert.equal(pruned.graph.inputs.filter((i) => i.shape?.length === 4).length, 2 * left.size);
            assert.deepEqual(
              pruned.graph.outputs.map((o) => o.name),
              ["logits", ...[...left].flatMap((_, i) => [`present.${i}.key`, `present.${i}.value`])],
            );
            assert.deepEqual(decode(encode(pruned)), pruned);

            const numbers = [...left].sort((a, b) => a - b);
            const texts = Array.from({ length: B }, (_, b) => Array.from({ length: T }, (_, t) => tokens[(b * T + t) % 7] as number));
            const [a, b] = await Promise.all([
              logitsOf(
                pruned,
                feedsOf(pruned, texts, past, (n) => numbers[cacheNumber(n)] as number),
              ),
              logitsOf(masked(model, ids), feedsOf(model, texts, past, cacheNumber)),
            ]);
            assertClose(a, b);
          },
        ),
        { numRuns: attentions > 8 ? 8 : 16, seed: 20250128 },
      );
    });

    it("keeps generation with the cache equal to generation without, token for token", async () => {
      assert.ok(model);
      const destination = await mkdtemp(join(tmpdir(), "espalier-test-"));
      try {
        const files = ["onnx/model.onnx", "config.json", "tokenizer.json"].map((path) => ({ path }));
        await exportPruned({
          model,
          folder,
          files,
          removed: [
            { kind: "LAYER", index: 1 },
            { kind: "MLP", index: 0 },
          ],
          destination,
        });
        for (const place of [folder, destination]) {
          const stored = readModel(place);
          const writer = await openWriter(place);
          const prompt = [1, 300, 17, 44, 260];
          const cached: number[] = [];
          const { decoder } = writer.engine;
          const sequence = decoder.begin(prompt, prompt.length + 24, 0);
          let row = (await decoder.read(sequence, prompt, { logits: [prompt.length - 1] })).logits[0] as Float32Array;
          while (cached.length < 24) {
            cached.push(row.indexOf(row.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY)));
            [row = row] = await decoder.step([sequence], [cached.at(-1) as number]);
          }
          await writer.engine.close();

          const session = await openSession({ path: join(place, "onnx", "model.onnx") }, cpu);
          const uncached: number[] = [];
          while (uncached.length < cached.length) {
            const ids = [...prompt, ...uncached];
            const all = (await session.run(feedsOf(stored, [ids]), ["logits"]))["logits"]?.data as Float32Array;
            const last = all.subarray(all.length - all.length / ids.length);
            uncached.push(last.indexOf(last.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY)));
          }
          await session.close();
          assert.deepEqual(cached, uncached);
          assert.equal(cached.length, 24);
        }
      } finally {
        await rm(destination, { recursive: true });
      }
    });

    it("refuses to take the last attention, and structures there are none of", () => {
      assert.ok(model && found);
      assert.throws(
        () =>
          remove(
            model,
            found.structures.filter((s) => s.kind === "ATTENTION"),
          ),
        { code: "LAST_ATTENTION" },
      );
      assert.throws(() => remove(model, [{ kind: "LAYER", index: 99 }]), { code: "UNKNOWN_STRUCTURE" });
    });
  });
