/**
 * Heals a model pruned by a fifth, in each way there is, and prints what that won and cost: for each the loss of held-out text that was won back,
 * tokens trained on, seconds of the processor from the opening of the models to the merged weights, and the process's most memory so far.
 *
 *     npm run bench:recovery -- [--model FOLDER] [--texts FILE --held-out FILE] [--kinds LAYER,HEAD+CHANNEL] [--ways LORA,FULL,...] [--options JSON]
 *         [--restore LEAST_SQUARES] [--self JSON]
 *
 * --self is a list of what the whole model is to write by itself, as `SelfTextsInput` of the API has it: each way then heals with each, in place of the texts.
 * Without --model, of the bundled model and its texts, of which none that is measured was trained on. Held-out loss is of windows of 128 tokens side by side.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EspalierError } from "../../src/errors.ts";
import { finished } from "../../src/finished.ts";
import { selfTexts } from "../../src/inference/self-texts.ts";
import { graphOfFolder } from "../../src/models/blueprints/graph-of-folder.ts";
import { findModel } from "../../src/models/model-folder.ts";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { bringInSmall } from "../../src/onnx/passes/bring-in-small.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { methodNamed } from "../../src/pruning/methods/index.ts";
import { defaultPruningOptions, type Restoration } from "../../src/pruning/options.ts";
import { type PruningJob, prune, wholeOf } from "../../src/pruning/prune.ts";
import { leastSquares, restoringTexts } from "../../src/recovery/least-squares.ts";
import { recoveryMethodNamed, recoveryMethods } from "../../src/recovery/methods/index.ts";
import { isTrained } from "../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../../src/recovery/options.ts";
import { recover } from "../../src/recovery/recover.ts";
import { reweighted } from "../../src/recovery/reweighted.ts";
import type { TextBatch } from "../../src/recovery/texts.ts";
import { lossOf } from "../../src/recovery/trainer.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { readDatasetFile } from "../../src/text/dataset-file.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import type { SelfTextOptions } from "../../src/text/self-text-options.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/ahab", import.meta.url)) },
    texts: { type: "string" },
    "held-out": { type: "string" },
    kinds: { type: "string", default: "LAYER,HEAD+CHANNEL" },
    ways: { type: "string", default: recoveryMethods.map((m) => m.name).join(",") },
    options: { type: "string", default: "{}" },
    restore: { type: "string", default: "NONE" },
    self: { type: "string" },
    "held-out-tokens": { type: "string", default: "40000" },
  },
});
const [T, B] = [128, 8];
const given = JSON.parse(values.options) as Partial<RecoveryOptions>;
const tokenizer = await loadTokenizer(values.model);
const textsOf = async (path: string | undefined, name: string): Promise<readonly string[]> => {
  if (!path) return (await loadDataset({ name })).documents;
  const content = await readDatasetFile(dirname(path), path.slice(dirname(path).length + 1));
  if (content.form !== "TEXT") throw new Error(`${path} holds items with choices`);
  return content.documents;
};
const documents = await textsOf(values.texts, "literature-train");
const heldOut = windows(tokenizer, await textsOf(values["held-out"], "literature-heldout"), Number(values["held-out-tokens"]));
const selfDefaults: SelfTextOptions = { tokens: 65_536, textTokens: 256, prompts: [], randomTokens: 0, temperature: 1, topP: 1 };
/** What models are healed with, and what that is called. */
const healing: { readonly label: string; readonly documents: readonly string[] }[] = [];
if (values.self === undefined) healing.push({ label: "", documents });
for (const own of JSON.parse(values.self ?? "[]") as Partial<SelfTextOptions>[]) {
  const model = { folder: values.model, executionProvider: "CPU" } as const;
  const { texts } = await finished(selfTexts(model, tokenizer, { ...selfDefaults, ...own }, given.seed ?? 0));
  healing.push({ label: ` ${JSON.stringify({ ...own, ...(own.prompts ? { prompts: own.prompts.length } : {}) })}`, documents: texts });
}
const scratch = mkdtempSync(join(tmpdir(), "espalier-bench-"));

/** Its graph, over the weights where they lie. */
async function opened(folder: string): Promise<{ readonly model: Model; readonly folder: string }> {
  const onnx = ["onnx/model.onnx", "model.onnx"].map((path) => join(folder, path)).find((path) => existsSync(path));
  if (onnx) return { model: await readModel(onnx, "IN_FILE"), folder: dirname(onnx) };
  const built = await graphOfFolder(await findModel(dirname(folder), folder.slice(dirname(folder).length + 1)));
  return { model: bringInSmall(canonical(decode(built.bytes)).model, tensorReader(folder)), folder };
}

