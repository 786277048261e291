/**
 * Measures how fast models write, beside transformers.js on the same ONNX Runtime: all contestants in turn in each of several
 * rounds, medians over the rounds, one greedy stream of 128 tokens after a prompt of 128, again and again for a second.
 *
 *     npm run bench:inference -- [--rounds 5] [--threads 2] [--llama] [--json results.json] [model folder ...]
 *
 * Without folders: the bundled model, and those beside the checkout. Markdown goes to standard output. `--llama` adds llama.cpp on the
 * same weights in float32 (Llamas with byte-level tokenizers), and wants `npm i --no-save --ignore-scripts node-llama-cpp@3.22.1` before.
 */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { childOf } from "./inference/child.ts";
import { type Contestant, ours, type Sample, transformersJs } from "./inference/contestants.ts";
import { door } from "./inference/door.ts";
import { writeGguf } from "./inference/gguf.ts";
import { llamaCpp } from "./inference/llama-cpp.ts";
import { machine } from "./inference/machine.ts";
import { median } from "./median.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    threads: { type: "string" },
    json: { type: "string" },
    llama: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const beside = ["tinystories-656k", "smollm2-135m-instruct"].map((name) => join(root, "../shared/models", name));
const folders =
  positionals.length > 0 ? positionals.map((p) => resolve(p)) : [join(root, "models/ahab"), ...beside.filter((f) => existsSync(f))];
const rounds = Number(values.rounds);
const threads = values.threads === undefined ? undefined : Number(values.threads);
const tokens = 128;
const streams = 8;

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile() && (f.name.endsWith(".onnx") || f.name.includes("onnx_data")))
    .reduce((n, f) => n + statSync(join(f.parentPath, f.name)).size, 0);

interface Result {
  readonly model: string;
  readonly weightBytes: number;
  /** Tokens a second, medians. */
  readonly single: number;
  readonly transformersJs: number;
  readonly llamaCpp: number | null;
  readonly eightStreams: number;
  readonly door: number;
  readonly child: number;
  readonly childParameterRatio: number;
  /** Of one prompt of 128 tokens, in milliseconds. */
  readonly promptMs: number;
  readonly transformersJsPromptMs: number;
  /** Medians of the ratios within each round. */
  readonly ratios: {
    readonly transformersJs: number;
    readonly llamaCpp: number | null;
    readonly eightStreams: number;
    readonly door: number;
    readonly child: number;
  };
  readonly bandwidthBytesPerSecond: number;
  readonly sgemmFlops: number;
  /** Of the machine's bandwidth, that a step of one stream reaches; and of its sgemm, that a step of eight does. */
  readonly bandwidthFraction: number;
  readonly sgemmFraction: number;
}

/**
 * One contestant's turn in a round: runs for a second, or one if that takes longer, and gives their medians. What went before has
 * the processor's caches; a short run that does not count takes them back.
 */
async function turn(contestant: Contestant, promptIds: readonly number[], count: number): Promise<Sample> {
  await contestant.run(promptIds, 16, count);
  const samples: Sample[] = [];
  const begun = performance.now();
  do samples.push(await contestant.run(promptIds, tokens, count));
  while (performance.now() - begun < 1000);
  return { promptMs: median(samples.map((s) => s.promptMs)), tokensPerSecond: median(samples.map((s) => s.tokensPerSecond)) };
}

