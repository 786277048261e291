import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { finished } from "../../src/finished.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Of, float32Tensor, floatsOf, floatTensor } from "../../src/onnx/tensors.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { type Pruned, type PruningJob, wholeOf } from "../../src/pruning/prune.ts";
import { inputGrams } from "../../src/recovery/grams.ts";
import { leastSquares, restoringTexts } from "../../src/recovery/least-squares.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { removeStructures } from "../../src/structures/divide.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { ahabFolder } from "../support/ahab.ts";
import { feedsOf } from "../support/feeds.ts";
import { logitsOf } from "../support/masked.ts";
import { readModel } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";

const model = readModel(ahabFolder);
const folder = join(ahabFolder, "onnx");
const down = [...model.graph.initializers.values()].filter((t) => t.dims[0] === 256 && t.dims[1] === 96).map((t) => t.name);
/** Of the first two layers a head each, and channels. */
const removed = [
  { kind: "HEAD" as const, index: 1, score: 0, parameterCount: 0 },
  ...Array.from({ length: 120 }, (_, i) => ({ kind: "CHANNEL" as const, index: 3 * i, score: 0, parameterCount: 0 })),
];
let tokenizer: Tokenizer;
let documents: readonly string[];
let ofModel: ReturnType<typeof restored>;
before(async () => {
  tokenizer = await loadTokenizer(ahabFolder);
  documents = (await loadDataset({ name: "literature-train" })).documents;
  ofModel = restored(model);
});

const jobOf = (base: Model): PruningJob => ({
  ...{ model: base, folder, scratch, tokenizer, documents, method: pip, done: [] },
  options: { ...defaultPruningOptions, structureKinds: ["HEAD", "CHANNEL"], sequenceLength: 64, executionProvider: "CPU" },
});

async function restored(base: Model): Promise<{ cut: Pruned; restored: Model; notes: readonly string[] }> {
  const job = jobOf(base);
  const whole = await wholeOf(job);
  const cut = { whole, removed, pruned: await removeStructures(base, removed, tensorReader(folder), whole) };
  const found = await finished(leastSquares(job, restoringTexts(job, whole), cut));
  return { cut, restored: found.pruned, notes: found.notes };
}

/** How far logits of held-out text are from the model's own: the mean square. */
async function distance(other: Model): Promise<number> {
  const { documents: heldOut } = await loadDataset({ name: "literature-heldout" });
  const rows = Array.from({ length: 4 }, (_, i) => tokenizer.encodeDocument(heldOut[i]?.slice(2000, 3000) ?? "").slice(0, 96));
  const [own, its] = [await logitsOf(model, feedsOf(model, rows)), await logitsOf(other, feedsOf(other, rows))];
  return own.reduce((sum, value, i) => sum + (value - (its[i] as number)) ** 2, 0) / own.length;
}

/** The same model, whose down projections are stored the other way round. */
const turned: Model = {
  ...model,
  graph: {
    ...model.graph,
    initializers: new Map([...model.graph.initializers].map(([name, t]) => [name, down.includes(name) ? transposed(t) : t])),
    nodes: [
      ...down.map((name) => ({
        ...{ name: `${name}/Transpose`, opType: "Transpose", domain: "", inputs: [name], outputs: [`${name}/turned`] },
        attributes: { perm: attr.ints([1, 0]) },
      })),
      ...model.graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((name) => (down.includes(name) ? `${name}/turned` : name)) })),
    ],
  },
};

function transposed(tensor: Tensor): Tensor {
  const [rows, columns] = tensor.dims as [number, number];
  const values = float32Of(tensor);
  return float32Tensor(
    tensor.name,
    [columns, rows],
    Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number),
  );
}

