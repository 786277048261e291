import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Model } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import type { RecoveryEvent } from "../../src/recovery/events.ts";
import { recoveryMethodNamed } from "../../src/recovery/methods/index.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../../src/recovery/options.ts";
import { rateAt } from "../../src/recovery/rate.ts";
import { type Recovered, recover } from "../../src/recovery/recover.ts";
import { RecoveryTexts } from "../../src/recovery/texts.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { removeStructures } from "../../src/structures/divide.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";
import { scratch } from "../support/scratch.ts";

const folder = join(ahabFolder, "onnx");
let teacher: Model;
let student: Model;
let tokenizer: Tokenizer;
let documents: readonly string[];
before(async () => {
  teacher = await readModel(join(folder, "model.onnx"), "IN_FILE");
  const removed = [3, 4, 5, 6].map((index) => ({ kind: "LAYER" as const, index }));
  student = await removeStructures(teacher, removed, tensorReader(folder), await wholeOfModel(teacher, folder, false));
  tokenizer = await loadTokenizer(ahabFolder);
  documents = (await loadDataset({ name: "literature-train" })).documents.slice(0, 20);
  await mkdir(scratch, { recursive: true });
});
after(() => rm(scratch, { recursive: true, force: true }));

const small: RecoveryOptions = {
  ...defaultRecoveryOptions,
  ...{ steps: 8, checkEverySteps: 4, batchSize: 8, sequenceLength: 64, heldBackTexts: 16, warmupSteps: 2, executionProvider: "CPU" },
};

async function run(method: string, options: Partial<RecoveryOptions>, checkpoint: string | null = null, keep?: string) {
  const steps = recover({
    ...{ subject: { model: student, folder }, teacher: { model: teacher, folder }, tokenizer, documents, checkpoint, scratch },
    method: recoveryMethodNamed(method),
    options: { ...small, ...options },
  });
  const events: RecoveryEvent[] = [];
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) {
    events.push(step.value);
    if (keep && step.value.type === "CHECK" && step.value.step < small.steps) await copyFile(step.value.checkpoint, keep);
  }
  return { events, recovered: step.value };
}

const weightsOf = ({ weights }: Recovered): Map<string, Float32Array> =>
  new Map([...weights()].map(([name, v]) => [name, Float32Array.from(v)]));
const ofType = <Type extends RecoveryEvent["type"]>(events: readonly RecoveryEvent[], type: Type) =>
  events.filter((e): e is Extract<RecoveryEvent, { type: Type }> => e.type === type);

