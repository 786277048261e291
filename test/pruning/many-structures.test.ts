import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { writeLlama } from "../../scripts/benches/large-model/make.ts";
import { decode } from "../../src/onnx/decode.ts";
import { sizeOf } from "../../src/onnx/ir.ts";
import type { IterationRecord } from "../../src/pruning/events.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { prune } from "../../src/pruning/prune.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";
import { tinyStories } from "../support/documents.ts";
import { quick } from "../support/loop.ts";

it("removes half of 400,000 channels at once: no list of them goes through the stack", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "espalier-many-"));
  try {
    const channels = 200_070;
    writeLlama(folder, { hidden: 4, inner: channels, heads: 2, kvHeads: 1, vocabulary: 2048 }, 2);
    const model = decode(await readFile(join(folder, "model.onnx")));
    const options = {
      ...quick,
      structureKinds: ["CHANNEL"] as const,
      structuresPerIteration: 0.5,
      targetRatio: 0.7,
      samples: 1,
      sequenceLength: 8,
    };
    const tokenizer = await loadTokenizer(ahabFolder);
    const job = { model, folder, scratch: join(folder, "scratch"), tokenizer, documents: tinyStories, method: pip, options };
    const iterations: IterationRecord[] = [];
    const steps = prune({ ...job, done: [] });
    let step = await steps.next();
    for (; !step.done; step = await steps.next()) if (step.value.type === "ITERATION") iterations.push(step.value);

    const [first, second] = iterations as [IterationRecord, IterationRecord];
    assert.equal(iterations.length, 2);
    assert.equal(first.removed.length, channels);
    assert.equal(first.scores[0]?.scores.length, 2 * channels);
    const whole = new Set(first.removed.map(({ index }) => index));
    const highest = first.removed.at(-1)?.score ?? 0;
    const kept = first.scores[0]?.scores.filter((_, i) => !whole.has(i)) ?? [];
    assert.ok(kept.length === channels && kept.every((score) => score >= highest), "the lowest half went");
    const sizes = [...step.value.pruned.graph.initializers.values()].filter((t) => sizeOf(t.dims) > 4 * 2048);
    const left = 2 * channels - first.removed.length - second.removed.length;
    assert.equal(
      sizes.reduce((n, t) => n + sizeOf(t.dims), 0),
      3 * 4 * left,
    );
    assert.ok(second.removed.every(({ index }) => !whole.has(index)));
  } finally {
    await rm(folder, { recursive: true });
  }
});
