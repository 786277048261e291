import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { unpack } from "../../src/compression/codes.ts";
import { type Compression, type CompressionJob, compress } from "../../src/compression/compress.ts";
import type { CompressionEvent } from "../../src/compression/events.ts";
import { compressionMethodNamed, compressionMethods } from "../../src/compression/methods/index.ts";
import { type CompressionOptions, defaultCompressionOptions } from "../../src/compression/options.ts";
import { readStep } from "../../src/compression/step-file.ts";
import { EspalierError } from "../../src/errors.ts";
import { finished } from "../../src/finished.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { floatsOf } from "../../src/onnx/tensors.ts";
import { inputGrams } from "../../src/recovery/grams.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { emptyCache } from "../../src/signature/caches.ts";
import { feedsOf } from "../../src/signature/feeds.ts";
import { signatureOf } from "../../src/signature/signature.ts";
import { calibrationSamples, view } from "../../src/text/calibration.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { ahabFolder } from "../support/ahab.ts";
import { fixtures } from "../support/fixtures.ts";

const folder = join(ahabFolder, "onnx");
const documents = ["It was the whale. ", "The men were on the deck. ", "Congress shall act on this. "].map((text) => text.repeat(80));
const options: CompressionOptions = { ...defaultCompressionOptions, samples: 16, sequenceLength: 64, executionProvider: "CPU" };

let scratch: string;
let ahab: Model;
let tokenizer: Tokenizer;
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "espalier-compress-"));
  ahab = await readModel(join(folder, "model.onnx"), "IN_FILE");
  tokenizer = await loadTokenizer(ahabFolder);
});
after(() => rm(scratch, { recursive: true, force: true }));

let jobs = 0;
async function jobOf(method: string, given: Partial<CompressionOptions> = {}): Promise<CompressionJob> {
  const own = join(scratch, String(jobs++));
  await mkdir(own);
  const named = compressionMethodNamed(method);
  return { model: ahab, folder, tokenizer, documents, method: named, options: { ...options, ...given }, scratch: own, done: [] };
}

async function told(job: CompressionJob): Promise<{ events: CompressionEvent[]; result: Compression }> {
  const events: CompressionEvent[] = [];
  const steps = compress(job);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { events, result: value };
    events.push(value);
  }
}

const filesOf = (events: readonly CompressionEvent[]): string[] => events.flatMap((e) => (e.type === "COMPRESSED" ? [e.file] : []));

/** Logits [T, V] of a text. */
async function logitsOf(model: Model, ids: readonly number[], externalFolder = folder): Promise<Float32Array> {
  const session = await openSession({ bytes: encode(model), externalFolder }, { executionProvider: "CPU", threads: 1 });
  try {
    const signature = signatureOf(model.graph.inputs);
    const found = await session.run({ ...feedsOf(signature, [ids], 0), ...emptyCache(signature.caches, 1) });
    const logits = Object.values(found).find((v) => v.dims.length === 3) as TensorValue<Float32Array>;
    return logits.data;
  } finally {
    await session.close();
  }
}

const ids = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 50);

/** How far the second is from the first, as a share of it. */
function apart(first: Float32Array, second: Float32Array): number {
  let [lost, whole] = [0, 0];
  for (const [i, value] of first.entries()) {
    lost += (value - (second[i] as number)) ** 2;
    whole += value ** 2;
  }
  return Math.sqrt(lost / whole);
}

/** The bytes of a model as it would be stored: its graph, and all its weights. */
const bytesOf = (model: Model): Buffer => Buffer.from(encode(model));

