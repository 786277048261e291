/**
 * Measures one step of decoding, one token after 150 others, as the server runs it and as it might: products of one value
 * apart or merged, threads that wait by spinning for so many microseconds or not at all. All in alternation, in one process.
 * Then says how long drawing a token takes, and where the time of a step goes by ONNX Runtime's own profile (which makes it longer).
 *
 *     npm run bench:step -- [--rounds 8] [--sequences 1] model-folder
 *
 * `chrt -f 10` before it, as root, keeps other work off the cores.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { BatchedDecoder } from "../../src/inference/batched-decoder.ts";
import type { Sequence } from "../../src/inference/decoder.ts";
import { graphFile } from "../../src/inference/language-model.ts";
import { sample } from "../../src/inference/sampling.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { seededRandom } from "../../src/random.ts";
import { InPlaceSession } from "../../src/runtime/in-place.ts";
import { mergeProducts } from "../../src/serving-graph/merge-products.ts";
import { servingGraph } from "../../src/serving-graph/serving-graph.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "8" }, sequences: { type: "string", default: "1" } },
});
const [folder] = positionals;
if (!folder) throw new Error("usage: bench-step.ts [--rounds 8] [--sequences 1] model-folder");
const rounds = Number(values.rounds);
const sequences = Number(values.sequences);
const [past, stepsPerTurn, warmUp] = [150, 8, 3];
const cores = availableParallelism();

const path = await graphFile(folder);
const { model: apart, ...graph } = await servingGraph(await readModel(path, "IN_FILE"), dirname(path), 4096);
const merged = { ...apart, graph: mergeProducts(apart.graph) };

/** Those that the last step of all gave. */
let logits = new Float32Array();

/** A decoder whose sequences all have 150 tokens. Its steps are of all of them, and say how long they took in milliseconds. */
async function stepper(model: Model, threads: number, native: object) {
  const session = await InPlaceSession.open(model, dirname(path), { executionProvider: "CPU", threads, native });
  const decoder = new BatchedDecoder(session, graph, { contextLength: 4096, sequences, cacheBytes: 1 << 30, prefixBytes: 0 });
  const tokens = past + (rounds + warmUp) * (stepsPerTurn + 1);
  const ids = Array.from({ length: past }, (_, i) => (i * 31) % graph.vocabularySize);
  const live: Sequence[] = [];
  for (let n = 0; n < sequences; n++) {
    const sequence = decoder.begin([], tokens, 0);
    for (let at = 0; at < past; at += 50) await decoder.read(sequence, ids.slice(at, at + 50), { logits: [49] });
    live.push(sequence);
  }
  return {
    async step(): Promise<number> {
      const begun = performance.now();
      const rows = await decoder.step(
        live,
        live.map((_, i) => i),
      );
      const time = performance.now() - begun;
      logits = (rows[0] as Float32Array).slice();
      return time;
    },
    close: () => decoder.close(),
  };
}

const spinning = (microseconds: number) => ({ extra: { intra_op: { allow_spinning: "1", spin_duration_us: String(microseconds) } } });
const still = { extra: { intra_op: { allow_spinning: "0" } } };
const ways: Record<string, readonly [Model, number, object]> = {
  "one thread, products apart": [apart, 1, still],
  "one thread, merged": [merged, 1, still],
  ...(cores > 1
    ? {
        [`${cores} threads, products apart`]: [apart, cores, still],
        [`${cores} threads, merged`]: [merged, cores, still],
        [`${cores} threads, merged, spinning for 20 us`]: [merged, cores, spinning(20)],
        [`${cores} threads, merged, spinning for 50 us`]: [merged, cores, spinning(50)],
        [`${cores} threads, merged, spinning for 1000 us`]: [merged, cores, spinning(1000)],
      }
    : {}),
};

const quantile = (list: readonly number[], share: number): number =>
  list.toSorted((a, b) => a - b)[Math.floor(share * list.length)] as number;
const loadBefore = loadavg()[0]?.toFixed(1);
const open: { name: string; times: number[]; step: () => Promise<number>; close: () => Promise<void> }[] = [];
for (const [name, way] of Object.entries(ways)) open.push({ name, times: [], ...(await stepper(...way)) });
for (let round = -1; round < rounds; round++)
  for (const { times, step } of open) {
    // What went before has the caches.
    await step();
    for (let n = 0; n < stepsPerTurn; n++) {
      const time = await step();
      if (round >= 0) times.push(time);
    }
  }
