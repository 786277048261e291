import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { exportPruned } from "../../src/models/export.ts";
import type { IterationRecord, PruningEvent, RemovedStructure } from "../../src/pruning/events.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { readModel, testModels } from "../support/models.ts";

const { folder } = testModels[0] as (typeof testModels)[0];
const model = readModel(folder);
let tokenizer: Tokenizer;
let documents: readonly string[];
before(async () => {
  tokenizer = await loadTokenizer(folder);
  documents = (await loadDataset({ name: "literature-train" })).documents;
});

/** Small passes: these tests are about the loop, not about which structures are best. */
const quick: PruningOptions = { ...defaultPruningOptions, samples: 3, sequenceLength: 24, executionProvider: "CPU" };

interface Outcome {
  readonly events: readonly PruningEvent[];
  readonly iterations: readonly IterationRecord[];
  readonly removed: readonly RemovedStructure[];
}

async function run(options: Partial<PruningOptions>, done: readonly IterationRecord[] = []): Promise<Outcome> {
  const job = { model, folder: join(folder, "onnx"), tokenizer, documents, method: pip, options: { ...quick, ...options }, done };
  const events: PruningEvent[] = [];
  const steps = prune(job);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) events.push(step.value);
  return { events, iterations: events.filter((e): e is IterationRecord => e.type === "ITERATION"), removed: step.value.removed };
}

/** All that must repeat: times do not. */
const timeless = (events: readonly PruningEvent[]) => events.map((e) => ({ ...e, durationMs: 0, estimatedMsLeft: 0 }));

async function fileDigest(removed: readonly RemovedStructure[]): Promise<string> {
  const destination = await mkdtemp(join(tmpdir(), "espalier-test-"));
  try {
    await exportPruned({ model, folder, files: [{ path: "onnx/model.onnx" }], removed, destination });
    return createHash("sha256")
      .update(await readFile(join(destination, "onnx", "model.onnx")))
      .digest("hex");
  } finally {
    await rm(destination, { recursive: true });
  }
}

describe("prune", () => {
  it("stops at the first iteration that reaches the target, and adds up", async () => {
    const { events, iterations } = await run({ targetRatio: 0.2 });
    assert.deepEqual(
      events.map((e) => e.type).filter((t) => t !== "SCORING"),
      ["STARTED", "ITERATION", "ITERATION", "ITERATION", "FINISHED"],
    );
    const layer = 101_568;
    assert.deepEqual(
      iterations.map((i) => i.parameterCount),
      [1, 2, 3].map((n) => 1_415_520 - n * layer),
    );
    assert.ok((iterations[1] as IterationRecord).removedRatio < 0.2 && (iterations[2] as IterationRecord).removedRatio >= 0.2);
    for (const { scores, removed } of iterations) {
      const [table] = scores;
      const [gone] = removed;
      assert.ok(table && gone && table.scores.every((s) => s > 0));
      assert.equal(table.indexes[table.scores.indexOf(Math.min(...table.scores))], gone.index);
    }
    // A structure that is gone is scored no more.
    assert.deepEqual(
      iterations.map((i) => i.scores[0]?.indexes.length),
      [12, 11, 10],
    );
  });

  it("gives the same events and the same bytes for the same seed, and goes on after any iteration as if never stopped", async () => {
    const options = { structureKinds: ["ATTENTION", "MLP"] as const, structuresPerIteration: 2, targetRatio: 0.15 };
    const whole = await run(options);
    assert.deepEqual(timeless((await run(options)).events), timeless(whole.events));
    const cut = 1;
    const resumed = await run(options, whole.iterations.slice(0, cut));
    assert.deepEqual(timeless(resumed.iterations), timeless(whole.iterations.slice(cut)));
    assert.deepEqual(resumed.removed, whole.removed);
    assert.equal(await fileDigest(resumed.removed), await fileDigest(whole.removed));
  });

  it("draws other texts for another seed, and new perturbations for every iteration if asked to", async () => {
    const scores = async (options: Partial<PruningOptions>) =>
      (await run({ targetRatio: 0.1, ...options })).iterations.map((i) => [i.loss, i.perturbedLoss]);
    const [kept, renewed, other] = [
      await scores({ perturbation: { ...quick.perturbation, regenerate: false } }),
      await scores({ perturbation: { ...quick.perturbation, regenerate: true } }),
      await scores({ seed: 1 }),
    ];
    assert.deepEqual(kept[0], renewed[0]);
    assert.equal(kept[1]?.[0], renewed[1]?.[0]);
    assert.notEqual(kept[1]?.[1], renewed[1]?.[1]);
    assert.notEqual(other[0]?.[0], kept[0]?.[0]);
  });

  it("keeps protected layers, and says when nothing is left that may go", async () => {
    await assert.rejects(run({ protectFirst: 5, protectLast: 6, targetRatio: 0.2 }), (error: { code: string; message: string }) => {
      assert.equal(error.code, "TARGET_UNREACHABLE");
      assert.match(error.message, /7\.2% of the parameters are gone, 20\.0% were asked for/);
      return true;
    });
  });
});
