/**
 * Compresses a model in each way there is, and prints what that cost: perplexity of held-out text, the mean relative error of products, bytes, seconds of the
 * processor, and the process's most memory so far. Then, with `--speed`, how fast each writes, in turn with the model itself (and llama.cpp), medians of rounds.
 *
 *     npm run bench:compression -- [--model FOLDER | --gguf FILE.gguf] [--texts FILE --held-out FILE] [--ways GPTQ:INT4,RTN:INT4,...] [--options JSON]
 *         [--window 128] [--max-tokens 40000] [--speed 5] [--threads N] [--llama FILE.gguf]
 *
 * A way is METHOD:SCHEME, or METHOD:SPARSE:PATTERN. Without --model, of the bundled model and its texts, of which none that is measured was read before. `--llama` names what llama.cpp is given, and wants
 * `npm i --no-save --ignore-scripts node-llama-cpp@3.22.1` before.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compress } from "../../src/compression/compress.ts";
import { compressionMethodNamed, compressionMethods } from "../../src/compression/methods/index.ts";
import { type CompressionOptions, defaultCompressionOptions, type Pattern, type Scheme } from "../../src/compression/options.ts";
import { evaluate } from "../../src/evaluation/evaluate.ts";
import { finished } from "../../src/finished.ts";
import { graphOfFolder } from "../../src/models/blueprints/graph-of-folder.ts";
import { exportCompressed } from "../../src/models/export.ts";
import { asFolder } from "../../src/models/gguf/as-folder.ts";
import { findModel } from "../../src/models/model-folder.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { readDatasetFile } from "../../src/text/dataset-file.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { type Contestant, ours } from "./inference/contestants.ts";
import { llamaCpp } from "./inference/llama-cpp.ts";
import { median } from "./median.ts";

const everyWay = compressionMethods.flatMap((m) =>
  m.schemes.map((s) => (s === "SPARSE" ? `${m.name}:SPARSE:TWO_OF_FOUR` : `${m.name}:${s}`)),
);
const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/ahab", import.meta.url)) },
    gguf: { type: "string" },
    texts: { type: "string" },
    "held-out": { type: "string" },
    ways: { type: "string", default: everyWay.join(",") },
    options: { type: "string", default: "{}" },
    window: { type: "string", default: "128" },
    "max-tokens": { type: "string", default: "40000" },
    speed: { type: "string", default: "0" },
    threads: { type: "string" },
    llama: { type: "string" },
  },
});
const scratch = mkdtempSync(join(tmpdir(), "espalier-bench-"));
const given = JSON.parse(values.options) as Partial<CompressionOptions>;
const threads = values.threads === undefined ? undefined : Number(values.threads);

/** A folder with a graph: of a GGUF file, one that is made of it. */
async function folderOf(): Promise<string> {
  if (values.gguf === undefined) return resolve(values.model);
  const { place } = await finished(
    asFolder(await findModel(dirname(resolve(values.gguf)), basename(values.gguf)), join(scratch, "parent")),
  );
  writeFileSync(join(place.folder, "model.onnx"), (await graphOfFolder(place)).bytes);
  return place.folder;
}

async function textsOf(path: string | undefined, name: string): Promise<readonly string[]> {
  if (!path) return (await loadDataset({ name })).documents;
  const content = await readDatasetFile(dirname(path), basename(path));
  if (content.form !== "TEXT") throw new Error(`${path} holds items`);
  return content.documents;
}

const filesOf = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String);
const graphOf = (folder: string): string => filesOf(folder).find((path) => path.endsWith(".onnx")) as string;
const seconds = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

/** Perplexity of the held-out text, with its standard error. */
async function measured(folder: string): Promise<string> {
  const sequenceLength = Number(values.window);
  const text = { sequenceLength, stride: sequenceLength, maxTokens: Number(values["max-tokens"]) };
  const content = { form: "TEXT" as const, documents: [...heldOut] };
  const asked = {
    folder,
    graph: graphOf(folder),
    content,
    ...text,
    maxItems: null,
    measureSpeed: false,
    executionProvider: "CPU" as const,
  };
  const { perplexity, perplexityStandardError } = await finished(evaluate(asked));
  return `${perplexity?.toFixed(2)} ± ${perplexityStandardError?.toFixed(2)}`;
}

