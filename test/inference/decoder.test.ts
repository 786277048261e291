import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";
import { compress } from "../../src/compression/compress.ts";
import { compressionMethodNamed } from "../../src/compression/methods/index.ts";
import { defaultCompressionOptions } from "../../src/compression/options.ts";
import { finished } from "../../src/finished.ts";
import type { Decoder, Sequence } from "../../src/inference/decoder.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { openDecoder } from "../../src/inference/open-decoder.ts";
import { exportCompressed, exportPruned } from "../../src/models/export.ts";
import { intOf } from "../../src/onnx/attributes.ts";
import { encode } from "../../src/onnx/encode.ts";
import { readModel as readStored } from "../../src/onnx/read-model.ts";
import { toFloat32 } from "../../src/onnx/to-float32.ts";
import { matrixOfCodes } from "../../src/onnx/without-codes.ts";
import { seededRandom } from "../../src/random.ts";
import { withAdapters } from "../../src/recovery/beside-codes.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import type { Expected } from "../support/fixtures.ts";
import { rounded } from "../support/half-precision.ts";
import { readModel, testModels } from "../support/models.ts";
import { greedy, openWriter, written } from "../support/writer.ts";

env.allowRemoteModels = false;

const fixtures = fileURLToPath(new URL("../fixtures/exporters/", import.meta.url));
const ahab = (testModels[0] as (typeof testModels)[0]).folder;

/** Families whose graphs stay as they are, and what the reason must say. */
const asTheyAre: Readonly<Record<string, RegExp>> = {
  bloom: /weighs no values|adds to scores/,
  mpt: /adds to scores by position/,
  gpt_neox: /width|rotary|RotaryEmbedding/,
  opt: /width/,
  glm: /width of 12/,
  deepseek_v3_dense: /keys and values differ in width/,
  falcon: /GatherND/,
  falcon_mqa: /laid out in no known way/,
};

/** Reads a prompt as the engine does. Gives the logits that follow it. */
async function prompted(decoder: Decoder, ids: readonly number[], room: number): Promise<{ sequence: Sequence; logits: Float32Array }> {
  const sequence = decoder.begin(ids, room, ids.length);
  for (;;) {
    const block = ids.slice(sequence.length, sequence.length + decoder.blockTokens);
    const last = sequence.length + block.length === ids.length;
    const { logits } = await decoder.read(sequence, block, last ? { logits: [block.length - 1] } : {});
    if (last) return { sequence, logits: (logits[0] as Float32Array).slice() };
  }
}

const best = (logits: Float32Array): number => logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));

/** The most probable continuation, found the plain way: the whole sequence again for each token, no cache, nothing shared with the product. */
async function uncached(folder: string, prompt: readonly number[], count: number): Promise<number[]> {
  const session = await openSession({ path: join(folder, "onnx", "model.onnx") }, { executionProvider: "CPU", threads: 1 });
  const ids = [...prompt];
  for (let n = 0; n < count; n++) {
    const int64 = (f: (i: number) => number): TensorValue => ({
      dataType: "int64",
      dims: [1, ids.length],
      data: BigInt64Array.from(ids, (_, i) => BigInt(f(i))),
    });
    const feeds: Record<string, TensorValue> = {};
    for (const { name, shape } of session.inputs) {
      if (name === "input_ids") feeds[name] = int64((i) => ids[i] as number);
      else if (name === "attention_mask") feeds[name] = int64(() => 1);
      else if (name === "position_ids") feeds[name] = int64((i) => i);
      else feeds[name] = { dataType: "float32", dims: [1, shape?.[1] as number, 0, shape?.[3] as number], data: new Float32Array() };
    }
    const { logits } = await session.run(feeds, ["logits"]);
    const { data, dims } = logits as TensorValue<Float32Array>;
    ids.push(best(data.subarray(data.length - (dims[2] as number))));
  }
  await session.close();
  return ids.slice(prompt.length);
}

/** Logits [T, V] of the graph as it was registered, where the framework's were not kept. */
async function asRegistered(folder: string, ids: readonly number[]): Promise<number[][]> {
  const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
  const all = await model.logits([ids]);
  await model.close();
  const width = all.length / ids.length;
  return ids.map((_, t) => [...all.subarray(t * width, (t + 1) * width)]);
}

