import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { seededRandom } from "../../src/random.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { scratch } from "../support/scratch.ts";
import * as spell from "../support/spellings.ts";
import { greedy, openWriter, written } from "../support/writer.ts";

const seed = 20261126;
const fixtures = fileURLToPath(new URL("../fixtures/spellings/", import.meta.url));
let place: string;
let base: Model;
let narrow: Model;
before(async () => {
  place = await mkdtemp(join(tmpdir(), "espalier-spellings-"));
  base = decode(await readFile(join(fixtures, "base", "model.onnx")));
  narrow = decode(await readFile(join(fixtures, "float16", "model.onnx")));
});
after(() => rm(place, { recursive: true, force: true }));

/** What is pruned: of layers one, then heads and channels. */
const cuts: readonly { readonly kinds: readonly StructureKind[]; readonly ratio: number }[] = [
  { kinds: ["LAYER"], ratio: 0.1 },
  { kinds: ["HEAD", "CHANNEL"], ratio: 0.06 },
];

interface Way {
  readonly about: Pick<InspectedModel, "parameterCount" | "architecture" | "notes"> & { readonly structures: readonly object[] };
  readonly texts: readonly string[];
  readonly limitations: readonly (string | null)[];
  readonly removed: readonly string[];
  readonly scores: readonly number[];
}

const about = ({ parameterCount, architecture, notes, structures }: InspectedModel): Way["about"] => ({
  parameterCount,
  architecture,
  notes,
  // Weights may have other names.
  structures: structures.map(({ parameters, ...own }) => own),
});

/** Greedy text of three texts at once. */
async function writes(folder: string): Promise<{ text: string; limitation: string | null }> {
  const writer = await openWriter(folder);
  try {
    const options = { ...greedy, maxTokens: 12, prompt: "The whale and the sea" };
    const all = await Promise.all([1, 2, 3].map(() => written(writer, options)));
    assert.equal(new Set(all.map((w) => w.text)).size, 1, "equal requests in a batch give equal texts");
    return { text: all[0]?.text ?? "", limitation: all[0]?.summaries[0]?.limitation ?? null };
  } finally {
    await writer.engine.close();
  }
}

/** Registers a folder, has it write, prunes it in each way, registers what is left and has that write. */
async function wholeWay(root: string, path: string): Promise<Way> {
  const dataDirectory = join(root, "data");
  const stored = await inspect({ dataDirectory, modelRoot: root, path });
  const written = [await writes(await materialise({ dataDirectory, ...stored }))];
  const { model, folder, graph, graphFolder } = await openStoredModel({ dataDirectory, ...stored });
  const { documents } = await loadDataset({ name: "literature-train" });
  const [scores, gone]: [number[], string[]] = [[], []];
  for (const { kinds: structureKinds, ratio: targetRatio } of cuts) {
    const options = { samples: 3, sequenceLength: 16, structuresPerIteration: 0.1, executionProvider: "CPU" } as const;
    const steps = prune({
      model,
      folder: graphFolder,
      scratch,
      tokenizer: await loadTokenizer(folder),
      documents,
      method: pip,
      options: { ...defaultPruningOptions, ...options, structureKinds, targetRatio },
      done: [],
    });
    let step = await steps.next();
    for (; !step.done; step = await steps.next())
      if (step.value.type === "ITERATION") scores.push(...step.value.scores.flatMap((table) => [...table.scores]));
    const { removed, ...known } = step.value;
    gone.push(...removed.map((r) => `${r.kind} ${r.index}`));
    const destination = join(root, `child-${structureKinds[0]}`);
    await exportPruned({ model, folder, files: stored.files, removed, known, destination });
    const child = await storeFolder(dataDirectory, destination, graph);
    assert.equal(child.parameterCount, stored.parameterCount - removed.reduce((n, r) => n + r.parameterCount, 0));
    assert.deepEqual(child.notes, [], "a child is in the one form");
    written.push(await writes(await materialise({ dataDirectory, ...child })));
  }
  return { about: about(stored), texts: written.map((w) => w.text), limitations: written.map((w) => w.limitation), removed: gone, scores };
}

