import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { type Moments, noMoments } from "../../src/recovery/correction.ts";
import { recoveryMethodNamed, trainedMethods } from "../../src/recovery/methods/index.ts";
import type { ClosedForm, TrainedMethod } from "../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { reweighted } from "../../src/recovery/reweighted.ts";
import { Solver } from "../../src/recovery/solver.ts";
import type { TextBatch } from "../../src/recovery/texts.ts";
import { lossOf, Trainer } from "../../src/recovery/trainer.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { removeStructures } from "../../src/structures/divide.ts";
import { fixtures } from "../support/fixtures.ts";

// Each fixture in one of the ways, in turn, so that each way meets every exporter: gradients against finite differences, and merging.

const [B, T] = [2, 8];
const row = (from: number, by: number) => Array.from({ length: T }, (_, t) => from + by * t);
const batch: TextBatch = {
  ids: [row(3, 1), row(12, -1)],
  targets: [row(4, 1), row(11, -1)],
  weights: new Float32Array(B * T).fill(1 / (B * T)),
  tokens: B * T,
};
const options = {
  ...defaultRecoveryOptions,
  rank: 2,
  alpha: 3,
  batchSize: B,
  sequenceLength: T,
  objectives: { distill: 0, languageModel: 1, hidden: 0 },
};
const written = join(tmpdir(), `espalier-families-${randomUUID()}`);
after(() => rm(written, { force: true }));

describe("ways of healing, by exporter and family", () => {
  for (const [i, { name, folder, read }] of fixtures.entries()) {
    const method = trainedMethods[i % trainedMethods.length] as TrainedMethod;
    it(`${method.name} of ${name}`, async () => {
      const { model } = read();
      const whole = await wholeOfModel(model, folder, method.divides ?? false);
      const subject = { model, folder, whole, read: tensorReader(folder), options };
      const trainer = await Trainer.open({ subject, teacher: null, method, options, executionProvider: "CPU" });
      try {
        const { weights, gradients } = trainer.vectors;
        const start = await trainer.addGradient(batch);
        assert.ok(
          Math.abs(start - (await lossOf({ model, folder }, [batch], options, "CPU"))) < 1e-5 * start,
          "it begins at the model as it is",
        );
        const norm = trainer.gradientNorm();
        const along = async (far: number): Promise<number> => {
          const before = Float32Array.from(weights);
          for (const [k, g] of gradients.entries()) weights[k] = (weights[k] as number) + (far * g) / norm;
          const loss = await trainer.measure([batch]);
          if (far < 0) {
            const merged = await reweighted(model, trainer.merged(), written, "nowhere");
            const its = await lossOf({ model: merged, folder }, [batch], options, "CPU");
            assert.ok(Math.abs(loss - its) < 1e-5 * loss, `merged ${its}, unmerged ${loss}`);
          }
          weights.set(before);
          return loss;
        };
        const h = 2e-3;
        const slope = ((await along(h)) - (await along(-h))) / (2 * h);
        assert.ok(Math.abs(slope / norm - 1) < 0.02, `the loss rises by ${slope} along a gradient of norm ${norm}`);
      } finally {
        await trainer.close();
      }
    });
  }
});

// Every ninth fixture, without its last layer: the gradient of its states beside the whole model's, against finite differences.
describe("states of layers, by exporter and family", () => {
  for (const [i, { name, folder, read }] of fixtures.filter((_, k) => k % 9 === 1).entries()) {
    const method = trainedMethods[i % trainedMethods.length] as TrainedMethod;
    it(`${method.name} of ${name}`, async () => {
      const { model } = read();
      const all = await wholeOfModel(model, folder, false);
      const student = await removeStructures(model, [{ kind: "LAYER", index: all.layers - 1 }], tensorReader(folder), all);
      const whole = await wholeOfModel(student, folder, method.divides ?? false);
      const asked = { ...options, objectives: { distill: 0, languageModel: 0, hidden: 1 } };
      const subject = { model: student, folder, whole, read: tensorReader(folder), options: asked };
      const trainer = await Trainer.open({ subject, teacher: { model, folder }, method, options: asked, executionProvider: "CPU" });
      try {
        await trainer.addGradient(batch);
        const norm = trainer.gradientNorm();
        const { weights } = trainer.vectors;
        const [before, gradients] = [Float32Array.from(weights), Float32Array.from(trainer.vectors.gradients)];
        const along = (far: number): Promise<number> => {
          for (const [k, g] of gradients.entries()) weights[k] = (before[k] as number) + (far * g) / norm;
          return trainer.addGradient(batch);
        };
        const h = 2e-3;
        const slope = ((await along(h)) - (await along(-h))) / (2 * h);
        assert.ok(Math.abs(slope / norm - 1) < 0.02, `the loss rises by ${slope} along a gradient of norm ${norm}`);
      } finally {
        await trainer.close();
      }
    });
  }
});

// Every third fixture, each closed form in turn: a structure of each group goes, or the last layer.
describe("healing by closed form, by exporter and family", () => {
  for (const [i, { name, folder, read }] of fixtures.filter((_, k) => k % 3 === 0).entries()) {
    const method = recoveryMethodNamed(i % 2 === 0 ? "LEAST_SQUARES" : "LAYER_MAP") as ClosedForm;
    it(`${method.name} of ${name}`, async () => {
      const { model } = read();
      const whole = await wholeOfModel(model, folder, true);
      const parts = (whole.divided?.groups ?? []).filter((g) => g.count > 1).map(({ kind, index }) => ({ kind, index }));
      const removed = method.divides ? parts : [{ kind: "LAYER" as const, index: whole.layers - 1 }];
      const student = await removeStructures(model, removed, tensorReader(folder), whole);
      const setting = {
        subject: { model: student, folder },
        teacher: { model, folder },
        method,
        options,
        executionProvider: "CPU" as const,
      };
      // Nothing can be multiplied into what a norm comes after.
      if (!method.divides && name.endsWith("gemma2")) return assert.rejects(Solver.open(setting), { code: "NOTHING_TO_SOLVE" });
      const solver = await Solver.open(setting);
      try {
        const fits = solver.rounds.flat();
        assert.equal(fits.length, removed.length);
        const moments = fits.map(noMoments);
        const sums = await solver.sums(fits);
        await sums.add(batch, moments);
        await sums.close();
        for (const [k, fit] of fits.entries()) assert.ok(solver.solve(fit, moments[k] as Moments, moments[k] as Moments) < 0.8);
        const loss = await solver.measure([batch]);
        const merged = await reweighted(student, solver.weights, written, "nowhere");
        const its = await lossOf({ model: merged, folder }, [batch], options, "CPU");
        assert.ok(Math.abs(loss - its) < 1e-5 * loss, `written ${its}, solved ${loss}`);
      } finally {
        await solver.close();
      }
    });
  }
});
