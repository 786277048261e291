import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { AutoModelForCausalLM, Tensor } from "@huggingface/transformers";
import { materialise } from "../../src/artifacts/model-files.ts";
import { EspalierError } from "../../src/errors.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { inspect } from "../../src/models/inspect.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { childOf, exported, stored } from "./exported.ts";
import { fixtures } from "./fixtures.ts";
import { runLlamaCpp, withoutLlamaCpp } from "./llama-cpp.ts";
import { runPython, withoutPackages } from "./python.ts";
import { childCases } from "./safetensors-cases.ts";
import { variantOf, writeFolder } from "./safetensors-folder.ts";

/** What came of a model and a runtime. */
export type Outcome = "YES" | "PADDED" | "REFUSED" | "OTHER" | "UNTRIED";

/** What came of a family: one outcome for each form it comes in, and for each runtime those of the model and of its children. */
export interface RuntimeRow {
  readonly safetensors: readonly Outcome[];
  readonly gguf: readonly Outcome[];
  readonly onnx: readonly Outcome[];
  readonly transformers: readonly Outcome[];
  readonly llamaCpp: readonly Outcome[];
  readonly genai: readonly Outcome[];
  readonly transformersJs: readonly Outcome[];
}

/** Options by which a family can be said in GGUF, where its first configuration cannot. */
const sayable: Readonly<Record<string, string>> = {
  mistral: "whole",
  gemma2: "by_head",
  gemma3_text: "by_head",
  olmo: "unbiased",
  nemotron: "square",
  glm: "square",
  exaone4: "whole",
  smollm3: "four",
};

const cases = ["a layer less", "a head and channels less in each layer", "layers of unlike widths"];
const [promptLength, count] = [4, 6];

/** A model with what it computes. */
interface Tried {
  readonly model: InspectedModel;
  readonly tokens: readonly number[];
  readonly logits: Float32Array;
  readonly text: readonly number[];
}

async function tried(dataDirectory: string, model: InspectedModel, tokens: readonly number[]): Promise<Tried> {
  const folder = await materialise({ dataDirectory, ...model });
  const own = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
  try {
    const logits = await own.logits([tokens]);
    const text: number[] = [];
    let { past, logits: row } = await own.read(own.start, tokens.slice(0, promptLength));
    while (text.length < count) {
      text.push(row.indexOf(row.reduce((most, v) => Math.max(most, v))));
      ({ past, logits: row } = await own.read(past, text.slice(-1)));
    }
    return { model, tokens, logits, text };
  } finally {
    await own.close();
  }
}

const far = (found: ArrayLike<number>, expected: Float32Array): number => {
  const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return expected.reduce((most, v, i) => Math.max(most, Math.abs(v - (found[i] ?? Number.NaN))), 0) / largest;
};

/** A model's export, filled up with zeros where it has to be; null where it is refused. */
async function written(
  dataDirectory: string,
  model: InspectedModel,
  format: string,
  weights?: "F32",
): Promise<{ readonly folder: string; readonly outcome: "YES" | "PADDED" } | null> {
  for (const outcome of ["YES", "PADDED"] as const)
    try {
      return { folder: (await exported(dataDirectory, model, format, outcome === "PADDED", weights)).folder, outcome };
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
    }
  return null;
}

/** Runs a script on all rows; where it fails, on each by itself. A row that fails is null. */
async function inPython(script: string, rows: readonly unknown[]): Promise<readonly unknown[]> {
  try {
    return await runPython(script, rows);
  } catch {
    const found: unknown[] = [];
    for (const row of rows)
      found.push(
        await runPython(script, [row]).then(
          ([first]: unknown[]) => first,
          () => null,
        ),
      );
    return found;
  }
}

const same = (a: unknown, b: readonly number[]): boolean => Array.isArray(a) && JSON.stringify(a) === JSON.stringify(b);