describe("least squares", () => {
  it("sums what products are given over the tokens of each text, and of nothing else", async () => {
    const job = jobOf(model);
    const whole = await wholeOf(job);
    const texts = [
      [1, 300, 17, 44, 260, 9],
      [5, 6, 7],
      [8, 9, 10, 11, 12],
    ];
    const [parameter = ""] = down;
    const scene = { model, folder, scratch, whole, sequenceLength: 8, executionProvider: "CPU" as const };
    const gram = (await finished(inputGrams(scene, texts.map(nextTokens), 2, [parameter]))).get(parameter);
    assert.ok(gram);
    const node = model.graph.nodes.find((n) => n.inputs[1] === parameter);
    const input = node?.inputs[0] ?? "";
    const outputs = [{ name: input, dataType: "float32" as const, shape: null }];
    const session = await openSession({ bytes: encode({ ...model, graph: { ...model.graph, outputs } }) }, { executionProvider: "CPU" });
    const expected = { own: new Float64Array(256 * 256), heldBack: new Float64Array(256 * 256) };
    for (const [i, text] of texts.entries()) {
      const x = (await session.run(feedsOf(model, [text])))[input] as TensorValue<Float32Array>;
      const sum = expected[i < 2 ? "own" : "heldBack"];
      // The last token predicts nothing, and does not count.
      for (let t = 0; t < text.length - 1; t++)
        for (let a = 0; a < 256; a++)
          for (let b = 0; b < 256; b++)
            sum[a * 256 + b] = (sum[a * 256 + b] as number) + (x.data[t * 256 + a] as number) * (x.data[t * 256 + b] as number);
    }
    await session.close();
    for (const which of ["own", "heldBack"] as const) {
      const largest = Math.max(...expected[which].map(Math.abs));
      for (const [i, value] of gram[which].entries())
        assert.ok(Math.abs(value - (expected[which][i] as number)) < 1e-5 * largest, `${which} ${i}`);
    }
  });

  it("brings what is left nearer to the model, the same for the same seed, and changes last products alone", async () => {
    const { cut, restored: found, notes } = await ofModel;
    const [before, after] = [await distance(cut.pruned), await distance(found)];
    assert.ok(after < 0.9 * before, `${after} of ${before}`);
    const changed = [...found.graph.initializers]
      .filter(([name, t]) => t !== cut.pruned.graph.initializers.get(name))
      .map(([name]) => name);
    assert.deepEqual(
      changed.filter((name) => down.includes(name)),
      down.slice(0, 2),
      "360 of 512 channels lie in the first two layers",
    );
    assert.equal(changed.length, 3, "and one attention lost a head");
    assert.match(notes.join(), /3 cut products/);
    const { restored: again } = await restored(model);
    assert.deepEqual(encode(again), encode(found));
  });

  it("does the same with weights that are stored the other way round", async () => {
    const [plain, other] = [(await ofModel).restored, (await restored(turned)).restored];
    for (const name of down.slice(0, 2)) {
      const [right, found] = [plain, other].map((m) => m.graph.initializers.get(name) as Tensor) as [Tensor, Tensor];
      const expected = transposed(right);
      assert.deepEqual(found.dims, expected.dims);
      const largest = Math.max(...float32Of(expected).map(Math.abs));
      for (const [i, value] of float32Of(expected).entries())
        assert.ok(Math.abs((float32Of(found)[i] as number) - value) < 1e-4 * largest, `${name} ${i}`);
    }
  });

  it("refuses texts that are too few for it, with the numbers", async () => {
    const job = { ...jobOf(model), documents: ["The white whale. ".repeat(20)] };
    const whole = await wholeOf(job);
    assert.throws(() => restoringTexts(job, whole), { code: "CALIBRATION_TOO_SHORT", details: { neededTokens: 1024, tokens: 101 } });
  });
});

describe("floats of any width", () => {
  it("are rounded to the nearest, ties to even, as IEEE 754 has it", () => {
    const values = Float32Array.of(
      0,
      -0,
      1,
      -1.5,
      65_504,
      65_519,
      65_520,
      -1e9,
      2 ** -24,
      2 ** -25,
      3 * 2 ** -25,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      2 - 2 ** -12,
      6.1e-5,
      Number.NaN,
    );
    const half = [0, 0x8000, 0x3c00, 0xbe00, 0x7bff, 0x7bff, 0x7c00, 0xfc00, 1, 0, 2, 0x3c00, 0x3c02, 0x4000, 0x03ff, 0x7e00];
    const bytes = (tensor: Tensor) => (tensor.data as { bytes: Uint8Array }).bytes;
    const stored = floatTensor("x", "float16", [values.length], values);
    assert.deepEqual([...new Uint16Array(bytes(stored).slice().buffer)], half);
    const brain = floatTensor("x", "bfloat16", [4], Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -3.4e38));
    assert.deepEqual([...new Uint16Array(bytes(brain).slice().buffer)], [0x3f80, 0x3f80, 0x3f82, 0xff80]);
    for (let bits = 0; bits < 0x7c00; bits++) {
      const narrow = floatsOf({ name: "x", dataType: "float16" }, new Uint8Array(Uint16Array.of(bits).buffer));
      assert.equal(new Uint16Array(bytes(floatTensor("x", "float16", [1], narrow)).slice().buffer)[0], bits);
    }
  });
});