/** Windows of T tokens side by side, of which each but the first token is predicted. */
function windows({ encodeDocument }: Tokenizer, texts: readonly string[], most: number): TextBatch[] {
  const stream: number[] = [];
  for (const text of texts) for (const id of stream.length < most ? encodeDocument(text.slice(0, 8 * most)) : []) stream.push(id);
  const rows = Array.from({ length: Math.floor(Math.min(most, stream.length) / T) }, (_, i) => stream.slice(i * T, (i + 1) * T));
  const weight = 1 / (rows.length * (T - 1));
  return Array.from({ length: Math.ceil(rows.length / B) }, (_, k) => {
    const own = Array.from({ length: B }, (_, i) => rows[k * B + i] ?? []);
    const weights = new Float32Array(B * T);
    for (const [i, row] of own.entries()) if (row.length > 0) weights.fill(weight, i * T, (i + 1) * T - 1);
    const at = (from: number) => own.map((row) => Array.from({ length: T }, (_, t) => row[t + from] ?? 0));
    return { ids: at(0), targets: at(1), weights, tokens: 0 };
  });
}

const seconds = (since: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};
const lossOn = (model: Model, folder: string) => lossOf({ model, folder }, heldOut, { batchSize: B, sequenceLength: T }, "CPU");

try {
  const { model, folder } = await opened(values.model);
  const whole = await lossOn(model, folder);
  const tokens = heldOut.reduce((n, b) => n + b.weights.filter((w) => w > 0).length, 0);
  console.log(`${values.model.split("/").at(-1)}: perplexity of ${tokens} held-out tokens ${Math.exp(whole).toFixed(2)}`);
  for (const kinds of values.kinds.split(",")) {
    const structureKinds = kinds.split("+") as StructureKind[];
    const options = { ...defaultPruningOptions, structureKinds, restore: values.restore as Restoration, executionProvider: "CPU" as const };
    const job: PruningJob = {
      model,
      folder,
      scratch: join(scratch, "pruning"),
      tokenizer,
      documents,
      method: methodNamed("PIP"),
      options,
      done: [],
    };
    const known = await wholeOf(job);
    const cut = await finished(prune(job, known));
    const student =
      options.restore === "LEAST_SQUARES" ? (await finished(leastSquares(job, restoringTexts(job, known), cut))).pruned : cut.pruned;
    const before = await lossOn(student, folder);
    console.log(
      `\n${kinds}, a fifth removed: perplexity ${Math.exp(before).toFixed(2)}${options.restore === "NONE" ? "" : ` after ${options.restore}`}\n`,
    );
    console.log(
      "| way | rate | trained | tokens | perplexity | won back | processor | memory |\n| --- | --- | --- | --- | --- | --- | --- | --- |",
    );
    for (const [way, texts] of values.ways.split(",").flatMap((name) => healing.map((own) => [name, own] as const))) {
      const method = recoveryMethodNamed(way);
      const begun = process.cpuUsage();
      const asked = { ...defaultRecoveryOptions, ...given, executionProvider: "CPU" as const };
      const found = await finished(
        recover({
          ...{
            subject: { model: student, folder },
            teacher: { model, folder },
            tokenizer,
            documents: texts.documents,
            method,
            options: asked,
            checkpoint: null,
            scratch,
          },
        }),
      ).catch((error: unknown) => {
        if (error instanceof EspalierError) return error;
        throw error;
      });
      if (found instanceof EspalierError) {
        console.log(`| ${way} | ${found.code} | | | | | | |`);
        continue;
      }
      const { summary, weights } = found;
      const healed = await reweighted(student, weights(), join(scratch, "merged"), relativeTo(folder, join(scratch, "merged")));
      const spent = seconds(begun);
      const after = await lossOn(inMemory(healed, folder), folder);
      const share = `${((100 * (before - after)) / (before - whole)).toFixed(1)}%`;
      const memory = `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`;
      const rate = (isTrained(method) && asked.learningRate) || method.learningRate || "none";
      console.log(
        `| ${way}${texts.label} | ${rate} | ${summary.trainedParameterCount.toLocaleString("en-US")} | ${summary.trainedTokens.toLocaleString("en-US")} | ${Math.exp(after).toFixed(2)} | ${share} | ${spent.toFixed(1)} s | ${memory} |`,
      );
    }
  }
} finally {
  for (const name of readdirSync(scratch)) rmSync(join(scratch, name), { recursive: true });
  rmSync(scratch, { recursive: true });
}

function relativeTo(from: string, path: string): string {
  return join(...from.split("/").map(() => ".."), path);
}

/** With what was merged read in: ONNX Runtime reads external data below one folder only. */
function inMemory(healed: Model, folder: string): Model {
  const read = tensorReader(folder);
  const initializers = new Map(
    [...healed.graph.initializers].map(([name, t]) => {
      const isMerged = t.data.kind === "external" && t.data.location.startsWith("..");
      return [name, isMerged ? { ...t, data: { kind: "inline" as const, bytes: read(t) } } : t];
    }),
  );
  return { ...healed, graph: { ...healed.graph, initializers } };
}
