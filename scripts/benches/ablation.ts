/**
 * Which of PIP's unsettled details matter? Prunes a model by PIP with one detail varied at a time, and measures what is left on
 * two sets of texts: every second document of the calibration dataset, which calibration does not draw from, for choosing;
 * and held-out texts, for confirming.
 *
 *     npm run ablation -- [--model FOLDER] [--text FILE] [--seeds 0,1,2] [--tokens N] [--kinds LAYER|HEAD,CHANNEL] [--only "NAME; NAME"] [--options JSON] [--out PATH]
 *
 * `--kinds` and `--only` choose variations by what they remove and by name, and `--options` are for all of them, as in the API. What has been measured stands in PATH.json and is not measured again.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deviation } from "../../src/commands/compare/deviation.ts";
import { LiveLine } from "../../src/commands/shared/display.ts";
import { evaluate } from "../../src/evaluation/evaluate.ts";
import { finished } from "../../src/finished.ts";
import { inFolder } from "../../src/in-folder.ts";
import { exportPruned } from "../../src/models/export.ts";
import { decode } from "../../src/onnx/decode.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { mean } from "../../src/pruning/mean.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import type { PruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { discover } from "../../src/structures/discover.ts";
import { structureKey } from "../../src/structures/structure.ts";
import { parseDataset } from "../../src/text/dataset-content.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { baseOptions, type Variation, variations } from "./ablation/variations.ts";

interface Measured {
  readonly kinds: string;
  readonly name: string;
  readonly seed: number;
  readonly removedRatio: number;
  /** Digest of what was removed: the same of the same model leaves the same. */
  readonly removed: string;
  readonly seconds: number;
  /** Perplexity and next-token accuracy on the texts for choosing, and on those for confirming. */
  readonly choosing: readonly [perplexity: number, accuracy: number];
  readonly heldOut: readonly [perplexity: number, accuracy: number];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(root, "models", "ahab") },
    text: { type: "string" },
    seeds: { type: "string", default: "0,1,2" },
    tokens: { type: "string", default: "20000" },
    options: { type: "string", default: "{}" },
    kinds: { type: "string" },
    only: { type: "string" },
    out: { type: "string", default: join(root, "data", "ablation") },
  },
});
const allOptions = JSON.parse(values.options) as Partial<PruningOptions>;
const only = values.only?.split(";").map((name) => name.trim());
const folder = resolve(values.model);
const graph = "onnx/model.onnx";
const model = decode(readFileSync(join(folder, graph)));
const { layers } = discover(model, tensorReader(dirname(join(folder, graph))));
const chosen = variations(layers).filter(
  (v) => (only?.includes(v.name) ?? true) && (values.kinds === undefined || v.kinds.join() === values.kinds),
);
for (const name of only ?? []) if (!chosen.some((v) => v.name === name)) throw new Error(`there is no variation "${name}"`);
const scratch = join(tmpdir(), `espalier-ablation-${randomUUID()}`);
const tokenizer = await loadTokenizer(folder);
const { documents } = await loadDataset({ name: "literature-train" });
const [calibration, choosing] = [0, 1].map((half) => documents.filter((_, i) => i % 2 === half)) as [string[], string[]];
const heldOut = values.text ? textsOf(values.text) : (await loadDataset({ name: "literature-heldout" })).documents;

function textsOf(file: string): readonly string[] {
  const content = parseDataset(extname(file), readFileSync(file));
  if (content.form !== "TEXT") throw new Error(`${file} holds no texts`);
  return content.documents;
}

async function quality(place: string, texts: readonly string[]): Promise<[number, number]> {
  const settings = { sequenceLength: 256, stride: 256, maxTokens: Number(values.tokens), maxItems: null, measureSpeed: false } as const;
  const content = { form: "TEXT", documents: texts } as const;
  const found = await finished(evaluate({ folder: place, graph, content, ...settings, executionProvider: "AUTO" }));
  return [found.perplexity as number, found.nextTokenAccuracy as number];
}

