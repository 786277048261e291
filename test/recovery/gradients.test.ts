import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { EspalierError } from "../../src/errors.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { sizeOf } from "../../src/onnx/ir.ts";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { Adamw, type Vectors } from "../../src/recovery/adamw.ts";
import { recoveryMethodNamed } from "../../src/recovery/methods/index.ts";
import type { TrainedMethod } from "../../src/recovery/methods/method.ts";
import { needsTeacher } from "../../src/recovery/objectives.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../../src/recovery/options.ts";
import type { TextBatch } from "../../src/recovery/texts.ts";
import { Trainer } from "../../src/recovery/trainer.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { removeStructures } from "../../src/structures/divide.ts";
import { ahabFolder } from "../support/ahab.ts";

interface Found {
  readonly loss: number;
  readonly gradients: readonly (readonly number[])[];
  readonly names: readonly string[];
}
/** By PyTorch: scripts/fixtures/recovery.py. */
const expected = JSON.parse(readFileSync(new URL("../fixtures/recovery.json", import.meta.url), "utf8")) as {
  readonly removed: readonly number[];
  readonly ids: readonly (readonly number[])[];
  readonly rank: number;
  readonly alpha: number;
  readonly objectives: Readonly<Record<string, { distill: number; languageModel: number; hidden?: number; temperature: number }>>;
  readonly gradients: Readonly<Record<string, Readonly<Record<string, Found>>>>;
  readonly adamw: { readonly learningRate: number; readonly weightDecay: number; readonly steps: readonly (readonly number[])[] };
};
const folder = join(ahabFolder, "onnx");
let teacher: Model;
let student: Model;
before(async () => {
  teacher = await readModel(join(folder, "model.onnx"), "IN_FILE");
  const removed = expected.removed.map((index) => ({ kind: "LAYER" as const, index }));
  student = await removeStructures(teacher, removed, tensorReader(folder), await wholeOfModel(teacher, folder, false));
});

const [B, T] = [expected.ids.length, (expected.ids[0]?.length ?? 0) - 1];
const batch: TextBatch = {
  ids: expected.ids.map((row) => row.slice(0, T)),
  targets: expected.ids.map((row) => row.slice(1)),
  weights: new Float32Array(B * T).fill(1 / (B * T)),
  tokens: B * T,
};

const filled = (size: number, k: number, around: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => around + 0.05 * Math.sin(0.37 * (i + 1) + k));

const probes = (g: ArrayLike<number>): number[] => {
  const values = Array.from(g);
  const norm = Math.sqrt(values.reduce((s, v) => s + v * v, 0));
  return [norm, ...[0.11, 0.57, 1.3].map((f) => values.reduce((s, v, i) => s + v * Math.sin(f * (i + 1)), 0))];
};

async function trainerOf(method: string, objective: string, own: Partial<RecoveryOptions> = {}): Promise<Trainer> {
  const { temperature, ...asked } = expected.objectives[objective] as (typeof expected.objectives)[string];
  const objectives = { hidden: 0, ...asked };
  const options = {
    ...defaultRecoveryOptions,
    batchSize: B,
    sequenceLength: T,
    rank: expected.rank,
    alpha: expected.alpha,
    objectives,
    temperature,
    ...own,
  };
  const whole = await wholeOfModel(student, folder, recoveryMethodNamed(method).divides ?? false);
  return Trainer.open({
    subject: { model: student, folder, whole, read: tensorReader(folder), options },
    teacher: needsTeacher(objectives) ? { model: teacher, folder } : null,
    method: recoveryMethodNamed(method) as TrainedMethod,
    options,
    executionProvider: "CPU",
  });
}