describe("compression", () => {
  it("takes statistics of what products are given by the part that is compressed already", async () => {
    const job = await jobOf("GPTQ");
    const { events } = await told(job);
    const files = filesOf(events);
    // A model whose first ten products have what they became, read in one pass by another road: recovery's.
    const initializers = new Map(ahab.graph.initializers);
    const read = tensorReader(folder);
    const steps = events.flatMap((e) => (e.type === "COMPRESSED" ? [e] : []));
    const firstSteps = steps.slice(0, 10);
    for (const [k, step] of firstSteps.entries())
      for (const [i, { parameter }] of step.products.entries()) {
        const kept = (await readStep(files[k] as string)).kept[i];
        assert.ok(kept?.kind === "CODES");
        const t = initializers.get(parameter);
        assert.ok(t);
        const values = unpack(kept.packed);
        const isTable = step.products[i]?.layer === null;
        const own = isTable ? turned(values, kept.packed.inputs, kept.packed.outputs) : values;
        initializers.set(parameter, { ...t, data: { kind: "inline", bytes: new Uint8Array(own.buffer) } });
      }
    const model = { ...ahab, graph: { ...ahab.graph, initializers } };
    const texts = calibrationSamples(tokenizer, documents, job.options).map((text) => view(tokenizer, text, job.options.sequenceLength));
    const next = steps[10]?.products[0];
    assert.ok(next);
    const whole = await wholeOfModel(ahab, folder, false);
    const scene = { model, folder, scratch: join(scratch, "grams"), whole, sequenceLength: 64, executionProvider: "CPU" as const };
    // What predicts nothing, the last token of each text, is left out there.
    const grams = await finished(
      inputGrams(
        scene,
        texts.map((t) => nextTokens([...t, 0])),
        texts.length,
        [next.parameter],
      ),
    );
    const gram = grams.get(next.parameter)?.own as Float64Array;
    const kept = (await readStep(files[10] as string)).kept[0];
    assert.ok(kept?.kind === "CODES");
    const weights = floatsOf({ name: next.parameter, dataType: "float32" }, read(ahab.graph.initializers.get(next.parameter) as never));
    assert.ok(next.relativeError !== null && next.relativeError > 0);
    const expected = errorOf(gram, next.inputs, weights, unpack(kept.packed));
    assert.ok(Math.abs(next.relativeError - expected) < 1e-4 * expected, `${next.relativeError} for ${expected}`);
  });

  it("goes on after the steps that are done, and ends in the same bytes", async () => {
    const whole = await told(await jobOf("GPTQ"));
    const files = filesOf(whole.events);
    for (const count of [1, 7, files.length - 1, files.length]) {
      const rest = await told({ ...(await jobOf("GPTQ")), done: files.slice(0, count) });
      const left = filesOf(rest.events);
      assert.equal(left.length, files.length - count);
      for (const [k, file] of left.entries())
        assert.deepEqual(await readFile(file), await readFile(files[count + k] as string), `step ${count + k + 1}`);
      assert.deepEqual(bytesOf(rest.result.compressed), bytesOf(whole.result.compressed));
      assert.deepEqual(rest.result.summary, whole.result.summary);
    }
  });

  it("gives a model that answers as one of the weights that its codes stand for", async () => {
    const { result, events } = await told(await jobOf("RTN", { scheme: "INT8" }));
    assert.equal(result.summary.productCount, 86);
    assert.deepEqual(result.summary.left, []);
    assert.equal(events.filter((e) => e.type === "COMPRESSED").length, 50);
    const operators = new Set(result.compressed.graph.nodes.map((n) => n.opType));
    assert.ok(operators.has("MatMulNBits") && operators.has("GatherBlockQuantized"));
    // Activations have 8 bits too.
    assert.ok(apart(await logitsOf(ahab, ids), await logitsOf(result.compressed, ids)) < 0.02);
    assert.ok(result.summary.bytesAfter < 0.31 * result.summary.bytesBefore);
  });

  it("leaves head and embedding as they are where that is asked for", async () => {
    const { result } = await told(await jobOf("RTN", { head: false, embedding: false }));
    assert.equal(result.summary.productCount, 84);
    assert.ok(!result.compressed.graph.nodes.some((n) => n.opType === "GatherBlockQuantized"));
  });

  it("refuses texts that are too few, before anything is compressed", async () => {
    const job = { ...(await jobOf("GPTQ", { samples: 2, sequenceLength: 32 })) };
    await assert.rejects(told(job), (error: unknown) => {
      assert.ok(error instanceof EspalierError);
      assert.equal(error.code, "CALIBRATION_TOO_SHORT");
      assert.deepEqual(error.details, { neededTokens: 256, tokens: 64 });
      return true;
    });
  });
});

describe("every way of compressing", () => {
  /** One spelling each of what exporters do, and of what families do: biases, a head that is the table, products of three in one. */
  const few = ["dynamo/gpt2", "optimum/gemma2", "genai/phi3"];
  /** Reads a letter as a token. */
  const letters = { documentStart: [], encode: (text: string) => [...text].map((c) => c.charCodeAt(0) % 50) } as unknown as Tokenizer;

  for (const method of compressionMethods)
    for (const scheme of method.schemes)
      it(`${method.name} makes ${scheme} of ahab and of other exporters' models, which load and answer`, async () => {
        const { result } = await told(await jobOf(method.name, { scheme }));
        assert.ok(apart(await logitsOf(ahab, ids), await logitsOf(result.compressed, ids)) < 0.9);
        if (scheme === "SPARSE") assert.ok(Math.abs(result.summary.zeroRatio - 0.5) < 0.01);
        for (const name of few) {
          const fixture = fixtures.find((f) => f.name === name);
          assert.ok(fixture, name);
          const model = await readModel(join(fixture.folder, "model.onnx"), "IN_FILE");
          const job = { ...(await jobOf(method.name, { scheme, samples: 32, sequenceLength: 32 })), model, folder: fixture.folder };
          const made = await finished(compress({ ...job, tokenizer: letters }));
          assert.deepEqual(made.summary.left, [], name);
          const logits = await logitsOf(made.compressed, ids, dirname(join(fixture.folder, "model.onnx")));
          assert.ok(logits.every(Number.isFinite), name);
        }
      });
});

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = values[r * columns + c] as number;
  return result;
}

/** `|| X (W - W') ||^2 / || X W ||^2`, the plain way. */
function errorOf(gram: Float64Array, n: number, weights: Float32Array, compressed: Float32Array): number {
  const m = weights.length / n;
  const squares = (value: (at: number) => number): number => {
    let sum = 0;
    for (let c = 0; c < m; c++)
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += value(i * m + c) * (gram[i * n + j] as number) * value(j * m + c);
    return sum;
  };
  return squares((at) => (weights[at] as number) - (compressed[at] as number)) / squares((at) => weights[at] as number);
}