console.log(
  `${cores} cores, load average ${loadBefore} before and ${loadavg()[0]?.toFixed(1)} after; ${sequences} sequences of ${past} tokens\n`,
);
console.log("| | median, ms | tenth percentile, ms |\n| --- | ---: | ---: |");
for (const { name, times } of open) console.log(`| ${name} | ${quantile(times, 0.5).toFixed(3)} | ${quantile(times, 0.1).toFixed(3)} |`);
for (const { close } of open) await close();

const everything = { temperature: 1, topK: 0, topP: 1 };
const random = seededRandom(0, "bench");
console.log(`\n| drawing one of ${logits.length} tokens | median, ms |\n| --- | ---: |`);
for (const options of [
  { ...everything, temperature: 0 },
  everything,
  { ...everything, topK: 50 },
  { ...everything, topP: 0.95 },
  { ...everything, minP: 0.05 },
]) {
  const times = Array.from({ length: 50 }, () => {
    const begun = performance.now();
    sample(logits, options, random);
    return performance.now() - begun;
  });
  console.log(`| ${JSON.stringify(options)} | ${quantile(times, 0.5).toFixed(3)} |`);
}

interface NodeEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args: { readonly op_name?: string };
}

/** Of each node, the median of its times in microseconds. */
async function profiled(model: Model, native: { readonly extra: object }): Promise<Map<string, { operator: string; time: number }>> {
  const directory = mkdtempSync(join(tmpdir(), "espalier-profile-"));
  const own = await stepper(model, cores, { ...native, enableProfiling: true, profileFilePrefix: join(directory, "step") });
  for (let n = 0; n < 30; n++) await own.step();
  await own.close();
  const file = join(directory, readdirSync(directory)[0] as string);
  const events = (JSON.parse(readFileSync(file, "utf8")) as NodeEvent[]).filter((e) => e.cat === "Node" && e.name.endsWith("_kernel_time"));
  rmSync(directory, { recursive: true });
  const times = new Map<string, { operator: string; all: number[] }>();
  for (const { name, dur, args } of events) {
    const known = times.get(name) ?? { operator: args.op_name ?? "", all: [] };
    known.all.push(dur);
    times.set(name, known);
  }
  return new Map(
    [...times].map(([name, { operator, all }]) => [name.slice(0, -"_kernel_time".length), { operator, time: quantile(all, 0.5) }]),
  );
}

/** Bytes that a product reads of its matrix; joined matrices are read as one. */
function matrixBytes({ graph }: Model, name: string): number {
  const node = graph.nodes.find((n) => n.name === name);
  const dims = (value: string): readonly number[] => {
    const maker = graph.nodes.find((n) => n.outputs[0] === value);
    if (!maker) return graph.initializers.get(value)?.dims ?? [];
    const parts = maker.inputs.map(dims);
    return maker.opType === "Concat" ? [parts[0]?.[0] ?? 0, parts.reduce((n, d) => n + (d[1] ?? 0), 0)] : (parts[0] ?? []);
  };
  return node ? 4 * dims(node.inputs[1] ?? "").reduce((a, b) => a * b, 1) : 0;
}

for (const [title, model, native] of [
  ["apart, still", apart, still],
  ["merged, spinning for 20 us", merged, spinning(20)],
] as const) {
  const kinds = new Map<string, { count: number; time: number; bytes: number }>();
  for (const [name, { operator, time }] of await profiled(model, native)) {
    const bytes = operator === "MatMul" || operator === "Gemm" ? matrixBytes(model, name) : 0;
    const kind = bytes > 0 ? `${operator} of ${(bytes / 2 ** 20).toFixed(2)} MiB` : operator;
    const known = kinds.get(kind) ?? { count: 0, time: 0, bytes: 0 };
    kinds.set(kind, { count: known.count + 1, time: known.time + time, bytes: known.bytes + bytes });
  }
  console.log(`\n| ${title} | nodes | ms | GB/s |\n| --- | ---: | ---: | ---: |`);
  for (const [kind, { count, time, bytes }] of [...kinds].sort((a, b) => b[1].time - a[1].time))
    console.log(`| ${kind} | ${count} | ${(time / 1000).toFixed(2)} | ${bytes ? (bytes / time / 1000).toFixed(1) : ""} |`);
}
process.exit(0);
