import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { datasetFiles, datasets, loadDataset, maximumTextBytes, maximumTexts } from "../../src/text/datasets.ts";

const card = JSON.parse(readFileSync(new URL("../../models/ahab/data.json", import.meta.url), "utf8"));

describe("datasets", () => {
  it("hold out what the bundled model's card says was held out", async () => {
    const files = await datasetFiles();
    const heldOut = files.filter((_, i) => datasets.find((d) => d.name === "literature-heldout")?.holds(i));
    assert.deepEqual(
      heldOut.map((f) => f.id),
      card.heldOut,
    );
    const { documents } = await loadDataset({ name: "literature-heldout" });
    assert.deepEqual(
      documents,
      heldOut.map((f) => readFileSync(f.path, "utf8")),
    );
  });

  it("share no document, and leave none out", async () => {
    const [train, heldOut, files] = await Promise.all([
      loadDataset({ name: "literature-train" }),
      loadDataset({ name: "literature-heldout" }),
      datasetFiles(),
    ]);
    assert.deepEqual([train.documents.length, heldOut.documents.length, files.length], [354, 19, 373]);
    const trained = new Set(train.documents);
    assert.deepEqual(
      heldOut.documents.filter((d) => trained.has(d)),
      [],
    );
  });

  it("are identified by their texts", async () => {
    const digest = async (...texts: string[]) => (await loadDataset({ texts })).digest;
    assert.equal(await digest("a", "b"), await digest("a", "b"));
    assert.notEqual(await digest("a", "b"), await digest("ab"));
    assert.notEqual(await digest("a", "b"), await digest("b", "a"));
    const heldOut = await loadDataset({ name: "literature-heldout" });
    assert.equal(await digest(...heldOut.documents), heldOut.digest);
    // The packages are pinned: other bytes would make every figure in the README incomparable.
    assert.equal(heldOut.digest, "a86136b854a0958975dc1a3de09ed2ceb6f5a783b86cb4f3ebde7cf821420d0a");
  });

  it("refuse what they do not have and what is too much", async () => {
    await assert.rejects(loadDataset({ name: "wikitext" }), {
      code: "DATASET_NOT_FOUND",
      details: { name: "wikitext", known: ["literature-train", "literature-heldout"] },
    });
    const invalid = [[], ["", " \n"], ["x".repeat(maximumTextBytes), "x"], new Array<string>(maximumTexts + 1).fill("x")];
    for (const texts of invalid) await assert.rejects(loadDataset({ texts }), { code: "INVALID_DATASET" });
    const most = await loadDataset({ texts: ["é".repeat(maximumTextBytes / 2)] });
    assert.equal(most.documents.length, 1);
  });
});
