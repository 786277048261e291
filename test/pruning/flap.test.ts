import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { finished } from "../../src/finished.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { inputMoments } from "../../src/pruning/evidence/activity.ts";
import type { Scene } from "../../src/pruning/evidence/evidence.ts";
import { scored } from "../../src/pruning/evidence/gatherers.ts";
import { flap } from "../../src/pruning/methods/flap.ts";
import { openGroups, type Whole } from "../../src/pruning/open-groups.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { seededRandom } from "../../src/random.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide } from "../../src/structures/divide.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { nextTokens } from "../../src/text/view.ts";
import { ahabFolder } from "../support/ahab.ts";
import { tinyStories } from "../support/documents.ts";
import { readModel } from "../support/models.ts";
import { scratch } from "../support/scratch.ts";

/** What PyTorch makes of the authors' rule, in float64: scripts/fixtures/flap.py. ahab: 12 layers of 2 KV groups and 256 channels. */
const { texts, heads, channels } = JSON.parse(readFileSync(new URL("../fixtures/flap.json", import.meta.url), "utf8")) as {
  readonly texts: number[][];
  readonly heads: number[][];
  readonly channels: number[][];
};

const model = readModel(ahabFolder);
const folder = join(ahabFolder, "onnx");
const read = tensorReader(folder);
let whole: Whole;
before(async () => {
  const found = discover(model, read);
  whole = { ...found, divided: await divide(model, found.anatomy, found.parameters) };
});

const sceneOf = (now: Model): Scene => ({
  ...{ model: now, folder, scratch, read, whole, executionProvider: "CPU", toRemove: 0, gradientBy: "OUTPUT" },
  samples: texts.map((unperturbed) => ({ unperturbed: nextTokens(unperturbed), perturbed: nextTokens([]) })),
  sequenceLength: 24,
  random: (stream) => seededRandom(0, stream),
});

describe("FLAP", () => {
  it("scores heads and channels as its authors' program does, query groups and texts of unlike length included", async () => {
    const groups = openGroups(whole, [], model, { ...defaultPruningOptions, structureKinds: ["HEAD", "CHANNEL"] });
    const { groups: found } = await finished(scored(flap, sceneOf(model), groups));
    for (const [kind, expected] of [["HEAD", heads] as const, ["CHANNEL", channels] as const]) {
      const own = found.filter((g) => g.kind === kind);
      assert.deepEqual(
        own.map((g) => [g.layer, g.scores.length]),
        expected.map((scores, layer) => [layer, scores.length]),
      );
      for (const { layer, scores } of own)
        for (const [i, score] of scores.entries()) {
          const right = expected[layer]?.[i] as number;
          assert.ok(Math.abs(score - right) < 2e-4, `${kind} ${i} of layer ${layer}: ${score}, not ${right}`);
        }
    }
  });

  it("divides its scores by nothing unless it is told to: in each layer they are about 0", async () => {
    const tokenizer = await loadTokenizer(ahabFolder);
    const options = {
      ...defaultPruningOptions,
      structureKinds: ["HEAD", "CHANNEL"] as const,
      samples: 2,
      sequenceLength: 16,
      targetRatio: 0.01,
    };
    for (const normalization of [null, "NONE"] as const) {
      const job = {
        ...{ model, folder, scratch, tokenizer, documents: tinyStories, method: flap },
        options: { ...options, normalization },
        done: [],
      };
      for await (const event of prune(job)) {
        if (event.type !== "ITERATION") continue;
        for (const [kind, each] of [["HEAD", 2] as const, ["CHANNEL", 256] as const]) {
          const scores = event.scores.find((t) => t.kind === kind)?.scores ?? [];
          for (let layer = 0; layer < 12; layer++) {
            const own = scores.slice(each * layer, each * (layer + 1));
            assert.ok(Math.abs(own.reduce((a, b) => a + b, 0)) < 1e-9);
            // Of channels the sample's deviation is 1, which no division leaves it.
            const squares = own.reduce((a, b) => a + b * b, 0) / (each - 1);
            if (kind === "CHANNEL") assert.ok(Math.abs(squares - 1) < 1e-9, `${squares}`);
          }
        }
        break;
      }
    }
  });

  it("finds a small variance beside a large mean", async () => {
    // Twice as large an input, and a shift of 3,000 by the gate: the down projection reads 3,000 and a little.
    const [down] =
      whole.divided?.groups.find((g) => g.kind === "CHANNEL")?.slices.flatMap((s) => (s.axis === 0 ? [s.parameter] : [])) ?? [];
    assert.ok(down);
    const node = model.graph.nodes.find((n) => n.inputs[1] === down);
    const input = node?.inputs[0] as string;
    const shift = float32Tensor("shift", [256], new Float32Array(256).fill(3000));
    const sum = { name: "shifted", opType: "Add", domain: "", inputs: [input, "shift"], outputs: ["shifted"], attributes: {} };
    const nodes = model.graph.nodes.flatMap((n) => (n === node ? [sum, { ...n, inputs: ["shifted", down] }] : [n]));
    const initializers = new Map<string, Tensor>([...model.graph.initializers, ["shift", shift]]);
    const shifted = { ...model, graph: { ...model.graph, nodes, initializers } };
    const [before, after] = [
      (await finished(inputMoments(sceneOf(model), [down]))).get(down),
      (await finished(inputMoments(sceneOf(shifted), [down]))).get(down),
    ];
    assert.ok(before && after);
    const largest = Math.max(...before.variance);
    for (const [j, variance] of before.variance.entries()) {
      assert.ok(Math.abs((after.mean[j] as number) - (before.mean[j] as number) - 3000) < 1e-2);
      assert.ok(Math.abs((after.variance[j] as number) - variance) < 1e-2 * largest, `channel ${j}: ${after.variance[j]}, not ${variance}`);
    }
  });
});