/** The base's folder with another graph, and the way it goes. */
async function way(name: string, { graph, beside = {} }: spell.Spelled, at = "model.onnx", path = name): Promise<Way> {
  const root = join(place, name.replaceAll(/\W/g, "-"));
  const folder = join(root, name);
  await mkdir(dirname(join(folder, at)), { recursive: true });
  for (const file of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
    await cp(join(fixtures, "base", file), join(folder, file));
  for (const [file, bytes] of Object.entries({ [at]: graph, ...beside })) await writeFile(join(folder, file), bytes);
  return wholeWay(root, path);
}

/** The same, but for the order in which gradients are summed. */
function assertSame({ scores, ...found }: Way, { scores: expected, ...right }: Way): void {
  assert.deepEqual(found, right);
  assert.equal(scores.length, expected.length);
  for (const [i, score] of scores.entries()) assert.ok(Math.abs(score / (expected[i] as number) - 1) < 1e-5, `${score} for ${expected[i]}`);
}

const plain = (model: Model): spell.Spelled => ({ graph: encode(model) });

describe(`spellings of one model (seed ${seed})`, () => {
  let right: Way;
  before(async () => {
    right = await way("base", plain(base));
  });

  it("is as PyTorch has it to begin with", () => {
    assert.equal(right.about.parameterCount, 68_640);
    assert.deepEqual(
      ["LAYER", "ATTENTION", "MLP", "HEAD", "CHANNEL"].map((kind) =>
        right.about.structures.reduce((n, s) => n + ("kind" in s && s.kind === kind && "count" in s ? Number(s.count) : 0), 0),
      ),
      [3, 3, 3, 6, 192],
    );
    assert.deepEqual(right.limitations, [null, null, null]);
    assert.ok(right.removed.includes("LAYER 1") || right.removed.includes("LAYER 0") || right.removed.includes("LAYER 2"));
    assert.ok(
      right.removed.some((r) => r.startsWith("CHANNEL")),
      right.removed.join(),
    );
  });

  const spellings: Readonly<Record<string, spell.Spelling>> = {
    "all weights in one file beside the graph": spell.external(0, "weights.bin"),
    "weights of 100 bytes and more beside the graph": spell.external(100, "model.onnx_data"),
    "weights as nodes of operator Constant": spell.constants,
    "initializers among the inputs": spell.initializersAsInputs,
    "integers as int32": spell.int32Inputs,
    "nodes in any order": spell.shuffled,
    "local functions that call others": spell.functions,
    "sparse initializers": spell.sparse,
  };
  for (const [name, write] of Object.entries(spellings))
    it(`${name}: described, scored, pruned and served as the plain one`, async () => {
      const found = await way(name, write(base, seededRandom(seed, name)));
      assertSame(found, right);
    });

  for (const [name, write] of [
    ["a decoder merged of two", spell.merged],
    ["one merged of two that differ, with weights in a branch, sparse and beside the graph", spell.mergedOfTwo],
  ] as const)
    it(`${name}: the same, and it is said which branch is used`, async () => {
      const { about, ...found } = await way(name, write(base, seededRandom(seed)), "decoder_model_merged.onnx");
      assert.match(about.notes.join(), /use_cache_branch.*at first with an empty one/);
      assertSame({ ...found, about: { ...about, notes: [] } }, right);
    });

  it("a graph that is named in its folder brings the folder's tokenizer", async () => {
    assertSame(await way("named", plain(base), "onnx/model_q4.onnx", "named/onnx/model_q4.onnx"), right);
  });

  it("float16 by ONNX Runtime's converter, unsorted casts around it too: nearly the same numbers", async () => {
    for (const [name, model] of [
      ["float16", narrow],
      ["float16 with its inputs and outputs kept", spell.keptTypes(narrow)],
    ] as const) {
      const { about, ...found } = await way(name, plain(model));
      assert.deepEqual({ ...about, architecture: { ...about.architecture, dataType: "float32" } }, right.about);
      assert.equal(about.architecture.dataType, "float16");
      assert.deepEqual(found.limitations, right.limitations);
      // Of two views that differ in everything, gradients are large, and their norms near those of float32.
      const firsts = (w: Pick<Way, "scores">) => w.scores.slice(0, 3);
      for (const [i, score] of firsts(found).entries())
        assert.ok(Math.abs(score / (firsts(right)[i] as number) - 1) < 0.02, `${name}: ${firsts(found)} against ${firsts(right)}`);
    }
  });
});
