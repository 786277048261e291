import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportPruned } from "../../src/models/export.ts";
import type { IterationRecord, PruningEvent } from "../../src/pruning/events.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import type { StructureId } from "../../src/structures/structure.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "./ahab.ts";
import { readModel } from "./models.ts";
import { scratch } from "./scratch.ts";

/** Small passes: tests of the loop are not about which structures are best. */
export const quick: PruningOptions = { ...defaultPruningOptions, samples: 3, sequenceLength: 24, executionProvider: "CPU" };

const model = readModel(ahabFolder);
const bundled = { model, folder: join(ahabFolder, "onnx") };
const inputs = Promise.all([loadTokenizer(ahabFolder), loadDataset({ name: "literature-train" })]);

/** Prunes the bundled model, wherever its weights lie, by PIP, after the iterations that are done. */
export async function pruneAhab(options: Partial<PruningOptions>, done: readonly IterationRecord[] = [], base = bundled) {
  const [tokenizer, { documents }] = await inputs;
  const job = { ...base, scratch, tokenizer, documents, method: pip, options: { ...quick, ...options }, done };
  const events: PruningEvent[] = [];
  const steps = prune(job);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) events.push(step.value);
  return { events, iterations: events.filter((e): e is IterationRecord => e.type === "ITERATION"), removed: step.value.removed };
}

/** All that must repeat: times do not. */
export const timeless = (events: readonly PruningEvent[]) => events.map((e) => ({ ...e, durationMs: 0, estimatedMsLeft: 0 }));

/** The folder that the bundled model without those structures is written to, for the time of the work. */
export async function exported<T>(removed: readonly StructureId[], work: (folder: string) => Promise<T>): Promise<T> {
  const destination = await mkdtemp(join(tmpdir(), "espalier-test-"));
  try {
    const files = ["onnx/model.onnx", "config.json"].map((path) => ({ path }));
    await exportPruned({ model, folder: ahabFolder, files, removed, destination });
    return await work(destination);
  } finally {
    await rm(destination, { recursive: true });
  }
}

/** Of the graph that is written. */
export const graphDigest = (removed: readonly StructureId[]): Promise<string> =>
  exported(removed, async (folder) =>
    createHash("sha256")
      .update(await readFile(join(folder, "onnx", "model.onnx")))
      .digest("hex"),
  );