async function bench(folder: string): Promise<Result> {
  const own = await ours(folder, threads);
  const text = "The whale swam on and on through the cold sea, and the old captain told his men of the ship that was lost. ".repeat(12);
  const promptIds = own.tokenizer.encodeDocument(text).slice(0, 128);
  const child = await childOf(folder);
  const contestants: Record<string, Contestant> = {
    ours: own,
    theirs: await transformersJs(folder, threads),
    door: await door(folder, own.tokenizer),
    child: await ours(child.folder, threads),
  };
  const gguf = join(child.folder, "bench.gguf");
  if (values.llama) {
    writeGguf(folder, gguf);
    contestants["llama"] = await llamaCpp(gguf, threads ?? availableParallelism());
  }
  const best = await machine(threads);
  const found: Record<string, Sample[]> = {};
  const [bandwidths, sgemms]: [number[], number[]] = [[], []];
  // One round warms up.
  for (let round = -1; round < rounds; round++) {
    const bandwidth = await best.bandwidth();
    const sgemm = await best.sgemm();
    if (round >= 0) [bandwidths.push(bandwidth), sgemms.push(sgemm)];
    for (const [name, who, count] of [
      ["single", "ours", 1],
      ["theirs", "theirs", 1],
      ["eight", "ours", streams],
      ["single2", "ours", 1],
      ["door", "door", 1],
      ["child", "child", 1],
      ...(values.llama ? [["llama", "llama", 1] as const] : []),
    ] as const) {
      const sample = await turn(contestants[who] as Contestant, promptIds, count);
      if (round >= 0) found[name] = [...(found[name] ?? []), sample];
    }
  }
  for (const contestant of Object.values(contestants)) await contestant.close();
  await best.close();
  child.remove();
  const rates = (name: string) => (found[name] ?? []).map((s) => s.tokensPerSecond);
  // The engine runs twice a round: beside transformers.js, and beside the door.
  const single = rates("single").map((r, i) => (r + (rates("single2")[i] as number)) / 2);
  const ratio = (name: string, to: readonly number[]) => median(rates(name).map((r, i) => r / (to[i] as number)));
  const weightBytes = sizeOf(folder);
  return {
    model: basename(folder),
    weightBytes,
    single: median(single),
    transformersJs: median(rates("theirs")),
    llamaCpp: values.llama ? median(rates("llama")) : null,
    eightStreams: median(rates("eight")),
    door: median(rates("door")),
    child: median(rates("child")),
    childParameterRatio: child.parameters / child.parentParameters,
    promptMs: median((found["single"] ?? []).map((s) => s.promptMs)),
    transformersJsPromptMs: median((found["theirs"] ?? []).map((s) => s.promptMs)),
    ratios: {
      transformersJs: 1 / ratio("theirs", rates("single")),
      llamaCpp: values.llama ? 1 / ratio("llama", single) : null,
      eightStreams: ratio("eight", single),
      door: ratio("door", rates("single2")),
      child: ratio("child", single),
    },
    bandwidthBytesPerSecond: median(bandwidths),
    sgemmFlops: median(sgemms),
    bandwidthFraction: (4 * child.parentParameters * median(single)) / median(bandwidths),
    sgemmFraction: (2 * child.parentParameters * median(rates("eight"))) / median(sgemms),
  };
}

const load = () => loadavg()[0]?.toFixed(1);
const loadBefore = load();
const results: Result[] = [];
for (const folder of folders) results.push(await bench(folder));

const number = (value: number, digits = 0): string =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const percent = (value: number): string => `${number(100 * value)}%`;
const row = (name: string, of: (r: Result) => string): string => `| ${name} | ${results.map(of).join(" | ")} |`;
console.log(
  `${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, load average ${loadBefore} before and ${load()} after; ${rounds} rounds; threads: ${threads ?? "as the server chooses"}\n`,
);
console.log(`| | ${results.map((r) => r.model).join(" | ")} |\n| --- |${results.map(() => " ---: |").join("")}`);
for (const line of [
  row("one stream, tokens/s", (r) => number(r.single)),
  row("transformers.js, tokens/s", (r) => number(r.transformersJs)),
  row("**times transformers.js**", (r) => `**${number(r.ratios.transformersJs, 2)}**`),
  ...(values.llama
    ? [
        row("llama.cpp, float32, tokens/s", (r) => number(r.llamaCpp ?? 0)),
        row("**times llama.cpp**", (r) => `**${number(r.ratios.llamaCpp ?? 0, 2)}**`),
      ]
    : []),
  row("eight streams together, tokens/s", (r) => number(r.eightStreams)),
  row("**times one stream**", (r) => `**${number(r.ratios.eightStreams, 2)}**`),
  row("over GraphQL, tokens/s", (r) => number(r.door)),
  row("of the engine called directly", (r) => percent(r.ratios.door)),
  row("prompt of 128 tokens, ms", (r) => number(r.promptMs, 1)),
  row("the same, transformers.js", (r) => number(r.transformersJsPromptMs, 1)),
  row("a child with so many of the parameters", (r) => percent(r.childParameterRatio)),
  row("its tokens/s, times the parent's", (r) => number(r.ratios.child, 2)),
  row("memory bandwidth, GB/s", (r) => number(r.bandwidthBytesPerSecond / 1e9, 1)),
  row("reached by one stream", (r) => percent(r.bandwidthFraction)),
  row("sgemm, GFLOP/s", (r) => number(r.sgemmFlops / 1e9)),
  row("reached by eight streams", (r) => percent(r.sgemmFraction)),
])
  console.log(line);
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(0);
