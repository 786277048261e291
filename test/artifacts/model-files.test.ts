import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DirectoryArtifacts } from "../../src/artifacts/directory.ts";
import { materialise, modelDigest, storeFile } from "../../src/artifacts/model-files.ts";

let folder: string;
const bytes = Buffer.alloc(3_000_000, "call me ");
const sha256 = createHash("sha256").update(bytes).digest("hex");

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
  await writeFile(join(folder, "source"), bytes);
});
after(() => rm(folder, { recursive: true }));

describe("the artifact store", () => {
  it("keeps the same bytes once, stored at once or again, and leaves nothing else behind", async () => {
    const data = join(folder, "once");
    const store = () => storeFile(data, join(folder, "source"));
    assert.deepEqual(await Promise.all([store(), store(), store()]), Array(3).fill({ sha256, sizeBytes: bytes.length }));
    const { ino } = await stat(new DirectoryArtifacts(join(data, "artifacts")).at(sha256));
    await store();
    assert.equal((await stat(new DirectoryArtifacts(join(data, "artifacts")).at(sha256))).ino, ino);
    assert.deepEqual(await readdir(join(data, "artifacts")), [sha256]);
    assert.deepEqual(await readFile(new DirectoryArtifacts(join(data, "artifacts")).at(sha256)), bytes);
  });

  it("makes a model's folder once, of links, however many ask at once", async () => {
    const dataDirectory = join(folder, "folders");
    const stored = await storeFile(dataDirectory, join(folder, "source"));
    const files = ["onnx/model.onnx", "onnx/deep/weights", "config.json"].map((path) => ({ path, ...stored }));
    const model = { dataDirectory, digest: modelDigest(files), files };
    const places = await Promise.all(Array.from({ length: 5 }, () => materialise(model)));
    assert.equal(new Set(places).size, 1);
    assert.deepEqual(await readdir(join(dataDirectory, "models")), [model.digest]);
    const { ino } = await stat(new DirectoryArtifacts(join(dataDirectory, "artifacts")).at(sha256));
    for (const { path } of files) assert.equal((await stat(join(places[0] as string, path))).ino, ino, path);
  });

  it("says which file is missing, and makes no folder then", async () => {
    const files = [{ path: "onnx/model.onnx", sha256: "0".repeat(64), sizeBytes: 1 }];
    const model = { dataDirectory: join(folder, "missing"), digest: modelDigest(files), files };
    await assert.rejects(materialise(model), { code: "ARTIFACT_MISSING", message: /onnx\/model\.onnx/ });
    assert.deepEqual(await readdir(join(folder, "missing", "models")), []);
  });
});