describe("every exporter's graph", () => {
  for (const exporter of readdirSync(fixtures, { withFileTypes: true }).filter((f) => f.isDirectory()))
    it(`${exporter.name}: logits by blocks and by steps are those of the framework it was exported from`, async () => {
      for (const family of readdirSync(join(fixtures, exporter.name))) {
        const folder = join(fixtures, exporter.name, family);
        const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
        const reason = asTheyAre[family];
        if (reason) assert.match(decoder.limitation ?? "", reason, family);
        else assert.equal(decoder.limitation, null, family);
        const kept = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as Pick<Expected, "tokens" | "logits">;
        const ids = kept.tokens?.[0] ?? [5, 17, 42, 3, 11];
        const expected = kept.logits?.[0] ?? (await asRegistered(folder, ids));
        const sequence = decoder.begin(ids, ids.length, 0);
        const found = [...(await decoder.read(sequence, ids.slice(0, 3), { logits: [0, 1, 2] })).logits.map((l) => l.slice())];
        for (const id of ids.slice(3)) found.push(...(await decoder.step([sequence], [id])).map((l) => l.slice()));
        for (const [t, row] of found.entries())
          for (const [v, value] of row.entries())
            assert.ok(
              Math.abs(value - (expected[t]?.[v] as number)) < 2e-3,
              `${family}: token ${t}, logit ${v}: ${value}, not ${expected[t]?.[v]}`,
            );
        await decoder.close();
      }
    });
});

describe("greedy text", () => {
  for (const { name, folder, skip } of testModels)
    it(`${name}: token for token that of the uncached loop and of transformers.js`, { skip }, async () => {
      const tokenizer = await loadTokenizer(folder);
      const writer = await openWriter(folder);
      const reference = await AutoModelForCausalLM.from_pretrained(folder, { dtype: "fp32", local_files_only: true, device: "cpu" });
      assert.equal(writer.engine.decoder.limitation, null);
      const long = "The whale swam on and on through the sea of the Union. ".repeat(8);
      for (const prompt of ["Once upon a time, there was", "", long]) {
        const ids = tokenizer.encodeDocument(prompt);
        const { tokenIds } = await written({ ...writer, tokenizer: { ...tokenizer, eosIds: [] } }, { ...greedy, prompt });
        assert.deepEqual(tokenIds, await uncached(folder, ids, greedy.maxTokens), prompt);
        const input = (value: (i: number) => number) =>
          new Tensor(
            "int64",
            BigInt64Array.from(ids, (_, i) => BigInt(value(i))),
            [1, ids.length],
          );
        const output = await reference.generate({
          inputs: input((i) => ids[i] as number),
          attention_mask: input(() => 1),
          max_new_tokens: greedy.maxTokens,
          do_sample: false,
          eos_token_id: [-1],
        } as never);
        assert.deepEqual([...(output as Tensor).data].map(Number).slice(ids.length), tokenIds, prompt);
      }
      await reference.dispose();
      await writer.engine.close();
    });
});

describe("greedy text of ahab in", () => {
  for (const type of ["float16", "bfloat16"] as const)
    it(`${type}: token for token that of the uncached loop over the same weights, in float32`, async () => {
      const narrow = rounded(readModel(ahab), type, true);
      const folders = await Promise.all(["served", "widened"].map((name) => mkdtemp(join(tmpdir(), `espalier-test-${name}-`))));
      const [served, widened] = folders as [string, string];
      try {
        for (const [folder, model] of [
          [served, narrow],
          [widened, toFloat32(narrow)],
        ] as const) {
          await mkdir(join(folder, "onnx"));
          await writeFile(join(folder, "onnx", "model.onnx"), encode(model));
          for (const file of ["config.json", "tokenizer.json"]) await cp(join(ahab, file), join(folder, file));
        }
        const writer = await openWriter(served);
        assert.equal(writer.engine.decoder.limitation, null, "in a batch");
        const tokenizer = { ...writer.tokenizer, eosIds: [] };
        for (const prompt of ["The whale", "The Constitution of the United States ".repeat(12)]) {
          const { tokenIds } = await written({ ...writer, tokenizer }, { ...greedy, prompt });
          assert.deepEqual(tokenIds, await uncached(widened, tokenizer.encodeDocument(prompt), greedy.maxTokens), prompt);
        }
        await writer.engine.close();
      } finally {
        for (const folder of folders) await rm(folder, { recursive: true });
      }
    });
});

