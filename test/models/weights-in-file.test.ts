import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { exportPruned } from "../../src/models/export.ts";
import { inspect } from "../../src/models/inspect.ts";
import { openForPruning, openStoredModel } from "../../src/models/stored-model.ts";
import { sizeOf } from "../../src/onnx/ir.ts";
import { modelRoot } from "../support/ahab.ts";

it("a model is pruned over the weights in its file, and its child is written byte for byte as from memory", async () => {
  const data = await mkdtemp(join(tmpdir(), "espalier-in-file-"));
  try {
    const stored = { dataDirectory: data, ...(await inspect({ dataDirectory: data, modelRoot, path: "ahab" })) };
    const [whole, mapped] = [await openStoredModel(stored), await openForPruning(stored)];
    const inFile = [...mapped.model.graph.initializers.values()].filter((t) => t.data.kind === "external");
    const large = [...whole.model.graph.initializers.values()].filter((t) => t.dims.length === 2 && sizeOf(t.dims) >= 1 << 16);
    assert.ok(large.length > 0 && large.every(({ name }) => inFile.some((t) => t.name === name)), "matrices stay in the file");

    // One of each kind: matrices that go, that are cut, and that stay.
    const kinds = ["LAYER", "ATTENTION", "MLP", "HEAD", "CHANNEL"] as const;
    const removed = kinds.map((kind, i) => ({ kind, index: kind === "CHANNEL" ? 2000 : 2 * i + 1 }));
    const written = async ({ model, folder }: typeof whole, name: string): Promise<Map<string, Buffer>> => {
      const destination = join(data, name);
      await exportPruned({ model, folder, files: stored.files, removed, destination });
      const paths = await readdir(destination, { recursive: true, withFileTypes: true });
      const files = paths.filter((entry) => entry.isFile()).map(({ parentPath, name: file }) => join(parentPath, file));
      return new Map(await Promise.all(files.map(async (path) => [path.slice(destination.length), await readFile(path)] as const)));
    };
    const [fromMemory, fromFile] = [await written(whole, "memory"), await written(mapped, "file")];
    assert.deepEqual([...fromFile.keys()].sort(), [...fromMemory.keys()].sort());
    for (const [path, bytes] of fromMemory) assert.ok(fromFile.get(path)?.equals(bytes), path);
  } finally {
    await rm(data, { recursive: true });
  }
});