async function measure({ name, kinds, options }: Variation, seed: number, known: readonly Measured[]): Promise<Measured> {
  const began = performance.now();
  const job = { model, folder: dirname(join(folder, graph)), tokenizer, documents: calibration, method: pip, done: [], scratch };
  const steps = prune({ ...job, options: { ...baseOptions, structureKinds: kinds, seed, ...allOptions, ...options } });
  let removedRatio = 0;
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) if (step.value.type === "FINISHED") removedRatio = step.value.removedRatio;
  const { removed, ...found } = step.value;
  const seconds = (performance.now() - began) / 1000;
  const digest = createHash("sha256").update(removed.map(structureKey).sort().join()).digest("hex");
  const row = { kinds: kinds.join(", "), name, seed, removedRatio, removed: digest, seconds };
  const same = known.find((k) => k.removed === digest);
  if (same) return { ...row, choosing: same.choosing, heldOut: same.heldOut };
  return inFolder(scratch, async (destination) => {
    const files = [graph, "config.json", "tokenizer.json", "tokenizer_config.json"].map((path) => ({ path }));
    await exportPruned({ model, folder, files, removed, known: found, destination });
    return { ...row, choosing: await quality(destination, choosing), heldOut: await quality(destination, heldOut) };
  });
}

const shown = (numbers: readonly number[], digits: number): string =>
  `${mean(numbers).toFixed(digits)}${numbers.length > 1 ? ` ± ${deviation(numbers).toFixed(digits)}` : ""}`;

/** A row a variation, seeds averaged with their standard deviation; the whole model first. */
function markdown(base: Pick<Measured, "choosing" | "heldOut">, rows: readonly Measured[]): string {
  const percent = (accuracies: readonly number[]) =>
    shown(
      accuracies.map((a) => 100 * a),
      1,
    );
  const cells = (of: readonly Pick<Measured, "choosing" | "heldOut">[]) =>
    (["choosing", "heldOut"] as const).flatMap((set) => [
      shown(
        of.map((r) => r[set][0]),
        2,
      ),
      percent(of.map((r) => r[set][1])),
    ]);
  const lines = [
    "| removed | varied | parameters removed | perplexity, choosing | accuracy | perplexity, held out | accuracy | seconds |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    `| nothing | | | ${cells([base]).join(" | ")} | |`,
  ];
  for (const { kinds, name } of chosen.map((v) => ({ kinds: v.kinds.join(", "), name: v.name }))) {
    const own = rows.filter((r) => r.kinds === kinds && r.name === name);
    if (own.length > 0)
      lines.push(
        `| ${kinds} | ${name} | ${percent(own.map((r) => r.removedRatio))}% | ${cells(own).join(" | ")} | ${mean(own.map((r) => r.seconds)).toFixed(0)} |`,
      );
  }
  return lines.join("\n");
}

const out = resolve(values.out);
mkdirSync(dirname(out), { recursive: true });
const settings = {
  model: values.model,
  text: values.text ?? "literature-heldout",
  tokens: values.tokens,
  options: { ...baseOptions, ...allOptions },
};
interface Results {
  readonly settings: unknown;
  readonly base: Pick<Measured, "choosing" | "heldOut">;
  readonly rows: Measured[];
}
const earlier = existsSync(`${out}.json`) ? (JSON.parse(readFileSync(`${out}.json`, "utf8")) as Results) : null;
const same = earlier !== null && JSON.stringify(earlier.settings) === JSON.stringify(settings);
const results: Results = same
  ? earlier
  : { settings, base: { choosing: await quality(folder, choosing), heldOut: await quality(folder, heldOut) }, rows: [] };
const live = new LiveLine();
for (const seed of values.seeds.split(",").map(Number))
  for (const variation of chosen) {
    const kinds = variation.kinds.join(", ");
    if (results.rows.some((r) => r.kinds === kinds && r.name === variation.name && r.seed === seed)) continue;
    live.update(`${kinds}, ${variation.name}, seed ${seed} ...`);
    const row = await measure(variation, seed, results.rows);
    results.rows.push(row);
    live.line(
      `${kinds}, ${variation.name}, seed ${seed}: perplexity ${row.choosing[0].toFixed(2)} and, held out, ${row.heldOut[0].toFixed(2)}`,
    );
    writeFileSync(`${out}.json`, `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(`${out}.md`, `${markdown(results.base, results.rows)}\n`);
  }
console.log(`\n${markdown(results.base, results.rows)}\n\nWritten to ${out}.md and .json.`);
