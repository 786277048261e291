import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Generator, loadGenerator } from "../../src/inference/generator.ts";
import { removeDead, removeUnusedInputs } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { readModel, testModels } from "../support/models.ts";

const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0, stopIds: [], maxTokens: 40 };
const ahab = (testModels[0] as (typeof testModels)[0]).folder;

async function collect(generator: Generator, prompt: readonly number[], options: Parameters<Generator["generate"]>[1]) {
  const ids: number[] = [];
  const steps = generator.generate(prompt, options);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) ids.push(step.value);
  return { ids, finishReason: step.value };
}

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
    const last = [...data.subarray(data.length - (dims[2] as number))];
    ids.push(last.indexOf(Math.max(...last)));
  }
  await session.close();
  return ids.slice(prompt.length);
}

/** The model without its cache: the entries are empty constants, and only the logits come out. */
function withoutCache(model: Model): Model {
  const caches = model.graph.inputs.filter((i) => i.name.startsWith("past_key_values"));
  const empties = caches.map(({ name, dataType, shape }): [string, Tensor] => [
    name,
    { name, dataType, dims: [1, shape?.[1] as number, 0, shape?.[3] as number], data: { kind: "inline", bytes: new Uint8Array() } },
  ]);
  const graph = removeDead({
    ...model.graph,
    inputs: model.graph.inputs.filter((i) => !caches.includes(i)),
    outputs: model.graph.outputs.filter((o) => o.name === "logits"),
    initializers: new Map([...model.graph.initializers, ...empties]),
  });
  return { ...model, graph: removeUnusedInputs(graph) };
}

async function withFolder(files: Readonly<Record<string, string | Uint8Array>>, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
  try {
    await mkdir(join(folder, "onnx"));
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("generator", () => {
  for (const { name, folder, skip } of testModels)
    it(`${name}: with the cache gives token for token what the whole sequence gives`, { skip }, async () => {
      const tokenizer = await loadTokenizer(folder);
      const generator = await loadGenerator({ folder, executionProvider: "CPU" });
      assert.ok(generator.model.hasCache);
      for (const prompt of ["Once upon a time, there was", ""]) {
        const ids = tokenizer.encodeDocument(prompt);
        const { ids: found, finishReason } = await collect(generator, ids, greedy);
        assert.deepEqual(found, await uncached(folder, ids, greedy.maxTokens), prompt);
        assert.equal(finishReason, "LENGTH");
      }
      await generator.close();
    });

  it("reads a long prompt in parts, which changes nothing", async () => {
    const tokenizer = await loadTokenizer(ahab);
    const generator = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    const ids = tokenizer.encodeDocument("The whale swam on and on through the sea of the Union. ".repeat(24));
    assert.ok(ids.length > 300 && ids.length < 500, `${ids.length} tokens`);
    const { ids: found } = await collect(generator, ids, { ...greedy, maxTokens: 8 });
    assert.deepEqual(found, await uncached(ahab, ids, 8));
    await generator.close();
  });

  it("serves a model without a cache, and a graph under a name of its own", async () => {
    const prompt = [0, 100, 200, 300];
    const cached = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    const { ids: expected } = await collect(cached, prompt, { ...greedy, maxTokens: 12 });
    await cached.close();
    for (const name of ["onnx/model.onnx", "model.onnx", "ahab.onnx"])
      await withFolder({ [name]: encode(withoutCache(readModel(ahab))) }, async (folder) => {
        const generator = await loadGenerator({ folder, executionProvider: "CPU" });
        assert.equal(generator.model.hasCache, false);
        assert.equal(generator.model.contextLength, null);
        assert.deepEqual((await collect(generator, prompt, { ...greedy, maxTokens: 12 })).ids, expected);
        await generator.close();
      });
  });

  it("keeps to the model's context, to the token", async () => {
    const generator = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    assert.equal(generator.model.contextLength, 512);
    const prompt = Array.from({ length: 508 }, (_, i) => 1 + i);
    const { ids, finishReason } = await collect(generator, prompt, greedy);
    assert.deepEqual([ids.length, finishReason], [4, "LENGTH"]);
    const long = { code: "PROMPT_TOO_LONG", details: { promptTokens: 512, contextLength: 512 } };
    await assert.rejects(
      collect(
        generator,
        Array.from({ length: 512 }, () => 1),
        greedy,
      ),
      long,
    );
    await assert.rejects(collect(generator, [], greedy), { code: "PROMPT_EMPTY" });
    await generator.close();
  });

  it("stops at a stop token, which is not part of the answer", async () => {
    const generator = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    const free = await collect(generator, [0, 5], greedy);
    const stop = free.ids[6] as number;
    const { ids, finishReason } = await collect(generator, [0, 5], { ...greedy, stopIds: [stop] });
    assert.deepEqual(ids, free.ids.slice(0, free.ids.indexOf(stop)));
    assert.equal(finishReason, "STOP");
    await generator.close();
  });

  it("draws the same for the same seed, and otherwise for another", async () => {
    const generator = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    const draw = async (seed: number) => (await collect(generator, [0], { ...greedy, temperature: 1, seed })).ids;
    assert.deepEqual(await draw(1), await draw(1));
    assert.notDeepEqual(await draw(1), await draw(2));
    await generator.close();
  });

  it("lets the event loop turn between tokens, and ends when told to", async () => {
    const generator = await loadGenerator({ folder: ahab, executionProvider: "CPU" });
    const cancel = new AbortController();
    const reason = new Error("cancelled");
    let count = 0;
    const reading = (async () => {
      for await (const _ of generator.generate([0], { ...greedy, maxTokens: 400, signal: cancel.signal })) count++;
    })();
    // Runs between two tokens, if the loop ever comes round to it.
    const watch = () => (count >= 3 ? cancel.abort(reason) : setImmediate(watch));
    watch();
    await assert.rejects(reading, reason);
    assert.ok(count >= 3 && count < 10, `${count} tokens`);
    await generator.close();
  });

  it("says what a folder lacks", async () => {
    await withFolder({}, (folder) => assert.rejects(loadGenerator({ folder, executionProvider: "CPU" }), { code: "GRAPH_MISSING" }));
    const model = readModel(ahab);
    const lost = { ...model, graph: { ...model.graph, outputs: model.graph.outputs.filter((o) => o.name !== "present.3.value") } };
    await withFolder({ "onnx/model.onnx": encode(lost) }, (folder) =>
      assert.rejects(loadGenerator({ folder, executionProvider: "CPU" }), { code: "UNSUPPORTED_CACHE", message: /present\.3\.value/ }),
    );
    const mute = { ...model, graph: { ...model.graph, outputs: model.graph.outputs.filter((o) => o.name !== "logits") } };
    await withFolder({ "onnx/model.onnx": encode(mute) }, (folder) =>
      assert.rejects(loadGenerator({ folder, executionProvider: "CPU" }), { code: "NO_LOGITS" }),
    );
  });
});
