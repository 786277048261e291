import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { openDecoder } from "../../../src/inference/open-decoder.ts";
import { graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import { decode } from "../../../src/onnx/decode.ts";
import { type Stored, storedWeight, variantOf, weight, writeFolder } from "../../support/safetensors-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-stored-"));
after(() => rmSync(scratch, { recursive: true }));
const variant = variantOf("llama");

/** A float32's upper half is a bfloat16. */
const bits = (name: string, shape: readonly number[]) => Uint16Array.from(new Uint32Array(weight(name, shape).buffer), (x) => x >>> 16);
const bfloat16 = (name: string, shape: readonly number[]): Stored => ({
  dtype: "BF16",
  shape,
  bytes: new Uint8Array(bits(name, shape).buffer),
});
/** The same numbers in float32. */
const widened = (name: string, shape: readonly number[]): Stored => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(Uint32Array.from(bits(name, shape), (x) => x << 16).buffer),
});
/** As checkpoints are that keep norms in another type. */
const mixed = (name: string, shape: readonly number[]): Stored => (name.includes("norm") ? widened(name, shape) : bfloat16(name, shape));

async function built(name: string, stored?: typeof storedWeight, skew?: number): Promise<string> {
  const folder = writeFolder(join(scratch, name), variant, stored, skew);
  writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
  return folder;
}

async function logitsOf(folder: string): Promise<Float32Array> {
  const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
  try {
    return await model.logits([variant.tokens]);
  } finally {
    await model.close();
  }
}

describe("weights as they are stored", () => {
  it("in bfloat16 stay so, are computed with in float32, and served together", async () => {
    const folder = await built("bfloat16", bfloat16);
    const { initializers } = decode((await graphOfFolder({ root: folder, folder })).bytes).graph;
    const weights = [...initializers.values()].filter((t) => t.data.kind === "external");
    assert.equal(weights.length, Object.keys(variant.tensors).length);
    assert.ok(weights.every((t) => t.dataType === "bfloat16"));
    const expected = await logitsOf(await built("widened", widened));
    assert.deepEqual(await logitsOf(folder), expected);
    assert.deepEqual(await logitsOf(await built("mixed", mixed)), expected);
    const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
    await decoder.close();
    assert.equal(decoder.limitation, null);
  });

  for (const skew of [1, 2, 4])
    it(`at places that no number of their size would have by itself, ${skew} past 8, are read all the same`, async () => {
      assert.deepEqual(await logitsOf(await built(`skewed${skew}`, storedWeight, skew)), await logitsOf(await built("plain")));
    });
});
