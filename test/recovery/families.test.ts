import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { recoveryMethods } from "../../src/recovery/methods/index.ts";
import type { RecoveryMethod } from "../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { reweighted } from "../../src/recovery/reweighted.ts";
import type { TextBatch } from "../../src/recovery/texts.ts";
import { lossOf, Trainer } from "../../src/recovery/trainer.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
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
  objectives: { distill: 0, languageModel: 1 },
};
const written = join(tmpdir(), `espalier-families-${randomUUID()}`);
after(() => rm(written, { force: true }));

describe("ways of healing, by exporter and family", () => {
  for (const [i, { name, folder, read }] of fixtures.entries()) {
    const method = recoveryMethods[i % recoveryMethods.length] as RecoveryMethod;
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
          const loss = await trainer.measure(batch);
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
