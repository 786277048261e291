import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { decode } from "../../src/onnx/decode.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { openGroups, type Whole } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide, removeStructures } from "../../src/structures/divide.ts";
import type { StructureId } from "../../src/structures/structure.ts";

// The tiny Llama of Optimum: two layers of three heads of keys and values, F 52.
const model = decode(readFileSync(new URL("../fixtures/exporters/optimum/llama/model.onnx", import.meta.url)));
const read = tensorReader(".");
let whole: Whole;
before(async () => {
  const found = discover(model, read);
  whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
});

/** Of each group that is open once some structures are gone: its kind, its layer, what is left of it, and how many may go. */
async function open(removed: readonly StructureId[], options: Partial<PruningOptions>) {
  const now = await removeStructures(model, removed, read, whole);
  const groups = openGroups(whole, removed, now, { ...defaultPruningOptions, ...options });
  return groups.map(({ kind, layer, indexes, removable }) => ({ kind, layer, left: indexes.length, removable }));
}
const heads = (...indexes: number[]): StructureId[] => indexes.map((index) => ({ kind: "HEAD", index }));

describe("the structures that may go", () => {
  it("are not a model's last attention, whatever else is left", async () => {
    const kinds: Partial<PruningOptions> = { structureKinds: ["ATTENTION", "MLP"] };
    const left = await open([{ kind: "ATTENTION", index: 0 }], kinds);
    assert.deepEqual(
      left.map(({ kind, layer }) => `${kind} ${layer}`),
      ["MLP 0", "MLP 1"],
    );
  });

  it("are all heads of an attention but one, where nothing else is asked for", async () => {
    const kinds: Partial<PruningOptions> = { structureKinds: ["HEAD"], minKeepRatio: 0 };
    assert.deepEqual(await open([], kinds), [
      { kind: "HEAD", layer: 0, left: 3, removable: 2 },
      { kind: "HEAD", layer: 1, left: 3, removable: 2 },
    ]);
    assert.deepEqual(await open(heads(0, 2), kinds), [{ kind: "HEAD", layer: 1, left: 3, removable: 2 }]);
  });

  it("leave the share that is to be kept", async () => {
    // A third is one of three, anything above it two.
    const kept = (minKeepRatio: number, uniform: PruningOptions["uniform"] = null) =>
      open(heads(3), { structureKinds: ["HEAD"], minKeepRatio, uniform });
    assert.deepEqual(
      (await kept(1 / 3)).map((g) => g.removable),
      [2, 1],
    );
    assert.deepEqual(
      (await kept(0.34)).map((g) => g.removable),
      [1],
    );
    // Where all layers keep equally many, those that can spare none are named: they limit the others. None is below none.
    assert.deepEqual(
      (await kept(0.9, { headMultiple: 1, channelMultiple: 1 })).map((g) => [g.left, g.removable]),
      [
        [3, 0],
        [2, 0],
      ],
    );
  });
});