describe("folders", () => {
  const model = readModel(ahab);
  const withFolder = async (files: Readonly<Record<string, Uint8Array>>, work: (folder: string) => Promise<void>): Promise<void> => {
    const folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
    try {
      await mkdir(join(folder, "onnx"));
      for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
      await work(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  it("a graph may lie under a name of its own", async () => {
    for (const name of ["onnx/model.onnx", "model.onnx", "ahab.onnx"])
      await withFolder({ [name]: encode(model) }, async (folder) => {
        const decoder = await openDecoder({ folder, executionProvider: "CPU", threads: 1 });
        assert.equal(decoder.limitation, null);
        await decoder.close();
      });
  });

  it("of children whose layers lost heads and channels unevenly are served with caches of their own widths", async () => {
    const destination = await mkdtemp(join(tmpdir(), "espalier-test-"));
    try {
      const kinds = [
        ...[1, 6, 15].map((index) => ({ kind: "HEAD" as const, index })),
        ...Array.from({ length: 50 }, (_, index) => ({ kind: "CHANNEL" as const, index: index * 17 })),
      ];
      const files = ["onnx/model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"];
      await exportPruned({ model, folder: ahab, files: files.map((path) => ({ path })), removed: kinds, destination });
      const caches = readModel(destination).graph.inputs.filter((i) => i.name.includes("past"));
      assert.deepEqual(new Set(caches.map((c) => c.shape?.[1])), new Set([1, 2]), "layers differ");
      const writer = await openWriter(destination);
      assert.equal(writer.engine.decoder.limitation, null);
      const prompt = writer.tokenizer.encodeDocument("The whale");
      const { tokenIds } = await written({ ...writer, tokenizer: { ...writer.tokenizer, eosIds: [] } }, { ...greedy, prompt: "The whale" });
      assert.deepEqual(tokenIds, await uncached(destination, prompt, greedy.maxTokens));
      await writer.engine.close();
    } finally {
      await rm(destination, { recursive: true });
    }
  });

  it("are refused for what they lack", async () => {
    const open = (folder: string) => openDecoder({ folder, executionProvider: "CPU" });
    await withFolder({}, (folder) => assert.rejects(open(folder), { code: "GRAPH_MISSING" }));
    const mute = { ...model, graph: { ...model.graph, outputs: model.graph.outputs.filter((o) => o.name !== "logits").slice(0, 1) } };
    await withFolder({ "onnx/model.onnx": encode(mute) }, (folder) => assert.rejects(open(folder), { code: "NO_LOGITS" }));
    await withFolder({ "onnx/model.onnx": Uint8Array.of(1, 2, 3) }, (folder) => assert.rejects(open(folder), { code: "INVALID_ONNX" }));
  });

  it("of quantised weights are served: in a batch where each token is quantised by itself, else one by one", async () => {
    const quantised = fileURLToPath(new URL("../fixtures/quantised/", import.meta.url));
    const reasons: Record<string, string | null> = {};
    for (const kind of ["matmul-nbits", "dynamic"]) {
      const decoder = await openDecoder({ folder: join(quantised, kind), executionProvider: "CPU", threads: 1 });
      reasons[kind] = decoder.limitation;
      await decoder.close();
    }
    assert.equal(reasons["matmul-nbits"], null);
    assert.match(reasons["dynamic"] ?? "", /DynamicQuantizeLinear .* is not known to compute each token by itself/);
  });
});

/** The bundled model with weights of four bits, and adapters beside some of them, in a folder of its own. */
async function coded(folder: string): Promise<string> {
  const graphFolder = join(ahab, "onnx");
  const model = await readStored(join(graphFolder, "model.onnx"), "IN_FILE");
  const options = { ...defaultCompressionOptions, executionProvider: "CPU" as const };
  const job = { model, folder: graphFolder, tokenizer: await loadTokenizer(ahab), documents: [], options, done: [] };
  const { compressed } = await finished(compress({ ...job, method: compressionMethodNamed("RTN"), scratch: folder }));
  const files = ["onnx/model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json"].map((path) => ({ path }));
  const destination = join(folder, "coded");
  await mkdir(destination);
  const random = seededRandom(3, "adapters");
  const some = (count: number) => Float32Array.from({ length: count }, () => 0.2 * (random() - 0.5));
  // Within layers, as healing puts them: of the head, which is last, none.
  const products = compressed.graph.nodes
    .filter((n) => n.opType === "MatMulNBits")
    .filter((_, i, all) => i % 3 === 0 && i < all.length - 1);
  const adapters = products.map((node) => {
    const [inputs, outputs] = [intOf(node, "K", 0), intOf(node, "N", 0)];
    return { parameter: matrixOfCodes(node), rank: 8, down: some(inputs * 8), up: some(outputs * 8) };
  });
  await exportCompressed({ compressed: withAdapters(compressed, adapters), folder: ahab, files, destination });
  return destination;
}

describe("batched decoding", () => {
  it("gives bit for bit what each sequence gives alone, as others come and go", () => inAnyCompany(ahab));

  it("does so of weights of four bits too, rewritten and held to the graph as it was", async () => {
    const scratch = await mkdtemp(join(tmpdir(), "espalier-coded-"));
    try {
      const folder = await coded(scratch);
      await inAnyCompany(folder);
      // Products of codes round what they are given: without that both graphs are the same.
      const stored = await readStored(join(folder, "onnx", "model.onnx"), "IN_FILE");
      const levels = new Set(stored.graph.nodes.flatMap((n) => (n.opType === "MatMulNBits" ? [intOf(n, "accuracy_level", 0)] : [])));
      assert.deepEqual([...levels], [4]);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });

  async function inAnyCompany(folder: string): Promise<void> {
    const decoder = await openDecoder({ folder, executionProvider: "CPU" });
    assert.equal(decoder.limitation, null);
    const random = seededRandom(5, "batch");
    const prompts = Array.from({ length: 9 }, (_, i) => Array.from({ length: 1 + ((i * 37) % 150) }, () => Math.floor(random() * 2048)));
    const steps = 12;
    const alone: { ids: number[]; rows: Float32Array[] }[] = [];
    for (const prompt of prompts) {
      const { sequence, logits } = await prompted(decoder, prompt, prompt.length + steps);
      const rows = [logits];
      const ids = [best(logits)];
      for (let n = 1; n < steps; n++) {
        const [row] = await decoder.step([sequence], [ids.at(-1) as number]);
        rows.push((row as Float32Array).slice());
        ids.push(best(row as Float32Array));
      }
      decoder.end(sequence);
      alone.push({ ids, rows });
    }
    const live: { at: number; n: number; sequence: Sequence }[] = [];
    let next = 0;
    while (next < prompts.length || live.length > 0) {
      if (next < prompts.length && (live.length === 0 || random() < 0.5)) {
        const prompt = prompts[next] as number[];
        const { sequence, logits } = await prompted(decoder, prompt, prompt.length + steps);
        assert.deepEqual(logits, alone[next]?.rows[0], `prompt ${next}`);
        live.push({ at: next++, n: 1, sequence });
        continue;
      }
      // In any order.
      live.sort(() => random() - 0.5);
      const rows = await decoder.step(
        live.map((l) => l.sequence),
        live.map((l) => alone[l.at]?.ids[l.n - 1] as number),
      );
      for (const [i, l] of live.entries()) assert.deepEqual(rows[i], alone[l.at]?.rows[l.n++], `sequence ${l.at} among ${live.length}`);
      for (const l of live.filter(({ n }) => n === steps || random() < 0.1)) {
        decoder.end(l.sequence);
        live.splice(live.indexOf(l), 1);
      }
    }
    await decoder.close();
  }

  it("begins with what it has read before, bit for bit", async () => {
    const decoder = await openDecoder({ folder: ahab, executionProvider: "CPU", threads: 1 });
    const ids = Array.from({ length: 200 }, (_, i) => (i * 31) % 2048);
    const first = await prompted(decoder, ids, 210);
    const again = decoder.begin(ids, 210, ids.length);
    assert.equal(again.length, 192, "three blocks of 64");
    decoder.end(again);
    const { sequence, logits } = await prompted(decoder, ids, 210);
    assert.deepEqual(logits, first.logits);
    const [a, b] = await decoder.step([first.sequence, sequence], [7, 7]);
    assert.deepEqual(a, b);
    const other = decoder.begin([...ids.slice(0, 100), 5, ...ids.slice(101)], 210, ids.length);
    assert.equal(other.length, 64, "the block that differs is not taken");
    await decoder.close();
  });

  it("serves a model as it is when told to, with the same text, and says that it is slower", async () => {
    const [fast, plain] = [await openWriter(ahab), await openWriter(ahab, { plain: true })];
    assert.match(plain.engine.decoder.limitation ?? "", /as it is/);
    const request = { ...greedy, temperature: 0.9, prompt: "The whale" };
    assert.equal((await written(plain, request)).text, (await written(fast, request)).text);
    for (const writer of [fast, plain]) await writer.engine.close();
  });
});
