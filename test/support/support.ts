import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { materialise } from "../../src/models/artifact-store.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { score } from "../../src/pruning/score.ts";
import { candidates, rank } from "../../src/pruning/select.ts";
import { randomInteger, seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { structureKinds } from "../../src/structures/structure.ts";
import type { Expected, Fixture } from "./fixtures.ts";

/** What the product does with a model, step after step; each needs those before it. */
export const steps = ["registers", "gradients", "structures", "pruned", "generates"] as const;
export type Support = Record<(typeof steps)[number], string>;

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY));

/** Greedy text with the cache, which must be that of reading everything again for each token. */
async function generates(folder: string, prompt: readonly number[], count: number): Promise<void> {
  const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
  try {
    let { past, logits } = await model.read(model.start, prompt);
    const ids = [...prompt];
    for (let i = 0; i < count; i++) {
      const id = argmax(logits);
      const whole = await model.logits([ids]);
      const again = argmax(whole.subarray(whole.length - whole.length / ids.length));
      if (id !== again) throw new Error(`token ${i} is ${id} with the cache and ${again} without`);
      ids.push(id);
      ({ past, logits } = await model.read(past, [id]));
    }
  } finally {
    await model.close();
  }
}

/** Scores every structure on random texts, and names the lowest layer. */
async function lowestLayer(dataDirectory: string, stored: InspectedModel, seed: number) {
  const { model, graphFolder } = await openStoredModel({ dataDirectory, ...stored });
  const { structures, parameters, logits } = discover(model, tensorReader(graphFolder));
  const open = candidates(structures, new Set(), parameters, { structureKinds, protectFirst: 0, protectLast: 0 });
  const random = seededRandom(seed);
  const text = () => Array.from({ length: 9 }, () => randomInteger(random, stored.architecture.vocabularySize));
  const samples = [0, 1].map(() => ({ unperturbed: text(), perturbed: text() }));
  const scoring = score({
    model,
    folder: graphFolder,
    logits,
    parameters: [...parameters.keys()],
    wanted: [...new Set(open.flatMap((c) => c.parameters))],
    samples,
    sequenceLength: 9,
    executionProvider: "CPU",
  });
  let step = await scoring.next();
  while (!step.done) step = await scoring.next();
  const { squaredNorms } = step.value;
  const scored = open.map((c) => {
    const norms = samples.map((_, s) =>
      Math.sqrt(
        Math.max(
          0,
          c.parameters.reduce((n, p) => n + (squaredNorms.get(p)?.[s] ?? 0), 0),
        ),
      ),
    );
    return { ...c, score: pip.score(norms) };
  });
  const flat = scored.filter((c) => !(c.score > 0 && Number.isFinite(c.score)));
  if (flat.length > 0) throw new Error(`${flat.map((c) => `${c.structure.kind} ${c.structure.index} scores ${c.score}`).join(", ")}`);
  return {
    model,
    removed: rank(scored)
      .filter((c) => c.structure.kind === "LAYER")
      .slice(0, 1)
      .map((c) => c.structure),
  };
}

/** Takes a fixture the whole way, from registering to the text of its pruned child, and says how far it came and why no further. */
export async function supportOf({ folder, read }: Fixture, seed: number): Promise<Support> {
  const support = Object.fromEntries(steps.map((step) => [step, "–"])) as Support;
  const dataDirectory = await mkdtemp(join(tmpdir(), "espalier-support-"));
  const way = walk(dataDirectory, folder, read().expected, seed);
  try {
    for (const step of steps) {
      try {
        await way.next();
        support[step] = "yes";
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        support[step] = code ? `${code}: ${message}` : message;
        break;
      }
    }
  } finally {
    await rm(dataDirectory, { recursive: true, force: true });
  }
  return support;
}

/** Yields after each step. */
async function* walk(dataDirectory: string, folder: string, expected: Expected, seed: number): AsyncGenerator<void> {
  const stored = await inspect({ dataDirectory, modelRoot: dirname(folder), path: basename(folder) });
  yield;
  const { model, removed } = await lowestLayer(dataDirectory, stored, seed);
  yield;
  const { layers, hiddenSize, vocabularySize } = stored.architecture;
  assert.deepEqual(
    { layers, hiddenSize, vocabularySize },
    { layers: expected.layers, hiddenSize: expected.hiddenSize, vocabularySize: expected.vocabularySize },
  );
  for (const kind of structureKinds) assert.equal(stored.structures.filter((s) => s.kind === kind).length, expected.layers, kind);
  yield;
  const base = await materialise({ dataDirectory, ...stored });
  const destination = await mkdtemp(join(dataDirectory, "child-"));
  await exportPruned({ model, folder: base, files: stored.files, removed, destination });
  const child = await storeFolder(dataDirectory, destination);
  assert.equal(
    child.parameterCount,
    removed.reduce((n, s) => n - s.parameterCount, stored.parameterCount),
  );
  assert.equal(child.architecture.layers, expected.layers - removed.length);
  yield;
  const prompt = [5, 17, 42, 3];
  await generates(base, prompt, 6);
  await generates(destination, prompt, 6);
  yield;
}

/** The matrix as Markdown: a row a family, a column an exporter, and a note for every cell that is not a whole yes. */
export function markdown(
  results: ReadonlyMap<string, Support>,
  refusedByExporter: Readonly<Record<string, Readonly<Record<string, string>>>>,
): string {
  const names = [...results.keys()].map((name) => name.split("/") as [string, string]);
  const unique = (list: readonly string[]) => [...new Set(list)].sort();
  const exporters = unique(names.map(([exporter]) => exporter));
  const families = unique(names.map(([, family]) => family));
  const notes: string[] = [];
  const cell = (exporter: string, family: string): string => {
    const support = results.get(`${exporter}/${family}`);
    const reason = refusedByExporter[exporter]?.[family];
    if (!support) return reason === undefined ? "" : `not exported[^${notes.push(`the exporter refuses ${family}: ${reason}`)}]`;
    const obstacle = steps.find((step) => support[step] !== "yes");
    return obstacle === undefined ? "yes" : `until ${obstacle}[^${notes.push(support[obstacle])}]`;
  };
  const rows = families.map((family) => `| ${family} | ${exporters.map((exporter) => cell(exporter, family)).join(" | ")} |`);
  const head = [`| | ${exporters.join(" | ")} |`, `| --- |${" --- |".repeat(exporters.length)}`];
  return [...head, ...rows, "", ...notes.map((note, i) => `[^${i + 1}]: ${note}`)].join("\n").trimEnd();
}