describe("recover", () => {
  it("wins back some of what was lost, and tells how much", async () => {
    const { events, recovered } = await run("LORA", {});
    const { summary } = recovered;
    assert.ok(summary.teacherLoss !== null && summary.teacherLoss < summary.startLoss);
    assert.ok(summary.loss < summary.startLoss, `${summary.loss} from ${summary.startLoss}`);
    const checks = ofType(events, "CHECK");
    assert.deepEqual(
      checks.map((c) => c.step),
      [4, 8],
    );
    assert.equal(Math.min(...checks.map((c) => c.heldBackLoss)), summary.loss);
    assert.equal(summary.wonBackRatio, (summary.startLoss - summary.loss) / (summary.startLoss - summary.teacherLoss));
    assert.deepEqual(
      ofType(events, "STEP").map((s) => s.learningRate),
      Array.from({ length: 8 }, (_, i) => 2e-3 * rateAt(i + 1, small)),
    );
  });

  it("goes on from a check to the same bytes, adapters and moments alike", async () => {
    const middle = join(scratch, "middle");
    const whole = await run("LORA", { accumulate: 2, batchSize: 4 }, null, middle);
    const last = await readFile(ofType(whole.events, "CHECK").at(-1)?.checkpoint ?? "");
    const resumed = await run("LORA", { accumulate: 2, batchSize: 4 }, middle);
    assert.deepEqual(
      ofType(resumed.events, "STEP").map((s) => s.step),
      [5, 6, 7, 8],
    );
    assert.deepEqual(await readFile(ofType(resumed.events, "CHECK").at(-1)?.checkpoint ?? ""), last);
    assert.deepEqual(weightsOf(resumed.recovered), weightsOf(whole.recovered));
    assert.deepEqual(resumed.recovered.summary, whole.recovered.summary);
  });

  it("adds up the gradients of several passes to that of one", async () => {
    const [one, two] = [
      await run("NORMS", { steps: 2, checkEverySteps: 2 }),
      await run("NORMS", { steps: 2, checkEverySteps: 2, batchSize: 2, accumulate: 4 }),
    ];
    const other = weightsOf(two.recovered);
    for (const [name, values] of weightsOf(one.recovered)) {
      const its = other.get(name) as Float32Array;
      for (const [i, v] of values.entries()) assert.ok(Math.abs(v - (its[i] as number)) < 2e-5, `${name} ${i}: ${v}, ${its[i]}`);
    }
  });

  it("goes back at half the rate where training goes astray, and says so", async () => {
    const { events, recovered } = await run("FULL", { learningRate: 0.05, warmupSteps: 0 });
    const [retreat] = ofType(events, "RETREATED");
    assert.ok(retreat, "it went astray");
    assert.deepEqual([retreat.backToStep, retreat.rateFactor], [0, 0.5]);
    assert.match(retreat.reason, /loss .*came to/);
    assert.ok(recovered.summary.loss <= recovered.summary.startLoss);
  });

  it("does not take the noise of small batches for it: a step's loss may be more than twice what it was", async () => {
    const noisy = { batchSize: 1, sequenceLength: 8, steps: 24, checkEverySteps: 24, heldBackTexts: 8, learningRate: 1e-4, seed: 2 };
    const { events } = await run("NORMS", noisy);
    const losses = ofType(events, "STEP").map((s) => s.loss);
    let [trend = 0] = losses;
    const above = losses.map((loss) => {
      const times = loss / trend;
      trend = 0.9 * trend + 0.1 * loss;
      return times;
    });
    assert.ok(Math.max(...above) > 2, `${Math.max(...above)}`);
    assert.deepEqual(ofType(events, "RETREATED"), []);
  });

  it("gives up where no rate helps, and says at which step", async () => {
    await assert.rejects(run("FULL", { learningRate: 1, warmupSteps: 0, steps: 4, checkEverySteps: 4 }), { code: "RECOVERY_DIVERGED" });
  });

  it("ends early, and keeps the model as it is where no step is better", async () => {
    const { events, recovered } = await run("NORMS", { learningRate: 0.15, warmupSteps: 0, checkEverySteps: 1, patience: 2 });
    const { summary } = recovered;
    const checks = ofType(events, "CHECK");
    assert.ok(checks.length < small.steps, "it ended early");
    assert.deepEqual(
      checks.slice(-2).map((c) => c.isBest),
      [false, false],
    );
    if (summary.bestStep === 0)
      for (const [name, values] of weightsOf(recovered)) {
        const stored = student.graph.initializers.get(name);
        assert.deepEqual(new Uint8Array(values.buffer), stored && new Uint8Array(tensorReader(folder)(stored)));
      }
  });

  it("brings the states of layers to the teacher's", async () => {
    const { events } = await run("FULL", { objectives: { distill: 0, languageModel: 0, hidden: 1 } });
    const losses = ofType(events, "STEP").map((s) => s.loss);
    assert.ok((losses.at(-1) as number) < 0.9 * (losses[0] as number), `${losses}`);
  });

  it("asks for a teacher where the objective does, and for none where it does not", async () => {
    const job = {
      subject: { model: student, folder },
      teacher: null,
      tokenizer,
      documents,
      checkpoint: null,
      scratch,
      method: recoveryMethodNamed("NORMS"),
    };
    await assert.rejects(recover({ ...job, options: small }).next(), { code: "NO_TEACHER" });
    const steps = recover({
      ...job,
      options: { ...small, steps: 2, checkEverySteps: 2, objectives: { distill: 0, languageModel: 1, hidden: 0 } },
    });
    let step = await steps.next();
    for (; !step.done; step = await steps.next()) assert.ok(step.value.type !== "CHECK" || step.value.wonBackRatio === null);
    assert.equal(step.value.summary.teacherLoss, null);
  });
});

describe("texts of recovery", () => {
  const rowsOf = (batches: ReturnType<RecoveryTexts["heldBack"]>) =>
    batches.flatMap((b) => b.ids.map((row) => row.join(" "))).filter((row) => /[1-9]/.test(row));

  it("holds some back that are never trained on, and draws the same for the same seed", () => {
    const texts = new RecoveryTexts(tokenizer, documents, small);
    const held = new Set(rowsOf(texts.heldBack()));
    assert.equal(held.size, 16);
    const trained = Array.from({ length: 30 }, (_, step) => rowsOf(texts.ofStep(step))).flat();
    for (const row of trained) assert.ok(!held.has(row));
    assert.ok(new Set(trained).size > 100);
    const again = new RecoveryTexts(tokenizer, documents, small);
    assert.deepEqual(again.ofStep(7), texts.ofStep(7));
    assert.notDeepEqual(new RecoveryTexts(tokenizer, documents, { ...small, seed: 1 }).ofStep(7), texts.ofStep(7));
  });

  it("weights all tokens of a step alike, and padding not at all", () => {
    const short = documents.slice(0, 4).map((d) => d.slice(0, 600));
    const texts = new RecoveryTexts(tokenizer, short, { ...small, heldBackTexts: 1, batchSize: 2, accumulate: 1, sequenceLength: 128 });
    for (const { ids, targets, weights, tokens } of texts.ofStep(0)) {
      assert.ok(Math.abs(weights.reduce((a, b) => a + b, 0) - 1) < 1e-5);
      assert.equal(weights.filter((w) => w > 0).length, tokens);
      for (const [r, row] of ids.entries())
        for (let t = 0; t + 1 < row.length; t++) if ((weights[r * 128 + t + 1] as number) > 0) assert.equal(targets[r]?.[t], row[t + 1]);
    }
  });

  it("refuses texts that are too few, with how many there are", () => {
    assert.throws(() => new RecoveryTexts(tokenizer, ["Call me Ishmael."], small), {
      code: "RECOVERY_TEXT_TOO_SHORT",
      details: { passages: 1, needed: 24 },
    });
  });
});
