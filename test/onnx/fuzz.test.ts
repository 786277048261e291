import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ComputeProcess } from "../../src/compute/compute-process.ts";
import { EspalierError } from "../../src/errors.ts";
import { externalFiles } from "../../src/models/model-folder.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import { print } from "../../src/onnx/print.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { verify } from "../../src/onnx/verify.ts";
import { type Random, randomChoice, seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { remove } from "../../src/structures/remove.ts";
import { ahabFolder } from "../support/ahab.ts";
import { processorMs, processorMsOf } from "../support/processor-time.ts";
import { tinyModel } from "../support/tiny-models.ts";
import { byteMutations, modelMutations, type Subject } from "./mutations.ts";

// Whatever a file holds, it gives an error with a code, or a model that can be worked on: in bounded time and memory.

const seed = Number(process.env["FUZZ_SEED"] ?? 1);
const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 3);
/** Of the processor, not of the clock: what else the machine does is none of a case's. */
const longestMs = 5000;
const mostMemory = 1.5 * 2 ** 30;

const folder = mkdtempSync(join(tmpdir(), "espalier-fuzz-"));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, "model.onnx");
const place = { root: folder, folder, graph: "model.onnx", companions: [] };

const subject = (file: Buffer | Uint8Array): Subject => {
  // Not a Buffer: its slices would be views, and each case would spoil the next.
  const bytes = new Uint8Array(file);
  return { bytes, model: decode(bytes) };
};
const exported = (name: string): Subject =>
  subject(readFileSync(fileURLToPath(new URL(`../fixtures/exporters/${name}/model.onnx`, import.meta.url))));
const subjects: Readonly<Record<string, Subject>> = {
  ahab: subject(readFileSync(join(ahabFolder, "onnx", "model.onnx"))),
  "optimum/gpt2": exported("optimum/gpt2"),
  "dynamo/llama": exported("dynamo/llama"),
  "genai/phi3": exported("genai/phi3"),
  "ort-optimized/opt": exported("ort-optimized/opt"),
  tiny: subject(encode(tinyModel(["sequential", "parallel"]))),
};

/** Mutations of which some pass our own checks, so that ONNX Runtime sees them. */
const forRuntime =
  /flipped|piece|huge number|any edge|exchanged|called as|thousand dimensions|absurd shape|element type|in the graph itself|bodies in|without a name|doubled/;

/** What registering and pruning do with a file, short of ONNX Runtime: the code of its error, or null. */
async function work(bytes: Uint8Array, random: Random): Promise<string | null> {
  try {
    const model = decode(bytes);
    verify(model);
    await externalFiles(model, place);
    assert.equal(print(decode(encode(model)).graph), print(model.graph));
    const { structures } = discover(model, tensorReader(folder));
    if (structures.length === 0) return null;
    const smaller = remove(model, [randomChoice(random, structures)]);
    verify(decode(encode(smaller)));
    return null;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    // What crosses to the API is no larger than people read.
    assert.ok(error.message.length < 3_000_000, `a message of ${error.message.length} characters`);
    return error.code;
  }
}

/** Every mutation of a subject, `times` each, in a stream of chance of its own. */
function* mutants(name: string, times: number): Generator<readonly [what: string, bytes: Uint8Array, random: Random]> {
  const original = subjects[name] as Subject;
  const all = [
    ...Object.entries(byteMutations),
    ...Object.entries(modelMutations).map(([what, mutate]) => [what, (s: Subject, r: Random) => encode(mutate(s.model, r))] as const),
  ];
  for (const [what, mutate] of all)
    for (let i = 0; i < (what in byteMutations ? times * 5 : Math.ceil(times / 6)); i++) {
      const random = seededRandom(seed, `${name}/${what}/${i}`);
      yield [`${what} (${name}, case ${i}, FUZZ_SEED=${seed})`, mutate(original, random), random];
    }
}

describe("hostile files", () => {
  for (const name of Object.keys(subjects))
    it(`made from ${name} give an error with a code, or a model`, async (t) => {
      const outcomes = new Map<string, number>();
      let slowest = { what: "", ms: 0 };
      // The bundled model is ten times the size of the others.
      for (const [what, bytes, random] of mutants(name, name === "ahab" ? 1 : rounds)) {
        writeFileSync(file, bytes);
        let outcome: string | null = null;
        const ms = await processorMs(async () => {
          outcome = await work(bytes, random).catch((error) => assert.fail(`${what}: ${error.stack}`));
        });
        assert.ok(ms < longestMs, `${what} took ${Math.round(ms)} ms`);
        if (ms > slowest.ms) slowest = { what, ms };
        outcomes.set(outcome ?? "a model", (outcomes.get(outcome ?? "a model") ?? 0) + 1);
      }
      t.diagnostic(`${[...outcomes].map(([o, n]) => `${o} ${n}`).join(", ")}; slowest ${Math.round(slowest.ms)} ms, ${slowest.what}`);
      assert.ok((outcomes.get("INVALID_ONNX") ?? 0) > 0 && (outcomes.get("a model") ?? 0) > 0, "the mutations spoil all or nothing");
      const { maxRSS } = process.resourceUsage();
      assert.ok(maxRSS * 1024 < mostMemory, `memory rose to ${maxRSS} KB`);
    });

  it("do not end the process that registers them, ONNX Runtime included", async (t) => {
    const compute = new ComputeProcess();
    const outcomes = new Map<string, number>();
    const request = { dataDirectory: join(folder, "data"), modelRoot: folder, path: "model.onnx" };
    try {
      // Loading ONNX Runtime is none of the cases' time.
      writeFileSync(file, (subjects["ort-optimized/opt"] as Subject).bytes);
      assert.equal((await compute.run("inspect", request).next()).done, true);
      const { pid } = compute;
      for (const name of ["ort-optimized/opt", "optimum/gpt2", "genai/phi3"])
        for (const [what, bytes] of mutants(name, 1)) {
          if (!forRuntime.test(what)) continue;
          writeFileSync(file, bytes);
          const start = processorMsOf(pid as number);
          const outcome = await compute
            .run("inspect", request)
            .next()
            .then(
              () => "a model",
              (error: EspalierError) => (error.code === "INTERNAL" ? assert.fail(`${what}: ${error.stack}`) : error.code),
            );
          const ms = processorMsOf(pid as number) - start;
          assert.ok(ms < longestMs, `${what} took ${Math.round(ms)} ms`);
          assert.equal(compute.pid, pid, `${what} ended the process`);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
    } finally {
      await compute.kill();
    }
    t.diagnostic([...outcomes].map(([o, n]) => `${o} ${n}`).join(", "));
    assert.ok((outcomes.get("ONNX_RUNTIME") ?? 0) > 0 && (outcomes.get("a model") ?? 0) > 0, "ONNX Runtime was not put to the test");
  });
});
