/**
 * Exports every family's tiny model, and what is left of it in several ways, and lets the runtimes of others load them; writes what was seen into
 * the table of docs/exporting.md. Takes some minutes, and a Python with torch, transformers and onnxruntime-genai:
 *
 *     ESPALIER_PYTHON=path/to/python npm run exports
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { families } from "../../src/models/blueprints/families/index.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { childOf, exported, stored } from "../../test/support/exported.ts";
import { runPython, withoutPackages } from "../../test/support/python.ts";
import { childCases } from "../../test/support/safetensors-cases.ts";
import { type Variant, variantOf, writeFolder } from "../../test/support/safetensors-folder.ts";

const [prompt, count] = [4, 6];

/** An export, and what the model itself gives. */
interface Row {
  readonly family: string;
  readonly column: string;
  readonly runtime: "transformers" | "genai";
  readonly folder: string;
  readonly tokens: readonly number[];
  readonly needsZeros: boolean;
  readonly logits: Float32Array;
  readonly text: readonly number[];
}

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((most, v) => Math.max(most, v)));

async function own(dataDirectory: string, model: InspectedModel, tokens: readonly number[]): Promise<Pick<Row, "logits" | "text">> {
  const lm = await LanguageModel.open({ folder: await materialise({ dataDirectory, ...model }), executionProvider: "CPU", threads: 1 });
  try {
    const logits = await lm.logits([tokens]);
    const text: number[] = [];
    for (let { past, logits: last } = await lm.read(lm.start, tokens.slice(0, prompt)); text.length < count; ) {
      text.push(argmax(last));
      ({ past, logits: last } = await lm.read(past, text.slice(-1)));
    }
    return { logits, text };
  } finally {
    await lm.close();
  }
}

const parent = "whole";
const unevenInGenai = "ONNX in onnxruntime-genai, of unlike widths";
const columns = [parent, ...childCases.map(({ name }) => name), unevenInGenai];

/** Exports a family's models. Refusals are told by their code. */
async function* exportsOf(
  family: string,
  variant: Variant,
  dataDirectory: string,
): AsyncGenerator<Row | { family: string; column: string; code: string }> {
  const { tokens, config, tensors } = variant;
  const folder = writeFolder(join(dataDirectory, family), { config: { ...config, eos_token_id: 96 }, tensors });
  const whole = await stored(dataDirectory, folder);
  const cases = [{ name: parent, removed: () => [], padding: false }, ...childCases];
  for (const { name, removed, padding } of cases) {
    const model = name === parent ? whole : await childOf(dataDirectory, whole, removed(whole));
    const plain = await exported(dataDirectory, model, "SAFETENSORS").catch((error: { code: string }) => error);
    const filled =
      "folder" in plain || !padding ? plain : await exported(dataDirectory, model, "SAFETENSORS", true).catch((error) => error);
    const known = await own(dataDirectory, model, tokens);
    if ("folder" in filled)
      yield { family, column: name, runtime: "transformers", folder: filled.folder, tokens, needsZeros: !("folder" in plain), ...known };
    else yield { family, column: name, code: filled.code };
    if (name === "layers of unlike widths") {
      const { folder: graph } = await exported(dataDirectory, model, "ONNX");
      yield { family, column: unevenInGenai, runtime: "genai", folder: graph, tokens, needsZeros: false, ...known };
    }
  }
}

async function seen(rows: readonly Row[]): Promise<Map<string, string>> {
  const of = (runtime: Row["runtime"]) => rows.filter((row) => row.runtime === runtime);
  const [forTransformers, forGenai] = [of("transformers"), of("genai")];
  const given = await runPython(
    "load_transformers.py",
    forTransformers.map(({ folder, tokens }) => ({ folder, tokens, prompt, count, mayFail: true })),
  );
  const written: number[][] = await runPython(
    "load_genai.py",
    forGenai.map(({ folder, tokens }) => ({ folder, prompt: tokens.slice(0, prompt), count })),
  );
  const found = new Map<string, string>();
  for (const [i, { family, column, logits, text, needsZeros }] of forTransformers.entries()) {
    const { refused } = given[i];
    if (refused !== undefined) console.log(`${family}, ${column}: ${refused.slice(0, 300)}`);
    if (refused !== undefined) found.set(`${family} ${column}`, "not loaded");
    if (refused !== undefined) continue;
    const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const apart = logits.reduce((most, v, j) => Math.max(most, Math.abs(v - given[i].logits[j])), 0);
    const isSame = apart < 1e-4 * largest && String(given[i].text) === String(text) && given[i].unused.length === 0;
    found.set(`${family} ${column}`, isSame ? (needsZeros ? "with zeros" : "yes") : "no");
  }
  for (const [i, { family, column, text, tokens }] of forGenai.entries()) {
    const end = text.indexOf(96);
    const expected = [...tokens.slice(0, prompt), ...(end < 0 ? text : text.slice(0, end))];
    found.set(`${family} ${column}`, String(written[i]?.slice(0, expected.length)) === String(expected) ? "yes" : "no");
  }
  return found;
}

const missing = withoutPackages("torch", "transformers", "onnxruntime_genai");
if (missing) throw new Error(missing);
const dataDirectory = await mkdtemp(join(tmpdir(), "espalier-exports-"));
try {
  const [rows, refused] = [[] as Row[], new Map<string, string>()];
  for (const { modelType } of families)
    for await (const row of exportsOf(modelType, variantOf(modelType), dataDirectory))
      if ("code" in row) refused.set(`${row.family} ${row.column}`, row.code);
      else rows.push(row);
  const found = await seen(rows);
  const cell = (family: string, column: string) => found.get(`${family} ${column}`) ?? refused.get(`${family} ${column}`) ?? "–";
  const table = [
    `| family | ${columns.join(" | ")} |`,
    `| --- |${" --- |".repeat(columns.length)}`,
    ...families.map(({ name, modelType }) => `| ${name} | ${columns.map((column) => cell(modelType, column)).join(" | ")} |`),
  ].join("\n");
  const path = fileURLToPath(new URL("../../docs/exporting.md", import.meta.url));
  const page = await readFile(path, "utf8");
  const [begin, end] = ["<!-- seen -->\n", "<!-- end of seen -->"];
  await writeFile(path, `${page.slice(0, page.indexOf(begin) + begin.length)}${table}\n${page.slice(page.indexOf(end))}`);
  const wrong = [...found].filter(([, outcome]) => outcome === "no").map(([key]) => key);
  console.log(`${found.size} exports were loaded; ${wrong.length} give something else${wrong.length > 0 ? `: ${wrong.join(", ")}` : ""}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  await rm(dataDirectory, { recursive: true });
}