describe("gradients of recovery", () => {
  for (const [method, byObjective] of Object.entries(expected.gradients))
    for (const [objective, found] of Object.entries(byObjective))
      it(`${method}, ${objective}: loss and gradient of every trained tensor are PyTorch's`, async () => {
        const trainer = await trainerOf(method, objective);
        try {
          const { trained, vectors } = trainer;
          assert.equal(trained.length, found.gradients.length);
          const places = trainer.offsets;
          if (method !== "NORMS" && method !== "FULL")
            for (const [k, t] of trained.entries()) {
              const around = method === "GATES" || (t.name.startsWith("kronecker") && t.name.endsWith("/a")) ? 1 : 0;
              vectors.weights.set(filled(sizeOf(t.shape), k, around), places[k]);
            }
          const loss = await trainer.addGradient(batch);
          assert.ok(Math.abs(loss - found.loss) < 1e-5 * found.loss, `loss ${loss}, not ${found.loss}`);
          let worst = 0;
          const unmatched = new Set(found.gradients);
          for (const [k, t] of trained.entries()) {
            const own = probes(vectors.gradients.subarray(places[k], (places[k] as number) + sizeOf(t.shape)));
            // Matrices of the exported graph have names of their own: of all weights the nearest counts, once.
            const named = found.gradients[found.names.indexOf(t.name.replace("trained/", ""))];
            const distance = (row: readonly number[]) =>
              Math.max(...row.map((v, i) => Math.abs(v - (own[i] as number)))) / (row[0] as number);
            const theirs =
              method === "FULL" ? (named ?? [...unmatched].sort((x, y) => distance(x) - distance(y))[0]) : (named ?? found.gradients[k]);
            assert.ok(theirs && unmatched.delete(theirs), t.name);
            worst = Math.max(worst, distance(theirs));
            assert.ok(distance(theirs) < 1e-5, `${t.name}: ${own} not ${theirs}`);
          }
          assert.equal(unmatched.size, 0);
          // Gradients of two batches add up.
          await trainer.addGradient(batch);
          const twice = probes(vectors.gradients);
          vectors.gradients.fill(0);
          await trainer.addGradient(batch);
          const once = probes(vectors.gradients);
          assert.ok(Math.abs((twice[0] as number) - 2 * (once[0] as number)) < 1e-5 * (twice[0] as number));
        } finally {
          await trainer.close();
        }
      });

  for (const [method, objective] of [
    ["FULL", "hidden"],
    ["LORA", "distill"],
  ] as const)
    it(`${method}, ${objective}: they are the same text by text with activations worked out anew, and too little memory is refused with the number`, async () => {
      const long: TextBatch = {
        ids: expected.ids.slice(0, 2).map((row) => Array.from({ length: 96 }, (_, t) => row[t % T] as number)),
        targets: expected.ids.slice(0, 2).map((row) => Array.from({ length: 96 }, (_, t) => row[(t + 1) % T] as number)),
        ...{ weights: new Float32Array(2 * 96).fill(1 / (2 * 96)), tokens: 2 * 96 },
      };
      const gradients = async (activationBytes: number | null) => {
        const trainer = await trainerOf(method, objective, { activationBytes, batchSize: 2, sequenceLength: 96 });
        try {
          if (method === "LORA") trainer.vectors.weights.set(filled(trainer.trainedCount, 0, 0));
          const loss = await trainer.addGradient(long);
          const { rows, worksOutAnew, activationBytes: foretold } = trainer.plan;
          return { loss, vector: trainer.vectors.gradients.slice(), rows, worksOutAnew, foretold };
        } finally {
          await trainer.close();
        }
      };
      const whole = await gradients(null);
      assert.deepEqual([whole.rows, whole.worksOutAnew], [2, false]);
      const needed: number = await gradients(1).then(
        () => assert.fail("one byte was enough"),
        (error: EspalierError) => {
          assert.equal(error.code, "RECOVERY_TOO_LARGE");
          return error.details["neededBytes"] as number;
        },
      );
      const anew = await gradients(needed);
      assert.deepEqual([anew.rows, anew.worksOutAnew, anew.foretold], [1, true, needed]);
      assert.ok(needed < whole.foretold / 3, `${needed} of ${whole.foretold}`);
      const norm = (v: Float32Array) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
      const apart = norm(anew.vector.map((x, i) => x - (whole.vector[i] as number))) / norm(whole.vector);
      assert.ok(norm(whole.vector) > 0 && apart < 1e-5, `${apart}`);
      assert.ok(Math.abs(anew.loss - whole.loss) < 1e-5 * whole.loss);
    });

  it("makes the steps that torch.optim.AdamW makes", async () => {
    const { learningRate, weightDecay, steps } = expected.adamw;
    const n = steps[0]?.length ?? 0;
    const vectors: Vectors = {
      weights: Float32Array.from({ length: n }, (_, i) => Math.sin(0.7 * (i + 1))),
      gradients: new Float32Array(n),
      first: new Float32Array(n),
      second: new Float32Array(n),
    };
    const update = await Adamw.open(vectors, "CPU");
    for (const [k, row] of steps.entries()) {
      for (let i = 0; i < n; i++) vectors.gradients[i] = Math.fround(Math.sin(0.3 * (i + 1) * (k + 1)) * 10 ** -(i % 5)) * 4;
      await update.step({ step: k + 1, learningRate, weightDecay, gradientScale: 0.25 });
      for (const [i, w] of row.entries())
        assert.ok(
          Math.abs((vectors.weights[i] as number) - w) < 1e-5 * Math.max(1e-2, Math.abs(w)),
          `step ${k + 1}, ${i}: ${vectors.weights[i]} not ${w}`,
        );
    }
    await update.close();
  });
});
