import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { finished } from "../../src/finished.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { RemovedStructure } from "../../src/pruning/events.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";
import { rounded } from "../support/half-precision.ts";
import { readModel } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";
import { generates } from "../support/support.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-types-"));
});
after(() => rm(dataDirectory, { recursive: true, force: true }));

describe("a model of quantised weights", () => {
  const root = fileURLToPath(new URL("../fixtures/quantised/", import.meta.url));
  const base = new URL("../fixtures/exporters/optimum/llama/expected.json", import.meta.url);
  for (const kind of ["matmul-nbits", "dequantize-linear", "dynamic"])
    it(`is registered, and told from one that can be pruned: ${kind}`, async () => {
      const { parameterCount } = JSON.parse(await readFile(base, "utf8")) as { parameterCount: number };
      const stored = await inspect({ dataDirectory, modelRoot: root, path: kind });
      assert.equal(stored.parameterCount, parameterCount, "weights count as before they were quantised");
      assert.deepEqual(stored.structures, []);
      assert.equal(stored.pruningObstacle?.code, "QUANTISED_WEIGHTS");
      assert.match(stored.pruningObstacle.message, /register the float32 or float16 export/);
      const { layers, hiddenSize, vocabularySize, cache } = stored.architecture;
      assert.deepEqual([layers, hiddenSize, vocabularySize, cache[0]], [2, 40, 97, { heads: 3, headWidth: 16 }]);
      const isSlow = stored.notes.some((note) => /accuracy_level 4.* up to thirty times as long/.test(note));
      assert.equal(isSlow, kind === "matmul-nbits", "codes that are unpacked in each run are told of");
      await generates(await materialise({ dataDirectory, ...stored }), [5, 17, 42, 3], 6);
    });
});

describe("a model stored in narrow floats", () => {
  const removedOf = new Map<string, string[]>();
  const prompt = [1, 300, 17, 44];
  /** What the float32 model lost, and what its child writes. */
  let exact: { readonly removed: readonly RemovedStructure[]; readonly text: readonly number[] } | undefined;
  for (const type of ["float32", "float16", "bfloat16"] as const)
    it(`is registered, pruned by layers and channels, written and made to write: ahab in ${type}`, async () => {
      const root = join(dataDirectory, type);
      await mkdir(join(root, "ahab", "onnx"), { recursive: true });
      for (const file of ["config.json", "tokenizer.json"]) await cp(join(ahabFolder, file), join(root, "ahab", file));
      const whole = readModel(ahabFolder);
      await writeFile(join(root, "ahab", "onnx", "model.onnx"), encode(type === "float32" ? whole : rounded(whole, type, true)));
      const stored = await inspect({ dataDirectory, modelRoot: root, path: "ahab" });
      assert.deepEqual([stored.parameterCount, stored.architecture.dataType, stored.pruningObstacle], [1_415_520, type, null]);

      const { model, folder, graphFolder } = await openStoredModel({ dataDirectory, ...stored });
      const { documents } = await loadDataset({ name: "literature-train" });
      const options = {
        structureKinds: ["LAYER", "CHANNEL"] as const,
        normalization: "KIND_MEAN" as const,
        samples: 2,
        sequenceLength: 24,
      };
      const steps = prune({
        model,
        folder: graphFolder,
        scratch,
        tokenizer: await loadTokenizer(folder),
        documents,
        method: pip,
        options: { ...defaultPruningOptions, ...options, targetRatio: 0.1, structuresPerIteration: 0.1, executionProvider: "CPU" },
        done: [],
      });
      const result = await finished(steps);
      const removed: readonly RemovedStructure[] = result.removed;
      removedOf.set(
        type,
        removed.map((r) => `${r.kind} ${r.index}`),
      );
      const destination = join(root, "child");
      await exportPruned({ model, folder, files: stored.files, removed, destination });
      const child = await storeFolder(dataDirectory, destination);
      assert.equal(child.architecture.dataType, type);
      assert.equal(child.parameterCount, 1_415_520 - removed.reduce((n, r) => n + r.parameterCount, 0));
      await generates(folder, prompt, 5);
      const text = await generates(destination, prompt, 12);
      exact ??= { removed, text };
      const alike = join(root, "alike");
      await exportPruned({ model, folder, files: stored.files, removed: exact.removed, destination: alike });
      assert.deepEqual(await generates(alike, prompt, 12), exact.text, "without the same structures it writes what the float32 child does");
    });

  it("loses nearly the same structures in each", () => {
    const wide = new Set(removedOf.get("float32"));
    for (const type of ["float16", "bfloat16"]) {
      const own = removedOf.get(type) ?? [];
      const same = own.filter((r) => wide.has(r)).length;
      assert.ok(own.length > 100 && same > 0.85 * own.length, `${type}: ${same} of ${own.length} are those of float32`);
    }
  });
});
