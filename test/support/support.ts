import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { materialise } from "../../src/artifacts/model-files.ts";
import { finished } from "../../src/finished.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { scored as scoredBy } from "../../src/pruning/evidence/gatherers.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { openGroups } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions, type GradientPoint, gradientPoints } from "../../src/pruning/options.ts";
import { rank } from "../../src/pruning/select.ts";
import { randomInteger, seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide } from "../../src/structures/divide.ts";
import { structureKinds } from "../../src/structures/structure.ts";
import { nextTokens } from "../../src/text/view.ts";
import { type Expected, type Fixture, headsOf } from "./fixtures.ts";
import { scratch } from "./scratch.ts";

/** What the product does with a model, step after step; each needs those before it. */
export const steps = ["registers", "gradients", "structures", "pruned", "generates"] as const;
export type Support = Record<(typeof steps)[number], string>;

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY));

/** Greedy text with the cache, which must be that of reading everything again for each token. */
export async function generates(folder: string, prompt: readonly number[], count: number): Promise<readonly number[]> {
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
    return ids;
  } finally {
    await model.close();
  }
}

/**
 * Scores every structure of every kind on random texts, and chooses the lowest layer, and of each of the others the lowest
 * head and the three lowest channels.
 */
async function lowest(dataDirectory: string, stored: InspectedModel, seed: number) {
  const { model, graphFolder } = await openStoredModel({ dataDirectory, ...stored });
  const found = discover(model, tensorReader(graphFolder));
  const whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
  const open = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds });
  const random = seededRandom(seed);
  const text = () => Array.from({ length: 9 }, () => randomInteger(random, stored.architecture.vocabularySize));
  const scene = {
    model,
    folder: graphFolder,
    scratch,
    read: tensorReader(graphFolder),
    whole,
    toRemove: 0,
    random: (stream: string) => seededRandom(seed, stream),
    samples: [0, 1].map(() => ({ unperturbed: nextTokens(text()), perturbed: nextTokens(text()) })),
    sequenceLength: 9,
    executionProvider: "CPU" as const,
  };
  const score = async (gradientBy: GradientPoint) => {
    const { groups } = await finished(scoredBy(pip, { ...scene, gradientBy }, open));
    // A neuron behind a ReLU may never fire, and then has no gradient.
    for (const { kind, layer, scores } of groups)
      if (!scores.every((s) => Number.isFinite(s) && (s > 0 || kind === "CHANNEL")))
        throw new Error(`by ${gradientBy}, ${kind} of layer ${layer} scores ${scores}`);
    return groups;
  };
  const byPoint = new Map<GradientPoint, Awaited<ReturnType<typeof score>>>();
  for (const point of gradientPoints) byPoint.set(point, await score(point));
  const scored = byPoint.get(defaultPruningOptions.gradientBy) ?? [];
  const ids = (groups: typeof scored, count: number) =>
    rank(groups)
      .slice(0, count)
      .map(({ group, place }) => ({ kind: group.kind, index: group.indexes[place] as number, parameterCount: group.parameterCount }));
  const [layer] = ids(
    scored.filter((g) => g.kind === "LAYER"),
    1,
  );
  const others = scored.filter((g) => g.layer !== layer?.index);
  const parts = others.flatMap((g) => ids([g], { HEAD: 1, CHANNEL: 3 }[g.kind as string] ?? 0));
  return { model, removed: [...(layer ? [layer] : []), ...parts] };
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
  const { model, removed } = await lowest(dataDirectory, stored, seed);
  yield;
  const { layers, hiddenSize, vocabularySize } = stored.architecture;
  assert.deepEqual(
    { layers, hiddenSize, vocabularySize },
    { layers: expected.layers, hiddenSize: expected.hiddenSize, vocabularySize: expected.vocabularySize },
  );
  const { intermediateSize } = expected;
  const heads = headsOf(expected);
  const [experts, shared] = expected.experts ?? [0, 0];
  const groups = (kind: string) =>
    ({ EXPERT: experts > 0 ? 1 : 0, HEAD: expected.headsTogether ? 0 : 1, CHANNEL: experts > 0 ? experts + shared : 1 })[kind] ?? 1;
  for (const kind of structureKinds) {
    const own = stored.structures.filter((s) => s.kind === kind);
    assert.equal(own.length, expected.layers * groups(kind), kind);
    const count = { EXPERT: experts, HEAD: heads, CHANNEL: intermediateSize }[kind as string] ?? 1;
    assert.ok(
      own.every((s) => s.count === count),
      `${kind}: ${own.map((s) => s.count)}, not ${count} in each layer`,
    );
  }
  yield;
  const base = await materialise({ dataDirectory, ...stored });
  const destination = await mkdtemp(join(dataDirectory, "child-"));
  await exportPruned({ model, folder: base, files: stored.files, removed, destination });
  const child = await storeFolder(dataDirectory, destination);
  assert.equal(
    child.parameterCount,
    removed.reduce((n, s) => n - s.parameterCount, stored.parameterCount),
  );
  assert.equal(child.architecture.layers, expected.layers - 1);
  const left = (kind: string) => child.structures.filter((s) => s.kind === kind).map((s) => s.count);
  const each = (kind: string, count: number) => Array((expected.layers - 1) * groups(kind)).fill(count);
  assert.deepEqual(
    { EXPERT: left("EXPERT"), HEAD: left("HEAD"), CHANNEL: left("CHANNEL") },
    { EXPERT: each("EXPERT", experts), HEAD: each("HEAD", headsOf(expected, 1)), CHANNEL: each("CHANNEL", intermediateSize - 3) },
  );
  yield;
  const prompt = [5, 17, 42, 3];
  await generates(base, prompt, 6);
  await generates(destination, prompt, 6);
  yield;
}

