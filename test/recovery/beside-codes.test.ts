import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { compress } from "../../src/compression/compress.ts";
import { compressionMethodNamed } from "../../src/compression/methods/index.ts";
import { defaultCompressionOptions } from "../../src/compression/options.ts";
import { finished } from "../../src/finished.ts";
import { atFullPrecision } from "../../src/onnx/accuracy-level.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { withAdapters } from "../../src/recovery/beside-codes.ts";
import type { Located } from "../../src/recovery/forward.ts";
import { recoveryMethodNamed } from "../../src/recovery/methods/index.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { type Recovered, recover } from "../../src/recovery/recover.ts";
import { reweighted } from "../../src/recovery/reweighted.ts";
import { unpacked } from "../../src/recovery/unpacked.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { emptyCache } from "../../src/signature/caches.ts";
import { feedsOf } from "../../src/signature/feeds.ts";
import { signatureOf } from "../../src/signature/signature.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";
import { scratch } from "../support/scratch.ts";

const folder = join(ahabFolder, "onnx");
let teacher: Model;
let coded: Model;
let plain: Located;
let tokenizer: Tokenizer;
let documents: readonly string[];
before(async () => {
  await mkdir(scratch, { recursive: true });
  teacher = await readModel(join(folder, "model.onnx"), "IN_FILE");
  tokenizer = await loadTokenizer(ahabFolder);
  documents = (await loadDataset({ name: "literature-train" })).documents.slice(0, 20);
  // Three levels lose so much that a few steps win some of it back.
  const options = { ...defaultCompressionOptions, scheme: "TERNARY" as const, samples: 16, executionProvider: "CPU" as const };
  const job = { model: teacher, folder, tokenizer, documents, method: compressionMethodNamed("PBS2P"), options, scratch, done: [] };
  coded = (await finished(compress(job))).compressed;
  plain = await unpacked({ model: coded, folder }, join(scratch, "unpacked"));
});
after(() => rm(scratch, { recursive: true, force: true }));

async function healed(method: string): Promise<Recovered> {
  const small = { steps: 8, checkEverySteps: 4, batchSize: 8, sequenceLength: 64, heldBackTexts: 16, warmupSteps: 2, rank: 4 };
  const job = {
    ...{ subject: plain, teacher: { model: teacher, folder }, tokenizer, checkpoint: null, scratch },
    documents,
    method: recoveryMethodNamed(method),
    options: { ...defaultRecoveryOptions, ...small, executionProvider: "CPU" as const },
  };
  return finished(recover(job));
}

const ids = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 50);

/** Logits of a text, by one path after another through the weights as they are. */
async function logitsOf({ model, folder: externalFolder }: Located): Promise<Float32Array> {
  const session = await openSession({ bytes: encode(atFullPrecision(model)), externalFolder }, { executionProvider: "CPU", threads: 1 });
  try {
    const signature = signatureOf(model.graph.inputs);
    const found = await session.run({ ...feedsOf(signature, [ids], 0), ...emptyCache(signature.caches, 1) });
    return (Object.values(found).find((v) => v.dims.length === 3) as TensorValue<Float32Array>).data;
  } finally {
    await session.close();
  }
}

function alike(found: Float32Array, expected: Float32Array, allowed: number): void {
  const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const apart = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - (found[i] ?? Number.NaN))), 0);
  assert.ok(apart <= allowed * largest, `${apart} of ${largest}`);
}

describe("healing beside codes", () => {
  it("trains what codes stand for, which is what they compute", async () => {
    assert.equal(
      plain.model.graph.nodes.some((n) => n.domain === "com.microsoft"),
      false,
    );
    alike(await logitsOf(plain), await logitsOf({ model: coded, folder }), 1e-5);
  });

  it("LORA wins back some of what codes lost, as products beside them that give what merged weights would", async () => {
    const { summary, weights, adapters } = await healed("LORA");
    assert.ok(summary.teacherLoss !== null && summary.teacherLoss < summary.startLoss);
    assert.ok(summary.loss < summary.startLoss, `${summary.loss} from ${summary.startLoss}`);
    const merged = await reweighted(plain.model, weights(), join(scratch, "merged"), "merged");
    const expected = await logitsOf({ model: merged, folder: scratch });
    const apart = withAdapters(coded, adapters() ?? []);
    alike(await logitsOf({ model: apart, folder }), expected, 1e-5);
    // Codes are what they were; and what is healed once more has more beside them.
    for (const [name, tensor] of coded.graph.initializers) assert.equal(apart.graph.initializers.get(name), tensor);
    const twice = await unpacked({ model: apart, folder }, join(scratch, "twice"));
    alike(await logitsOf(twice), expected, 1e-5);
    const again = withAdapters(apart, adapters() ?? []);
    assert.ok([...again.graph.initializers.keys()].some((name) => name.endsWith("/adapter_2/up")));
  });

  it("NORMS trains what is there beside codes; what changes matrices has no adapters", async () => {
    const { weights, adapters } = await healed("NORMS");
    assert.equal(adapters(), null);
    for (const [name] of weights()) assert.ok(coded.graph.initializers.has(name), name);
  });

  it("a matrix that no product of codes reads has no place for one", () => {
    const [down, up] = [new Float32Array(4), new Float32Array(4)];
    assert.throws(() => withAdapters(coded, [{ parameter: "nothing", down, up, rank: 1 }]), { code: "NOTHING_TO_TRAIN" });
  });
});
