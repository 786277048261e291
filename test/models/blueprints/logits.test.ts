import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import { type Variant, variants, writeFolder } from "../../support/safetensors-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-blueprints-"));
after(() => rmSync(scratch, { recursive: true }));

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((most, v) => Math.max(most, v)));

/** A folder with the graph that is built beside its weights. */
async function built(name: string, variant: Variant): Promise<string> {
  const folder = writeFolder(join(scratch, name), variant);
  writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
  return folder;
}

for (const [family, rows] of variants)
  describe(`a ${family} from its weights`, () => {
    for (const [name, variant] of rows)
      it(`${name}: has transformers' logits to 1e-4, and writes its greedy text with the cache`, async () => {
        const folder = await built(`${family}-${name}`, variant);
        const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
        try {
          const found = await model.logits([variant.tokens]);
          const largest = variant.logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
          const apart = found.reduce((most, v, i) => Math.max(most, Math.abs(v - (variant.logits[i] as number))), 0);
          assert.equal(found.length, variant.logits.length);
          assert.ok(apart < 1e-4 * largest, `logits differ by ${apart} of ${largest}`);
          let { past, logits } = await model.read(model.start, variant.prompt);
          const text: number[] = [];
          while (text.length < variant.text.length) {
            const id = argmax(logits);
            text.push(id);
            ({ past, logits } = await model.read(past, [id]));
          }
          assert.deepEqual(text, variant.text);
        } finally {
          await model.close();
        }
      });
  });
