import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { rows } from "../../scripts/generate/methods-table.ts";
import type { IterationRecord, PruningEvent } from "../../src/pruning/events.ts";
import { methods } from "../../src/pruning/methods/index.ts";
import type { Method } from "../../src/pruning/methods/method.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { tinyStories } from "../support/documents.ts";
import { readModel, testModels } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";

/** Small passes of all kinds that a method can score, under one ranking. */
const quick = {
  samples: 2,
  sequenceLength: 16,
  structuresPerIteration: 0.1,
  normalization: "KIND_MEAN",
  targetRatio: 0.12,
  executionProvider: "CPU",
} as const;

/** Each method, and those that learn from masks from another's scores too; those of experts are held to PyTorch elsewhere (experts.test.ts). */
const ways = methods
  .filter(({ kinds }) => kinds.some((kind) => kind !== "EXPERT"))
  .flatMap((method): (readonly [Method, Partial<PruningOptions>, string])[] => [
    [method, {}, ""],
    ...(method.learnsFromMasks ? [[method, { startFrom: "MAGNITUDE_L2", masks: 9 }, " from another's scores"] as const] : []),
  ]);

const timeless = (events: readonly PruningEvent[]) => events.map((e) => ({ ...e, durationMs: 0, estimatedMsLeft: 0 }));

for (const { name, folder, skip } of testModels)
  describe(`the contract of methods, on ${name}`, { skip }, () => {
    for (const [method, own, how] of ways)
      it(`${method.name}${how} iterates, tells its progress, repeats, and goes on after an iteration as if never stopped`, async () => {
        const model = readModel(folder);
        const tokenizer = await loadTokenizer(folder);
        const options: PruningOptions = { ...defaultPruningOptions, ...quick, ...own, structureKinds: method.kinds };
        const run = async (done: readonly IterationRecord[]) => {
          const events: PruningEvent[] = [];
          const steps = prune({ model, folder: join(folder, "onnx"), scratch, tokenizer, documents: tinyStories, method, options, done });
          let step = await steps.next();
          for (; !step.done; step = await steps.next()) events.push(step.value);
          return { events, iterations: events.filter((e): e is IterationRecord => e.type === "ITERATION"), ...step.value };
        };
        const whole = await run([]);
        const last = whole.events.at(-1);
        assert.ok(last?.type === "FINISHED" && last.removedRatio >= quick.targetRatio);
        assert.ok(whole.iterations.length >= 1);
        for (const { scores } of whole.iterations) {
          assert.ok(scores.length > 0 && scores.every((t) => method.kinds.includes(t.kind) && t.scores.every(Number.isFinite)));
          assert.ok(
            scores.some((t) => new Set(t.scores).size > 1),
            "structures are told apart",
          );
        }
        const seen = whole.events.flatMap((e) => (e.type === "SCORING" ? [e.samplesDone] : []));
        assert.ok(seen.every((n) => n >= 0 && n <= quick.samples));
        const resumed = await run(whole.iterations.slice(0, 1));
        assert.deepEqual(timeless(resumed.iterations), timeless(whole.iterations.slice(1)));
        assert.deepEqual(resumed.removed, whole.removed);
        assert.deepEqual(resumed.pruned, whole.pruned);
      });
  });

it("docs/methods.md lists every method; if not, run: node --import tsx scripts/generate/methods-table.ts", () => {
  assert.ok(readFileSync(new URL("../../docs/methods.md", import.meta.url), "utf8").includes(rows()));
});
