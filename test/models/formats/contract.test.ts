import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { rows } from "../../../scripts/generate/formats-table.ts";
import { modelDigest } from "../../../src/artifacts/model-files.ts";
import { formats } from "../../../src/models/formats/formats.ts";
import type { InspectedModel } from "../../../src/models/types.ts";
import { exported, stored } from "../../support/exported.ts";
import { variantOf, writeFolder } from "../../support/safetensors-folder.ts";

let dataDirectory: string;
let model: InspectedModel;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-formats-"));
  model = await stored(dataDirectory, writeFolder(join(dataDirectory, "llama"), variantOf("llama")));
});
after(() => rm(dataDirectory, { recursive: true }));

test("formats have names of their own, and say what they are", () => {
  assert.equal(new Set(formats.map(({ name }) => name)).size, formats.length);
  for (const { name, description, loadedBy, library, tags } of formats) {
    assert.match(name, /^[A-Z][A-Z0-9_]*$/);
    assert.match(description, /\.$/);
    assert.ok(loadedBy !== "" && library !== "" && tags.length > 0, name);
  }
});

test("docs/exporting.md lists every format; if not, run: node --import tsx scripts/generate/formats-table.ts", () => {
  assert.ok(readFileSync(new URL("../../../docs/exporting.md", import.meta.url), "utf8").includes(rows()));
});

for (const { name } of formats)
  test(`${name}: the same model gives the same bytes, under paths that lie in the folder`, async () => {
    const first = await exported(dataDirectory, model, name);
    const second = await exported(dataDirectory, model, name);
    assert.equal(second.digest, first.digest);
    assert.equal(first.digest, modelDigest(first.files));
    for (const { path } of first.files) assert.match(path, /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$))[^\\\0]+$/);
    assert.equal(
      first.sizeBytes,
      first.files.reduce((n, f) => n + f.sizeBytes, 0),
    );
    assert.ok((await readdir(first.folder)).length > 0);
  });
