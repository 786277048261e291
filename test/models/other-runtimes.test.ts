import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";
import { exportPruned } from "../../src/models/export.ts";
import { signatureOf } from "../../src/signature/signature.ts";
import type { StructureId } from "../../src/structures/structure.ts";
import { ahabFolder } from "../support/ahab.ts";
import { feedsOf } from "../support/feeds.ts";
import { logitsOf } from "../support/masked.ts";
import { readModel } from "../support/models.ts";

env.allowRemoteModels = false;

// transformers.js makes its caches by config.json alone: what it writes is right only if that says what the graph is.
test("a model whose layers stay alike is loaded by another runtime, which writes what the graph says", async () => {
  const destination = await mkdtemp(join(tmpdir(), "espalier-runtime-"));
  try {
    const removed: StructureId[] = [
      { kind: "LAYER", index: 4 },
      ...Array.from({ length: 12 }, (_, layer): StructureId => ({ kind: "HEAD", index: 2 * layer + (layer % 2) })),
      ...Array.from({ length: 12 * 64 }, (_, i): StructureId => ({ kind: "CHANNEL", index: 256 * Math.floor(i / 64) + 3 * (i % 64) })),
    ];
    const files = ["onnx/model.onnx", "config.json", "generation_config.json"].map((path) => ({ path }));
    await exportPruned({ model: readModel(ahabFolder), folder: ahabFolder, files, removed, destination });
    const prompt = [1, 300, 17, 44, 260];
    const other = await AutoModelForCausalLM.from_pretrained(destination, { dtype: "fp32", local_files_only: true, device: "cpu" });
    const ids = new Tensor("int64", BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
    const mask = new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), [1, prompt.length]);
    const written = await other.generate({ inputs: ids, attention_mask: mask, max_new_tokens: 12, min_new_tokens: 12, do_sample: false });
    await other.dispose();

    const child = readModel(destination);
    assert.equal(signatureOf(child.graph.inputs).caches.length, 2 * 11);
    const expected = [...prompt];
    while (expected.length < prompt.length + 12) {
      const logits = await logitsOf(child, feedsOf(child, [expected]));
      const last = logits.subarray(logits.length - logits.length / expected.length);
      // Its least number of tokens keeps the end of the text from being written.
      last[0] = Number.NEGATIVE_INFINITY;
      expected.push(last.indexOf(last.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY)));
    }
    assert.deepEqual(Array.from((written as Tensor).data as BigInt64Array, Number), expected);
  } finally {
    await rm(destination, { recursive: true });
  }
});
