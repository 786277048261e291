import { join } from "node:path";
import { readModel } from "../../src/onnx/read-model.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { recoveryMethodNamed } from "../../src/recovery/methods/index.ts";
import type { TrainedMethod } from "../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../../src/recovery/options.ts";
import { Trainer } from "../../src/recovery/trainer.ts";
import { wholeOfModel } from "../../src/recovery/whole.ts";
import { removeStructures } from "../../src/structures/divide.ts";

// A process of its own, that the peak of its memory be that of a step: `train-once.ts FOLDER METHOD OPTIONS`. Says what it trained and took, as JSON.

const [modelFolder = "", method = "", asked = "{}"] = process.argv.slice(2);
const folder = join(modelFolder, "onnx");
const options: RecoveryOptions = { ...defaultRecoveryOptions, ...JSON.parse(asked) };
const teacher = await readModel(join(folder, "model.onnx"), "IN_FILE");
const read = tensorReader(folder);
const student = await removeStructures(teacher, [{ kind: "LAYER", index: 3 }], read, await wholeOfModel(teacher, folder, false));
const trained = recoveryMethodNamed(method) as TrainedMethod;
const whole = await wholeOfModel(student, folder, trained.divides ?? false);
const trainer = await Trainer.open({
  subject: { model: student, folder, whole, read, options },
  ...{ teacher: { model: teacher, folder }, method: trained, options, executionProvider: "CPU" },
});
const opened = process.memoryUsage.rss();
const { batchSize: B, sequenceLength: T } = options;
const row = (from: number) => Array.from({ length: B }, (_, b) => Array.from({ length: T }, (_, t) => (7 * b + 3 * (t + from)) % 1000));
const batch = { ids: row(0), targets: row(1), weights: new Float32Array(B * T).fill(1 / (B * T)), tokens: B * T };
await trainer.addGradient(batch);
await trainer.step({ step: 1, learningRate: 1e-3, weightDecay: 0, gradientScale: 1 });
await trainer.addGradient(batch);
const { rows, worksOutAnew, activationBytes } = trainer.plan;
const peak = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ rows, worksOutAnew, activationBytes, trained: trainer.trainedCount, opened, peak }));
await trainer.close();