/** Compresses the model, into a folder of its own. @returns what is told of it */
async function compressed(folder: string, way: string, destination: string): Promise<string> {
  const [name = "", scheme = "", pattern = defaultCompressionOptions.pattern] = way.split(":");
  const asked = { ...defaultCompressionOptions, executionProvider: "CPU" as const, ...given };
  const options: CompressionOptions = { ...asked, scheme: scheme as Scheme, pattern: pattern as Pattern };
  const graph = graphOf(folder);
  const steps = join(scratch, "steps");
  mkdirSync(steps, { recursive: true });
  const method = compressionMethodNamed(name);
  const begun = process.cpuUsage();
  const files = { model: await readModel(join(folder, graph), "IN_FILE"), folder: dirname(join(folder, graph)) };
  const documents = method.needsGram ? texts : [];
  const { compressed: child, summary } = await finished(
    compress({ ...files, tokenizer: await loadTokenizer(folder), documents, method, options, scratch: steps, done: [] }),
  );
  mkdirSync(destination);
  const beside = filesOf(folder).filter((path) => !path.endsWith(".safetensors"));
  await exportCompressed({ compressed: child, folder, files: beside.map((path) => ({ path })), destination });
  const spent = seconds(begun);
  const error = summary.meanRelativeError === null ? "" : summary.meanRelativeError.toExponential(1);
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  return `${error} | ${(summary.bytesAfter / 1e6).toFixed(1)} MB | ${spent.toFixed(0)} s | ${memory} MB`;
}

const rounds = Number(values.speed);
const tokens = 128;

/** Tokens a second of each, one greedy stream and eight, all in turn in each round. */
async function speeds(folders: ReadonlyMap<string, string>): Promise<void> {
  const tokenizer = await loadTokenizer([...folders.values()][0] as string);
  const text = "The whale swam on and on through the cold sea, and the old captain told his men of the ship that was lost. ".repeat(12);
  const promptIds = tokenizer.encodeDocument(text).slice(0, 128);
  const contestants = new Map<string, Contestant>();
  for (const [name, folder] of folders) contestants.set(name, await ours(folder, threads));
  if (values.llama) contestants.set("llama.cpp", await llamaCpp(values.llama, threads ?? availableParallelism()));
  const found = new Map([...contestants.keys()].map((name) => [name, { one: [] as number[], eight: [] as number[] }]));
  for (let round = -1; round < rounds; round++)
    for (const [name, contestant] of contestants)
      for (const [key, streams] of [
        ["one", 1],
        ["eight", 8],
      ] as const) {
        if (streams > 1 && name === "llama.cpp") continue;
        await contestant.run(promptIds, 16, streams);
        const { tokensPerSecond } = await contestant.run(promptIds, tokens, streams);
        if (round >= 0) found.get(name)?.[key].push(tokensPerSecond);
      }
  for (const contestant of contestants.values()) await contestant.close();
  const first = [...found.values()][0]?.one as readonly number[];
  console.log(`\n| ${rounds} rounds in turn | one stream, tokens/s | times the first | eight together |\n| --- | ---: | ---: | ---: |`);
  for (const [name, { one, eight }] of found) {
    const times = median(one.map((rate, i) => rate / (first[i] as number)));
    console.log(`| ${name} | ${median(one).toFixed(1)} | ${times.toFixed(2)} | ${eight.length > 0 ? median(eight).toFixed(1) : ""} |`);
  }
}

let texts: readonly string[] = [];
let heldOut: readonly string[] = [];
try {
  [texts, heldOut] = [await textsOf(values.texts, "literature-train"), await textsOf(values["held-out"], "literature-heldout")];
  const folder = await folderOf();
  const folders = new Map([[basename(values.gguf ?? values.model), folder]]);
  console.log("| | perplexity | mean relative error | weights | processor | memory |\n| --- | ---: | ---: | ---: | ---: | ---: |");
  console.log(`| (as it is) | ${await measured(folder)} | | | | |`);
  for (const way of values.ways.split(",").filter((name) => name !== "")) {
    const destination = join(scratch, way.replaceAll(":", "-"));
    const told = await compressed(folder, way, destination);
    console.log(`| ${way} | ${await measured(destination)} | ${told} |`);
    if (rounds > 0) folders.set(way, destination);
    else rmSync(destination, { recursive: true });
  }
  if (rounds > 0) await speeds(folders);
} finally {
  rmSync(scratch, { recursive: true });
}
process.exit(0);