/** The columns of the matrix: exporters, and what each fixture of theirs varies. */
const columns: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  optimum: { optimum: "with past", "optimum-no-past": "without" },
  torchscript: { torchscript14: "14", torchscript17: "17" },
  dynamo: { dynamo: "" },
  genai: { genai: "" },
  "ort-optimized": { "ort-optimized": "" },
};

/** The matrix as Markdown: a row a family, a column an exporter, and a note for every cell that is not a whole yes. */
export function markdown(
  results: ReadonlyMap<string, Support>,
  refusedByExporter: Readonly<Record<string, Readonly<Record<string, string>>>>,
): string {
  const families = [...new Set([...results.keys()].map((name) => name.split("/")[1] as string))].sort();
  const notes: string[] = [];
  const note = (text: string) => `[^${notes.push(text)}]`;
  const outcome = (exporter: string, family: string): string | null => {
    const support = results.get(`${exporter}/${family}`);
    const reason = refusedByExporter[exporter]?.[family];
    if (!support) return reason === undefined ? null : `not exported${note(`the exporter refuses ${family}: ${reason}`)}`;
    const obstacle = steps.find((step) => support[step] !== "yes");
    return obstacle === undefined ? "yes" : `until ${obstacle}${note(support[obstacle])}`;
  };
  const cell = (variants: Readonly<Record<string, string>>, family: string): string => {
    const outcomes = Object.entries(variants).map(([exporter, label]) => ({ label, outcome: outcome(exporter, family) }));
    const made = outcomes.filter((o) => o.outcome !== null);
    const unique = [...new Set(made.map((o) => o.outcome))];
    return unique
      .map((text) => ({ text, labels: made.filter((o) => o.outcome === text && o.label !== "").map((o) => o.label) }))
      .map(({ text, labels }) => (labels.length > 0 ? `${text} (${labels.join(", ")})` : text))
      .join("; ");
  };
  const rows = families.map(
    (family) =>
      `| ${family} | ${Object.values(columns)
        .map((variants) => cell(variants, family))
        .join(" | ")} |`,
  );
  const names = Object.keys(columns);
  const head = [`| | ${names.join(" | ")} |`, `| --- |${" --- |".repeat(names.length)}`];
  return [...head, ...rows, "", ...notes.map((text, i) => `[^${i + 1}]: ${text}`)].join("\n").trimEnd();
}
