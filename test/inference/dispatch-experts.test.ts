import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { BatchedDecoder } from "../../src/inference/batched-decoder.ts";
import { openDecoder } from "../../src/inference/open-decoder.ts";
import { graphOfFolder } from "../../src/models/blueprints/graph-of-folder.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { dispatchExperts } from "../../src/serving-graph/dispatch-experts.ts";
import { servingGraph } from "../../src/serving-graph/serving-graph.ts";
import { variantOf, writeFolder } from "../support/safetensors-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "espalier-dispatch-"));
after(() => rmSync(scratch, { recursive: true }));

describe("experts that are served", () => {
  for (const [family, experts] of [
    ["mixtral", 3],
    ["qwen2_moe", 4],
  ] as const)
    it(`compute their own tokens alone, each to the bit as in any company: ${family}`, async () => {
      const variant = variantOf(family);
      const folder = writeFolder(join(scratch, family), variant);
      writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
      const dense = await servingGraph(await readModel(join(folder, "model.onnx"), "IN_FILE"), folder, 32);
      const gathered = dispatchExperts(dense.model).graph.nodes.filter((n) => n.opType === "NonZero");
      assert.equal(gathered.length, 2 * experts);

      // Opening it holds its logits to those of the graph as it is.
      const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
      assert.ok(decoder instanceof BatchedDecoder, String(decoder.limitation));
      try {
        const [own, ...others] = [variant.tokens.slice(0, 8), [3, 9, 27], [5, 5, 5, 80, 81, 2]] as const;
        const read = async (ids: readonly number[]) => {
          const sequence = decoder.begin([], 16, 0);
          const { logits } = await decoder.read(sequence, ids, { logits: [ids.length - 1] });
          return { sequence, logits: (logits[0] as Float32Array).slice() };
        };
        const alone = await read(own);
        const next = (await decoder.step([alone.sequence], [44]))[0]?.slice();
        decoder.end(alone.sequence);
        const together = [await read(own), ...(await Promise.all(others.map(read)))];
        assert.deepEqual(together[0]?.logits, alone.logits);
        const steps = await decoder.step(
          together.map((t) => t.sequence),
          [44, 12, 7],
        );
        assert.deepEqual(steps[0], next);
      } finally {
        await decoder.close();
      }
    });
});