/** Takes a family's tiny model and its children into each form and runtime. */
export async function runtimesOf(family: string, dataDirectory: string): Promise<RuntimeRow> {
  mkdirSync(dataDirectory, { recursive: true });
  const variant = variantOf(family, sayable[family] ?? "base");
  // None ends a text by itself: no two runtimes agree on what comes then.
  const folder = writeFolder(join(dataDirectory, family), { ...variant, config: { ...variant.config, eos_token_id: null } });
  const parent = await stored(dataDirectory, folder);
  const models: (Tried | null)[] = [await tried(dataDirectory, parent, variant.tokens)];
  for (const name of cases) {
    const removed = childCases.find((c) => c.name === name)?.removed(parent) ?? [];
    const child = await childOf(dataDirectory, parent, removed).catch(() => null);
    models.push(child && (await tried(dataDirectory, child, variant.tokens)));
  }
  const first = models[0] as Tried;
  const gelu = /gelu/.test(JSON.stringify(variant.config));
  const safetensors: Outcome = far(first.logits, variant.logits) < 1e-4 ? "YES" : "OTHER";

  const forTransformers = await Promise.all(models.map((m) => m && written(dataDirectory, m.model, "SAFETENSORS")));
  const ggufs = await Promise.all(models.map((m) => m && written(dataDirectory, m.model, "GGUF", "F32")));
  const graphs = await Promise.all(models.map((m) => m && written(dataDirectory, m.model, "ONNX")));
  return {
    safetensors: [safetensors],
    gguf: [await asGguf(dataDirectory, ggufs[0]?.folder, first)],
    onnx: [await asOnnx(dataDirectory, family)],
    transformers: await each(models, forTransformers, withoutPackages("torch", "transformers"), async (rows) => {
      const given = rows.map(({ folder: place, tried: { tokens } }) => ({ folder: place, tokens, prompt: promptLength, count }));
      const found = (await inPython("load_transformers.py", given)) as ({ logits: number[] } | null)[];
      return found.map((answer, i) => answer !== null && far(answer.logits, (rows[i] as Row).tried.logits) < 1e-4);
    }),
    llamaCpp: await each(models, ggufs, withoutLlamaCpp, async (rows) => {
      const requests = rows.map(({ folder: place, tried: { tokens } }) => ({
        path: join(place, "model-F32.gguf"),
        prompt: tokens,
        vocabulary: 97,
        count: 0,
      }));
      // Where it fails an assertion, it ends the process: then each is tried by itself.
      const answers = await runLlamaCpp(requests).catch(() =>
        Promise.all(
          requests.map((request) =>
            runLlamaCpp([request]).then(
              ([first]) => first,
              () => undefined,
            ),
          ),
        ),
      );
      return answers.map(
        (answer, i) => answer?.refused === undefined && far(answer?.logits ?? [], (rows[i] as Row).tried.logits) < (gelu ? 2e-3 : 1e-5),
      );
    }),
    genai: await each(models, graphs, withoutPackages("onnxruntime_genai", "numpy"), async (rows) => {
      const given = rows.map(({ folder: place, tried: { tokens } }) => ({ folder: place, prompt: tokens.slice(0, promptLength), count }));
      const found = await inPython("load_genai.py", given);
      return found.map((ids, i) => same(Array.isArray(ids) ? ids.slice(promptLength) : ids, (rows[i] as Row).tried.text));
    }),
    transformersJs: await each(models, graphs, false, (rows) => Promise.all(rows.map(inJavaScript))),
  };
}

interface Row {
  readonly folder: string;
  readonly tried: Tried;
}

/** The outcome of each model, of those that could be written by what a runtime says of them. */
async function each(
  models: readonly (Tried | null)[],
  exports: readonly (Awaited<ReturnType<typeof written>> | null)[],
  without: string | false,
  run: (rows: readonly Row[]) => Promise<readonly boolean[]>,
): Promise<Outcome[]> {
  if (without !== false) return models.map(() => "UNTRIED");
  const rows = models.flatMap((m, i) => (m && exports[i] ? [{ folder: exports[i].folder, tried: m }] : []));
  const right = [...(await run(rows))];
  return models.map((m, i): Outcome => {
    const made = exports[i];
    if (!m) return "UNTRIED";
    if (!made) return "REFUSED";
    return right.shift() ? made.outcome : "OTHER";
  });
}

/** A file that was written, registered as one that came. */
async function asGguf(dataDirectory: string, folder: string | undefined, { tokens, logits }: Tried): Promise<Outcome> {
  if (folder === undefined) return "REFUSED";
  const file = join(folder, "model-F32.gguf");
  const read = await inspect({ dataDirectory, modelRoot: dirname(file), path: basename(file) });
  return far((await tried(dataDirectory, read, tokens)).logits, logits) < 1e-4 ? "YES" : "OTHER";
}

/** What exporters write of a family; it may have another name there. */
async function asOnnx(dataDirectory: string, family: string): Promise<Outcome> {
  const found = fixtures.find(({ name }) => name.split("/")[1] === family.replace(/_text$/, ""));
  if (!found) return "UNTRIED";
  return stored(dataDirectory, found.folder).then(
    () => "YES",
    () => "REFUSED",
  );
}

async function inJavaScript({ folder, tried: { tokens, text } }: Row): Promise<boolean> {
  const prompt = tokens.slice(0, promptLength);
  try {
    const model = await AutoModelForCausalLM.from_pretrained(folder, { local_files_only: true, device: "cpu" });
    try {
      const ids = new Tensor("int64", BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
      const mask = new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), [1, prompt.length]);
      const given = await model.generate({ inputs: ids, attention_mask: mask, max_new_tokens: count, do_sample: false });
      return same(Array.from((given as Tensor).data as BigInt64Array, Number).slice(prompt.length), text);
    } finally {
      await model.dispose();
    }
  } catch {
    return false;
  }
}
